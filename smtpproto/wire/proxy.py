"""The PROXY protocol: a proxy names its client before the first octet of SMTP or TLS.

Section numbers are those of HAProxy's proxy-protocol.txt. A header proves nothing, so a server
reads one only where its configuration says that a proxy sends it (5), and only from known proxies.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from attrs import Attribute, field, frozen

from ..errors import GrammarError
from ..grammar.pattern import pattern
from ..option_types import checked

Endpoint = tuple[str, int]
"""The text of an IP address in its canonical form, and a port."""

V1_LINE = 107  # 2.1, with CRLF
V2_HEADER = 4096  # the whole header; 2.2 asks for less than an MSS, the length field allows 65551

_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_LOCAL, _PROXY = 0x20, 0x21  # version 2 and the command
_STARTS = (
    b"PROXY TCP4 ",
    b"PROXY TCP6 ",
    b"PROXY UNKNOWN ",
    b"PROXY UNKNOWN\r\n",
    _SIGNATURE + bytes([_LOCAL]),
    _SIGNATURE + bytes([_PROXY]),
)

_V1_TEXT = pattern(rb"PROXY (?:UNKNOWN[^\r\n]*|TCP4 [0-9. ]*|TCP6 [0-9A-Fa-f:. ]*)")
_PORT = "(0|[1-9][0-9]{0,4})"
_V1_TCP = pattern(f"(PROXY TCP[46]) ([^ ]+) ([^ ]+) {_PORT} {_PORT}\r\n")

_FIXED = 16  # signature, command, family, length
_TCP = {4: 0x11, 6: 0x21}
_ADDRESSES = {0x11: 12, 0x12: 12, 0x21: 36, 0x22: 36, 0x31: 216, 0x32: 216}  # octets

_CRC32C, _NOOP, _SSL = 0x03, 0x04, 0x20
_SSL_TEXTS = {0x21: "version", 0x22: "common_name"}  # PP2_SUBTYPE_SSL_VERSION and _CN
_CLIENT_SSL, _CERT_CONN, _CERT_SESS = 0x01, 0x02, 0x04


def _check_text(_: object, attribute: Attribute[str | None], text: Any) -> None:
    if text is None:
        return
    if not isinstance(text, str) or not text.isprintable() or len(text.encode()) > V2_HEADER:
        raise GrammarError(
            f"{attribute.name} must be printable text of at most {V2_HEADER} octets: {_repr(text)}"
        )


def _repr(value: object) -> str:
    """Return the start of ``repr(value)``, for an error text."""
    try:
        return repr(value)[:60]
    except ValueError:  # an int of too many digits
        return type(value).__name__


@checked
@frozen(kw_only=True)
class ProxyTLS:
    """The client's TLS connection, which ends at the proxy (2.2.6).

    *version* is the proxy's name for the version, for example "TLSv1.3". *common_name* comes from
    the client's certificate; do not trust it unless *verified*. Both are printable text, or None if
    the proxy does not send them. Other fields, for example the cipher, are dropped.
    """

    version: str | None = field(default=None, validator=_check_text)
    common_name: str | None = field(default=None, validator=_check_text)
    verified: bool = False

    def __bytes__(self) -> bytes:
        """Return the value of PP2_TYPE_SSL."""
        certificate = self.verified or self.common_name is not None
        client = _CLIENT_SSL | (_CERT_SESS if certificate else 0)
        texts = ((kind, getattr(self, name)) for kind, name in _SSL_TEXTS.items())
        known = (_tlv(kind, text.encode()) for kind, text in texts if text is not None)
        return b"".join((bytes([client]), (not self.verified).to_bytes(4), *known))


def _tlv(kind: int, value: bytes) -> bytes:
    return bytes([kind]) + len(value).to_bytes(2) + value


def _address(text: Any) -> IPv4Address | IPv6Address:
    try:
        address = ip_address(text) if isinstance(text, str) else None
    except ValueError:
        address = None
    if address is None or (isinstance(address, IPv6Address) and address.scope_id is not None):
        raise GrammarError(f"not an IP address without a zone: {_repr(text)}")
    return address


def _endpoint(value: Endpoint | None) -> Endpoint | None:
    if value is None:
        return None
    host, port = value
    if type(port) is not int or not 0 <= port <= 65535:
        raise GrammarError(f"not a port from 0 to 65535: {_repr(port)}")
    return str(_address(host)), port


def _check_tlvs(_: object, __: object, tlvs: tuple[tuple[Any, Any], ...]) -> None:
    for kind, value in tlvs:
        if type(kind) is not int or not 0 <= kind <= 255 or kind in (_CRC32C, _NOOP, _SSL):
            raise GrammarError(
                f"not a usable TLV type: {_repr(kind)}; pass 0 to 255, but not 0x03, 0x04 or 0x20"
            )
        if not isinstance(value, bytes) or len(value) > V2_HEADER:
            raise GrammarError(f"the value of a TLV must be at most {V2_HEADER} octets of bytes")


@checked
@frozen
class ProxyHeader:
    """The two ends of the connection that the proxy has accepted.

    *source* and *destination* are None where the proxy does not name them; use the addresses of the
    real connection then. This is so for UNKNOWN in version 1, and in version 2 for LOCAL, for
    UNSPEC, and for everything but TCP over IPv4 and IPv6 (which 2.2 allows to read as UNSPEC).
    *local* is True for a connection of the proxy itself, for example a health check. *tls* is None
    if the client does not use TLS, or if the proxy sends nothing about it. *tlvs* are the other
    fields of version 2, as (type, octets). A header without addresses has neither *tls* nor *tlvs*.
    In version 2 a header has at most 4096 octets.
    """

    source: Endpoint | None = field(default=None, converter=_endpoint)
    destination: Endpoint | None = field(default=None, converter=_endpoint)
    local: bool = field(default=False, kw_only=True)
    tls: ProxyTLS | None = field(default=None, kw_only=True)
    tlvs: tuple[tuple[int, bytes], ...] = field(default=(), kw_only=True, validator=_check_tlvs)

    def __attrs_post_init__(self) -> None:
        ends = self._ends()
        if len(ends) == 1 or len({address.version for address, _ in ends}) > 1:
            raise GrammarError("source and destination must both be IPv4, both IPv6, or both None")
        if ends and self.local:
            raise GrammarError("a local header has no addresses; omit source and destination")
        if not ends and (self.tls is not None or self.tlvs):
            raise GrammarError("a header without addresses has neither tls nor tlvs; omit them")
        if _FIXED + len(self._block()) > V2_HEADER:
            raise GrammarError(f"a PROXY header of more than {V2_HEADER} octets", offset=V2_HEADER)

    def _ends(self) -> list[tuple[IPv4Address | IPv6Address, int]]:
        """Return source and destination, or nothing if the proxy does not name them."""
        ends = (self.source, self.destination)
        return [(ip_address(end[0]), end[1]) for end in ends if end is not None]

    def _block(self) -> bytes:
        """Return the octets that follow the length in version 2."""
        ends = self._ends()
        addresses = (address.packed for address, _ in ends)
        ports = (port.to_bytes(2) for _, port in ends)
        tls = b"" if self.tls is None else _tlv(_SSL, bytes(self.tls))
        return b"".join((*addresses, *ports, tls, *(_tlv(*tlv) for tlv in self.tlvs)))

    def __bytes__(self) -> bytes:
        """Return the header in version 2, without a checksum: TCP has its own. Receivers may refuse
        a header without addresses that is not local (2.2)."""
        command = _LOCAL if self.local else _PROXY
        family = next((_TCP[address.version] for address, _ in self._ends()), 0)
        block = self._block()
        return _SIGNATURE + bytes([command, family]) + len(block).to_bytes(2) + block

    def v1(self) -> bytes:
        """Return the header in version 1, which holds only addresses and ports of TCP."""
        if not self._ends():
            return b"PROXY UNKNOWN\r\n"
        (source, source_port), (destination, port) = self._ends()
        ends = f"{source} {destination} {source_port} {port}"
        return f"PROXY TCP{source.version} {ends}\r\n".encode()


class ProxyReader:
    """Reads the header, of either version, at the start of a connection."""

    def __init__(self) -> None:
        self._data = b""
        self.rest: bytes = b""
        """The octets after the header, once it is read: they belong to SMTP or TLS."""

    def feed(self, data: bytes) -> ProxyHeader | None:
        """Take the next octets; return the header, or None if it is not complete.

        Raises GrammarError at the first octet that no header can have in its place. Addresses,
        ports and TLVs are checked only when the header is complete (2.1, 2.2). A checksum among the
        TLVs must be right (2.2.3). Do not call this again after a header or an error.
        """
        self._data += data
        _check_start(self._data)
        if not self._data.startswith(_STARTS):
            return None
        text = self._data.startswith(b"PROXY")
        block = _v1_line(self._data) if text else _v2_block(self._data)
        if block is None:
            return None
        header = _read_v1(block) if text else _read_v2(block)
        self.rest = self._data[len(block) :]
        return header


def _check_start(data: bytes) -> None:
    """Raise GrammarError if no header can begin with *data*."""
    for end in range(1, min(len(data), max(map(len, _STARTS))) + 1):
        if not any(start[:end] == data[: min(end, len(start))] for start in _STARTS):
            raise GrammarError("not a PROXY header", offset=end - 1)


def _v1_line(data: bytes) -> bytes | None:
    """Return the line at the start of *data*, with its CRLF, or None if it is not complete."""
    match = _V1_TEXT.match(data, 0, V1_LINE - 1)
    end = match.end() if match else 0
    ending = data[end : end + 2]
    if end > V1_LINE - 2 or not b"\r\n".startswith(ending):
        raise GrammarError(f"a PROXY line must end with CRLF within {V1_LINE} octets", offset=end)
    return data[: end + 2] if ending == b"\r\n" else None


def _read_v1(line: bytes) -> ProxyHeader:
    if line.startswith(b"PROXY UNKNOWN"):
        return ProxyHeader()
    match = _V1_TCP.fullmatch(line.decode("ascii"))
    if match is None:
        raise GrammarError("a PROXY line must have two addresses and two ports", offset=len(line))
    start, source, destination, source_port, port = match.groups()
    try:
        header = ProxyHeader((source, int(source_port)), (destination, int(port)))
    except GrammarError as error:
        raise GrammarError(error.message, offset=match.start(2)) from None
    if not header.v1().startswith(start.encode()):
        raise GrammarError(f"the addresses do not fit {start}", offset=match.start(2))
    return header


def _v2_block(data: bytes) -> bytes | None:
    """Return the header at the start of *data*, or None if it is not complete."""
    family = data[13] if data[12] == _PROXY and len(data) > 13 else 0  # LOCAL ignores the family
    if family >> 4 > 3 or family & 0xF > 2:
        raise GrammarError(
            f"unknown family or protocol of a PROXY header: {family:#04x}", offset=13
        )
    if len(data) < _FIXED:
        return None
    size = _FIXED + int.from_bytes(data[14:16])
    if not _FIXED + _ADDRESSES.get(family, 0) <= size <= V2_HEADER:
        raise GrammarError(f"a PROXY header must not have a length of {size} octets", offset=14)
    return data[:size] if len(data) >= size else None


def _read_v2(header: bytes) -> ProxyHeader:
    command, family = header[12:14]
    if command == _LOCAL:
        return ProxyHeader(local=True)
    if family not in _TCP.values():
        return ProxyHeader()
    at = _FIXED + _ADDRESSES[family]
    source, destination = _read_ends(header[_FIXED:at])
    tls, tlvs = None, []
    for kind, start, end in _spans(header, at, len(header), once=(_CRC32C, _SSL)):
        if kind == _CRC32C:
            _check_crc32c(header, start, end)
        elif kind == _SSL:
            tls = _read_tls(header, start, end)
        elif kind != _NOOP:
            tlvs.append((kind, header[start:end]))
    return ProxyHeader(source, destination, tls=tls, tlvs=tuple(tlvs))


def _read_ends(block: bytes) -> tuple[Endpoint, Endpoint]:
    """Read source and destination from the address block of version 2."""
    size = len(block) // 2 - 2
    source, destination = (str(ip_address(part)) for part in (block[:size], block[size : 2 * size]))
    return (source, int.from_bytes(block[-4:-2])), (destination, int.from_bytes(block[-2:]))


def _spans(
    data: bytes, at: int, end: int, *, once: Collection[int]
) -> Iterator[tuple[int, int, int]]:
    """Yield the TLVs that fill *data* from *at* to *end*: type, start and end of the value. Each
    type in *once* may appear only once: otherwise sender and reader could use different ones."""
    seen = set()
    while at < end:
        kind, start = data[at], at + 3
        stop = start + int.from_bytes(data[at + 1 : start])
        if stop > end:
            raise GrammarError("a TLV extends beyond the end", offset=at)
        if kind in seen:
            raise GrammarError(f"TLV {kind:#04x} appears twice", offset=at)
        if kind in once:
            seen.add(kind)
        yield kind, start, stop
        at = stop


def _read_tls(header: bytes, start: int, end: int) -> ProxyTLS | None:
    """Read the value of PP2_TYPE_SSL. Return None if the client did not use TLS."""
    inner = start + 5
    if inner > end:
        raise GrammarError("PP2_TYPE_SSL must have at least 5 octets", offset=start)
    client, failure = header[start], header[start + 1 : inner]
    spans = list(_spans(header, inner, end, once=_SSL_TEXTS))
    if not client & _CLIENT_SSL:
        return None
    values: dict[str, Any] = {
        "verified": bool(client & (_CERT_CONN | _CERT_SESS)) and not any(failure)
    }
    try:
        for kind, at, stop in spans:
            if kind in _SSL_TEXTS:
                values[_SSL_TEXTS[kind]] = header[at:stop].decode()
        return ProxyTLS(**values)
    except ValueError:
        raise GrammarError("PP2_TYPE_SSL has text that is not printable", offset=start) from None


def _check_crc32c(header: bytes, start: int, end: int) -> None:
    """Raise GrammarError if the checksum from *start* to *end* is not that of *header*."""
    if header[start:end] != _crc32c(header[:start] + bytes(4) + header[end:]).to_bytes(4):
        raise GrammarError("the PROXY header has a wrong checksum", offset=start)


def _crc32c(data: bytes) -> int:
    """Return the CRC-32C of *data* (RFC 4960 B)."""
    crc = 0xFFFFFFFF
    for octet in data:
        crc ^= octet
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF

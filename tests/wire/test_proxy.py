"""The PROXY protocol, both versions: laws, boundaries, the examples of its specification."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from hypothesis.strategies import DataObject, DrawFn, SearchStrategy

from smtpproto.errors import GrammarError
from smtpproto.testing.strategies import splits
from smtpproto.wire.proxy import (
    V1_LINE,
    V2_HEADER,
    Endpoint,
    ProxyHeader,
    ProxyReader,
    ProxyTLS,
    _crc32c,
)

SIGNATURE = bytes.fromhex("0D 0A 0D 0A 00 0D 0A 51 55 49 54 0A")
ANN, MX = ("192.0.2.1", 56324), ("198.51.100.25", 25)
ANN6, MX6 = ("2001:db8::1", 65535), ("2001:db8::19", 0)
ENDS4 = bytes([192, 0, 2, 1, 198, 51, 100, 25]) + (56324).to_bytes(2) + (25).to_bytes(2)

PORTS = st.integers(0, 65535)
TEXTS = st.none() | st.text(st.characters(exclude_categories=["C", "Z"], include_characters=" "))
TLS = st.builds(
    ProxyTLS,
    version=TEXTS,
    common_name=TEXTS,
    verified=st.booleans(),
)
TYPES = st.integers(0, 255).filter(lambda kind: kind not in (0x03, 0x04, 0x20))
TLVS = st.lists(st.tuples(TYPES, st.binary(max_size=40)), max_size=5).map(tuple)


def ends() -> SearchStrategy[tuple[Endpoint, Endpoint]]:
    """Two ends of one family."""
    ipv4, ipv6 = (st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(str))
    of_ipv4, of_ipv6 = st.tuples(ipv4, PORTS), st.tuples(ipv6, PORTS)
    return st.tuples(of_ipv4, of_ipv4) | st.tuples(of_ipv6, of_ipv6)


@st.composite
def headers(draw: DrawFn) -> ProxyHeader:
    """Headers with addresses and without."""
    if draw(st.integers(0, 9)) == 0:
        return ProxyHeader(local=draw(st.booleans()))
    return ProxyHeader(*draw(ends()), tls=draw(st.none() | TLS), tlvs=draw(TLVS))


def wire() -> SearchStrategy[bytes]:
    """Headers as they are sent, of both versions."""
    return headers().map(bytes) | headers().map(ProxyHeader.v1)


def tlv(kind: int, value: bytes) -> bytes:
    return bytes([kind]) + len(value).to_bytes(2) + value


def v2(block: bytes, family: int = 0x11, command: int = 0x21) -> bytes:
    return SIGNATURE + bytes([command, family]) + len(block).to_bytes(2) + block


def read(data: bytes) -> tuple[ProxyHeader | None, bytes]:
    reader = ProxyReader()
    return reader.feed(data), reader.rest


def outcome(parts: list[bytes]) -> tuple[Any, ...]:
    """What becomes of *parts*: the header and all octets behind it, or the error, or nothing."""
    reader = ProxyReader()
    for number, part in enumerate(parts, 1):
        try:
            header = reader.feed(part)
        except GrammarError as error:
            assert reader.rest == b""
            return error.message, error.offset
        if header is not None:
            return header, reader.rest + b"".join(parts[number:])
    return (None,)


@given(headers(), st.binary())
@example(ProxyHeader(), b"")
@example(ProxyHeader(local=True), b"\r\n")
def test_version_2_is_read_as_it_was_written(header: ProxyHeader, rest: bytes) -> None:
    assert read(bytes(header) + rest) == (header, rest)


@given(ends(), st.binary())
def test_version_1_is_read_as_it_was_written(ends: tuple[Endpoint, Endpoint], rest: bytes) -> None:
    header = ProxyHeader(*ends)
    assert read(header.v1() + rest) == (header, rest)
    assert len(header.v1()) <= 104  # 2.1


@given(st.sampled_from((4, 16)), st.data(), PORTS, PORTS, TLVS)
def test_canonical_octets_are_written_as_they_were_read(
    size: int, data: DataObject, port: int, its_port: int, tlvs: tuple[tuple[int, bytes], ...]
) -> None:
    """These octets are not made by the library's own writing."""
    addresses = data.draw(st.binary(min_size=2 * size, max_size=2 * size))
    block = addresses + port.to_bytes(2) + its_port.to_bytes(2)
    octets = v2(block + b"".join(tlv(*t) for t in tlvs), {4: 0x11, 16: 0x21}[size])
    header, rest = read(octets)
    assert header is not None and header.source is not None and header.destination is not None
    assert (header.source[1], header.destination[1], rest) == (port, its_port, b"")
    ip = IPv4Address if size == 4 else IPv6Address
    packed = [ip(host).packed for host, _ in (header.source, header.destination)]
    assert b"".join(packed) == addresses
    assert bytes(header) == octets


@given(ends())
def test_a_canonical_line_is_written_as_it_was_read(ends: tuple[Endpoint, Endpoint]) -> None:
    (source, port), (destination, its_port) = ends
    family = 6 if ":" in source else 4
    line = f"PROXY TCP{family} {source} {destination} {port} {its_port}\r\n".encode()
    header, _ = read(line)
    assert header is not None
    assert header.v1() == line


@given(wire(), st.binary(max_size=20), st.data())
def test_every_split_gives_the_same(octets: bytes, rest: bytes, data: DataObject) -> None:
    whole = outcome([octets + rest])
    assert isinstance(whole[0], ProxyHeader)
    assert whole[1] == rest
    assert outcome(data.draw(splits(octets + rest))) == whole


@given(wire())
def test_nothing_is_read_before_the_last_octet(octets: bytes) -> None:
    reader = ProxyReader()
    assert all(reader.feed(octets[at : at + 1]) is None for at in range(len(octets) - 1))
    assert reader.feed(octets[-1:]) is not None


FAULTS = [
    b"\r", b"\n", b"\r\n", b" ", b"  ", b"\0", b"0", b"\xff", b"P", b"PROXY ", b"TCP6 ", b"::",
    b".", b"65536", b"\t", b"\x20\x00\x05\x01\x00\x00\x00\x00", b"\x03\x00\x04\x00\x00\x00\x00",
    b"\x04\x00\x00", b"\xd9\xa1", SIGNATURE,
]  # fmt: skip


@st.composite
def nearly(draw: DrawFn) -> bytes:
    """A header with one to three small faults, some of which keep it legal."""
    octets = bytearray(draw(wire()))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(octets)))
        match draw(st.sampled_from(["flip", "delete", "double", "insert", "cut"])):
            case "flip" if at < len(octets):
                octets[at] ^= 1 << draw(st.integers(0, 7))
            case "delete":
                del octets[at : at + draw(st.integers(1, 3))]
            case "double":
                octets[at:at] = octets[at : at + draw(st.integers(1, 8))]
            case "cut":
                del octets[at:]
            case _:
                octets[at:at] = draw(st.sampled_from(FAULTS) | st.binary(min_size=1, max_size=4))
    return bytes(octets)


STARTED = st.builds(
    bytes.__add__,
    st.sampled_from([
        b"PROXY ", b"PROXY TCP4 ", b"PROXY TCP6 ", b"PROXY UNKNOWN", SIGNATURE, SIGNATURE + b"\x21",
        SIGNATURE + b"\x21\x11\x00\x20" + ENDS4, SIGNATURE + b"\x20\x00\x00",
    ]),
    st.binary(max_size=150),
)  # fmt: skip


@given(nearly() | STARTED | st.binary(), st.data())
@example(b"PROXY UNKNOWN" + b" " * 100, None)
@example(b"PROXY UNKNOWN" + b" " * 92 + b"\r", None)
def test_only_our_error_escapes_and_is_the_same_however_split(
    octets: bytes, data: DataObject | None
) -> None:
    whole = outcome([octets])
    if isinstance(whole[0], str):
        assert 0 <= whole[1] <= len(octets)
    if isinstance(whole[0], ProxyHeader):
        header, rest = whole
        assert octets.endswith(rest)
        assert read(bytes(header)) == (header, b"")
    assert outcome([octets[at : at + 1] for at in range(len(octets))]) == whole
    if data is not None:
        assert outcome(data.draw(splits(octets))) == whole


@given(nearly() | STARTED | st.binary(min_size=1))
def test_what_is_no_start_is_refused_at_its_octet(octets: bytes) -> None:
    whole = outcome([octets])
    assume(whole[0] == "not a PROXY header")
    assert outcome([octets[: whole[1]]]) == (None,)
    assert outcome([octets[: whole[1] + 1]]) == whole


@pytest.mark.parametrize(
    ("octets", "offset"),
    [(b"EHLO client.example\r\n", 0), (b"PROXY\r\n", 5), (b"PROXY  TCP4", 6),
     (b"proxy TCP4", 0), (b"PROXY TCP5", 9), (b"PROXY TCP4\r\n", 10), (b"PROXY UDP4 ", 7),
     (b"PROXY unknown", 6), (b"PROXY UNKNOWNX", 13), (b"PROXY UNKNOWN\n", 13), (b"PROXY\tTCP4", 5),
     (b"PROXY UNKNOWN\rX", 14), (b" PROXY", 0), (b"\x16\x03\x01\x02\x00", 0), (b"\r\nEHLO", 2),
     (b"\r\n\r\n\0\r\nQUIT\r", 11), (b"\n", 0), (b"\0", 0), (SIGNATURE + b"\x11", 12),
     (SIGNATURE + b"\x22", 12), (SIGNATURE + b"\x31", 12), (SIGNATURE + b"\x00", 12)],
)  # fmt: skip
def test_who_speaks_something_else_is_refused_at_once(octets: bytes, offset: int) -> None:
    with pytest.raises(GrammarError, match="not a PROXY header") as caught:
        read(octets)
    assert caught.value.offset == offset
    assert read(octets[:offset]) == (None, b"")


# Version 1.


def test_the_example_of_the_specification() -> None:
    request = b"GET / HTTP/1.1\r\nHost: 192.168.0.11\r\n\r\n"
    header, rest = read(b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n" + request)
    assert header == ProxyHeader(("192.168.0.1", 56324), ("192.168.0.11", 443))
    assert rest == request


@pytest.mark.parametrize(
    ("line", "header"),
    [("TCP4 255.255.255.255 255.255.255.255 65535 65535",
      ProxyHeader(("255.255.255.255", 65535), ("255.255.255.255", 65535))),
     ("TCP4 0.0.0.0 0.0.0.0 0 0", ProxyHeader(("0.0.0.0", 0), ("0.0.0.0", 0))),
     ("TCP6 " + ("ffff:" * 8)[:-1] + " " + ("FFFF:" * 8)[:-1] + " 65535 65535",
      ProxyHeader((("ffff:" * 8)[:-1], 65535), (("ffff:" * 8)[:-1], 65535))),
     ("TCP6 2001:DB8:0:0::1 2001:0db8::0019 65535 0", ProxyHeader(ANN6, MX6)),
     ("TCP6 :: ::1 1 2", ProxyHeader(("::", 1), ("::1", 2))),
     ("TCP6 ::ffff:192.0.2.1 ::FFFF:c000:201 1 2",
      ProxyHeader(("::ffff:192.0.2.1", 1), ("::ffff:192.0.2.1", 2))),
     ("UNKNOWN", ProxyHeader()),
     ("UNKNOWN ", ProxyHeader()),
     ("UNKNOWN " + ("ffff:" * 8)[:-1] + " " + ("ffff:" * 8)[:-1] + " 65535 65535", ProxyHeader()),
     ("UNKNOWN anything \0 \xff at all", ProxyHeader())],
)  # fmt: skip
def test_lines(line: str, header: ProxyHeader) -> None:
    octets = f"PROXY {line}\r\n".encode("latin-1")
    assert read(octets + b"EHLO") == (header, b"EHLO")


@pytest.mark.parametrize(
    ("fields", "offset"),
    [("192.0.2.1 192.0.2.2 1", 0), ("192.0.2.1 192.0.2.2 1 2 3", 0), ("192.0.2.1 1 2", 0),
     ("", 0), (" 192.0.2.1 192.0.2.2 1 2", 0), ("192.0.2.1  192.0.2.2 1 2", 0),
     ("192.0.2.1 192.0.2.2 1  2", 0), ("192.0.2.1 192.0.2.2 1 2 ", 0),
     ("192.0.2.1 192.0.2.2 01 2", 0), ("192.0.2.1 192.0.2.2 1 00", 0),
     ("192.0.2.1 192.0.2.2 65536 2", 11), ("192.0.2.1 192.0.2.2 1 99999", 11),
     ("192.0.2.1 192.0.2.2 100000 2", 0), ("192.0.2 192.0.2.2 1 2", 11),
     ("192.0.2.1.1 192.0.2.2 1 2", 11), ("192.0.2.256 192.0.2.2 1 2", 11),
     ("192.0.2.01 192.0.2.2 1 2", 11), ("192.0.2.1 3232235777 1 2", 11)],
)  # fmt: skip
def test_bad_fields(fields: str, offset: int) -> None:
    line = f"PROXY TCP4 {fields}\r\n".encode()
    with pytest.raises(GrammarError) as caught:
        read(line)
    assert caught.value.offset == (offset or len(line))
    assert read(line[:-1]) == (None, b"")  # 2.1: not before the line is complete


@pytest.mark.parametrize(
    ("line", "offset"),
    [(b"TCP4 192.0.2.1 192.0.2.2 1 2\n", 34), (b"TCP4 192.0.2.1 192.0.2.2 1 2\rX", 34),
     (b"TCP4 192.0.2.1 192.0.2.2 1 2\r\r\n", 34), (b"TCP4 192.0.2.1\r\n 192.0.2.2 1 2\r\n", 22),
     (b"TCP4 192.0.2.1 192.0.2.2 +1 2\r\n", 31), (b"TCP4 192.0.2.1 192.0.2.2 1_0 2\r\n", 32),
     (b"TCP4 192.0.2.1 192.0.2.2 -1 2\r\n", 31), (b"TCP4 192.0.2.1\t192.0.2.2 1 2\r\n", 20),
     (b"TCP4 2001:db8::1 192.0.2.2 1 2\r\n", 15), (b"TCP4 \xd9\xa1.0.2.1 192.0.2.2 1 2\r\n", 11),
     (b"TCP4 192.0.2.1\0 192.0.2.2 1 2\r\n", 20), (b"TCP4 mx.example.org 192.0.2.2", 11),
     (b"TCP6 2001:db8::1 2001:db8::2 1 2\n", 38), (b"TCP6 fe80::1%eth0 ::1 1 2\r\n", 18),
     (b"TCP6 192.0.2.1 192.0.2.2 1 2\r\n", 11), (b"TCP6 2001:db8::1 192.0.2.2 1 2\r\n", 11),
     (b"TCP6 192.0.2.1 ::1 1 2\r\n", 11), (b"TCP6 ::1::2 ::1 1 2\r\n", 11),
     (b"TCP6 1:2:3:4:5:6:7 ::1 1 2\r\n", 11), (b"TCP6 00001::1 ::1 1 2\r\n", 11),
     (b"TCP6 [::1] ::1 1 2\r\n", 11), (b"UNKNOWN x\ny\r\n", 15), (b"UNKNOWN x\ry\r\n", 15)],
)  # fmt: skip
def test_bad_lines(line: bytes, offset: int) -> None:
    with pytest.raises(GrammarError) as caught:
        read(b"PROXY " + line)
    assert caught.value.offset == offset


def test_a_line_has_107_octets_at_most() -> None:
    longest = b"PROXY UNKNOWN ".ljust(V1_LINE - 2, b"x")
    assert read(longest + b"\r\n.") == (ProxyHeader(), b".")
    assert read(longest) == read(longest + b"\r") == (None, b"")
    for longer in (longest + b"x\r\n", longest + b"x", longest + b"x" * 10**6):
        with pytest.raises(GrammarError, match="107"):
            read(longer)


# Version 2.


def test_octets_of_version_2() -> None:
    assert bytes(ProxyHeader(ANN, MX)) == v2(ENDS4) == SIGNATURE + b"\x21\x11\x00\x0c" + ENDS4
    assert bytes(ProxyHeader()) == SIGNATURE + b"\x21\x00\x00\x00"
    assert bytes(ProxyHeader(local=True)) == SIGNATURE + b"\x20\x00\x00\x00"
    tls = ProxyTLS(version="TLSv1.3", common_name="Ann", verified=True)
    assert bytes(ProxyHeader(ANN6, MX6, tls=tls, tlvs=((0x05, b"id"),))) == bytes.fromhex(
        "0d0a 0d0a 000d 0a51 5549 540a 2121 0041 "
        "2001 0db8 0000 0000 0000 0000 0000 0001 2001 0db8 0000 0000 0000 0000 0000 0019 "
        "ffff 0000 "
        "20 0015 05 00000000 21 0007 544c 5376 312e 33 22 0003 416e 6e "
        "05 0002 6964"
    )
    assert bytes(ProxyTLS()) == b"\1\0\0\0\1"
    assert bytes(ProxyTLS(common_name="Ann")) == b"\5\0\0\0\1\x22\0\3Ann"


@pytest.mark.parametrize("family", [0x00, 0x01, 0x02, 0x10, 0x20, 0x30])
@pytest.mark.parametrize("block", [b"", b"\xff", ENDS4, b"x" * (V2_HEADER - 16)], ids=len)
def test_what_is_unspecified_is_passed_over(family: int, block: bytes) -> None:
    assert read(v2(block, family) + b"EHLO") == (ProxyHeader(), b"EHLO")


@pytest.mark.parametrize(("family", "size"), [(0x12, 12), (0x22, 36), (0x31, 216), (0x32, 216)])
def test_families_that_are_not_tcp_are_as_unspecified(family: int, size: int) -> None:
    assert read(v2(bytes(size), family)) == (ProxyHeader(), b"")
    assert read(v2(bytes(size) + b"more", family) + b"EHLO") == (ProxyHeader(), b"EHLO")


@pytest.mark.parametrize("family", [0x00, 0x11, 0x21, 0x31, 0x40, 0x13, 0xFF])
@pytest.mark.parametrize("block", [b"", b"\xff", ENDS4, b"x" * (V2_HEADER - 16)], ids=len)
def test_with_local_all_is_ignored(family: int, block: bytes) -> None:
    """2.2: the protocol block is discarded, the family included."""
    header = ProxyHeader(local=True)
    assert read(v2(block, family, 0x20) + b"EHLO") == (header, b"EHLO")


@pytest.mark.parametrize("family", [0x03, 0x0F, 0x13, 0x40, 0x41, 0xF0, 0xFF])
def test_families_that_do_not_exist(family: int) -> None:
    octets = SIGNATURE + bytes([0x21, family])
    with pytest.raises(GrammarError, match="family") as caught:
        read(octets)
    assert caught.value.offset == 13


@pytest.mark.parametrize(
    ("family", "size"),
    [(0x11, 12), (0x12, 12), (0x21, 36), (0x22, 36), (0x31, 216), (0x32, 216)],
)
def test_addresses_must_fit(family: int, size: int) -> None:
    for short in (0, size - 1):
        with pytest.raises(GrammarError, match="length") as caught:
            read(v2(bytes(short), family)[:16])
        assert caught.value.offset == 14


@pytest.mark.parametrize("command", [0x20, 0x21])
def test_a_header_is_bounded(command: int) -> None:
    start = SIGNATURE + bytes([command, 0])
    assert read(start + (V2_HEADER - 16).to_bytes(2)) == (None, b"")
    for length in (V2_HEADER - 15, 65535):
        with pytest.raises(GrammarError, match="length"):
            read(start + length.to_bytes(2))


@pytest.mark.parametrize(
    "block",
    [b"\x05", b"\x05\0", b"\x05\0\1", b"\x05\xff\xff", b"\x05\0\0\x05", b"\x05\0\2x",
     tlv(0x20, b""), tlv(0x20, b"\1\0\0\0"), tlv(0x20, b"\1\0\0\0\0\x21"),
     tlv(0x20, b"\1\0\0\0\0" + b"\x23\0\2x") + b"\x05\0\0",
     tlv(0x20, b"\1\0\0\0\0" + b"\x21\0\0\x22\0") + tlv(0x05, b""),
     tlv(0x20, b"\0\0\0\0\0" + b"\x21\0\2x"),
     tlv(0x20, b"\1\0\0\0\0") * 2,
     tlv(0x20, b"\1\0\0\0\0" + tlv(0x22, b"Ann") * 2),
     tlv(0x20, b"\1\0\0\0\0" + tlv(0x22, b"\xff")),
     tlv(0x20, b"\1\0\0\0\0" + tlv(0x22, b"Ann\r\nReceived: x")),
     tlv(0x20, b"\1\0\0\0\0" + tlv(0x21, b"TLSv1.3\0")),
     tlv(0x20, b"\1\0\0\0\0" + tlv(0x22, "\u2028".encode())),
     tlv(0x20, b"\1\0\0\0\0" + tlv(0x22, "\u202egpj".encode())),
     tlv(0x03, b""), tlv(0x03, b"\0\0\0"), tlv(0x03, b"\0\0\0\0"), tlv(0x03, b"\0\0\0\0\0")],
)  # fmt: skip
def test_bad_tlvs(block: bytes) -> None:
    octets = v2(ENDS4 + block)
    with pytest.raises(GrammarError) as caught:
        read(octets)
    assert 28 <= caught.value.offset <= len(octets)


@pytest.mark.parametrize(
    ("value", "tls"),
    [(b"\1\0\0\0\0", ProxyTLS()),
     (b"\0\0\0\0\1", None),
     (b"\6\0\0\0\0" + tlv(0x22, b"Ann"), None),  # what is said without TLS says nothing
     (b"\1\0\0\0\0" + tlv(0x21, b"TLSv1.2") + tlv(0x23, b"AES"), ProxyTLS(version="TLSv1.2")),
     (b"\1\0\0\0\0" + tlv(0x22, b"Ann"), ProxyTLS(common_name="Ann")),
     (b"\5\0\0\0\0" + tlv(0x22, b"Ann"), ProxyTLS(common_name="Ann", verified=True)),
     (b"\3\0\0\0\0" + tlv(0x22, "Änn".encode()), ProxyTLS(common_name="Änn", verified=True)),
     (b"\7\0\0\0\1" + tlv(0x22, b"Ann"), ProxyTLS(common_name="Ann")),
     (b"\7\1\0\0\0" + tlv(0x22, b""), ProxyTLS(common_name="")),
     (b"\xff\0\0\0\0", ProxyTLS(verified=True))],
)  # fmt: skip
def test_tls(value: bytes, tls: ProxyTLS | None) -> None:
    assert read(v2(ENDS4 + tlv(0x20, value))) == (ProxyHeader(ANN, MX, tls=tls), b"")


def test_a_certificate_is_verified_only_if_there_was_one() -> None:
    """A proxy sends 0 for "no failure" as well where no certificate was asked for."""
    header, _ = read(v2(ENDS4 + tlv(0x20, b"\1\0\0\0\0" + tlv(0x22, b"Ann"))))
    assert header is not None and header.tls is not None
    assert not header.tls.verified


def test_padding_is_dropped_and_what_is_unknown_is_kept() -> None:
    block = (
        tlv(0x04, b"xxx") + tlv(0xE0, b"\r\n") + tlv(0x04, b"") + tlv(0xE0, b"") + tlv(0x01, b"h2")
    )
    header, _ = read(v2(ENDS4 + block))
    assert header == ProxyHeader(ANN, MX, tlvs=((0xE0, b"\r\n"), (0xE0, b""), (0x01, b"h2")))


@pytest.mark.parametrize(
    ("octets", "checksum"),
    [(b"", 0), (b"123456789", 0xE3069283), (bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43),
     (bytes(range(32)), 0x46DD794E),
     (SIGNATURE + b"\x20\x00\x00\x07\x03\x00\x04\x00\x00\x00\x00", 0xA9B87E8F)],
)  # fmt: skip
def test_crc32c(octets: bytes, checksum: int) -> None:
    """The usual vector, those of RFC 3720 B.4, and a health check of HAProxy 2.6."""
    assert _crc32c(octets) == checksum


@given(TLVS, TLVS, st.integers(0, 10**6), st.integers(1, 255))
def test_a_checksum_is_checked(
    before: tuple[tuple[int, bytes], ...], after: tuple[tuple[int, bytes], ...], at: int, flip: int
) -> None:
    start = b"".join(tlv(*t) for t in before)
    end = b"".join(tlv(*t) for t in after)
    octets = bytearray(v2(ENDS4 + start + tlv(0x03, bytes(4)) + end))
    place = 16 + len(ENDS4 + start) + 3
    octets[place : place + 4] = _crc32c(bytes(octets)).to_bytes(4)
    assert read(bytes(octets)) == (ProxyHeader(ANN, MX, tlvs=before + after), b"")
    octets[16 + at % len(ENDS4)] ^= flip
    with pytest.raises(GrammarError, match="checksum"):
        read(bytes(octets))


# Values.


@pytest.mark.parametrize(
    ("source", "destination"),
    [(ANN, None), (None, MX), (ANN, MX6), (ANN6, MX), (("192.0.2.1", -1), MX), (ANN, ("::1", 1)),
     (("192.0.2.1", 65536), MX), (("192.0.2.1", True), MX), (("192.0.2.1", "25"), MX),
     (("192.0.2.1", 2.0), MX), (("mx.example.org", 1), MX), (("", 1), MX), ((b"\0\0\0\0", 1), MX),
     ((5, 1), MX), (("fe80::1%eth0", 1), MX6), (("192.0.2.1\r\n", 1), MX), (("192.0.2.1 ", 1), MX),
     (("[::1]", 1), MX6)],
)  # fmt: skip
def test_ends_that_no_header_has(source: Any, destination: Any) -> None:
    with pytest.raises(GrammarError):
        ProxyHeader(source, destination)


@pytest.mark.parametrize(
    "more",
    [{"tlvs": ((3, b""),)}, {"tlvs": ((4, b""),)}, {"tlvs": ((0x20, b""),)},
     {"tlvs": ((256, b""),)}, {"tlvs": ((-1, b""),)}, {"tlvs": ((True, b""),)},
     {"tlvs": ((5, "x"),)},
     {"tlvs": ((5, bytes(V2_HEADER + 1)),)}, {"tlvs": ((5, bytes(70000)),)}, {"local": True},
     {"tlvs": ((5, bytes(V2_HEADER - 28 - 2)),)}, {"tlvs": ((5, bytes(4000)),) * 20}],
)  # fmt: skip
def test_headers_that_cannot_be_built(more: Any) -> None:
    with pytest.raises(GrammarError):
        ProxyHeader(ANN, MX, **more)


def test_the_largest_header() -> None:
    header = ProxyHeader(ANN, MX, tlvs=((5, bytes(V2_HEADER - 28 - 3)),))
    assert len(bytes(header)) == V2_HEADER
    assert read(bytes(header)) == (header, b"")


def test_without_addresses_there_is_nothing_else() -> None:
    with pytest.raises(GrammarError):
        ProxyHeader(tls=ProxyTLS())
    with pytest.raises(GrammarError):
        ProxyHeader(tlvs=((5, b""),))


@pytest.mark.parametrize(
    "text", ["\r\n", "\0", "a\nb", "\x7f", "\u2028", "\ud800", b"x", 1, "x" * 5000]
)
def test_texts_that_cannot_be_told(text: Any) -> None:
    for name in ("version", "common_name"):
        with pytest.raises(GrammarError):
            ProxyTLS(**{name: text})


def test_addresses_are_kept_in_canonical_form() -> None:
    header = ProxyHeader(("2001:DB8:0::1", 65535), ("2001:0db8::0019", 0))
    assert (header.source, header.destination) == (ANN6, MX6)
    assert hash(header) == hash(ProxyHeader(ANN6, MX6))


def test_version_1_has_addresses_alone() -> None:
    header = ProxyHeader(ANN, MX, tls=ProxyTLS(), tlvs=((5, b"id"),))
    assert header.v1() == b"PROXY TCP4 192.0.2.1 198.51.100.25 56324 25\r\n"
    assert ProxyHeader().v1() == ProxyHeader(local=True).v1() == b"PROXY UNKNOWN\r\n"

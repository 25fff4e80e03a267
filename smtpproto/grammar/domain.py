"""Domains and address literals (RFC 5321 4.1.2, 4.1.3; RFC 6531 3.3; RFC 1035 2.3.4)."""

from __future__ import annotations

import re
import unicodedata
from ipaddress import IPv4Address, IPv6Address
from typing import Self

from attrs import Attribute, field, frozen

from .. import limits
from .ascii_case import lower
from .reply import GrammarError, Reply

_BAD_DOMAIN = Reply(501, "5.5.2", "Syntax error in domain or address literal")
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?")
_LOOSE_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?")
_CONTEXTUAL = frozenset(
    "-\u00b7\u0375\u05f3\u05f4\u200c\u200d\u30fb"
)  # RFC 5892 CONTEXTJ, CONTEXTO

_SNUM = r"[0-9]{1,3}"
_IPV4 = re.compile(rf"{_SNUM}(?:\.{_SNUM}){{3}}")
_GENERAL = re.compile(r"([A-Za-z0-9-]*[A-Za-z0-9]):([\x21-\x5a\x5e-\x7e]+)")
_HEX = re.compile(r"[0-9A-Fa-f]{1,4}")
_IPV6_GROUPS = 8


def decode_utf8(data: bytes | str) -> str:
    """Return *data* as text. Raises GrammarError unless octets are well-formed UTF-8 (RFC 6531 3.3,
    RFC 3629)."""
    if isinstance(data, str):
        return data
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise GrammarError("not UTF-8", offset=error.start, reply=_BAD_DOMAIN) from None


@frozen(eq=False)
class Domain:
    """A domain name, ``sub-domain *("." sub-domain)``, of LDH labels or U-labels.

    At most 255 octets, each label at most 63. Domains are equal to domains and strings that differ
    only in the case of ASCII letters (RFC 5321 2.4); the hash is that of the lower-case string.
    """

    name: str = field()
    loose: bool = field(default=False, kw_only=True, repr=False)
    """Whether a leniency allowed underscores in labels. A client does not send such a domain."""

    def __attrs_post_init__(self) -> None:
        if len(self.name.encode("utf-8", "replace")) > limits.DOMAIN:
            raise GrammarError("domain of more than 255 octets", offset=255, reply=_BAD_DOMAIN)
        offset = 0
        for label in self.name.split("."):
            _check_label(label, offset, _LOOSE_LABEL if self.loose else _LABEL)
            offset += len(label.encode()) + 1

    @classmethod
    def parse(cls, data: bytes | str) -> Self:
        """Read a Domain. Raises GrammarError."""
        return cls(decode_utf8(data))

    @property
    def isascii(self) -> bool:
        """Whether the domain can be written without SMTPUTF8."""
        return self.name.isascii()

    def a_labels(self) -> Domain:
        """Return the same name in ASCII, with A-labels for U-labels (RFC 5890 2.3.2.1).

        Raises GrammarError if the A-labels cannot be determined, or if IDNA 2003 and IDNA 2008 make
        different ones.
        """
        if self.isascii:
            return self
        unknown = GrammarError("no A-labels for this name; pass them instead", reply=_BAD_DOMAIN)
        try:
            octets = self.name.encode("idna")
            same = octets.decode("idna") == self.name.lower()
        except UnicodeError:  # the codec can encode some names that it cannot decode
            raise unknown from None
        if not same:
            raise unknown
        return Domain(octets.decode())

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Domain):
            other = other.name
        if not isinstance(other, str):
            return NotImplemented
        return self.name == other or lower(self.name) == lower(other)

    def __hash__(self) -> int:
        return hash(lower(self.name))

    def __bytes__(self) -> bytes:
        return self.name.encode()

    def __str__(self) -> str:
        return self.name


def _check_label(label: str, offset: int, form: re.Pattern[str]) -> None:
    if len(label) > limits.LABEL or len(label.encode("utf-8", "replace")) > limits.LABEL:
        raise GrammarError("label of more than 63 octets", offset=offset + 63, reply=_BAD_DOMAIN)
    if form.fullmatch(label):
        return
    if not label:
        raise GrammarError("empty label", offset=offset, reply=_BAD_DOMAIN)
    if label.isascii() or not _is_u_label(label):
        message = "a label must be letters, digits and hyphens"
        raise GrammarError(message, offset=offset, reply=_BAD_DOMAIN)


def _is_u_label(label: str) -> bool:
    """Return whether *label* could be a U-label: letters, marks and digits in normal form C, with
    hyphens only inside. This is RFC 5891 without its tables of code points."""
    if label.startswith("-") or label.endswith("-") or unicodedata.category(label[0])[0] == "M":
        return False
    allowed = all(c in _CONTEXTUAL or unicodedata.category(c)[0] in "LMN" for c in label)
    return allowed and unicodedata.is_normalized("NFC", label)


@frozen
class GeneralLiteral:
    """``Standardized-tag ":" 1*dcontent``: an address literal of a kind unknown to this library.

    An IPv6 address without its tag fits the production, but is refused: "2001" is not a registered
    tag.
    """

    tag: str = field()
    content: str = field()

    def __attrs_post_init__(self) -> None:
        match = _GENERAL.fullmatch(str(self))
        fits = match is not None and match[1] == self.tag
        if not fits or self.tag.lower() == "ipv6" or is_ipv6(str(self)):
            raise GrammarError("not a general address literal", reply=_BAD_DOMAIN)

    def __str__(self) -> str:
        return f"{self.tag}:{self.content}"


_Address = IPv4Address | IPv6Address | GeneralLiteral


def _check_address(
    literal: AddressLiteral, _attribute: Attribute[_Address], address: _Address
) -> None:
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        raise GrammarError("an address literal cannot have a zone", reply=_BAD_DOMAIN)
    if len(bytes(literal)) > limits.DOMAIN:
        raise GrammarError("address literal of more than 255 octets", reply=_BAD_DOMAIN)


@frozen
class AddressLiteral:
    """``[192.0.2.1]``, ``[IPv6:2001:db8::1]`` or ``[tag:content]`` (RFC 5321 4.1.3)."""

    address: IPv4Address | IPv6Address | GeneralLiteral = field(validator=_check_address)

    @classmethod
    def parse(cls, data: bytes | str) -> Self:
        """Read a literal with its brackets. Raises GrammarError."""
        text = decode_utf8(data)
        if len(text) > limits.DOMAIN or not (text.startswith("[") and text.endswith("]")):
            raise GrammarError("an address literal must be in brackets", reply=_BAD_DOMAIN)
        return cls(_parse_literal(text[1:-1]))

    @property
    def isascii(self) -> bool:
        """Always true. :attr:`Domain.isascii` is the counterpart."""
        return True

    def __bytes__(self) -> bytes:
        return str(self).encode()

    def __str__(self) -> str:
        tag = "IPv6:" if isinstance(self.address, IPv6Address) else ""
        return f"[{tag}{self.address}]"


def _parse_literal(text: str) -> _Address:
    if _IPV4.fullmatch(text):
        return _parse_ipv4(text)
    if text[:5].lower() == "ipv6:":
        return _parse_ipv6(text[5:])
    match = _GENERAL.fullmatch(text)
    if match is None:
        raise GrammarError("not an address literal", offset=1, reply=_BAD_DOMAIN)
    return GeneralLiteral(match[1], match[2])


def _parse_ipv4(text: str) -> IPv4Address:
    """Parse four Snum. Numbers with leading zeros are decimal, never octal."""
    octets = [int(snum) for snum in text.split(".")]
    if max(octets) > 255:
        raise GrammarError("not an IPv4 address", offset=1, reply=_BAD_DOMAIN)
    return IPv4Address(bytes(octets))


def _parse_ipv6(text: str) -> IPv6Address:
    """Parse IPv6-full, -comp, v4-full or v4-comp, where "::" stands for at least two groups."""
    text, groups = _split_ipv4_tail(text)
    left, gap, right = text.partition("::")
    before, after = _parse_groups(left), _parse_groups(right) + groups
    count = len(before) + len(after)
    if count > _IPV6_GROUPS - 2 if gap else count != _IPV6_GROUPS:
        raise GrammarError("not an IPv6 address", offset=6, reply=_BAD_DOMAIN)
    zeros = [0] * (_IPV6_GROUPS - count)
    return IPv6Address(b"".join(g.to_bytes(2) for g in (*before, *zeros, *after)))


def is_ipv6(text: str) -> bool:
    """Return whether *text* is an IPv6-addr (RFC 5321 4.1.3)."""
    try:
        _parse_ipv6(text)
    except GrammarError:
        return False
    return True


def _split_ipv4_tail(text: str) -> tuple[str, list[int]]:
    """Split an IPv4 address from the end of *text*; return the rest and the address as two
    groups."""
    head, colon, tail = text.rpartition(":")
    if not (colon and _IPV4.fullmatch(tail)):
        return text, []
    packed = _parse_ipv4(tail).packed
    if head.endswith(":"):
        head += ":"
    return head, [int.from_bytes(packed[:2]), int.from_bytes(packed[2:])]


def _parse_groups(text: str) -> list[int]:
    if not text:
        return []
    groups = text.split(":")
    if not all(_HEX.fullmatch(group) for group in groups):
        raise GrammarError("not an IPv6 address", offset=6, reply=_BAD_DOMAIN)
    return [int(group, 16) for group in groups]


Host = Domain | AddressLiteral


def parse_host(data: bytes | str) -> Host:
    """Read ``Domain / address-literal``. Raises GrammarError."""
    text = decode_utf8(data)
    return AddressLiteral.parse(text) if text.startswith("[") else Domain(text)


def to_host(value: Host | str) -> Host:
    """Return a host as it is, or parse a string. Raises GrammarError, for any other type too."""
    if isinstance(value, Domain | AddressLiteral):
        return value
    if not isinstance(value, str):
        message = f"not a host: {type(value).__name__}; pass a Domain, an AddressLiteral or str"
        raise GrammarError(message, reply=_BAD_DOMAIN)
    return parse_host(value)


def to_ascii_host(value: Host | str) -> Host:
    """Return *value* as a host names itself: in ASCII, with A-labels for U-labels (RFC 6531 3.7.1).
    Raises GrammarError as :func:`to_host` and :meth:`Domain.a_labels` do."""
    host = to_host(value)
    return host if isinstance(host, AddressLiteral) else host.a_labels()


def to_a_labels(name: str) -> str:
    """Return the host name *name* as DNS and certificates have it, with A-labels for U-labels; text
    in ASCII is returned unchanged. Raises GrammarError as :meth:`Domain.a_labels` does."""
    return name if name.isascii() else str(Domain(name).a_labels())

"""Domains and address literals (RFC 5321 4.1.2, 4.1.3; RFC 6531 3.3; RFC 1035 2.3.4)."""

from __future__ import annotations

import re
import unicodedata
from ipaddress import IPv4Address, IPv6Address
from typing import Self

from attrs import field, frozen

from .. import limits
from .ascii_case import lower
from .reply import GrammarError, Reply

_SYNTAX = Reply(501, "5.5.2", "Syntax error in domain or address literal")
_LOOSE_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?")
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?")
_JOINERS = frozenset("-\u00b7\u0375\u05f3\u05f4\u200c\u200d\u30fb")  # CONTEXTJ and O of RFC 5892

_SNUM = r"[0-9]{1,3}"
_IPV4 = re.compile(rf"{_SNUM}(?:\.{_SNUM}){{3}}")
_GENERAL = re.compile(r"([A-Za-z0-9-]*[A-Za-z0-9]):([\x21-\x5a\x5e-\x7e]+)")
_HEX = re.compile(r"[0-9A-Fa-f]{1,4}")
_IPV6_GROUPS = 8


def text_of(data: bytes | str) -> str:
    """*data* as text; octets must be well-formed UTF-8 (RFC 6531 3.3, RFC 3629)."""
    if isinstance(data, str):
        return data
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise GrammarError("not UTF-8", offset=error.start, reply=_SYNTAX) from None


@frozen(eq=False)
class Domain:
    """A domain name, of LDH labels or U-labels. Compares with domains and with strings, ignoring
    ASCII case (RFC 5321 2.4); hashes as its lower-case string does.

    ``Domain = sub-domain *("." sub-domain)``. At most 255 octets, labels at most 63.
    """

    name: str = field()
    loose: bool = field(default=False, kw_only=True, repr=False)
    """Made by leniency: labels may have underscores. A client does not send it."""

    def __attrs_post_init__(self) -> None:
        if len(self.name.encode("utf-8", "replace")) > limits.DOMAIN:
            raise GrammarError("domain of more than 255 octets", offset=255, reply=_SYNTAX)
        offset = 0
        for label in self.name.split("."):
            _check_label(label, offset, _LOOSE_LABEL if self.loose else _LABEL)
            offset += len(label.encode()) + 1

    @classmethod
    def parse(cls, data: bytes | str) -> Self:
        """Read a Domain. Raises GrammarError."""
        return cls(text_of(data))

    @property
    def isascii(self) -> bool:
        """Whether it can be written without SMTPUTF8."""
        return self.name.isascii()

    def a_labels(self) -> Domain:
        """The same name in ASCII (RFC 5890 2.3.2.1). Raises GrammarError if it cannot be told."""
        if self.isascii:
            return self
        unknown = GrammarError("no A-labels are known for this name: give them", reply=_SYNTAX)
        try:
            octets = self.name.encode("idna")
            same = octets.decode("idna") == self.name.lower()
        except UnicodeError:  # of either: what was encoded may not be decoded
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
        raise GrammarError("label of more than 63 octets", offset=offset + 63, reply=_SYNTAX)
    if form.fullmatch(label):
        return
    if not label:
        raise GrammarError("empty label", offset=offset, reply=_SYNTAX)
    if label.isascii() or not _is_u_label(label):
        raise GrammarError("label is not letters, digits, hyphens", offset=offset, reply=_SYNTAX)


def _is_u_label(label: str) -> bool:
    """Letters, marks and digits in normal form C, hyphens inside: RFC 5891 without its tables."""
    if label.startswith("-") or label.endswith("-") or unicodedata.category(label[0])[0] == "M":
        return False
    allowed = all(c in _JOINERS or unicodedata.category(c)[0] in "LMN" for c in label)
    return allowed and unicodedata.is_normalized("NFC", label)


@frozen
class GeneralLiteral:
    """``Standardized-tag ":" 1*dcontent``: a literal of a kind this library does not know.

    An IPv6 address without its tag is none, though it fits: "2001" is no registered tag.
    """

    tag: str = field()
    content: str = field()

    def __attrs_post_init__(self) -> None:
        match = _GENERAL.fullmatch(str(self))
        fits = match is not None and match[1] == self.tag
        if not fits or self.tag.lower() == "ipv6" or is_ipv6(str(self)):
            raise GrammarError("not a general address literal", reply=_SYNTAX)

    def __str__(self) -> str:
        return f"{self.tag}:{self.content}"


@frozen
class AddressLiteral:
    """``[192.0.2.1]``, ``[IPv6:2001:db8::1]`` or ``[tag:content]`` (RFC 5321 4.1.3)."""

    address: IPv4Address | IPv6Address | GeneralLiteral = field()

    @address.validator
    def _check(self, _: object, address: object) -> None:
        if isinstance(address, IPv6Address) and address.scope_id is not None:
            raise GrammarError("an address literal has no zone", reply=_SYNTAX)
        if len(bytes(self)) > limits.DOMAIN:
            raise GrammarError("address literal of more than 255 octets", reply=_SYNTAX)

    @classmethod
    def parse(cls, data: bytes | str) -> Self:
        """Read a literal with its brackets. Raises GrammarError."""
        text = text_of(data)
        if len(text) > limits.DOMAIN or not (text.startswith("[") and text.endswith("]")):
            raise GrammarError("an address literal stands in brackets", reply=_SYNTAX)
        return cls(_literal(text[1:-1]))

    @property
    def isascii(self) -> bool:
        """Always true; as :attr:`Domain.isascii`."""
        return True

    def __bytes__(self) -> bytes:
        return str(self).encode()

    def __str__(self) -> str:
        tag = "IPv6:" if isinstance(self.address, IPv6Address) else ""
        return f"[{tag}{self.address}]"


def _literal(text: str) -> IPv4Address | IPv6Address | GeneralLiteral:
    if _IPV4.fullmatch(text):
        return _ipv4(text)
    if text[:5].lower() == "ipv6:":
        return _ipv6(text[5:])
    match = _GENERAL.fullmatch(text)
    if match is None:
        raise GrammarError("not an address literal", offset=1, reply=_SYNTAX)
    return GeneralLiteral(match[1], match[2])


def _ipv4(text: str) -> IPv4Address:
    """Four Snum; zeros in front are decimal, never octal."""
    octets = [int(snum) for snum in text.split(".")]
    if max(octets) > 255:
        raise GrammarError("not an IPv4 address", offset=1, reply=_SYNTAX)
    return IPv4Address(bytes(octets))


def _ipv6(text: str) -> IPv6Address:
    """IPv6-full, -comp, v4-full or v4-comp; "::" stands for two groups or more."""
    text, groups = _split_ipv4_tail(text)
    left, gap, right = text.partition("::")
    before, after = _groups(left), _groups(right) + groups
    count = len(before) + len(after)
    if count > _IPV6_GROUPS - 2 if gap else count != _IPV6_GROUPS:
        raise GrammarError("not an IPv6 address", offset=6, reply=_SYNTAX)
    zeros = [0] * (_IPV6_GROUPS - count)
    return IPv6Address(b"".join(g.to_bytes(2) for g in (*before, *zeros, *after)))


def is_ipv6(text: str) -> bool:
    """Whether *text* is an IPv6-addr of the grammar."""
    try:
        _ipv6(text)
    except GrammarError:
        return False
    return True


def _split_ipv4_tail(text: str) -> tuple[str, list[int]]:
    head, colon, tail = text.rpartition(":")
    if not (colon and _IPV4.fullmatch(tail)):
        return text, []
    packed = _ipv4(tail).packed
    if head.endswith(":"):
        head += ":"
    return head, [int.from_bytes(packed[:2]), int.from_bytes(packed[2:])]


def _groups(text: str) -> list[int]:
    if not text:
        return []
    groups = text.split(":")
    if not all(_HEX.fullmatch(group) for group in groups):
        raise GrammarError("not an IPv6 address", offset=6, reply=_SYNTAX)
    return [int(group, 16) for group in groups]


Host = Domain | AddressLiteral


def to_host(value: Host | str) -> Host:
    """*value*, read if it is text. Raises GrammarError for what is neither."""
    if isinstance(value, Domain | AddressLiteral):
        return value
    if not isinstance(value, str):
        raise GrammarError(f"not a host: {type(value).__name__}", reply=_SYNTAX)
    return parse_host(value)


def to_ascii_host(value: Host | str) -> Host:
    """A host as it names itself: in ASCII, U-labels as A-labels (RFC 6531 3.7.1). Raises
    GrammarError, also for labels of which IDNA's editions of 2003 and 2008 make different names."""
    host = to_host(value)
    return host if isinstance(host, AddressLiteral) else host.a_labels()


def to_a_labels(name: str) -> str:
    """The name of a host as DNS and certificates have it, with A-labels for U-labels; what is in
    ASCII stays as it is. Raises GrammarError as :meth:`Domain.a_labels`."""
    return name if name.isascii() else str(Domain(name).a_labels())


def parse_host(data: bytes | str) -> Host:
    """Read ``Domain / address-literal``. Raises GrammarError."""
    text = text_of(data)
    return AddressLiteral.parse(text) if text.startswith("[") else Domain(text)

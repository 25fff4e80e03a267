"""Domains and address literals (RFC 5321 4.1.2, 4.1.3; RFC 6531 3.3; RFC 1035 2.3.4)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address
from typing import Self

from attrs import field, frozen

from .. import limits
from ..option_types import checked, maker
from .ascii_case import lower
from .pattern import pattern
from .reply import GrammarError, Reply, accepts

_BAD_DOMAIN = Reply(501, "5.5.2", "Syntax error in domain or address literal")
_LABEL = pattern(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?")
COMMON_DOMAIN = (
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*"  # a label fits in one way only
    r"[A-Za-z](?:[A-Za-z0-9-]{0,61}[A-Za-z])?"
)
"""A pattern of common domains, which are in ASCII and end with a letter. Only the length of the
whole is not in it."""
_COMMON = pattern(COMMON_DOMAIN)
_LOOSE_LABEL = pattern(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?")
_CONTEXTUAL = "-\u00b7\u0375\u05f3\u05f4\u200c\u200d\u30fb"  # RFC 5892 CONTEXTJ, CONTEXTO

_SNUM = r"[0-9]{1,3}"
_IPV4 = pattern(rf"{_SNUM}(?:\.{_SNUM}){{3}}")
_GENERAL = pattern(r"([A-Za-z0-9-]*[A-Za-z0-9]):([\x21-\x5a\x5e-\x7e]+)")
_IPV6_GROUPS = 8


def _error(message: str, offset: int | None = None) -> GrammarError:
    return GrammarError(message, offset=offset, reply=_BAD_DOMAIN)


def decode_utf8(data: bytes | str) -> str:
    """Return *data* as text. Raises GrammarError unless octets are well-formed UTF-8 (RFC 6531 3.3,
    RFC 3629)."""
    if isinstance(data, str):
        return data
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise _error("not UTF-8", error.start) from None


@checked
@frozen(eq=False)
class Domain:
    """A domain name, ``sub-domain *("." sub-domain)``, of LDH labels or U-labels.

    At most 255 octets, each label at most 63. Domains compare with domains and with strings by
    :attr:`canonical`, so without regard to the case of ASCII letters (RFC 5321 2.4).
    """

    name: str = field()
    loose: bool = field(default=False, kw_only=True, repr=False)
    """Whether labels may have underscores. A client sends such a domain only if its leniencies
    allow :attr:`~smtpproto.Leniencies.domain_underscores`."""

    def __attrs_post_init__(self) -> None:
        try:
            _check_name(self.name, _LOOSE_LABEL if self.loose else _LABEL)
        except GrammarError as error:
            error.located = False
            raise

    @classmethod
    def parse(cls, data: bytes | str) -> Self:
        """Read a Domain. Raises GrammarError."""
        text = decode_utf8(data)
        try:
            return cls(text)
        except GrammarError as error:
            error.located = isinstance(data, bytes)
            raise

    @cached_property
    def canonical(self) -> str:
        """The name as it is compared, and whose hash the domain has: in lower case, and with
        A-labels if they can be determined (RFC 5890 2.3.2.4)."""
        return _canonical_name(self.name)

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
        try:
            octets = self.name.encode("idna")
            if octets.decode("idna").lower() == self.name.lower():  # ASCII labels keep their case
                return Domain(octets.decode(), loose=self.loose)
        except UnicodeError:  # the codec can encode some names that it cannot decode
            pass
        raise _error("no A-labels for this name; pass them instead")

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Domain):
            other = other.name
        if not isinstance(other, str):
            return NotImplemented
        return self.name == other or self.canonical == _canonical_name(other)

    def __hash__(self) -> int:
        return hash(self.canonical)

    def __bytes__(self) -> bytes:
        return self.name.encode()

    def __str__(self) -> str:
        return self.name


common_domain: Callable[[str], Domain] = maker(Domain, "name")
"""Returns the domain of a name that :data:`COMMON_DOMAIN` matches."""


def _canonical_name(name: str) -> str:
    """Return what all spellings of a domain have in common: see :attr:`Domain.canonical`."""
    if name.isascii():
        return name.lower()
    try:
        return lower(Domain(name, loose=True).a_labels().name)
    except GrammarError:
        return lower(name)


def _check_name(name: str, form: re.Pattern[str]) -> None:
    if len(name.encode("utf-8", "replace")) > limits.DOMAIN:
        raise _error("domain of more than 255 octets", 255)
    if _COMMON.fullmatch(name):
        return
    offset = 0
    for label in name.split("."):
        _check_label(label, offset, form)
        offset += len(label.encode()) + 1


def _check_label(label: str, offset: int, form: re.Pattern[str]) -> None:
    if len(label) > limits.LABEL or len(label.encode("utf-8", "replace")) > limits.LABEL:
        raise _error("label of more than 63 octets", offset + 63)
    if form.fullmatch(label):
        return
    if not label:
        raise _error("empty label", offset)
    if label.isascii() or not _is_u_label(label):
        raise _error("a label must be letters, digits and hyphens", offset)


def _is_u_label(label: str) -> bool:
    """Return whether *label* could be a U-label: letters, marks and digits in normal form C, with
    hyphens only inside. This is RFC 5891 without its tables of code points."""
    if label.startswith("-") or label.endswith("-") or unicodedata.category(label[0])[0] == "M":
        return False
    allowed = all(c in _CONTEXTUAL or unicodedata.category(c)[0] in "LMN" for c in label)
    return allowed and unicodedata.is_normalized("NFC", label)


@checked
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
            raise _error("not a general address literal")

    def __str__(self) -> str:
        return f"{self.tag}:{self.content}"


_Address = IPv4Address | IPv6Address | GeneralLiteral


@checked
@frozen(eq=False)
class AddressLiteral:
    """``[192.0.2.1]``, ``[IPv6:2001:db8::1]`` or ``[tag:content]`` (RFC 5321 4.1.3).

    A literal compares with literals, and with strings that mean the same address. Its hash is that
    of its string.
    """

    address: IPv4Address | IPv6Address | GeneralLiteral

    def __attrs_post_init__(self) -> None:
        if isinstance(self.address, IPv6Address) and self.address.scope_id is not None:
            raise _error("an address literal cannot have a zone")
        if len(bytes(self)) > limits.DOMAIN:
            raise _error("address literal of more than 255 octets")

    @classmethod
    def parse(cls, data: bytes | str) -> Self:
        """Read a literal with its brackets. Raises GrammarError."""
        try:
            return cls(_parse_literal(decode_utf8(data)))
        except GrammarError as error:
            error.located = isinstance(data, bytes)
            raise

    @property
    def isascii(self) -> bool:
        """Always true. :attr:`Domain.isascii` is the counterpart."""
        return True

    @property
    def canonical(self) -> str:
        """The literal's string. :attr:`Domain.canonical` is the counterpart."""
        return str(self)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, AddressLiteral):
            return self.address == other.address
        if not isinstance(other, str):
            return NotImplemented
        try:
            return self.address == AddressLiteral.parse(other).address
        except GrammarError:
            return False

    def __hash__(self) -> int:
        return hash(str(self))

    def __bytes__(self) -> bytes:
        return str(self).encode()

    def __str__(self) -> str:
        tag = "IPv6:" if isinstance(self.address, IPv6Address) else ""
        return f"[{tag}{self.address}]"


def _parse_literal(written: str) -> _Address:
    if len(written) > limits.DOMAIN or not (written.startswith("[") and written.endswith("]")):
        raise _error("an address literal must be in brackets", 0)
    text = written[1:-1]
    if _IPV4.fullmatch(text):
        return _parse_ipv4(text)
    if text[:5].lower() == "ipv6:":
        return _parse_ipv6(text[5:])
    match = _GENERAL.fullmatch(text)
    if match is None:
        raise _error("not an address literal", 1)
    return GeneralLiteral(match[1], match[2])


def _parse_ipv4(text: str) -> IPv4Address:
    """Parse four Snum. Numbers with leading zeros are decimal, never octal."""
    octets = [int(snum) for snum in text.split(".")]
    if max(octets) > 255:
        raise _error("not an IPv4 address", 1)
    return IPv4Address(bytes(octets))


def _parse_ipv6(text: str) -> IPv6Address:
    """Parse IPv6-full, -comp, v4-full or v4-comp, where "::" stands for at least two groups."""
    head, colon, tail = text.rpartition(":")
    if colon and _IPV4.fullmatch(tail):
        text = f"{head}:{_parse_ipv4(tail)}"  # without leading zeros
    groups = len(text.replace("::", ":").strip(":").split(":")) + ("." in text)
    try:
        if "%" not in text and ("::" not in text or groups <= _IPV6_GROUPS - 2):
            return IPv6Address(text)
    except ValueError:
        pass
    raise _error("not an IPv6 address", 6)


def is_ipv6(text: str) -> bool:
    """Return whether *text* is an IPv6-addr (RFC 5321 4.1.3)."""
    return accepts(_parse_ipv6, text)


Host = Domain | AddressLiteral
"""The name of a host, or its address in brackets."""


def parse_host(data: bytes | str) -> Host:
    """Read ``Domain / address-literal``. Raises GrammarError."""
    literal = data.startswith(b"[" if isinstance(data, bytes) else "[")  # type: ignore[arg-type]
    return AddressLiteral.parse(data) if literal else Domain.parse(data)


def to_host(value: Host | str) -> Host:
    """Return a host as it is, or parse a string of the application.

    Raises GrammarError, which quotes the string, and TypeError for any other type.
    """
    if isinstance(value, Domain | AddressLiteral):
        return value
    if not isinstance(value, str):
        kind = type(value).__name__
        raise TypeError(f"not a host: {kind}; pass str, a Domain or an AddressLiteral")
    try:
        return parse_host(value)
    except GrammarError as error:
        message = f"not a host: {value[:100]!r}: {error.message}"
        raise GrammarError(message, reply=error.reply) from None


def to_ascii_host(value: Host | str) -> Host:
    """Return *value* as a host names itself: in ASCII, with A-labels for U-labels (RFC 6531 3.7.1).
    Raises GrammarError as :func:`to_host` and :meth:`Domain.a_labels` do."""
    host = to_host(value)
    return host if isinstance(host, AddressLiteral) else host.a_labels()


def to_a_labels(name: str) -> str:
    """Return the host name *name* as DNS and certificates have it, with A-labels for U-labels; text
    in ASCII is returned unchanged. Raises GrammarError as :meth:`Domain.a_labels` does."""
    return name if name.isascii() else str(Domain(name).a_labels())


_TOKEN = frozenset(b"-.:[]_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


@checked
@frozen(eq=False)
class MalformedHost:
    """The name in EHLO of a client that names itself neither by a domain nor by an address literal:
    ``my pc``, ``(none)``, ``[2001:db8::1]``.

    A server accepts it by the leniency :attr:`~smtpproto.Leniencies.loose_hello`; a client does not
    send it. ``bytes()`` returns the exact name. ``str()`` returns it as one word of ASCII, with
    ``%20`` for a space and so on, so that it cannot inject anything into a header field or a log.
    It compares with strings as a domain does.
    """

    octets: bytes

    @property
    def isascii(self) -> bool:
        """Whether the exact name is ASCII."""
        return self.octets.isascii()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, MalformedHost):
            return self.octets.lower() == other.octets.lower()
        if not isinstance(other, str):
            return NotImplemented
        return self.octets.lower() == other.encode("utf-8", "surrogatepass").lower()

    def __hash__(self) -> int:
        return hash(lower(self.octets.decode("utf-8", "replace")))

    def __bytes__(self) -> bytes:
        return self.octets

    def __str__(self) -> str:
        return "".join(chr(octet) if octet in _TOKEN else f"%{octet:02X}" for octet in self.octets)


HelloHost = Host | MalformedHost
"""What a client may call itself in EHLO, as a server with leniencies sees it."""

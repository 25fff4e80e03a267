"""Attributes of XCLIENT and XFORWARD (Postfix's XCLIENT_README and XFORWARD_README).

A trusted client describes with them the client it acts for. XCLIENT replaces the client's identity
for the server; XFORWARD changes only what is logged.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, ClassVar, Literal, NamedTuple, Self

from attrs import frozen

from ..option_types import checked
from .ascii_case import lower, upper
from .parameters import Parameter, read_parameters
from .pattern import pattern
from .reply import GrammarError, Reply
from .xtext import decode_xtext, encode_xtext

_LONGEST = 255  # characters of a value (Note 1 of both files)
_LONGEST_PROTOCOL = 64
_IPV6 = "IPV6:"

# Printable ASCII without spaces and without the characters that are special in header fields.
# Postfix replaces all others by "?"; XFORWARD_README forbids them (Note 1).
_WORD = pattern(r"[!#-'*-:=?A-\[\]-~]+")
_PORT = pattern(r"0|[1-9][0-9]{0,4}")

_BAD_ATTRIBUTE = Reply(501, "5.5.4", "Bad attribute")


class Unavailable(enum.Enum):
    """A marker for a value that the sender does not have.

    TEMPUNAVAIL means that it may become available later. Only NAME of XCLIENT allows it.
    """

    UNAVAILABLE = "[UNAVAILABLE]"
    TEMPUNAVAIL = "[TEMPUNAVAIL]"


class _AttributeType(NamedTuple):
    """How the value of an attribute is read."""

    parse: Callable[[str], Any]
    markers: frozenset[Unavailable] = frozenset({Unavailable.UNAVAILABLE})
    """The markers that may replace a value."""

    def read(self, text: str) -> Any:
        try:
            marker = Unavailable(upper(text))
        except ValueError:
            return self.parse(text)
        if marker not in self.markers:
            raise _error(f"{marker.value} is not allowed for this attribute")
        return marker


def _error(message: str) -> GrammarError:
    return GrammarError(message, reply=_BAD_ATTRIBUTE)


def _word_parser(longest: int) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if not _WORD.fullmatch(text) or len(text) > longest:
            raise _error(f"must be 1 to {longest} characters that header fields allow unquoted")
        return text

    return parse


def _parse_text(text: str) -> str:
    if not text or not text.isprintable() or len(text) > _LONGEST:
        raise _error(f"must be 1 to {_LONGEST} printable characters")
    return text


def _parse_address(text: str) -> IPv4Address | IPv6Address:
    tagged = upper(text[: len(_IPV6)]) == _IPV6
    try:
        address = ip_address(text[len(_IPV6) :] if tagged else text)
    except ValueError:
        raise _error("not an IP address") from None
    zone = isinstance(address, IPv6Address) and address.scope_id is not None
    if zone or tagged is not isinstance(address, IPv6Address):
        raise _error(f"must be an IPv4 address, or {_IPV6} and an IPv6 address without a zone")
    return address


def _parse_port(text: str) -> int:
    if not _PORT.fullmatch(text) or int(text) > 65535:
        raise _error("a port must be 0 to 65535")
    return int(text)


def _choice_parser(*names: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if upper(text) not in names:
            raise _error(f"must be one of {', '.join(names)}")
        return upper(text)

    return parse


def _write(value: Any) -> str:
    if isinstance(value, Unavailable):
        return value.value
    return f"{_IPV6}{value}" if isinstance(value, IPv6Address) else str(value)


class _Attributes:
    """Named values, at least one. Values that could not be written and read cannot be built."""

    attributes: ClassVar[tuple[str, ...]]
    """The attribute names, in the order in which the keyword lists them in a reply to EHLO."""
    _types: ClassVar[Mapping[str, _AttributeType]]

    def __attrs_post_init__(self) -> None:
        if not self._given():
            raise _error("at least one attribute is needed")
        for name, value in self._given().items():
            if self._types[name].read(_write(value)) != value:
                raise _error(f"not a value of {name}")

    def _given(self) -> dict[str, Any]:
        """Return the values that are not None, by attribute name."""
        values = ((name, getattr(self, lower(name))) for name in self.attributes)
        return {name: value for name, value in values if value is not None}

    @classmethod
    def read(cls, text: str) -> Self:
        """Read ``name=value *( SP name=value )``, where each name may occur once. Raises
        GrammarError."""
        values, at = {}, 0
        for parameter in read_parameters(text):
            try:
                values[lower(parameter.keyword)] = cls._read_value(parameter)
            except GrammarError as error:
                message = f"{parameter.keyword}: {error.message}"
                raise GrammarError(message, offset=at, reply=_BAD_ATTRIBUTE) from None
            at += len(str(parameter)) + len(" ")
        return cls(**values)

    @classmethod
    def _read_value(cls, parameter: Parameter) -> Any:
        attribute_type = cls._types.get(parameter.keyword)
        if attribute_type is None or parameter.value is None:
            raise _error("not a known attribute with a value")
        return attribute_type.read(decode_xtext(parameter.value))

    def updated(self, later: Self) -> Self:
        """Return these values, replaced by those that *later* has: a client may send them in
        several commands."""
        given = self._given() | later._given()
        return type(self)(**{lower(name): value for name, value in given.items()})

    def __str__(self) -> str:
        given = self._given().items()
        return " ".join(f"{name}={encode_xtext(_write(value))}" for name, value in given)


_XCLIENT = {
    "NAME": _AttributeType(_word_parser(_LONGEST), frozenset(Unavailable)),
    "ADDR": _AttributeType(_parse_address),
    "PORT": _AttributeType(_parse_port),
    "PROTO": _AttributeType(_choice_parser("SMTP", "ESMTP"), frozenset()),
    "HELO": _AttributeType(_word_parser(_LONGEST)),
    "LOGIN": _AttributeType(_parse_text),
    "DESTADDR": _AttributeType(_parse_address),
    "DESTPORT": _AttributeType(_parse_port),
}
_XFORWARD = {
    "NAME": _AttributeType(_word_parser(_LONGEST)),
    "ADDR": _AttributeType(_parse_address),
    "PORT": _AttributeType(_parse_port),
    "PROTO": _AttributeType(_word_parser(_LONGEST_PROTOCOL)),
    "HELO": _AttributeType(_word_parser(_LONGEST)),
    "IDENT": _AttributeType(_word_parser(_LONGEST)),
    "SOURCE": _AttributeType(_choice_parser("LOCAL", "REMOTE")),
}

_Address = IPv4Address | IPv6Address | Unavailable | None


@checked
@frozen(kw_only=True)
class XClientAttributes(_Attributes):
    """The client that XCLIENT puts in place of the real one. None is an attribute not given."""

    attributes: ClassVar[tuple[str, ...]] = tuple(_XCLIENT)
    _types = _XCLIENT

    name: str | Unavailable | None = None
    """The client's host name."""
    addr: _Address = None
    port: int | Unavailable | None = None
    proto: Literal["SMTP", "ESMTP"] | None = None
    helo: str | Unavailable | None = None
    login: str | Unavailable | None = None
    """The client's SASL login name. Printable; it alone may contain spaces and non-ASCII text."""
    destaddr: _Address = None
    """The server's address."""
    destport: int | Unavailable | None = None
    """The server's port."""


@checked
@frozen(kw_only=True)
class XForwardAttributes(_Attributes):
    """Where a message came from, for the log of the next server. None is an attribute not given."""

    attributes: ClassVar[tuple[str, ...]] = tuple(_XFORWARD)
    _types = _XFORWARD

    name: str | Unavailable | None = None
    addr: _Address = None
    port: int | Unavailable | None = None
    proto: str | Unavailable | None = None
    """The name of any protocol, at most 64 characters."""
    helo: str | Unavailable | None = None
    ident: str | Unavailable | None = None
    """The message's identifier in the log of the previous host."""
    source: Literal["LOCAL", "REMOTE"] | Unavailable | None = None
    """Whether the previous host regards the message's origin as local."""

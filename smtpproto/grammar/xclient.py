"""Attributes of XCLIENT and XFORWARD (Postfix's XCLIENT_README and XFORWARD_README).

A trusted client says with them for whom it speaks: XCLIENT changes who the server takes it for,
XFORWARD only what is logged.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, ClassVar, Literal, Self

from attrs import frozen

from .ascii_case import lower, upper
from .parameters import Parameter, read_parameters
from .reply import GrammarError, Reply
from .xtext import decode_xtext, encode_xtext

_LONGEST = 255  # characters of a value (Note 1 of both)
_LONGEST_PROTOCOL = 64
_IPV6 = "IPV6:"

# What can stand in a header without ending, quoting or commenting anything: Postfix has "?" in the
# place of the others, XFORWARD_README forbids them (Note 1).
_WORD = re.compile(r"[!#-'*-:=?A-\[\]-~]+")
_PORT = re.compile(r"0|[1-9][0-9]{0,4}")

_SYNTAX = Reply(501, "5.5.4", "Bad attribute")


class Unavailable(enum.Enum):
    """Stands for a value that the sender has not: for good or, with NAME of XCLIENT, for now."""

    UNAVAILABLE = "[UNAVAILABLE]"
    TEMPUNAVAIL = "[TEMPUNAVAIL]"


@frozen
class _Kind:
    """What the value of an attribute may be: *meaning* reads its text, or it is in *missing*."""

    meaning: Callable[[str], Any]
    missing: frozenset[Unavailable] = frozenset({Unavailable.UNAVAILABLE})

    def read(self, text: str) -> Any:
        try:
            value = Unavailable(upper(text))
        except ValueError:
            return self.meaning(text)
        if value not in self.missing:
            raise _error(f"{value.value} is no value of this attribute")
        return value


def _error(message: str) -> GrammarError:
    return GrammarError(message, reply=_SYNTAX)


def _word(longest: int) -> Callable[[str], str]:
    def read(text: str) -> str:
        if not _WORD.fullmatch(text) or len(text) > longest:
            raise _error(f"not 1 to {longest} characters that may stand in a header")
        return text

    return read


def _text(text: str) -> str:
    if not text or not text.isprintable() or len(text) > _LONGEST:
        raise _error(f"not 1 to {_LONGEST} printable characters")
    return text


def _address(text: str) -> IPv4Address | IPv6Address:
    tagged = upper(text[: len(_IPV6)]) == _IPV6
    try:
        address = ip_address(text[len(_IPV6) :] if tagged else text)
    except ValueError:
        raise _error("not an IP address") from None
    zone = isinstance(address, IPv6Address) and address.scope_id is not None
    if zone or tagged is not isinstance(address, IPv6Address):
        raise _error(f"not an IPv4 address, or {_IPV6} and an IPv6 address without a zone")
    return address


def _port(text: str) -> int:
    if not _PORT.fullmatch(text) or int(text) > 65535:
        raise _error("a port is 0 to 65535")
    return int(text)


def _one_of(*names: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if upper(text) not in names:
            raise _error(f"not one of {', '.join(names)}")
        return upper(text)

    return read


def _write(value: Any) -> str:
    if isinstance(value, Unavailable):
        return value.value
    return f"{_IPV6}{value}" if isinstance(value, IPv6Address) else str(value)


class _Attributes:
    """Named values, one of them at least. What can be built is what can be written and read."""

    attributes: ClassVar[tuple[str, ...]]
    """The names, as they stand behind the keyword in a reply to EHLO."""

    _kinds: ClassVar[Mapping[str, _Kind]]

    def __attrs_post_init__(self) -> None:
        if not self._given():
            raise _error("an attribute at least is needed")
        for name, value in self._given().items():
            if self._kinds[name].read(_write(value)) != value:
                raise _error(f"not a value of {name}")

    def _given(self) -> dict[str, Any]:
        values = ((name, getattr(self, lower(name))) for name in self.attributes)
        return {name: value for name, value in values if value is not None}

    @classmethod
    def read(cls, text: str) -> Self:
        """Read ``name=value *( SP name=value )``, each name once. Raises GrammarError."""
        values, at = {}, 0
        for parameter in read_parameters(text):
            try:
                values[lower(parameter.keyword)] = cls._value(parameter)
            except GrammarError as error:
                message = f"{parameter.keyword}: {error.message}"
                raise GrammarError(message, offset=at, reply=_SYNTAX) from None
            at += len(str(parameter)) + len(" ")
        return cls(**values)

    @classmethod
    def _value(cls, parameter: Parameter) -> Any:
        kind = cls._kinds.get(parameter.keyword)
        if kind is None or parameter.value is None:
            raise _error("not an attribute with its value")
        return kind.read(decode_xtext(parameter.value))

    def updated(self, later: Self) -> Self:
        """These, with what *later* gives in their place: a set may come in several commands."""
        given = self._given() | later._given()
        return type(self)(**{lower(name): value for name, value in given.items()})

    def __str__(self) -> str:
        given = self._given().items()
        return " ".join(f"{name}={encode_xtext(_write(value))}" for name, value in given)


_XCLIENT = {
    "NAME": _Kind(_word(_LONGEST), frozenset(Unavailable)),
    "ADDR": _Kind(_address),
    "PORT": _Kind(_port),
    "PROTO": _Kind(_one_of("SMTP", "ESMTP"), frozenset()),
    "HELO": _Kind(_word(_LONGEST)),
    "LOGIN": _Kind(_text),
    "DESTADDR": _Kind(_address),
    "DESTPORT": _Kind(_port),
}
_XFORWARD = {
    "NAME": _Kind(_word(_LONGEST)),
    "ADDR": _Kind(_address),
    "PORT": _Kind(_port),
    "PROTO": _Kind(_word(_LONGEST_PROTOCOL)),
    "HELO": _Kind(_word(_LONGEST)),
    "IDENT": _Kind(_word(_LONGEST)),
    "SOURCE": _Kind(_one_of("LOCAL", "REMOTE")),
}

_Address = IPv4Address | IPv6Address | Unavailable | None


@frozen(kw_only=True)
class XClientAttributes(_Attributes):
    """The client that XCLIENT puts in the place of the real one. None is what is not said.

    *name* is its host name, *login* its SASL login name: printable, the one text that may have
    spaces or be other than ASCII. *destaddr* and *destport* are the server's end.
    """

    attributes = tuple(_XCLIENT)
    _kinds = _XCLIENT

    name: str | Unavailable | None = None
    addr: _Address = None
    port: int | Unavailable | None = None
    proto: Literal["SMTP", "ESMTP"] | None = None
    helo: str | Unavailable | None = None
    login: str | Unavailable | None = None
    destaddr: _Address = None
    destport: int | Unavailable | None = None


@frozen(kw_only=True)
class XForwardAttributes(_Attributes):
    """Where a message came from, for the log of the next server. None is what is not said.

    *proto* may be any protocol's name, up to 64 characters. *ident* is the message's name in the
    log of the host before. *source* tells whether that host sees the origin as local.
    """

    attributes = tuple(_XFORWARD)
    _kinds = _XFORWARD

    name: str | Unavailable | None = None
    addr: _Address = None
    port: int | Unavailable | None = None
    proto: str | Unavailable | None = None
    helo: str | Unavailable | None = None
    ident: str | Unavailable | None = None
    source: Literal["LOCAL", "REMOTE"] | Unavailable | None = None

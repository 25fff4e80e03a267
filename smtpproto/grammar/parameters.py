"""Parameters of MAIL and RCPT (RFC 5321 4.1.2 esmtp-param), generic and typed."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Container
from typing import Any, Self

from attrs import field, frozen

from ..errors import GrammarError
from .address import ReversePath
from .case import upper
from .reply import Reply
from .xtext import decode_xtext, encode_xtext

_KEYWORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")
_VALUE = re.compile(r"[!-<>-~\x80-\ud7ff\ue000-\U0010ffff]+")

_SYNTAX = Reply(501, "5.5.4", "Syntax error in parameter")
_UNKNOWN = Reply(555, "5.5.4", "Parameter not recognized or not implemented")


@frozen
class Parameter:
    """``esmtp-keyword [ "=" esmtp-value ]``; the keyword is kept in upper case."""

    keyword: str = field(converter=upper)
    value: str | None = None

    def __attrs_post_init__(self) -> None:
        if not _KEYWORD.fullmatch(self.keyword):
            raise GrammarError("not a parameter keyword", reply=_SYNTAX)
        if self.value is not None and not _VALUE.fullmatch(self.value):
            raise GrammarError(f"bad value of {self.keyword}", reply=_SYNTAX)

    def __str__(self) -> str:
        return self.keyword if self.value is None else f"{self.keyword}={self.value}"


def read_parameters(text: str, at: int = 0) -> tuple[Parameter, ...]:
    """Read ``esmtp-param *( SP esmtp-param )`` from *at* to the end; each keyword once."""
    found: dict[str, Parameter] = {}
    for part in text[at:].split(" "):
        keyword, equals, value = part.partition("=")
        try:
            parameter = Parameter(keyword, value if equals else None)
        except GrammarError as error:
            raise _at(error.message, text, at, _SYNTAX) from None
        if parameter.keyword in found:
            raise _at(f"{parameter.keyword} given twice", text, at, _SYNTAX)
        found[parameter.keyword] = parameter
        at += len(part) + 1
    return tuple(found.values())


def _at(message: str, text: str, at: int, reply: Reply) -> GrammarError:
    return GrammarError(message, offset=len(text[:at].encode("utf-8", "replace")), reply=reply)


class Body(enum.Enum):
    """The value of BODY (RFC 6152 2)."""

    SEVEN_BIT = "7BIT"
    EIGHT_BIT_MIME = "8BITMIME"


@frozen
class _Codec:
    """How one parameter becomes an attribute, and back."""

    attribute: str
    read: Callable[[str | None], Any]
    write: Callable[[Any], str | None]


def _read_size(value: str | None) -> int:
    if value is None or not re.fullmatch(r"[0-9]{1,20}", value):
        raise GrammarError("SIZE is 1 to 20 digits", reply=_SYNTAX)
    return int(value)


def _read_body(value: str | None) -> Body:
    try:
        return Body(upper(value or ""))
    except ValueError:
        raise GrammarError("BODY is 7BIT or 8BITMIME", reply=_SYNTAX) from None


def _read_flag(value: str | None) -> bool:
    if value is not None:
        raise GrammarError("this parameter takes no value", reply=_SYNTAX)
    return True


def _read_auth(value: str | None) -> ReversePath:
    if value is None:
        raise GrammarError("AUTH needs a value", reply=_SYNTAX)
    address = decode_xtext(value)
    try:
        return ReversePath.of(None if address == "<>" else address or "@")
    except GrammarError as error:
        raise GrammarError(f"AUTH: {error.message}", reply=_SYNTAX) from None


def _write_auth(path: ReversePath) -> str:
    return encode_xtext(str(path) or "<>")


MAIL_CODECS = {
    "SIZE": _Codec("size", _read_size, str),  # RFC 1870 3
    "BODY": _Codec("body", _read_body, lambda body: body.value),  # RFC 6152 2
    "SMTPUTF8": _Codec("smtputf8", _read_flag, lambda _: None),  # RFC 6531 3.1
    "AUTH": _Codec("auth", _read_auth, _write_auth),  # RFC 4954 5
}
RCPT_CODECS: dict[str, _Codec] = {}


class _Typed:
    """Parameters as attributes; the codecs say which is which."""

    _codecs: dict[str, _Codec]

    @classmethod
    def read(cls, parameters: tuple[Parameter, ...], allowed: Container[str] | None = None) -> Self:
        """Build from *parameters*. One that is unknown, or not in *allowed* (None: all are), raises
        GrammarError with reply 555, a bad value one with 501."""
        values = {}
        for parameter in parameters:
            codec = cls._codecs.get(parameter.keyword)
            if codec is None or not (allowed is None or parameter.keyword in allowed):
                raise GrammarError(f"{parameter.keyword} is not offered", reply=_UNKNOWN)
            values[codec.attribute] = codec.read(parameter.value)
        return cls(**values)

    def parameters(self) -> tuple[Parameter, ...]:
        """The attributes that are set, as generic parameters."""
        values = (
            (key, codec, getattr(self, codec.attribute)) for key, codec in self._codecs.items()
        )
        return tuple(
            Parameter(keyword, codec.write(value))
            for keyword, codec, value in values
            if value is not None and value is not False  # a size of 0 is set, though 0 == False
        )

    def __str__(self) -> str:
        return " ".join(map(str, self.parameters()))

    def __bytes__(self) -> bytes:
        return str(self).encode()


def _check_size(_: object, __: object, size: int | None) -> None:
    if size is not None and not 0 <= size < 10**20:
        raise GrammarError("SIZE is 1 to 20 digits", reply=_SYNTAX)


@frozen(kw_only=True)
class MailParameters(_Typed):
    """What MAIL may carry. *size* in octets, as declared by the client, so not to be relied on."""

    _codecs = MAIL_CODECS

    size: int | None = field(default=None, validator=_check_size)
    body: Body | None = None
    smtputf8: bool = False
    auth: ReversePath | None = None


@frozen(kw_only=True)
class RcptParameters(_Typed):
    """What RCPT may carry. None of the extensions implemented so far adds a parameter."""

    _codecs = RCPT_CODECS

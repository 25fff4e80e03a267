"""Parameters of MAIL and RCPT (RFC 5321 4.1.2 esmtp-param), generic and typed."""

from __future__ import annotations

import enum
import re
from collections.abc import Container, Mapping
from datetime import datetime
from typing import NoReturn, Self

from attrs import field, frozen
from attrs.converters import optional

from .address import ReversePath
from .ascii_case import upper
from .dsn import (
    Notify,
    OriginalRecipient,
    Ret,
    check_envid,
    read_envid,
    read_notify,
    to_notify,
    write_notify,
)
from .parameter_codec import SYNTAX, ParameterCodec, if_set, one_of, value_of, within, write_number
from .reply import GrammarError, Reply
from .rrvs import ValidSince
from .scheduling import (
    MAX_SECONDS,
    PRIORITY_SYNTAX,
    DeliverBy,
    read_hold_for,
    read_hold_until,
    read_priority,
)
from .solicitation import check_solicitations, read_solicitations, write_solicitations
from .timestamp import to_utc, write_timestamp
from .xtext import decode_xtext, encode_xtext

_KEYWORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")
_VALUE = re.compile(r"[!-<>-~\x80-\ud7ff\ue000-\U0010ffff]+")

_UNKNOWN = Reply(555, "5.5.4", "Parameter not recognized or not implemented")


@frozen
class Parameter:
    """``esmtp-keyword [ "=" esmtp-value ]``; the keyword is kept in upper case. *offset* is the
    octet at which it was read."""

    keyword: str = field(converter=upper)
    value: str | None = None
    offset: int = field(default=0, eq=False, repr=False, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if not _KEYWORD.fullmatch(self.keyword):
            raise GrammarError("not a parameter keyword", reply=SYNTAX)
        if self.value is not None and not _VALUE.fullmatch(self.value):
            raise GrammarError(f"bad value of {self.keyword}", reply=SYNTAX)

    def __str__(self) -> str:
        return self.keyword if self.value is None else f"{self.keyword}={self.value}"

    def misread(self, error: GrammarError) -> NoReturn:
        """Raise what *error* says of the value, with its place in the whole text."""
        start = 0 if self.value is None else len(f"{self.keyword}=")
        raise GrammarError(
            f"{self.keyword}: {error.message}",
            offset=self.offset + start + error.offset,
            reply=error.reply or SYNTAX,
        ) from None


def read_parameters(text: str, at: int = 0) -> tuple[Parameter, ...]:
    """Read ``esmtp-param *( SP esmtp-param )`` from *at* to the end; each keyword once."""
    found: dict[str, Parameter] = {}
    offset = _octets(text[:at])
    for part in text[at:].split(" "):
        keyword, equals, value = part.partition("=")
        try:
            parameter = Parameter(keyword, value if equals else None, offset=offset)
        except GrammarError as error:
            raise GrammarError(error.message, offset=offset, reply=SYNTAX) from None
        if parameter.keyword in found:
            raise _given_twice(parameter)
        found[parameter.keyword] = parameter
        offset += _octets(part) + 1
    return tuple(found.values())


def _octets(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def _given_twice(parameter: Parameter) -> GrammarError:
    codec = MAIL_CODECS.get(parameter.keyword) or RCPT_CODECS.get(parameter.keyword)
    reply = SYNTAX if codec is None else codec.fault
    message = f"{parameter.keyword} given twice"
    return GrammarError(message, offset=parameter.offset, reply=reply)


class Body(enum.Enum):
    """The value of BODY (RFC 6152 2, RFC 3030 3)."""

    SEVEN_BIT = "7BIT"
    EIGHT_BIT_MIME = "8BITMIME"
    BINARY_MIME = "BINARYMIME"


def _read_size(value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,20}", value):
        raise GrammarError("not 1 to 20 digits", reply=SYNTAX)
    return int(value)


def _read_auth(value: str) -> ReversePath:
    address = decode_xtext(value)
    try:
        return ReversePath.of(None if address == "<>" else address or "@")
    except GrammarError as error:
        raise GrammarError(error.message, reply=SYNTAX) from None


def _write_auth(path: ReversePath) -> str:
    return encode_xtext(str(path) or "<>")


MAIL_CODECS: Mapping[str, ParameterCodec] = {
    "SIZE": ParameterCodec("size", _read_size, write_number),  # RFC 1870 3
    "BODY": ParameterCodec("body", one_of(Body), value_of),
    "SMTPUTF8": ParameterCodec("smtputf8"),  # RFC 6531 3.1
    "AUTH": ParameterCodec("auth", _read_auth, _write_auth),  # RFC 4954 5
    "RET": ParameterCodec("ret", one_of(Ret), value_of),  # RFC 3461 4.3
    "ENVID": ParameterCodec("envid", read_envid, encode_xtext),  # RFC 3461 4.4
    "REQUIRETLS": ParameterCodec("requiretls"),  # RFC 8689 2
    "BY": ParameterCodec("by", DeliverBy.parse),  # RFC 2852 4
    "HOLDFOR": ParameterCodec("hold_for", read_hold_for, write_number),  # RFC 4865 3
    "HOLDUNTIL": ParameterCodec("hold_until", read_hold_until, write_timestamp),
    "MT-PRIORITY": ParameterCodec(
        "mt_priority", read_priority, write_number, PRIORITY_SYNTAX
    ),  # RFC 6710 7
    "SOLICIT": ParameterCodec("solicit", read_solicitations, write_solicitations),  # RFC 3865 2.3
}
RCPT_CODECS: Mapping[str, ParameterCodec] = {
    "NOTIFY": ParameterCodec("notify", read_notify, write_notify),  # RFC 3461 4.1
    "ORCPT": ParameterCodec("orcpt", OriginalRecipient.parse),  # RFC 3461 4.2
    "RRVS": ParameterCodec("rrvs", ValidSince.parse),  # RFC 7293 3.1
}


class _Typed:
    """Parameters as attributes; the codecs say which is which."""

    _codecs: Mapping[str, ParameterCodec]

    @classmethod
    def read(cls, parameters: tuple[Parameter, ...], allowed: Container[str] | None = None) -> Self:
        """Build from *parameters*. One that is unknown, or not in *allowed* (None: all are), raises
        GrammarError with reply 555, a bad value one with 501."""
        values = {}
        for parameter in parameters:
            codec = cls._codecs.get(parameter.keyword)
            if codec is None or not (allowed is None or parameter.keyword in allowed):
                message = f"{parameter.keyword} is not offered"
                raise GrammarError(message, offset=parameter.offset, reply=_UNKNOWN)
            try:
                values[codec.attribute] = codec.read(parameter.value)
            except GrammarError as error:
                parameter.misread(error)
        try:
            return cls(**values)
        except GrammarError as error:  # each is good, but not with the others
            raise GrammarError(
                error.message, offset=parameters[0].offset, reply=error.reply
            ) from None

    def parameters(self) -> tuple[Parameter, ...]:
        """The attributes that are set, as generic parameters."""
        values = (
            (key, codec, getattr(self, codec.attribute)) for key, codec in self._codecs.items()
        )
        return tuple(
            Parameter(keyword, codec.written(value))
            for keyword, codec, value in values
            if value is not None and value is not False  # a size of 0 is set, though 0 == False
        )

    def __str__(self) -> str:
        return " ".join(map(str, self.parameters()))

    def __bytes__(self) -> bytes:
        return str(self).encode()


@frozen(kw_only=True)
class MailParameters(_Typed):
    """What MAIL may carry; each is None or False where it does not.

    *size* in octets, as declared by the client, so not to be relied on. *envid* decoded. *hold_for*
    in seconds, *hold_until* in UTC, not both; *hold_for* is at most ``by.seconds`` (RFC 4865 5.2).
    Whether *hold_until* is after the time of *by* depends on a clock, so it is not checked here.
    """

    _codecs = MAIL_CODECS

    size: int | None = field(default=None, validator=within(0, 10**20 - 1))
    body: Body | None = None
    smtputf8: bool = False
    auth: ReversePath | None = None
    ret: Ret | None = None
    envid: str | None = field(default=None, validator=if_set(check_envid))
    requiretls: bool = False
    by: DeliverBy | None = None
    hold_for: int | None = field(default=None, validator=within(1, MAX_SECONDS))
    hold_until: datetime | None = field(default=None, converter=optional(to_utc))
    mt_priority: int | None = field(default=None, validator=within(-9, 9, PRIORITY_SYNTAX))
    solicit: tuple[str, ...] | None = field(default=None, validator=if_set(check_solicitations))

    def __attrs_post_init__(self) -> None:
        if self.hold_for is None:
            return
        if self.hold_until is not None:
            raise GrammarError("HOLDFOR and HOLDUNTIL exclude each other", reply=SYNTAX)
        if self.by is not None and self.hold_for > self.by.seconds:
            raise GrammarError("HOLDFOR is longer than BY", reply=SYNTAX)


@frozen(kw_only=True)
class RcptParameters(_Typed):
    """What RCPT may carry; each is None where it does not. *notify* takes any collection."""

    _codecs = RCPT_CODECS

    notify: frozenset[Notify] | None = field(default=None, converter=to_notify)
    orcpt: OriginalRecipient | None = None
    rrvs: ValidSince | None = None

"""Parameters of MAIL and RCPT: generic (RFC 5321 4.1.2 esmtp-param), and as typed attributes."""

from __future__ import annotations

import enum
import re
from collections.abc import Container, Mapping
from datetime import datetime
from functools import cached_property
from operator import attrgetter
from typing import Any, ClassVar, Self

from attrs import field, frozen
from attrs.converters import optional

from ..option_types import checked
from . import dsn, scheduling
from .address import Mailbox, ReversePath
from .ascii_case import upper
from .ehlo_parameters import check_solicitations, read_solicitations, write_solicitations
from .parameter_codec import BAD_PARAMETER, ParameterCodec, bad_parameter, enum_codec, in_range
from .pattern import pattern
from .reply import GrammarError, Reply
from .scheduling import DeliverBy, ValidSince
from .timestamp import to_utc, write_timestamp
from .xtext import decode_xtext, encode_xtext

_KEYWORD = pattern(r"[A-Za-z0-9][A-Za-z0-9-]*")
_VALUE = pattern(r"[!-<>-~\x80-\ud7ff\ue000-\U0010ffff]+")

_UNKNOWN_PARAMETER = Reply(555, "5.5.4", "Parameter not recognized or not implemented")


@checked
@frozen
class Parameter:
    """``esmtp-keyword [ "=" esmtp-value ]``."""

    keyword: str = field(converter=upper)
    """The keyword, kept in upper case."""
    value: str | None = None
    offset: int = field(default=0, eq=False, repr=False, kw_only=True)
    """The octet at which the parameter was read."""

    def __attrs_post_init__(self) -> None:
        if not _KEYWORD.fullmatch(self.keyword):
            raise bad_parameter("not a parameter keyword")
        if self.value is not None and not _VALUE.fullmatch(self.value):
            raise bad_parameter(f"not a value for {self.keyword}")

    def __str__(self) -> str:
        return self.keyword if self.value is None else f"{self.keyword}={self.value}"

    def value_error(self, error: GrammarError) -> GrammarError:
        """Return *error*, which is about the value, with the keyword and the offset in the line."""
        start = 0 if self.value is None else len(f"{self.keyword}=")
        return GrammarError(
            f"{self.keyword}: {error.message}",
            offset=self.offset + start + error.offset,
            reply=error.reply or BAD_PARAMETER,
        )


def read_parameters(text: str, at: int = 0) -> tuple[Parameter, ...]:
    """Read ``esmtp-param *( SP esmtp-param )`` from *at* to the end of *text*.

    Raises GrammarError, also for a keyword given twice.
    """
    found: dict[str, Parameter] = {}
    offset = _octet_count(text[:at])
    for part in text[at:].split(" "):
        keyword, equals, value = part.partition("=")
        try:
            parameter = Parameter(keyword, value if equals else None, offset=offset)
        except GrammarError as error:
            raise GrammarError(error.message, offset=offset, reply=BAD_PARAMETER) from None
        if parameter.keyword in found:
            raise _given_twice(parameter)
        found[parameter.keyword] = parameter
        offset += _octet_count(part) + 1
    return tuple(found.values())


def _octet_count(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def _given_twice(parameter: Parameter) -> GrammarError:
    codec = MAIL_CODECS.get(parameter.keyword) or RCPT_CODECS.get(parameter.keyword)
    reply = BAD_PARAMETER if codec is None else codec.error_reply
    message = f"{parameter.keyword} given twice"
    return GrammarError(message, offset=parameter.offset, reply=reply)


class Body(enum.Enum):
    """The value of BODY (RFC 6152 2, RFC 3030 3)."""

    SEVEN_BIT = "7BIT"
    EIGHT_BIT_MIME = "8BITMIME"
    BINARY_MIME = "BINARYMIME"


def _parse_size(value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,20}", value):
        raise bad_parameter("must be 1 to 20 digits")
    return int(value)


def _parse_auth(value: str) -> ReversePath:
    address = decode_xtext(value)
    try:
        return ReversePath(None if address == "<>" else Mailbox.parse(address.encode()))
    except GrammarError as error:
        raise bad_parameter(error.message) from None


def _write_auth(path: ReversePath) -> str:
    return encode_xtext(str(path) or "<>")


MAIL_CODECS: Mapping[str, ParameterCodec] = {
    "SIZE": ParameterCodec("size", _parse_size),  # RFC 1870 3
    "BODY": enum_codec("body", Body),
    "SMTPUTF8": ParameterCodec("smtputf8"),  # RFC 6531 3.1
    "AUTH": ParameterCodec("auth", _parse_auth, _write_auth),  # RFC 4954 5
    "RET": enum_codec("ret", dsn.Ret),  # RFC 3461 4.3
    "ENVID": ParameterCodec("envid", dsn.read_envid, encode_xtext),  # RFC 3461 4.4
    "REQUIRETLS": ParameterCodec("requiretls"),  # RFC 8689 2
    "BY": ParameterCodec("by", DeliverBy.parse),  # RFC 2852 4
    "HOLDFOR": ParameterCodec("hold_for", scheduling.read_hold_for),  # RFC 4865 3
    "HOLDUNTIL": ParameterCodec("hold_until", scheduling.read_hold_until, write_timestamp),
    "MT-PRIORITY": ParameterCodec(  # RFC 6710 7
        "mt_priority", scheduling.read_priority, error_reply=scheduling.BAD_PRIORITY
    ),
    "SOLICIT": ParameterCodec("solicit", read_solicitations, write_solicitations),  # RFC 3865 2.3
}
RCPT_CODECS: Mapping[str, ParameterCodec] = {
    "NOTIFY": ParameterCodec("notify", dsn.read_notify, dsn.write_notify),  # RFC 3461 4.1
    "ORCPT": ParameterCodec("orcpt", dsn.OriginalRecipient.parse),  # RFC 3461 4.2
    "RRVS": ParameterCodec("rrvs", ValidSince.parse),  # RFC 7293 3.1
}


@frozen(eq=False, repr=False)
class _TypedParameters:
    """Parameters as attributes, which are read and written by the codecs."""

    _codecs: ClassVar[Mapping[str, ParameterCodec]]
    _values: ClassVar[Any]  # returns the attributes of an instance, in the order of the codecs

    @classmethod
    def read(cls, parameters: tuple[Parameter, ...], allowed: Container[str] | None = None) -> Self:
        """Return the attributes for *parameters*.

        Raises GrammarError, with reply 555 for a parameter that is unknown or not in *allowed*
        (None allows all), and 501 for a bad value.
        """
        values = {}
        for parameter in parameters:
            codec = cls._codecs.get(parameter.keyword)
            if codec is None or not (allowed is None or parameter.keyword in allowed):
                message = f"{parameter.keyword} is not offered"
                raise GrammarError(message, offset=parameter.offset, reply=_UNKNOWN_PARAMETER)
            try:
                values[codec.attribute] = codec.parse(parameter.value)
            except GrammarError as error:
                raise parameter.value_error(error) from None
        try:
            return cls(**values)
        except GrammarError as error:  # valid values that exclude each other
            raise GrammarError(
                error.message, offset=parameters[0].offset, reply=error.reply
            ) from None

    @cached_property
    def given(self) -> Mapping[str, str | None]:
        """The keywords of the attributes that are set, with their values as they are written."""
        rows = zip(self._codecs.items(), self._values(self), strict=True)
        return {
            keyword: codec.write(value)
            for (keyword, codec), value in rows
            if value is not None and value is not False  # a size of 0 is set, though 0 == False
        }

    def parameters(self) -> tuple[Parameter, ...]:
        """Return the attributes that are set, as generic parameters."""
        return tuple(Parameter(keyword, value) for keyword, value in self.given.items())

    def __str__(self) -> str:
        return self._text

    @cached_property
    def _text(self) -> str:
        given = self.given.items()
        return " ".join(key if value is None else f"{key}={value}" for key, value in given)

    def __bytes__(self) -> bytes:
        return str(self).encode()


@checked
@frozen(kw_only=True)
class MailParameters(_TypedParameters):
    """The parameters of MAIL. An attribute is None or False if its parameter is not given.

    HOLDFOR and HOLDUNTIL exclude each other, and *hold_for* is at most ``by.seconds`` (RFC 4865
    5.2). Whether *hold_until* is later than *by* allows depends on a clock and is not checked here.
    """

    _codecs: ClassVar = MAIL_CODECS
    _values: ClassVar = attrgetter(*(codec.attribute for codec in MAIL_CODECS.values()))
    size: int | None = field(default=None, validator=in_range(0, 10**20 - 1))
    """Octets of the content as the client declares them, so not reliable."""
    body: Body | None = None
    smtputf8: bool = False
    auth: ReversePath | None = None
    ret: dsn.Ret | None = None
    envid: str | None = None
    """The envelope identifier, decoded."""
    requiretls: bool = False
    by: DeliverBy | None = None
    hold_for: int | None = field(default=None, validator=in_range(1, scheduling.MAX_SECONDS))
    """Seconds."""
    hold_until: datetime | None = field(default=None, converter=optional(to_utc))
    """An instant, kept in UTC."""
    mt_priority: int | None = field(
        default=None, validator=in_range(-9, 9, scheduling.BAD_PRIORITY)
    )
    solicit: tuple[str, ...] | None = None

    def __attrs_post_init__(self) -> None:
        if self.envid is not None:
            dsn.check_envid(self.envid)
        if self.solicit is not None:
            check_solicitations(self.solicit)
        if self.hold_for is None:
            return
        if self.hold_until is not None:
            raise bad_parameter("HOLDFOR and HOLDUNTIL exclude each other")
        if self.by is not None and self.hold_for > self.by.seconds:
            raise bad_parameter("HOLDFOR is longer than BY")


@checked
@frozen(kw_only=True)
class RcptParameters(_TypedParameters):
    """The parameters of RCPT. An attribute is None if its parameter is not given. *notify* takes
    any collection."""

    _codecs: ClassVar = RCPT_CODECS
    _values: ClassVar = attrgetter(*(codec.attribute for codec in RCPT_CODECS.values()))
    notify: frozenset[dsn.Notify] | None = field(default=None, converter=dsn.to_notify)
    orcpt: dsn.OriginalRecipient | None = None
    rrvs: ValidSince | None = None

"""Converts the value of a MAIL or RCPT parameter into a typed attribute, and back."""

from __future__ import annotations

import enum
from collections.abc import Callable
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar

from attrs import Attribute

from .ascii_case import upper
from .reply import GrammarError, Reply

BAD_PARAMETER = Reply(501, "5.5.4", "Syntax error in parameter")

T = TypeVar("T")


def bad_parameter(message: str) -> GrammarError:
    """Return the error for a malformed parameter, with its reply."""
    return GrammarError(message, reply=BAD_PARAMETER)


class ParameterCodec(NamedTuple):
    """A row of :data:`~.parameters.MAIL_CODECS` or ``RCPT_CODECS``: how one parameter is read and
    written."""

    attribute: str
    """The name of the attribute of MailParameters or RcptParameters."""
    parse_value: Callable[[str], Any] | None = None
    """Returns the attribute for a value, or raises GrammarError. None: the parameter takes no
    value, and the attribute is a flag."""
    write_value: Callable[[Any], str] = str
    """Returns the value for an attribute."""
    error_reply: Reply = BAD_PARAMETER
    """The reply if the parameter is given twice, or without the value that it needs."""

    def parse(self, value: str | None) -> Any:
        """Return the attribute for *value*, None for a parameter without one. Raises
        GrammarError."""
        if self.parse_value is None:
            if value is not None:
                raise bad_parameter("takes no value")
            return True
        if value is None:
            raise GrammarError("needs a value", reply=self.error_reply)
        return self.parse_value(value)

    def write(self, attribute: Any) -> str | None:
        """Return the value for an *attribute* that is set, None if the parameter takes none."""
        return None if self.parse_value is None else self.write_value(attribute)


def enum_codec(attribute: str, kind: type[enum.Enum]) -> ParameterCodec:
    """Return the row of a parameter with the values of *kind*, which are read in any case."""

    def parse(value: str) -> enum.Enum:
        try:
            return kind(upper(value))
        except ValueError:
            names = ", ".join(member.value for member in kind)
            raise bad_parameter(f"must be one of {names}") from None

    return ParameterCodec(attribute, parse, attrgetter("value"))


Validator = Callable[[Any, "Attribute[Any]", Any], None]


def in_range(low: int, high: int, reply: Reply = BAD_PARAMETER) -> Validator:
    """Return an attrs validator that accepts None and integers from *low* to *high*."""

    def validate(_instance: object, attribute: Attribute[Any], number: object) -> None:
        if number is not None and not (isinstance(number, int) and low <= number <= high):
            raise GrammarError(f"{attribute.name} must be {low} to {high}", reply=reply)

    return validate

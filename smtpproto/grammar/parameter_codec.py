"""How a typed parameter of MAIL or RCPT becomes an attribute, and back."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, TypeVar

from attrs import frozen

from .ascii_case import upper
from .reply import GrammarError, Reply

SYNTAX = Reply(501, "5.5.4", "Syntax error in parameter")

T = TypeVar("T")
E = TypeVar("E", bound=enum.Enum)


@frozen
class ParameterCodec:
    """A row: *attribute* holds what *parse* makes of the value, and *write* gives the value back.
    Without *parse* the parameter takes no value: it is there or not. *fault* answers a parameter
    that is given twice."""

    attribute: str
    parse: Callable[[str], Any] | None = None
    write: Callable[[Any], str] = str
    fault: Reply = SYNTAX

    def read(self, value: str | None) -> Any:
        """The attribute for *value*, None for a parameter without one. Raises GrammarError."""
        if self.parse is None:
            if value is not None:
                raise GrammarError("takes no value", reply=SYNTAX)
            return True
        if value is None:
            raise GrammarError("needs a value", reply=self.fault)
        return self.parse(value)

    def written(self, attribute: Any) -> str | None:
        """The value for an attribute that is set."""
        return None if self.parse is None else self.write(attribute)


def one_of(kind: type[E]) -> Callable[[str], E]:
    """Give a reader of the values of *kind*, in any case."""

    def read(value: str) -> E:
        try:
            return kind(upper(value))
        except ValueError:
            names = ", ".join(member.value for member in kind)
            raise GrammarError(f"not one of {names}", reply=SYNTAX) from None

    return read


def value_of(member: enum.Enum) -> str:
    """The word of a member, as it is written."""
    return str(member.value)


def if_set(check: Callable[[T], None]) -> Callable[[Any, Any, T | None], None]:
    """Give an attrs validator that applies *check* to all but None."""

    def validator(_: object, __: object, value: T | None) -> None:
        if value is not None:
            check(value)

    return validator


def within(low: int, high: int, fault: Reply = SYNTAX) -> Callable[[Any, Any, Any], None]:
    """Give an attrs validator of whole numbers from *low* to *high*, and of None."""

    def check(_: object, attribute: Any, number: object) -> None:
        if number is not None and not (isinstance(number, int) and low <= number <= high):
            raise GrammarError(f"{attribute.name} is {low} to {high}", reply=fault)

    return check


write_number = "{:d}".format

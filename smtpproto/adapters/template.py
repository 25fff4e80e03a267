"""A message for each of many readers, with values of their own."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Mapping
from email.message import EmailMessage
from string import Template as _Text
from typing import Any, cast

from ..errors import GrammarError
from ..grammar.printable import quoted
from ..option_types import require_type
from .composing import compose

__all__ = ["Template"]

_FILES = {"attachments", "inline"}  # arguments in which nothing is replaced


class Template:
    """The arguments of :func:`smtpproto.compose`, with ``$name`` where a value of each reader
    stands: in the addresses, the subject, the text, the HTML, the header fields and *unsubscribe*,
    but not in *attachments* and *inline*: no value can name a file. ``$$`` is a dollar sign. In
    HTML, values are escaped; in a URL, encode them yourself.

    ::

        template = Template("News <news@example.org>", "$name <$address>", text="Hello $name, ...")
        messages = template.for_each([{"name": "Bob", "address": "bob@example.org"}])

    Raises GrammarError for a ``$`` that is followed by something else.
    """

    def __init__(self, sender: str, to: str, **parts: Any) -> None:
        given = {"sender": sender, "to": to, **parts}
        self._parts: dict[str, Any] = {name: _kept(it) for name, it in given.items()}
        filled = {name: it for name, it in self._parts.items() if name not in _FILES}
        self.names: frozenset[str] = frozenset(_names(filled))
        """The names that stand after ``$``."""

    def message(self, values: Mapping[str, object]) -> EmailMessage:
        """Return the message with *values*. Raises GrammarError if one is missing, and what
        :func:`smtpproto.compose` raises."""
        self._check(values, "the reader")
        parts = {
            name: it if name in _FILES else _fill(it, values, name == "html")
            for name, it in self._parts.items()
        }
        return compose(cast("str", parts.pop("sender")), cast("str", parts.pop("to")), **parts)

    def for_each(self, readers: Iterable[Mapping[str, object]]) -> Iterator[EmailMessage]:
        """Return the message for each of *readers*, which is made when it is needed.

        All *readers* are looked at first: raises GrammarError at once if a value is missing.
        """
        rows = list(readers)
        for number, row in enumerate(rows, 1):
            self._check(row, f"reader {number}")
        return map(self.message, rows)

    def _check(self, values: Mapping[str, object], who: str) -> None:
        require_type(who, values, Mapping, 'a mapping, such as {"name": "Bob"}')
        if missing := sorted(self.names - set(values)):
            advice = "add it, or write $$ for a dollar sign"
            raise GrammarError(f"{who} has no value for ${missing[0]}; {advice}")


def _kept(value: Any) -> Any:
    """Return *value* so that it can be read for each reader."""
    return list(value) if isinstance(value, Iterator) and not hasattr(value, "read") else value


def _names(value: object) -> Iterator[str]:
    """Yield the names in *value*. Raises GrammarError."""
    if isinstance(value, str):
        text = _Text(value)
        if not text.is_valid():
            advice = "write $name, ${name}, or $$ for a dollar sign"
            raise GrammarError(f"a $ without a name in {quoted(value)}; {advice}")
        yield from text.get_identifiers()
    elif isinstance(value, Mapping | list | tuple):
        for it in value.values() if isinstance(value, Mapping) else value:
            yield from _names(it)


def _fill(value: Any, values: Mapping[str, object], is_html: bool) -> Any:
    """Return *value* with *values* in its texts; objects are left alone."""
    if isinstance(value, str):
        if is_html:
            values = {name: html.escape(str(it)) for name, it in values.items()}
        return _Text(value).substitute(values)
    if isinstance(value, Mapping):
        return {key: _fill(it, values, is_html) for key, it in value.items()}
    if isinstance(value, list | tuple):
        return [_fill(it, values, is_html) for it in value]
    return value

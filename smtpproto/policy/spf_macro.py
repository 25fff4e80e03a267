"""Macros in the terms of an SPF record, and in the explanation that it refers to (RFC 7208 7)."""

from __future__ import annotations

import re
from collections.abc import Callable

from attrs import frozen

from ..grammar.ascii_case import lower
from ..grammar.pattern import pattern
from ..grammar.reply import GrammarError

_MACRO = re.compile(
    r"%(?:([%_-])|\{([slodiphvcrtSLODIPHVCRT])([0-9]*)([rR]?)([.+,/_=-]*)\})"  # RFC 7208 7.1
)
_LITERAL = re.compile(r"[!-$&-~]+")  # macro-literal
_EXPLANATION_LITERAL = re.compile(r"[ -$&-~]+")  # an explanation has spaces, too
_TOP_LABEL = pattern(r"(?=[0-9]*[A-Za-z-])[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?")
_RESERVED = pattern(rb"[^A-Za-z0-9._~-]")  # RFC 3986 2.3
_WRITTEN = {"%": "%", "_": " ", "-": "%20"}
_DIGITS = 9  # of a number of parts; no value has as many
_ENOUGH = 1200  # characters: more than fit into a name or an explanation
MAX_NAME = 253  # octets of a name in a question (RFC 7208 7.3)


@frozen
class Macro:
    """``%{`` letter, transformers and delimiters ``}``."""

    letter: str
    """In lower case."""
    escaped: bool = False
    """Whether the letter is in upper case: what a URL reserves is then escaped."""
    parts: int = 0
    """How many parts of the value to use, from the right; 0: all."""
    reverse: bool = False
    """Whether to reverse the parts first."""
    delimiters: str = ""
    """Where the value is split into parts; "" is the dot."""

    def apply(self, value: str) -> str:
        """Return what *value*, that of the letter, becomes (RFC 7208 7.3)."""
        if self.parts or self.reverse or self.delimiters:
            delimiters = self.delimiters or "."
            for delimiter in set(delimiters):
                value = value.replace(delimiter, delimiters[0])
            parts = value.split(delimiters[0])
            if self.reverse:
                parts.reverse()
            value = ".".join(parts[-self.parts :])
        return _url_escaped(value) if self.escaped else value


def _url_escaped(value: str) -> str:
    octets = value.encode("utf-8", "replace")
    return _RESERVED.sub(lambda found: b"%%%02X" % found[0][0], octets).decode()


@frozen
class MacroString:
    """A ``macro-string``, ``domain-spec`` or ``explain-string`` of RFC 7208 7.1."""

    text: str
    """As it was written."""
    parts: tuple[str | Macro, ...]

    @classmethod
    def parse(cls, text: str) -> MacroString:
        """Read a macro-string, the value of a modifier that is not known. Raises GrammarError with
        the offset of the fault."""
        return cls(text, tuple(part for part, _ in _read(text, _LITERAL)))

    @classmethod
    def parse_domain(cls, text: str) -> MacroString:
        """Read a domain-spec. It ends with a macro or a label that can be one of a top-level
        domain, and has no macro that only explanations may have. Raises GrammarError."""
        found = list(_read(text, _LITERAL))
        if not found:
            raise GrammarError("no domain", offset=0)
        for part, at in found:
            if isinstance(part, Macro) and part.letter in "crt":
                raise GrammarError(f"the macro %{{{part.letter}}} is for explanations", offset=at)
        if text[found[-1][1]] != "%":
            _check_end(text)
        return cls(text, tuple(part for part, _ in found))

    @classmethod
    def parse_explanation(cls, text: str) -> MacroString:
        """Read an explain-string, which may have spaces. Raises GrammarError."""
        return cls(text, tuple(part for part, _ in _read(text, _EXPLANATION_LITERAL)))

    @property
    def letters(self) -> frozenset[str]:
        """The letters of its macros, in lower case."""
        return frozenset(part.letter for part in self.parts if isinstance(part, Macro))

    def expand(self, value_of: Callable[[str], str]) -> str:
        """Return the text with the value of each macro, which *value_of* returns for its letter.

        Of a long text it returns the end, which is all that a name or an explanation can use.
        """
        if len(self.parts) == 1 and isinstance(self.parts[0], str):
            return self.parts[0]
        found: list[str] = []
        size = 0
        for part in reversed(self.parts):
            found.append(part if isinstance(part, str) else part.apply(value_of(part.letter)))
            size += len(found[-1])
            if size > _ENOUGH:
                break
        return "".join(reversed(found))

    def __str__(self) -> str:
        return self.text


def _read(text: str, literal: re.Pattern[str]) -> list[tuple[str | Macro, int]]:
    """Return the parts of *text*, each with its offset."""
    found: list[tuple[str | Macro, int]] = []
    at = 0
    while at < len(text):
        if match := literal.match(text, at):
            found.append((match[0], at))
        elif match := _MACRO.match(text, at):
            found.append((_macro(match), at))
        else:
            fault = "not a macro" if text[at] == "%" else "a character that must not be here"
            raise GrammarError(fault, offset=at)
        at = match.end()
    return found


def _macro(match: re.Match[str]) -> str | Macro:
    written, letter, digits, reverse, delimiters = match.groups()
    if written:
        return _WRITTEN[written]
    parts = int(digits.lstrip("0")[:_DIGITS] or "0")
    if digits and not parts:
        raise GrammarError("a macro that uses no part of its value", offset=match.start())
    return Macro(letter.lower(), letter.isupper(), parts, reverse != "", delimiters)


def _check_end(text: str) -> None:
    """Raise GrammarError unless *text* has a dot, and a toplabel after the last one."""
    start = text.removesuffix(".").rfind(".") + 1
    if not start or not _TOP_LABEL.fullmatch(text.removesuffix("."), start):
        raise GrammarError(
            "the domain does not end with a label of a top-level domain", offset=start
        )


def as_name(expanded: str) -> str:
    """Return *expanded* as the DNS is asked for it: in lower case, without the dot at the end, and
    with labels removed at the left until it has at most 253 octets (RFC 7208 7.3)."""
    name = lower(expanded.removesuffix("."))
    if len(name) > MAX_NAME:
        _, _, name = name[-MAX_NAME - 1 :].partition(".")
    return name

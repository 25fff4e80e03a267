"""The words of structured header fields: read with their comments and blanks, and written so that
no text of a stranger can leave its place (RFC 5322 3.2, RFC 6532 3.2)."""

from __future__ import annotations

import re

from attrs import define

from ..grammar.pattern import pattern
from ..grammar.printable import printable
from ..grammar.reply import GrammarError
from ..limits import RESULT_FIELD

_WIDTH = 78  # RFC 5322 2.1.1
_CUT = 400  # octets of one word; with its escapes it fits into a line of 998
_BLANK = pattern(r"(?:\r\n(?=[ \t])|[ \t])+")
_COMMENT_TEXT = pattern(
    r"(?:[^\x00-\x08\x0a-\x1f\x7f()\\]|\\[^\x00-\x08\x0a-\x1f\x7f]|\r\n(?=[ \t]))*"
)
QUOTED = pattern(r'"(?:[^\x00-\x08\x0a-\x1f\x7f"\\]|\\[^\x00-\x08\x0a-\x1f\x7f]|\r\n(?=[ \t]))*"')
_ESCAPE = pattern(r"\\(.)|\r\n", re.DOTALL)
_FOLDABLE = pattern(r" (?! )")


@define(eq=False)
class FieldReader:
    """Reads *text*, the body of a field, from left to right. *at* is the next character."""

    text: str
    at: int = 0

    def __attrs_post_init__(self) -> None:
        if len(self.text) > RESULT_FIELD:
            text = f"a field of more than {RESULT_FIELD} characters"
            raise GrammarError(text, offset=RESULT_FIELD)

    def comments(self) -> list[str]:
        """Skip blanks and comments; return the text of the latter."""
        found: list[str] = []
        while True:
            if blank := _BLANK.match(self.text, self.at):
                self.at = blank.end()
            elif self.text[self.at : self.at + 1] == "(":
                found.append(self._comment())
            else:
                return found

    def _comment(self) -> str:
        start, depth = self.at, 0
        while True:
            mark = self.text[self.at : self.at + 1]
            if not mark or mark not in "()":
                raise self.error("a comment that does not end")
            depth += 1 if mark == "(" else -1
            self.at += 1
            if not depth:
                return _unescape(self.text[start + 1 : self.at - 1])
            inside = _COMMENT_TEXT.match(self.text, self.at)
            assert inside is not None  # it also matches nothing
            self.at = inside.end()

    def took(self, mark: str) -> bool:
        """Skip blanks, comments and then *mark*; return whether it is there."""
        self.comments()
        if not self.text.startswith(mark, self.at):
            return False
        self.at += len(mark)
        return True

    def expect(self, mark: str) -> None:
        """As :meth:`took`; raises GrammarError if *mark* is not there."""
        if not self.took(mark):
            raise self.error(f"{mark!r} must be here")

    def match(self, form: re.Pattern[str], name: str) -> str:
        """Skip blanks and comments; return what matches *form*. Raises GrammarError, which calls it
        *name*."""
        if not (found := self.matches(form)):
            raise self.error(f"{name} must be here")
        return found

    def matches(self, form: re.Pattern[str]) -> str:
        """As :meth:`match`, but return "" if nothing matches."""
        self.comments()
        found = form.match(self.text, self.at)
        if found is None:
            return ""
        self.at = found.end()
        return found[0]

    def word(self, form: re.Pattern[str], name: str) -> str:
        """As :meth:`match`, or return the text of a quoted-string."""
        self.comments()
        found = QUOTED.match(self.text, self.at)
        if found is None:
            return self.match(form, name)
        self.at = found.end()
        return unquoted(found[0])

    def ended(self) -> bool:
        """Skip blanks and comments; return whether this is the end."""
        self.comments()
        return self.at == len(self.text)

    def error(self, message: str) -> GrammarError:
        """Return the error for what is at this place."""
        return GrammarError(message, offset=len(self.text[: self.at].encode("utf-8", "replace")))


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda found: found[1] or "", text)


def unquoted(text: str) -> str:
    """Return what the quoted-string *text* means."""
    return _unescape(text[1:-1])


def _cut(text: str) -> str:
    """Return *text* without control characters, and cut if it would not fit into a line."""
    text = printable(text).encode("utf-8", "replace").decode()
    if len(text.encode()) <= _CUT:
        return text
    return text.encode()[: _CUT - 3].decode("utf-8", "ignore") + "..."


def quoted(text: str) -> str:
    """Return *text* as a quoted-string; control characters are escaped."""
    return '"' + re.sub(r'(["\\])', r"\\\1", _cut(text)) + '"'


def comment(text: str) -> str:
    """Return *text* as a comment; control characters are escaped."""
    return "(" + re.sub(r"([()\\])", r"\\\1", _cut(text)) + ")"


def word(text: str, form: re.Pattern[str]) -> str:
    """Return *text* as it is if it matches *form* and can be printed, or as a quoted-string."""
    return text if form.fullmatch(text) and _cut(text) == text else quoted(text)


def folded(name: str, *groups: list[str]) -> bytes:
    """Return the field *name*, with its CRLF, of the parts of *groups*.

    Each group but the first begins a line. Where a line would be too long, the next one begins at a
    part, or else at a blank inside one (RFC 5322 2.2.3).
    """
    lines = [f"{name}:"]
    for number, group in enumerate(groups):
        if number:
            lines.append("")
        for part in group:
            pieces = [part] if len(part) < _WIDTH else _FOLDABLE.split(part)
            for piece in pieces:
                if len(lines[-1]) + 1 + len(piece) > _WIDTH and lines[-1]:
                    lines.append("")
                lines[-1] += f" {piece}"
    return "\r\n".join([*lines, ""]).encode()

"""The header section of a message: where it ends, and its fields (RFC 5322 2.2)."""

from __future__ import annotations

import re
from typing import NamedTuple

from ..grammar.pattern import pattern
from ..grammar.printable import printable
from ..grammar.reply import GrammarError

MAX_HEADER = 1024 * 1024
"""Octets of a header section that are held in memory; a longer one is refused, never cut."""

_MAX_NAME = 998  # octets of a field name; a line has no more (RFC 5322 2.1.1)
_FIELD = pattern(rb"([!-9;-~]+)[ \t]*:(.*)", re.DOTALL)
_FIELD_END = pattern(rb"\r\n(?![ \t])")
_NAME = pattern(rb"([!-9;-~]+)[ \t]*:")
_LINE = pattern(rb"(.*?)(?:\r\n|\r|\n|\Z)", re.DOTALL)


def is_field_name(name: object) -> bool:
    """Return whether *name* is one of a header field (RFC 5322 2.2)."""
    return isinstance(name, str) and re.fullmatch("[!-9;-~]+", name) is not None


def is_one_field(text: str) -> bool:
    """Return whether all lines of *text* after the first continue it (RFC 5322 2.2.3)."""
    return re.search(r"\r(?![\n \t])|\n(?![ \t])", text) is None


class HeaderField(NamedTuple):
    """A field. *body* is what follows the colon, with its line ends, as it was written."""

    name: str
    body: bytes

    @property
    def text(self) -> str:
        """The body, unfolded (RFC 5322 2.2.3). Raises GrammarError if it is not UTF-8."""
        try:
            return re.sub(r"[\r\n]+", "", self.body.decode())
        except UnicodeDecodeError as error:
            raise not_utf8(self.name, error.start) from None


def split_fields(header: bytes) -> list[tuple[str, bytes]]:
    """Return the fields of a header section, each as its name and all octets but the last CRLF.

    The name of a line that is not a field is "".
    """
    if not header:
        return []
    lines = _FIELD_END.split(header.removesuffix(b"\r\n"))
    return [(it[1].decode() if (it := _NAME.match(line)) else "", line) for line in lines]


def header_fields(octets: bytes) -> list[HeaderField]:
    """Return the fields of a message that begins with *octets*, up to its first empty line.

    Raises GrammarError if a line before that is neither a field nor a continuation.
    """
    fields: list[tuple[str, list[bytes]]] = []
    for number, found in enumerate(_LINE.finditer(octets), 1):
        line = found[1]
        if not line:
            break
        if line[:1] in (b" ", b"\t") and fields:
            fields[-1][1].append(line)
        elif match := _FIELD.fullmatch(line):
            fields.append((match[1].decode(), [match[2]]))
        else:
            shown = printable(line[:40])
            raise GrammarError(f"line {number} of the message is not a header field: '{shown}'")
    return [HeaderField(name, b"\r\n".join(lines)) for name, lines in fields]


class HeaderScanner:
    """Follows the header section of content that comes in slices with CRLF line ends.

    The section ends at the first line that is neither a field nor a continuation.
    """

    def __init__(self) -> None:
        self.ended: bool = False
        """Whether the end of the header section was found."""
        self.is_ascii: bool = True
        """Whether the section is ASCII, as far as it was read."""
        self._line = bytearray()
        self._name = ""  # of the field that is being read

    def feed(self, data: bytes) -> None:
        """Read the next slice. Raises GrammarError for a field that is not UTF-8."""
        at = 0
        while not self.ended and at < len(data):
            # A CRLF may be cut in two by slices, but never a CR from a LF that does not follow it.
            end = data.find(b"\n", at) + 1
            self._line += data[at : end or len(data)]
            at = end or len(data)
            if end:
                self._take_line(bytes(self._line))
                self._line.clear()
            elif len(self._line) > _MAX_NAME:  # a long line that is not a field is not awaited
                self.ended = not self._continues(bytes(self._line[:_MAX_NAME]))

    def finish(self) -> None:
        """The content has ended: read a last line without line end."""
        if self._line and not self.ended:
            self._take_line(bytes(self._line))
        self.ended = True

    def _continues(self, line: bytes) -> bool:
        """Return whether *line*, or a line that begins so, belongs to the header section."""
        if field := _FIELD.match(line):
            self._name = field[1].decode()
        return field is not None or (self._name != "" and line[:1] in (b" ", b"\t"))

    def _take_line(self, line: bytes) -> None:
        if not self._continues(line):
            self.ended = True
            return
        if not line.isascii():
            self.is_ascii = False
            try:
                line.decode()
            except UnicodeDecodeError as error:
                raise not_utf8(self._name, error.start) from None


def not_utf8(name: str, offset: int) -> GrammarError:
    """Return the error for a field that is neither ASCII nor UTF-8 (RFC 6532 3.1)."""
    return GrammarError(
        f"the field {name} is neither ASCII nor UTF-8; encode it (RFC 2047)", offset=offset
    )

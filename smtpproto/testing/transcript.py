"""The dialogue of a session as readable text, and back: ``Transcript.parse(str(it)) == it``.

::

    S: 220 mx.example.org ESMTP ready
    C: EHLO client.example
    S: 250 mx.example.org
    C: STARTTLS
    S: 220 Go ahead
    -- TLS: TLSv1.3 --
    C: AUTH PLAIN ***
    S: 235 2.7.0 Welcome
    *: a note

``C:`` is the client, ``S:`` the server, ``*:`` a note. Each line of the text is a line of the
session, and ends with CRLF there. A backslash at its end means that it ended without CRLF. Octets
that are not printable UTF-8 are escaped: ``\\r``, ``\\n``, ``\\t``, ``\\xff``; a backslash is
``\\\\``. ``C: [12 octets of content]`` stands for content that was left out. Empty lines, and
blanks before a line, mean nothing, so that a transcript can stand in the source of a test.

:class:`Transcript` has entries: :class:`Line`, :class:`Content`, :class:`TLS` and :class:`Note`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Literal

from attrs import evolve, field, frozen
from attrs.validators import in_

from ..errors import GrammarError
from .roles import CRLF, Dialogue, Role

__all__ = ["TLS", "Content", "Entry", "Line", "Note", "Side", "Transcript"]

Side = Literal["C", "S"]
"""Who sent it: "C" is the client, "S" the server."""

SECRET = (Role.AUTH, Role.RESPONSE, Role.CHALLENGE)
"""Lines that can have secrets."""
_MASK = "***"
_CONTENTS = (Role.CONTENT, Role.CHUNK)
_CONTENT = re.compile(r"\[([0-9]{1,18}) octets of content\]")
_ENTRY = re.compile(r"(?P<side>[CS*]):(?: (?P<text>.*))?|-- TLS(?:: (?P<tls>.+))? --")
_ESCAPE = re.compile(r"\\(?:\\|x[0-9A-Fa-f]{2}|[rnt]|$)|[^\\]+")
_NAMES = {"\\": r"\\", "\r": r"\r", "\n": r"\n", "\t": r"\t"}
_OCTETS = {escape: char.encode() for char, escape in _NAMES.items()} | {"\\": b""}
_ADVICE = 'begin it with "C: ", "S: " or "*: ", or write -- TLS --'


@frozen
class Line:
    """A line that one side sent, with its line end."""

    side: Side = field(validator=in_(("C", "S")))
    octets: bytes
    number: int = field(default=0, eq=False, repr=False)
    """The line of the text that it was parsed from, counted from 1; 0 if it was not parsed."""

    def __str__(self) -> str:
        text = _escape(self.octets.removesuffix(CRLF))
        if not self.octets.endswith(CRLF):
            text += "\\"
        elif self.side == "C" and _CONTENT.fullmatch(text):
            text = f"\\x5b{text[1:]}"
        return f"{self.side}: {text}" if text else f"{self.side}:"


@frozen
class Content:
    """Content that the client sent, and that was left out; *size* is in octets, as sent."""

    size: int
    number: int = field(default=0, eq=False, repr=False)

    def __str__(self) -> str:
        return f"C: [{self.size} octets of content]"


@frozen
class TLS:
    """The start of TLS. The text may say more, for example the version."""

    text: str = ""
    number: int = field(default=0, eq=False, repr=False)

    def __str__(self) -> str:
        return f"-- TLS: {_escape_text(self.text)} --" if self.text else "-- TLS --"


@frozen
class Note:
    """A note for readers."""

    text: str
    number: int = field(default=0, eq=False, repr=False)

    def __str__(self) -> str:
        return f"*: {_escape_text(self.text)}" if self.text else "*:"


Entry = Line | Content | TLS | Note
"""A line of a transcript."""


def _as_tuple(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    return tuple(entries)


@frozen
class Transcript:
    """A session. ``str()`` is its text; see the module."""

    entries: tuple[Entry, ...] = field(converter=_as_tuple)

    @classmethod
    def parse(cls, text: str) -> Transcript:
        """Parse *text*. Raises GrammarError, with the line, if it is no transcript."""
        return cls([_parse(line, n) for n, line in enumerate(text.split("\n"), 1) if line.strip()])

    def __str__(self) -> str:
        return "".join(f"{entry}\n" for entry in self.entries)

    def octets(self, side: Side) -> bytes:
        """Return what *side* sent. Content that was left out is missing."""
        lines = (it for it in self.entries if isinstance(it, Line) and it.side == side)
        return b"".join(it.octets for it in lines)

    def masked(self) -> Transcript:
        """Return the transcript with ``***`` for what AUTH and SASL responses and challenges say.

        Content is kept, and may have secrets of its own: see :meth:`shortened`.
        """
        return Transcript([mask(it, role) for it, role in roles(self.entries)])

    def shortened(self) -> Transcript:
        """Return the transcript with the content of messages left out, but for its size."""
        entries: list[Entry] = []
        for is_content, group in groupby(roles(self.entries), lambda it: it[1] in _CONTENTS):
            found = [it for it, _ in group]
            if is_content:
                size = sum(len(it.octets) for it in found if isinstance(it, Line))
                found = [Content(size)]
            entries += found
        return Transcript(entries)


def from_trace(text: str) -> Line | Content:
    """Return what a trace says of the client."""
    if content := _CONTENT.fullmatch(text):
        return Content(int(content[1]))
    return Line("C", text.encode() + CRLF)


def mask(entry: Entry, role: Role | None) -> Entry:
    """Return *entry*, which plays *role* in the dialogue, without secrets."""
    if not isinstance(entry, Line) or role not in SECRET:
        return entry
    octets = entry.octets.rstrip(CRLF)
    if role is Role.RESPONSE:
        shown = b"*" if entry.octets == b"*\r\n" else _MASK.encode()
    elif role is Role.CHALLENGE:
        shown = octets[:4] + _MASK.encode()
    else:
        known = re.match(rb"(?i:AUTH) +[A-Z0-9_-]{1,20}(?=[ \r\n])", entry.octets)
        shown = known[0] if known else b"AUTH"
        if known is None or known[0] != octets.rstrip():
            shown += b" " + _MASK.encode()
    return evolve(entry, octets=shown + entry.octets[len(octets) :])


def roles(entries: Iterable[Entry]) -> Iterator[tuple[Entry, Role | None]]:
    """Yield each entry, and what it is in the dialogue."""
    dialogue = Dialogue()
    for entry in entries:
        if isinstance(entry, Content):
            dialogue.chunk = max(0, dialogue.chunk - entry.size)
        yield entry, dialogue.role(entry.side, entry.octets) if isinstance(entry, Line) else None


def _escape(octets: bytes) -> str:
    text = "".join(map(_escape_char, octets.decode("utf-8", "surrogateescape")))
    return f"{text[:-1]}\\x20" if text.endswith(" ") else text  # editors remove blanks at ends


def _escape_char(char: str) -> str:
    if char in _NAMES:
        return _NAMES[char]
    if char.isprintable():
        return char
    return "".join(f"\\x{octet:02x}" for octet in char.encode("utf-8", "surrogateescape"))


def _escape_text(text: str) -> str:
    return _escape(text.encode("utf-8", "surrogatepass"))


def _parse(text: str, number: int) -> Entry:
    found = _ENTRY.fullmatch(text.lstrip(" \t").removesuffix("\r"))
    if found is None:
        raise _wrong(number, text, _ADVICE)
    side, rest = found["side"], found["text"] or ""
    if side is None:
        return TLS(_unescape_text(found["tls"] or "", number), number)
    if side == "*":
        return Note(_unescape_text(rest, number), number)
    if side == "C" and (content := _CONTENT.fullmatch(rest)):
        return Content(int(content[1]), number)
    octets, ended = _unescape(rest, number)
    return Line("C" if side == "C" else "S", octets + (CRLF if ended else b""), number)


def _unescape(text: str, number: int) -> tuple[bytes, bool]:
    """Return the octets of *text*, and whether they were a whole line."""
    tokens = _ESCAPE.findall(text)
    if sum(map(len, tokens)) != len(text):
        raise _wrong(number, text, r"write a backslash as \\, and an octet as \xff")
    return b"".join(map(_unescape_token, tokens)), tokens[-1:] != ["\\"]


def _unescape_token(token: str) -> bytes:
    if token in _OCTETS:
        return _OCTETS[token]
    if token.startswith("\\x"):
        return bytes.fromhex(token[2:])
    return token.encode("utf-8", "surrogatepass")


def _unescape_text(text: str, number: int) -> str:
    try:
        return _unescape(text, number)[0].decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        raise _wrong(number, text, "use only text in notes") from None


def _wrong(number: int, text: str, advice: str) -> GrammarError:
    return GrammarError(f"line {number} is not a line of a transcript: {text.strip()!r}; {advice}")

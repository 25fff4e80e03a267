"""A dialogue printed for a reader, with notes beside the lines and headings above its parts."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from attrs import define, field, frozen

from ..wire.dots import DotWriter
from .handlers import escape_line

_WIDTH = 80
_NOTES = 42  # the column where notes beside lines begin


@frozen(kw_only=True)
class Section:
    """A part of the dialogue. Its first line begins with *starts_at*, for example ``C: AUTH``.

    *content* is the message to show before it. *notes* are pairs of the beginning of a line and the
    note beside it; each is used once.
    """

    title: str
    starts_at: str
    intro: str
    content: bytes = b""
    notes: Sequence[tuple[str, str]] = ()


@define(eq=False)
class Commentary:
    """Prints a dialogue. Pass :attr:`line` as the trace of a client."""

    _sections: list[Section]
    _number: int = field(default=0, init=False)
    _notes: list[tuple[str, str]] = field(factory=list, init=False)

    def line(self, side: str, text: str) -> None:
        """Print a line that *side* sent, after the heading of a section that begins with it."""
        line = f"{side}: {text}"
        if self._sections and line.startswith(self._sections[0].starts_at):
            self._begin(self._sections.pop(0))
        print(_beside(f"  {line}", self._take_note(line)))

    def heading(self, title: str, intro: str = "") -> None:
        """Print the heading of a section."""
        self._number += 1
        print(f"\n--- {self._number}. {title} ".ljust(_WIDTH + 1, "-"))
        if intro:
            print(textwrap.fill(intro, _WIDTH))
        print()

    def _begin(self, section: Section) -> None:
        self.heading(section.title, section.intro)
        if section.content:
            for line in section.content.removesuffix(b"\r\n").split(b"\r\n"):
                print(_quoted(line))
            print()
        self._notes = list(section.notes)

    def _take_note(self, line: str) -> str:
        for note in self._notes:
            if line.startswith(note[0]):
                self._notes.remove(note)
                return note[1]
        return ""


def _quoted(line: bytes) -> str:
    """Return a line of content, with its form on the wire beside it if that differs."""
    sent = DotWriter().encode(line)
    note = f"sent as {escape_line(sent)}" if sent != line else ""
    return _beside(f"    | {escape_line(line)}", note)


def _beside(line: str, note: str) -> str:
    """Return *line* with *note* beside it, or below it if there is no room."""
    if not note:
        return line.rstrip()
    first, *more = textwrap.wrap(note, _WIDTH - _NOTES - 2)
    start = f"{line:{_NOTES}}" if len(line) < _NOTES else f"{line}\n{'':{_NOTES}}"
    return "\n".join([f"{start}# {first}", *(f"{'':{_NOTES}}# {part}" for part in more)])

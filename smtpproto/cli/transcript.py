"""A dialogue as it is shown to a reader: who says what, with notes beside it and headings above."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from attrs import define, field, frozen

from ..wire.dots import DotWriter
from .inbox import shown

_WIDTH = 80
_NOTES = 42  # the column where notes beside lines begin


@frozen(kw_only=True)
class Section:
    """A part of the dialogue. It starts at the line that starts with *begins*, as in ``C: AUTH``.

    *notes* are pairs: the start of a line, and what to say beside it. Each is used once.
    """

    title: str
    begins: str
    intro: str
    content: bytes = b""
    notes: Sequence[tuple[str, str]] = ()


@define(eq=False)
class Transcript:
    """Prints a dialogue, line by line, as :attr:`line` gets it (a trace)."""

    _sections: list[Section]
    _number: int = field(default=0, init=False)
    _notes: list[tuple[str, str]] = field(factory=list, init=False)

    def line(self, who: str, text: str) -> None:
        """Show what *who* says."""
        said = f"{who}: {text}"
        if self._sections and said.startswith(self._sections[0].begins):
            self._begin(self._sections.pop(0))
        print(_beside(f"  {said}", self._note(said)))

    def heading(self, title: str, intro: str = "") -> None:
        """Show the start of a part."""
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

    def _note(self, said: str) -> str:
        for note in self._notes:
            if said.startswith(note[0]):
                self._notes.remove(note)
                return note[1]
        return ""


def _quoted(line: bytes) -> str:
    """A line of content, and what becomes of it on the wire if that is another."""
    sent = DotWriter().encode(line)
    return _beside(f"    | {shown(line)}", f"sent as {shown(sent)}" if sent != line else "")


def _beside(line: str, note: str) -> str:
    """*line* with *note* beside it, or below it where there is no room."""
    if not note:
        return line.rstrip()
    first, *more = textwrap.wrap(note, _WIDTH - _NOTES - 2)
    place = f"{line:{_NOTES}}" if len(line) < _NOTES else f"{line}\n{'':{_NOTES}}"
    return "\n".join([f"{place}# {first}", *(f"{'':{_NOTES}}# {part}" for part in more)])

"""A dialogue printed for a reader, with notes beside the lines and headings above its parts."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from attrs import define, field, frozen

from ..wire.dots import DotWriter
from .handlers import escape_line
from .terminal import Piece, Printer, Style, dialogue_style

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


def print_verdict(out: Printer, text: str, *, passed: bool) -> None:
    """Print the result of checks."""
    verdict = ("OK", Style.GOOD) if passed else ("FAILED", Style.BAD)
    out.line(verdict, f": {text}")


@define(eq=False)
class Commentary:
    """Prints a dialogue. Pass :attr:`line` as the trace of a client. If it is *short*, it leaves
    out the texts below the headings."""

    _sections: list[Section]
    _out: Printer
    _short: bool = field(default=False, alias="short")
    _number: int = field(default=0, init=False)
    _notes: list[tuple[str, str]] = field(factory=list, init=False)

    def line(self, side: str, text: str) -> None:
        """Print a line that *side* sent, after the heading of a section that begins with it."""
        line = f"{side}: {text}"
        if self._sections and line.startswith(self._sections[0].starts_at):
            self._begin(self._sections.pop(0))
        self._show(f"  {line}", self._take_note(line), dialogue_style(side, text))

    def heading(self, title: str, intro: str = "") -> None:
        """Print the heading of a section."""
        self._number += 1
        self._out.line()
        self._out.line((f"--- {self._number}. {title} ".ljust(_WIDTH, "-"), Style.HEADING))
        if intro and not self._short:
            self._out.line(textwrap.fill(intro, _WIDTH))
        self._out.line()

    def _begin(self, section: Section) -> None:
        self.heading(section.title, section.intro)
        if section.content:
            for line in section.content.removesuffix(b"\r\n").split(b"\r\n"):
                sent = DotWriter().encode(line)
                note = f"sent as {escape_line(sent)}" if sent != line else ""
                self._show(f"    | {escape_line(line)}", note)
            self._out.line()
        self._notes = list(section.notes)

    def _show(self, line: str, note: str, style: Style | None = None) -> None:
        """Print *line*, and *note* to its right, or in the next line if *line* is long."""
        first, *more = textwrap.wrap(note, _WIDTH - _NOTES - 2) or [""]
        line = line if first else line.rstrip()
        shown: list[Piece] = [line if style is None else (line, style)]
        if first and len(line) >= _NOTES:
            self._out.line(*shown)
            shown = [" " * _NOTES]
        elif first:
            shown.append(" " * (_NOTES - len(line)))
        self._out.line(*shown, *([(f"# {first}", Style.NOTE)] if first else []))
        for part in more:
            self._out.line(" " * _NOTES, (f"# {part}", Style.NOTE))

    def _take_note(self, line: str) -> str:
        for note in self._notes:
            if line.startswith(note[0]):
                self._notes.remove(note)
                return note[1]
        return ""

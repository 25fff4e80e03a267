"""What the commands print: in colour where a person looks, plain everywhere else."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from enum import Enum
from typing import Protocol, TextIO

from attrs import frozen


class Style(Enum):
    """How a part of a line looks in colour; the values are styles of rich."""

    GOOD = "green"
    BAD = "bold red"
    WARNING = "yellow"
    HEADING = "bold"
    NOTE = "dim"
    CLIENT = "cyan"
    SERVER = "magenta"


Piece = str | tuple[str, Style]
"""A part of a line: text, or text with its style."""


class Printer(Protocol):
    """Prints lines on one stream."""

    @property
    def in_colour(self) -> bool:
        """Whether styles show."""
        ...

    def line(self, *pieces: Piece) -> None:
        """Print *pieces* as one line. They must be printable already."""


def printer(stream: TextIO) -> Printer:
    """Return the printer for *stream*: in colour if a person looks and rich is installed."""
    if wants_colour(stream, os.environ):
        try:
            return _RichPrinter(stream)
        except ImportError:
            pass
    return _PlainPrinter(stream)


def wants_colour(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Return whether *stream* should get colours: it is a terminal that can show them, or
    FORCE_COLOR is set; NO_COLOR rules them out (no-color.org, force-color.org)."""
    if environment.get("NO_COLOR"):
        return False
    if environment.get("FORCE_COLOR"):
        return True
    return is_terminal(stream) and environment.get("TERM") != "dumb"


def is_terminal(stream: TextIO) -> bool:
    """Return whether a person may look at *stream*; False if it is closed."""
    try:
        return stream.isatty()
    except ValueError:
        return False


@frozen
class _PlainPrinter:
    _stream: TextIO
    in_colour: bool = False

    def line(self, *pieces: Piece) -> None:
        """Print the text of *pieces*."""
        text = "".join(it if isinstance(it, str) else it[0] for it in pieces)
        print(text, file=self._stream, flush=True)


class _RichPrinter:
    in_colour = True

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console  # noqa: PLC0415 - an extra, and slow to import

        self._console = Console(
            file=stream,
            force_terminal=True,
            color_system="standard" if os.environ.get("FORCE_COLOR") else "auto",
            highlight=False,
        )

    def line(self, *pieces: Piece) -> None:
        """Print *pieces* in their styles; the terminal wraps a long line."""
        from rich.text import Text  # noqa: PLC0415 - see above

        parts = (it if isinstance(it, str) else (it[0], it[1].value) for it in pieces)
        self._console.print(Text.assemble(*parts), soft_wrap=True)


def dialogue_style(side: str, text: str) -> Style:
    """Return the style of a line that *side* has sent: "C" for the client, "S" for the server."""
    if side == "S" and text.startswith(("4", "5")):
        return Style.BAD
    return {"C": Style.CLIENT, "S": Style.SERVER}.get(side, Style.NOTE)


def print_json(value: object) -> None:
    """Print *value* as one document of JSON, in ASCII."""
    print(json.dumps(value, indent=2))


def print_json_line(value: object, stream: TextIO | None = None) -> None:
    """Print *value* as JSON on one line, for streams of values."""
    print(json.dumps(value), file=sys.stdout if stream is None else stream, flush=True)

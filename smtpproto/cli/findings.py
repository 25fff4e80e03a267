"""What ``doctor``, ``probe`` and ``check`` print: findings as text, in colour, or as JSON."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

from ..delivery import ExitStatus
from ..doctor import Examination, Severity
from .command_errors import ANSWER_IS_NO
from .terminal import Piece, Style, print_json, printer

_STYLES = {
    Severity.OK: Style.GOOD,
    Severity.NOTE: Style.NOTE,
    Severity.WARNING: Style.WARNING,
    Severity.ERROR: Style.BAD,
}
_BY_WORD = {it.value: style for it, style in _STYLES.items()}
_HINTS = ("Why: ", "Do: ", "Publish: ")


def report(examination: Examination, args: argparse.Namespace) -> int:
    """Print *examination*. Return the exit status."""
    if args.json:
        print_json(examination.as_dict())
    else:
        out = printer(sys.stdout)
        for pieces in _styled(examination):
            out.line(*pieces)
    bad = [Severity.ERROR, Severity.WARNING] if args.strict else [Severity.ERROR]
    return ANSWER_IS_NO if examination.worst in bad else ExitStatus.OK


def _styled(examination: Examination) -> Iterator[list[Piece]]:
    """Yield the lines of *examination*: of its text, which is the same without styles."""
    summary, *lines = str(examination).splitlines()
    yield [(summary, _STYLES[examination.worst])]
    for line in lines:
        if line and not line.startswith(" "):
            yield [(line, Style.HEADING)]
        else:
            yield _styled_line(line)


def _styled_line(line: str) -> list[Piece]:
    """Return a line of a finding, whose severity is in columns 2 to 10 of its first line."""
    text = line.lstrip()
    indent, word = line[: len(line) - len(text)], line[2:10].rstrip()
    if len(indent) == 2 and word in _BY_WORD:
        return [indent, (word, _BY_WORD[word]), line[2 + len(word) :]]
    for hint in _HINTS:
        if text.startswith(hint):
            return [indent, (hint, Style.HEADING), text.removeprefix(hint)]
    return [line]

"""What happened in a simulation, as text: who did what at which simulated time."""

from __future__ import annotations

import linecache
from collections import Counter, deque
from pathlib import Path
from traceback import walk_tb
from types import CodeType
from typing import Any

from attrs import define, field

__all__ = ["RunTrace", "raised_in"]

_NOT_THEIRS = (str(Path(__file__).parents[1]), str(Path(linecache.__file__).parent))
_LINES = 500  # of a trace; older ones are forgotten


@define(eq=False)
class RunTrace:
    """The lines of a run, of which the last 500 are kept. ``str(trace)`` joins them."""

    lines: deque[str] = field(factory=lambda: deque(maxlen=_LINES))
    forgotten: int = 0
    """How many older lines there were."""
    _names: Counter[str] = field(factory=Counter, init=False)
    _places: dict[str, str] = field(factory=dict, init=False)

    def name(self, kind: str) -> str:
        """Return a name for the next task of a *kind*: "client 1"."""
        self._names[kind] += 1
        return f"{kind} {self._names[kind]}"

    def add(self, now: float, who: str, what: str) -> None:
        """Add a line. *now* is in seconds since the start."""
        self.forgotten += len(self.lines) == _LINES
        self.lines.append(f"{now:10.3f}  {who:<12} {what}".rstrip())

    def waits(self, now: float, who: str, coroutine: Any) -> None:
        """Add the place in the application's code where *coroutine* waits, if that is news."""
        place = _place(coroutine)
        if place and self._places.get(who) != place:
            self._places[who] = place
            self.add(now, who, f"waits in {place}")

    def __str__(self) -> str:
        older = [f"({self.forgotten} older lines)"] if self.forgotten else []
        return "\n".join([*older, *self.lines])


def raised_in(error: BaseException) -> str:
    """Return the innermost line of the application in the traceback of *error*."""
    lines = [(frame.f_code, line) for frame, line in walk_tb(error.__traceback__)]
    theirs = [one for one in lines if not one[0].co_filename.startswith(_NOT_THEIRS)]
    return _describe(*theirs[-1]) if theirs else ""


def _place(coroutine: Any) -> str:
    """Return where *coroutine* waits: the innermost line of the application."""
    place = ""
    while coroutine is not None:
        for kind, below in (("cr", "await"), ("ag", "await"), ("gi", "yieldfrom")):
            frame = getattr(coroutine, f"{kind}_frame", None)
            if frame is not None:
                if not frame.f_code.co_filename.startswith(_NOT_THEIRS):
                    place = _describe(frame.f_code, frame.f_lineno)
                coroutine = getattr(coroutine, f"{kind}_{below}")
                break
        else:
            break
    return place


def _describe(code: CodeType, line: int) -> str:
    name = code.co_qualname.rpartition("<locals>.")[2]
    text = linecache.getline(code.co_filename, line).strip()
    return f"{name}, {Path(code.co_filename).name}:{line}" + (f": {text}" if text else "")

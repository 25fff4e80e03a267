"""Memory: of idle connections (S5), and while a message arrives (S6)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import frozen

from .contenders import Contender, serving
from .generator import lanes, say_all
from .loads import by_data
from .measuring import Figures
from .processes import NotHere, Process
from .programs.messages import MEBIBYTE, big_body
from .running import Absent, Plan

AT_A_TIME = 50  # connections that are opened before the first of them is greeted


@frozen
class MemoryLoad:
    """One load: its name, its title, and the memory of a unit, of a server just started."""

    name: str
    title: str
    unit: str
    scale: float
    measure: Callable[[Process, int], float]
    mode: str = "whole"


def idle(number: int) -> MemoryLoad:
    """Return a load of *number* connections that say nothing after EHLO."""

    def measure(process: Process, port: int) -> float:
        with lanes(port, 1):  # what a first connection needs once
            before = process.resident()
        with lanes(port, number, AT_A_TIME):
            return (process.resident() - before) / number

    title = f"{number:,} idle connections"
    return MemoryLoad(f"S5 {number:,}", title, "KiB of memory per connection", 1 / 1024, measure)


def message(name: str, title: str, content: bytes, mode: str = "whole") -> MemoryLoad:
    """Return a load of one message; its memory is the most that the process has meanwhile."""

    def measure(process: Process, port: int) -> float:
        with lanes(port, 1) as opened:
            before = process.resident()
            say_all(opened, by_data(content))
            return (process.peak() - before) / len(content)

    return MemoryLoad(name, title, "memory that it takes, times its size", 1, measure, mode)


def loads() -> list[MemoryLoad]:
    """Return all loads."""
    body, lines = big_body(100 * MEBIBYTE), b"\r\n" * MEBIBYTE
    return [
        idle(1_000),
        idle(4_000),
        message("S6", "a message of 100 MiB as a whole", body),
        message("S6 sink", "a message of 100 MiB to a sink", body, "sink"),
        message("S6 empty", "2 MiB of empty lines as a whole", lines),
    ]


def smoke() -> list[MemoryLoad]:
    """Return small loads of each kind."""
    return [idle(50), message("S6", "a message of 1 MiB as a whole", big_body(MEBIBYTE))]


def run(load: MemoryLoad, contenders: Sequence[Contender], plan: Plan) -> Figures:
    """Measure the memory that *load* takes, with a new process for each contender."""
    absent = Absent()
    costs = {}
    for contender in contenders:
        with absent.noting(contender.title):
            if reason := contender.missing():
                raise NotHere(reason)
            with serving(contender, load.mode, plan.certificate) as (process, port):
                costs[contender.title] = [load.measure(process, port)]
    return Figures(load.name, load.title, load.unit, load.scale, costs, absent, absent.failed)

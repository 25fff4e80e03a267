"""Growth: whether the cost of a unit stays the same if there are more of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import evolve, frozen

from .contenders import Contender
from .generator import Lane, say_all
from .loads import ServerLoad, by_data, commands
from .measuring import Figures
from .programs.messages import LINE, MEBIBYTE
from .running import Runner


@frozen
class Growth:
    """Something that a client can send *small* or *large*."""

    title: str
    unit: str
    say: Callable[[Lane, int], None]
    small: int
    large: int

    def load(self, size: int) -> ServerLoad:
        """Return the load of something of *size* units."""

        def run(opened: Sequence[Lane], port: int, count: int) -> float:
            for _ in range(count):
                self.say(opened[0], size)
            return size * count

        title = f"{self.small:,} and {self.large:,}"
        return ServerLoad(self.title, title, self.unit, run=run, lanes=1, mode="sink")


def lines(lane: Lane, number: int) -> None:
    say_all([lane], by_data(LINE * number))


def one_line(lane: Lane, octets: int) -> None:
    say_all([lane], by_data(b"z" * octets + b"\r\n"))


def single_octets(lane: Lane, octets: int) -> None:
    (head, replies), (content, _) = by_data(LINE * (octets // len(LINE)))
    lane.say(head, replies)
    for at in range(len(content)):
        lane.send(content[at : at + 1])
    lane.wait()


def command_line(lane: Lane, octets: int) -> None:
    for _ in range(octets // 100):
        lane.send(b"z" * 100)
    lane.send(b"\r\n")
    lane.wait(codes=b"245")  # most refuse it


def recipients(lane: Lane, number: int) -> None:
    lines = commands(recipients=number)[:-1]
    lane.exchange(b"".join(lines), len(lines))
    lane.say(b"RSET\r\n")


def noops(lane: Lane, number: int) -> None:
    lane.exchange(b"NOOP\r\n" * number, number)


GROWTHS = [
    Growth("lines of a body", "line", lines, 2_000, 200_000),
    Growth("one line of a body", "octet", one_line, MEBIBYTE // 4, 16 * MEBIBYTE),
    Growth("a body in single octets", "octet", single_octets, 1_000, 20_000),
    Growth("one command line", "octet", command_line, 10_000, MEBIBYTE),
    Growth("recipients", "recipient", recipients, 100, 10_000),
    Growth("NOOP in one write", "command", noops, 1_000, 50_000),
]


def smoke() -> list[Growth]:
    """Return the same with small sizes."""
    return [evolve(growth, large=growth.small * 2) for growth in GROWTHS]


def run(growth: Growth, contenders: Sequence[Contender], runner: Runner) -> tuple[Figures, Figures]:
    """Measure the cost of a unit, small and large."""
    small = runner.run(growth.load(growth.small), contenders)
    return small, runner.run(growth.load(growth.large), contenders)

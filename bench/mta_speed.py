"""Our mail agent: in turns with Postfix, and with few and many messages in its queue.

``python -m bench --loads M1,M2,M3,M4``, with TMPDIR on a disk. Unlike other contenders, agents may
use all processors, and what counts first is how fast messages go through.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path

from attrs import field, frozen

from smtpproto.adapters.asyncio import Runtime
from smtpproto.adapters.sqlite_queue import SQLiteQueue
from smtpproto.mta.store import Queued

from .agents import POSTFIX, Agent, Sink, ours, postfix, sink
from .contenders import Contender
from .disk import probe
from .measuring import Figures
from .processes import ALL, WORKING, BenchError, find, pinned
from .programs.messages import RECIPIENT, SENDER
from .queue_speed import message
from .report import Goals, Row
from .running import Absent

CLIENTS, SIZE = 40, 4096
PROBE = "fdatasync"  # of 4 kB, one by one
SETTLING = 0.3  # seconds after the last message has arrived, until that is written down
DOMAINS = 1000  # of the recipients in a queue that was filled
SMALL = 400  # octets of a message in it
BOUNDED = "the same for 10,000 and more"  # as many recipients are in memory
LATER = 7200.0  # seconds until it is due, in M3

LOADS = ["M1", "M2", "M3", "M4"]

Start = Callable[[Path, int], AbstractContextManager[Agent]]
"""Runs an agent with its queue in a directory, which sends to a port."""


@frozen
class Amounts:
    """How much is measured."""

    rounds: int
    messages: int
    """In each round."""
    few: int
    """Messages in a queue."""
    many: int


def amounts(rounds: int, *, smoke: bool) -> Amounts:
    """Return how much to measure."""
    return Amounts(1, 40, 40, 320) if smoke else Amounts(rounds, 1000, 1000, 100_000)


@frozen
class Took:
    """What a message took, in seconds, and the memory that the agent has at the end."""

    accept: float
    through: float
    cpu: float
    memory: int = 0


@frozen
class Flow:
    """Messages of 4 kB that 40 clients send to an agent, which relays them."""

    name: str
    title: str
    options: tuple[str, ...]
    """For smtp-source."""
    goal: float
    """How many times the rates of Postfix ours are, at least."""


KEPT = Flow("M1", "40 clients, 4 kB, connections kept", ("-d",), 1.0)
EACH = Flow("M2", "40 clients, 4 kB, a connection a message", (), 0.8)


def run(load: str, contenders: Sequence[Contender], amounts: Amounts) -> Goals:
    """Measure the load called *load*."""
    match load:
        case "M1":
            return beside_postfix(KEPT, contenders, amounts)
        case "M2":
            return beside_postfix(EACH, contenders, amounts)
        case "M3":
            return while_many_wait(contenders[0], amounts)
        case _:
            return while_many_are_due(contenders[0], amounts)


# -- the loads -------------------------------------------------------------------------------------


def beside_postfix(flow: Flow, contenders: Sequence[Contender], amounts: Amounts) -> Goals:
    """Measure *flow* in turns with Postfix, and how fast the disk is meanwhile."""
    starts: dict[str, Start] = {POSTFIX: postfix}
    starts |= {one.title: partial(ours, one) for one in contenders}
    load = Measured(flow.name, flow.title)
    with on_disk() as directory:
        load.measure(flow, starts, directory, amounts, {PROBE: partial(probed, directory)})
    goal = f"at least {flow.goal}"
    return Goals(
        flow.title,
        [
            load.row("accepted", "messages a second", lambda it: it.accept, goal),
            load.row("arrived", "messages a second", lambda it: it.through, goal),
            load.row("CPU", "ms a message", lambda it: it.cpu, scale=1000),
        ],
        POSTFIX,
        [one.title for one in contenders],
    )


def while_many_wait(contender: Contender, amounts: Amounts) -> Goals:
    """Measure messages that go through while few, and while many, wait for a later time."""
    load = Measured("M3", "as M1, while others wait")
    starts: dict[str, Start] = dict.fromkeys(sizes(amounts), partial(ours, contender))
    with on_disk() as directory:
        for name, number in sizes(amounts).items():
            fill(directory / name, number, LATER)
        load.measure(KEPT, starts, directory, amounts, {})
    return growth(load, amounts)


def while_many_are_due(contender: Contender, amounts: Amounts) -> Goals:
    """Measure messages that leave a queue in which few, and many, are due."""
    load = Measured("M4", "messages that leave a queue")
    with on_disk() as directory:
        load.in_turns(
            {
                name: partial(drained, contender, directory / name, number, amounts.few)
                for name, number in sizes(amounts).items()
            },
            amounts.rounds,
        )
    return growth(load, amounts)


def sizes(amounts: Amounts) -> dict[str, int]:
    return {f"{number:,} queued": number for number in (amounts.few, amounts.many)}


def growth(load: Measured, amounts: Amounts) -> Goals:
    """Return how what a message takes grows with the queue."""
    no_more, (few, many) = "about 1", sizes(amounts)
    return Goals(
        load.title,
        [
            load.row("arrived", "messages a second", lambda it: it.through, no_more),
            load.row("CPU", "ms a message", lambda it: it.cpu, no_more, 1000),
            load.row("memory", "MiB (RSS)", lambda it: it.memory, BOUNDED, 2**-20),
        ],
        few,
        [many],
    )


# -- measuring -------------------------------------------------------------------------------------


@frozen
class Measured:
    """What came of a load."""

    name: str
    title: str
    took: dict[str, list[Took]] = field(factory=dict)
    absent: Absent = field(factory=Absent)

    def measure(
        self,
        flow: Flow,
        starts: Mapping[str, Start],
        directory: Path,
        amounts: Amounts,
        others: Mapping[str, Callable[[], Took]],
    ) -> None:
        """Run agents, each with its queue in a directory of its own, and measure *flow* for each;
        and *others*."""
        measures = dict(others)
        with ExitStack() as stack, self.absent.noting("smtp-sink"):
            to = stack.enter_context(sink())
            for name, start in starts.items():
                with self.absent.noting(name):
                    (directory / name).mkdir(exist_ok=True)
                    agent = stack.enter_context(start(directory / name, to.port))
                    measures[name] = partial(relay, agent, to, amounts.messages, flow.options)
            self.in_turns(measures, amounts.rounds)

    def in_turns(self, measures: Mapping[str, Callable[[], Took]], rounds: int) -> None:
        """Measure all in each round, after one that warms up."""
        for turn in range(rounds + 1):
            for name in [name for name in measures if name not in self.absent]:
                with self.absent.noting(name):
                    its = measures[name]()
                    if turn:
                        self.took.setdefault(name, []).append(its)
        for name in self.absent:
            self.took.pop(name, None)

    def row(
        self, what: str, unit: str, cost: Callable[[Took], float], goal: str = "", scale: float = 0
    ) -> Row:
        """Return the row of a table. Without *scale*, it is a rate."""
        costs = {
            who: spent for who, its in self.took.items() if any(spent := [cost(it) for it in its])
        }
        load, absent = f"{self.name} {what}", self.absent
        its = Figures(load, self.title, unit, scale or 1, costs, absent, absent.failed)
        return Row(its, goal, rate=not scale)


def relay(agent: Agent, to: Sink, count: int, options: Sequence[str]) -> Took:
    """Let *count* messages go through *agent*."""
    command = [str(find("smtp-source")), *options, "-s", str(CLIENTS), "-l", str(SIZE)]
    command += ["-m", str(count), "-f", SENDER, "-t", RECIPIENT, f"127.0.0.1:{agent.port}"]
    last, cpu, start = to.arrived + count, agent.cpu(), time.perf_counter()
    try:
        with pinned(ALL):
            done = subprocess.run(command, capture_output=True, timeout=WORKING, check=False)
    except subprocess.TimeoutExpired:
        raise BenchError(f"{count} messages took more than {WORKING:.0f} s") from None
    accepted = time.perf_counter() - start
    if done.returncode or done.stderr:
        raise BenchError(done.stderr.decode().strip().rpartition("\n")[2])
    to.wait(last, WORKING)
    through = time.perf_counter() - start
    time.sleep(SETTLING)
    cpu = agent.cpu() - cpu
    return Took(accepted / count, through / count, cpu / count, agent.resident())


def drained(contender: Contender, directory: Path, number: int, count: int) -> Took:
    """Fill the queue, and measure *count* messages that leave it: all, or those after the first
    ones, which leave while the agent still fills its memory."""
    fill(directory, number, 0)
    with sink() as to, ours(contender, directory, to.port) as agent:
        to.wait(6 * count if number > count else 0, WORKING)
        first, cpu, start = to.arrived, agent.cpu(), time.perf_counter()
        to.wait(min(first + count, number), WORKING)
        count, took = to.arrived - first, time.perf_counter() - start
        if number == count:
            time.sleep(SETTLING)
        cpu = agent.cpu() - cpu
        return Took(took / count, took / count, cpu / count, agent.resident())


def probed(directory: Path) -> Took:
    """Measure the disk."""
    one = 1 / probe(directory)
    return Took(one, one, 0)


@contextlib.contextmanager
def on_disk() -> Iterator[Path]:
    """Make a directory that the users of Postfix may enter, and remove it after the block."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def fill(directory: Path, number: int, due: float) -> None:
    """Bring the queue in *directory* to *number* messages, with new ones that are due after *due*
    seconds."""

    async def put() -> None:
        queue = SQLiteQueue(directory / "queue.db")
        await queue.open(Runtime())
        for at in range((await queue.stats()).messages, number, DOMAINS):
            await queue.put([new(it) for it in range(min(DOMAINS, number - at))])
        await queue.close()

    def new(domain: int) -> Queued:
        now = time.time()
        return message(SMALL, now, f"bob@d{domain}.example.net", now + due)

    directory.mkdir(exist_ok=True)
    asyncio.run(put())

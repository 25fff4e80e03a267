"""Measure a queue against the disk: ``python -m bench.queue_speed [directory [URL]]``.

The queue is in SQLite, or in the PostgreSQL database at URL, whose disk has the directory.

The probe appends 4 kB to a file and syncs it, again and again. Compare the ratios to the probe of
the same minute only: the speed of a disk differs from hour to hour.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from attrs import frozen

from smtpproto import ForwardPath, ReversePath
from smtpproto.adapters.asyncio import Runtime
from smtpproto.adapters.postgres_queue import PostgresQueue
from smtpproto.adapters.sqlite_queue import SQLiteQueue
from smtpproto.mta.queue import Delivery, Message, make_id
from smtpproto.mta.settlement import Done, Fate, Settlement
from smtpproto.mta.store import Queued, QueueStore

from .disk import probe

ROUNDS = 5
DONE = Done(Fate.RELAYED)


@frozen(kw_only=True)
class Load:
    """Messages of *size* octets, *number* in each round, in groups of *group*."""

    number: int
    size: int
    group: int
    alone: bool = False
    """Whether each message is put by itself, by as many tasks as a group has."""


LOADS = {
    "4 kB, groups of 32": Load(number=1024, size=4096, group=32),
    "4 kB, 32 tasks": Load(number=1024, size=4096, group=32, alone=True),
    "4 kB, 1 task": Load(number=64, size=4096, group=1),
    "100 kB, groups of 32": Load(number=256, size=102_400, group=32),
}


@frozen
class Rates:
    """What one round took."""

    probe: float
    enqueue: float
    whole: float
    cpu: float
    """Milliseconds of CPU time for each message, for all that is done with it."""


def message(
    size: int, now: float, recipient: str = "bob@example.net", due: float | None = None
) -> Queued:
    """Return a new message. It is *due* now, if it is not given."""
    name = make_id(now, os.urandom(10))
    return Queued(
        message=Message(
            id=name, sender=ReversePath.of("ann@example.org"), size=size, arrived=now,
            expires=now + 1e5,
        ),
        deliveries=(
            Delivery(
                message=name, number=0, recipient=ForwardPath.of(recipient),
                due=now if due is None else due,
            ),
        ),
        content=(b"x" * 76 + b"\r\n") * (size // 78) + b"x" * (size % 78),
    )  # fmt: skip


async def enqueue(queue: QueueStore, load: Load, messages: list[Queued]) -> None:
    """Put *messages* into the queue as *load* says."""
    if not load.alone:
        for start in range(0, len(messages), load.group):
            await queue.put(messages[start : start + load.group])
        return
    rest = iter(messages)

    async def put_some() -> None:
        for one in rest:
            await queue.put([one])

    await asyncio.gather(*(put_some() for _ in range(load.group)))


async def drain(queue: QueueStore, load: Load, now: float) -> None:
    """Claim, read and finish all that is in the queue."""
    while claims := await queue.claim(now + 1, load.group, lambda it: it.due + 60):
        settlements = []
        for claim in claims:
            content = await queue.content(claim.message)
            if not isinstance(content, bytes):
                content.read()  # type: ignore[union-attr]  # a file
            settlements += [Settlement(delivery=it, decision=DONE) for it in claim.deliveries]
        await queue.settle(settlements, now)


async def measure(queue: QueueStore, load: Load, directory: Path) -> Rates:
    """Return the rates of one round."""
    now = time.time()
    messages = [message(load.size, now) for _ in range(load.number)]
    probed = probe(directory)
    cpu, start = time.process_time(), time.perf_counter()
    await enqueue(queue, load, messages)
    middle = time.perf_counter()
    await drain(queue, load, now)
    end = time.perf_counter()
    cpu = (time.process_time() - cpu) * 1000 / load.number
    return Rates(
        (probed + probe(directory)) / 2, load.number / (middle - start),
        load.number / (end - start), cpu,
    )  # fmt: skip


async def main(directory: Path, url: str = "") -> None:
    """Measure all loads, and print the medians."""
    columns = ("probe/s", "enqueue/s", "x probe", "whole/s", "x probe", "CPU ms")
    print(" " * 22 + "".join(f"{column:>11}" for column in columns))
    for name, load in LOADS.items():
        with tempfile.TemporaryDirectory(dir=directory) as place:
            queue = PostgresQueue(url) if url else SQLiteQueue(Path(place) / "queue.db")
            await queue.open(Runtime())
            rounds = [await measure(queue, load, directory) for _ in range(ROUNDS)]
            await queue.close()
        probed, put, whole, cpu = (
            statistics.median(getattr(it, which) for it in rounds)
            for which in ("probe", "enqueue", "whole", "cpu")
        )
        print(
            f"{name:22}{probed:11.0f}{put:11.0f}{put / probed:11.1f}{whole:11.0f}"
            f"{whole / probed:11.1f}{cpu:11.3f}"
        )


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1] if len(sys.argv) > 1 else "."), *sys.argv[2:3]))

"""Queues for tests, used from a thread that blocks."""

from __future__ import annotations

from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from smtpproto.adapters.blocking import Runtime, run
from smtpproto.adapters.sqlite_queue import SQLiteQueue
from smtpproto.mta.queue import Delivery
from smtpproto.mta.queue_limits import QueueLimits
from smtpproto.mta.settlement import Done, Fate, Settlement
from smtpproto.mta.store import Claim, Entry, QueueStore, Selection
from smtpproto.testing.queue_contract import NOW

T = TypeVar("T")
LIMITS = QueueLimits(reserve=0)
ALL = Selection()


@contextmanager
def open_queue(path: Path, limits: QueueLimits = LIMITS) -> Iterator[SQLiteQueue]:
    queue = SQLiteQueue(path, limits)
    do(queue.open(Runtime()))
    try:
        yield queue
    finally:
        do(queue.close())


def do(operation: Coroutine[Any, Any, T]) -> T:
    return run(operation)


def due(delivery: Delivery) -> float:
    return NOW + 1000


def claim(queue: QueueStore, limit: int = 100) -> Sequence[Claim]:
    return do(queue.claim(NOW, limit, due))


def names(found: Sequence[Claim] | Sequence[Entry]) -> list[str]:
    return [it.message.id for it in found]


def relayed(claims: Sequence[Claim]) -> list[Settlement]:
    """Return the settlements that end all deliveries of *claims*."""
    done = Done(Fate.RELAYED)
    return [Settlement(delivery=it, decision=done) for one in claims for it in one.deliveries]

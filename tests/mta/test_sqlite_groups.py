"""Many users of one SQLite queue: groups, cancellation, threads, and what each claim costs."""

from __future__ import annotations

import asyncio
import functools
import gc
import io
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import IO, Any, TypeVar

import pytest
import trio
from attrs import evolve

from smtpproto.adapters import asyncio as on_asyncio
from smtpproto.adapters import blocking as on_sockets
from smtpproto.adapters import sqlite_queue
from smtpproto.adapters import trio as on_trio
from smtpproto.adapters.sqlite_queue import SQLiteQueue
from smtpproto.adapters.sqlite_schema import connect, lock
from smtpproto.mta.queue import Delivery
from smtpproto.ports import Runtime
from smtpproto.testing.queue_contract import NOW, make_queued

from ..support.queues import ALL, LIMITS, claim, do, due, names, open_queue, relayed
from .test_sqlite_failures import Faulty, faulty

__all__ = ["faulty"]  # a fixture


class Gate:
    """Makes the writer wait within a claim until it is opened."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()

    def due(self, delivery: Delivery) -> float:
        self.reached.set()
        assert self.opened.wait(30)
        return NOW + 1000


@pytest.mark.parametrize("name", ["asyncio", "trio", "blocking"])
def test_the_queue_works_on_every_runtime(tmp_path: Path, name: str) -> None:
    async def use(runtime: Runtime) -> None:
        queue = SQLiteQueue(tmp_path / "queue.db", LIMITS)
        await queue.open(runtime)
        queued = make_queued("a", content=b"x" * 100_000)
        await queue.put([queued])
        claims = await queue.claim(NOW, 10, due)
        source: Any = await queue.content(queued.message)
        assert source.read() == queued.content
        await queue.settle(relayed(claims), NOW)
        assert await queue.find(ALL) == []
        await queue.close()

    match name:
        case "asyncio":
            asyncio.run(use(on_asyncio.Runtime()))
        case "trio":
            trio.run(use, on_trio.Runtime())
        case _:
            on_sockets.run(use(on_sockets.Runtime()))


Test = TypeVar("Test", bound=Callable[..., Coroutine[Any, Any, None]])


def asynchronous(test: Test) -> Callable[..., None]:
    """Run *test* under asyncio."""

    @functools.wraps(test)
    def run(*arguments: Any, **fixtures: Any) -> None:
        asyncio.run(test(*arguments, **fixtures))

    return run


async def until(event: threading.Event) -> None:
    while not event.is_set():
        await asyncio.sleep(0)


@asynccontextmanager
async def busy_queue(path: Path) -> AsyncIterator[tuple[SQLiteQueue, Gate, asyncio.Task[Any]]]:
    """A queue whose writer is busy with a claim of the message a, until the gate is opened."""
    queue, gate = SQLiteQueue(path, LIMITS), Gate()
    await queue.open(on_asyncio.Runtime())
    await queue.put([make_queued("a")])
    claiming = asyncio.create_task(queue.claim(NOW, 1, gate.due))
    await until(gate.reached)
    try:
        yield queue, gate, claiming
    finally:
        gate.opened.set()
        await queue.close()


@asynchronous
async def test_what_gathers_while_the_writer_is_busy_costs_one_sync(
    tmp_path: Path, faulty: type[Faulty]
) -> None:
    async with busy_queue(tmp_path / "queue.db") as (queue, gate, claiming):
        faulty.executed.clear()
        puts = [queue.put([make_queued(f"m{number}")]) for number in range(20)]
        tasks = [asyncio.create_task(put) for put in puts]
        await asyncio.sleep(0)
        gate.opened.set()
        await asyncio.gather(*tasks, claiming)
        assert faulty.executed.count("COMMIT") == 2
        assert len(await queue.find(ALL)) == 21


@asynchronous
async def test_one_call_of_a_group_that_is_refused_does_not_disturb_the_others(
    tmp_path: Path,
) -> None:
    async with busy_queue(tmp_path / "queue.db") as (queue, gate, claiming):
        puts = [queue.put([make_queued(f"x{name}"), make_queued(name)]) for name in "bac"]
        tasks = [asyncio.create_task(put) for put in puts]
        await asyncio.sleep(0)
        gate.opened.set()
        results = await asyncio.gather(*tasks, claiming, return_exceptions=True)
        assert [type(it) for it in results[:3]] == [type(None), ValueError, type(None)]
        assert names(await queue.find(ALL)) == ["a", "xb", "b", "xc", "c"]


@asynchronous
async def test_deliveries_whose_claimer_was_cancelled_wait_again(tmp_path: Path) -> None:
    async with busy_queue(tmp_path / "queue.db") as (queue, gate, claiming):
        claiming.cancel()
        await asyncio.wait([claiming])
        gate.opened.set()
        await queue.put([make_queued("b", due=NOW + 1)])  # after the claim, whatever it did
        claims = next(filter(None, [await queue.claim(NOW, 1, due) for _ in range(100)]))
        assert [it.attempts for it in claims[0].deliveries] == [1]


@asynchronous
async def test_a_put_that_is_cancelled_before_it_begins_is_left_out(tmp_path: Path) -> None:
    async with busy_queue(tmp_path / "queue.db") as (queue, gate, claiming):
        body = queue.body()
        await body.write(bytes(2_000_000))
        queued = evolve(make_queued("b", content=bytes(2_000_000)), content=body)
        putting = asyncio.create_task(queue.put([queued]))
        while body._number is not None:  # type: ignore[attr-defined]  # until it is with the writer
            await asyncio.sleep(0)
        putting.cancel()
        await asyncio.wait([putting])
        gate.opened.set()
        await claiming
        assert names(await queue.find(ALL)) == ["a"]
    assert [*(tmp_path / "queue.db.bodies").iterdir()] == []


@asynchronous
async def test_a_content_given_up_while_a_thread_writes_it_is_deleted_when_that_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, was_closed = Gate(), list[bool]()

    def slow(file: io.FileIO, octets: bytes) -> None:
        gate.due(None)  # type: ignore[arg-type]
        was_closed.append(file.closed)

    monkeypatch.setattr("smtpproto.adapters.sqlite_body.write_all", slow)
    queue = SQLiteQueue(tmp_path / "q.db", LIMITS)
    await queue.open(on_asyncio.Runtime())
    body = queue.body()
    writing = asyncio.create_task(body.write(bytes(2_000_000)))
    await until(gate.reached)
    writing.cancel()
    await asyncio.wait([writing])
    await body.discard()
    gate.opened.set()
    while [*(tmp_path / "q.db.bodies").iterdir()]:
        await asyncio.sleep(0)
    await queue.close()
    assert was_closed == [False]


@asynchronous
async def test_a_queue_whose_opening_was_cancelled_is_closed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, runtime = Gate(), on_asyncio.Runtime()

    def slow(path: Path) -> IO[bytes]:
        gate.reached.set()
        assert gate.opened.wait(30)
        return lock(path)

    with monkeypatch.context() as slowed:
        slowed.setattr(sqlite_queue, "lock", slow)
        opening = asyncio.create_task(SQLiteQueue(tmp_path / "q.db", LIMITS).open(runtime))
        await until(gate.reached)
    opening.cancel()
    gate.opened.set()
    await asyncio.wait([opening])
    assert opening.cancelled()
    queue = SQLiteQueue(tmp_path / "q.db", LIMITS)
    await queue.open(runtime)
    await queue.close()


def test_threads_may_use_the_queue_at_the_same_time(tmp_path: Path) -> None:
    with open_queue(tmp_path / "queue.db") as queue:

        def work(thread: int) -> int:
            for number in range(10):
                do(queue.put([make_queued(f"{thread}-{number}")]))
            done = 0
            while claims := claim(queue, 3):
                do(queue.settle(relayed(claims), NOW))
                done += sum(len(it.deliveries) for it in claims)
            return done

        with ThreadPoolExecutor(6) as pool:
            assert sum(pool.map(work, range(6))) == 60
        assert do(queue.find(ALL)) == []


def test_nothing_is_remembered_of_what_has_been_settled(tmp_path: Path) -> None:
    with open_queue(tmp_path / "queue.db") as queue:
        do(queue.put([make_queued(f"m{number}", f"x@d{number}.test") for number in range(9)]))
        assert queue._open is not None
        tables, leased = queue._open.writer.tables, queue._open.writer.leased
        claims = claim(queue)
        assert len(leased) == 9
        assert tables is not None
        assert tables.connection.execute("SELECT * FROM lane").fetchall() == []
        do(queue.settle(relayed(claims), NOW))
        assert leased == {}


def test_a_claim_does_not_keep_the_log_in_use(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    gc.disable()
    try:
        with open_queue(path) as queue, closing(connect(path)) as other:
            for number in range(9):
                recipients = (f"{name}@d{number}.test" for name in "xyz")
                do(queue.put([make_queued(f"m{number}", *recipients, due=NOW - number)]))
            assert len(claim(queue, 1)) == 1
            other.execute("PRAGMA busy_timeout = 0")
            (busy, *_) = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            assert not busy
    finally:
        gc.enable()


def test_many_lanes_that_a_claim_passes_over_are_not_in_the_way_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smtpproto.adapters.sqlite_claims.EXCLUDED_LANES", 10)
    asked: list[str] = []

    def pass_over(domain: str, origin: str) -> bool:
        asked.append(domain)
        return domain != "live.test"

    with open_queue(tmp_path / "queue.db") as queue:
        do(queue.put([make_queued(f"m{number}", f"x@d{number}.test") for number in range(30)]))
        do(queue.put([make_queued("live", "x@live.test", due=NOW)]))
        assert do(queue.next_due(pass_over=pass_over)) is not None
        asked.clear()
        claims = do(queue.claim(NOW, 30, due, pass_over=pass_over))
        assert len(asked) == 10
        assert len(claims) == 21 and claims[-1].message.id == "live"

"""A fault at any step of the database or of a file: what was confirmed is there, no more."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
from attrs import evolve

from smtpproto.adapters import segments, sqlite_body
from smtpproto.adapters.sqlite_queue import SQLiteQueue
from smtpproto.errors import QueueFailed
from smtpproto.mta.queue import State
from smtpproto.mta.queue_limits import QueueLimits
from smtpproto.mta.settlement import Decision, Done, Fate, Later, Settlement
from smtpproto.mta.store import Queued, Selection
from smtpproto.testing.queue_contract import NOW, make_queued
from smtpproto.testing.queue_model import QueueModel

from ..support.queues import ALL, do, due, open_queue

T = TypeVar("T")
LIMITS = QueueLimits(reserve=0, row=100, spool=1000)


def io_error() -> Exception:
    return sqlite3.OperationalError("disk I/O error")


def full_database() -> Exception:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorname = "SQLITE_FULL"
    return error


class Faults:
    """Counts the steps of the database and of files; from *at* on, *length* of them fail."""

    def __init__(
        self, database: Callable[[], Exception], file: int, length: int, at: int | None = None
    ) -> None:
        self.database, self.file, self.length, self.at = database, file, length, at
        self.steps, self.enabled = 0, False

    def fails(self) -> bool:
        if not self.enabled:
            return False
        self.steps += 1
        return self.at is not None and self.at < self.steps <= self.at + self.length

    def of_file(self, function: Callable[..., T]) -> Callable[..., T]:
        def call(*arguments: Any) -> T:
            if self.fails():
                if len(arguments) == 2:  # a write, which leaves half of the octets
                    function(arguments[0], arguments[1][: len(arguments[1]) // 2])
                raise OSError(self.file, "injected")
            return function(*arguments)

        return call

    @contextmanager
    def injected(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        faults = self

        class Connection(sqlite3.Connection):
            def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
                if faults.fails():
                    raise faults.database()
                if statement.startswith("PRAGMA synchronous"):
                    statement = "PRAGMA synchronous = OFF"  # the test is quicker
                return super().execute(statement, *values)

            def executemany(self, statement: str, *values: Any) -> sqlite3.Cursor:
                if faults.fails():
                    raise faults.database()
                return super().executemany(statement, *values)

            def executescript(self, script: str) -> sqlite3.Cursor:
                if faults.fails():
                    raise faults.database()
                return super().executescript(script.replace("FULL;", "OFF;"))

        with monkeypatch.context() as patched:
            patched.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Connection))
            patched.setattr(segments, "sync_file", self.of_file(lambda _: None))
            patched.setattr(segments, "sync_directory", self.of_file(lambda _: None))
            patched.setattr(segments, "write_all", self.of_file(segments.write_all))
            patched.setattr(sqlite_body, "sync_file", segments.sync_file)
            patched.setattr(sqlite_body, "write_all", segments.write_all)
            yield


class Work:
    """Does the same to a queue and to the model: to the model only what the queue confirmed."""

    def __init__(self, queue: SQLiteQueue) -> None:
        self.queue, self.model = queue, QueueModel()
        self.failed = 0

    def attempt(self, operation: Coroutine[Any, Any, T], confirmed: Callable[[], Any]) -> T | None:
        try:
            result = do(operation)
        except QueueFailed:
            self.failed += 1
            return None
        expected = confirmed()
        assert expected is None or expected == result
        return result

    def put(self, name: str, size: int) -> None:
        queued = make_queued(name, f"x@{name}.test", "y@two.test", content=name.encode() * size)
        self.attempt(self.queue.put([queued]), lambda: self.model.put([queued]))

    def put_in_pieces(self, name: str, size: int) -> None:
        queued = make_queued(name, content=name.encode() * size)

        async def put() -> None:
            body = self.queue.body()
            try:
                await body.write(name.encode() * (size // 2))
                await body.write(name.encode() * (size // 2))
                await self.queue.put([evolve(queued, content=body)])
            finally:
                await body.discard()

        self.attempt(put(), lambda: self.model.put([queued]))

    def claim(self, limit: int) -> None:
        claiming = self.queue.claim(NOW, limit, due)
        self.attempt(claiming, lambda: self.model.claim(NOW, limit, due))

    def settle(self, new: list[Queued]) -> None:
        decisions: list[Decision] = [Done(Fate.RELAYED), Later(due=NOW)]
        leased = self.model.deliveries(State.LEASED)
        settlements = [
            Settlement(delivery=it, decision=decision)
            for it, decision in zip(leased, decisions, strict=False)
        ]
        self.attempt(
            self.queue.settle(settlements, NOW, new),
            lambda: self.model.settle(settlements, NOW, new),
        )

    def change(self, what: str, selection: Selection, value: Any) -> None:
        changing = getattr(self.queue, what)(selection, value)
        self.attempt(changing, lambda: getattr(self.model, what)(selection, value))

    def do_all(self) -> None:
        self.put("a", 10)
        self.put("b", 300)
        self.put_in_pieces("c", 4000)
        self.claim(3)
        self.settle([make_queued("r")])
        self.change("hold", Selection(id="b"), "why")
        self.change("drop", Selection(id="c"), NOW)
        self.put("d", 300)
        self.change("release", ALL, NOW)
        self.claim(1)

    def check(self, queue: SQLiteQueue) -> None:
        """Check that in the queue is what was confirmed, and that it works."""
        found = do(queue.find(ALL, 1000))
        assert [*found] == self.model.find(ALL, 1000)
        for entry in found:
            source: Any = do(queue.content(entry.message))
            content = source if isinstance(source, bytes) else source.read()
            assert content == self.model.record(entry.message.id).content
        claims = do(queue.claim(NOW, 100, due))
        assert [*claims] == self.model.claim(NOW, 100, due)


def run(path: Path, faults: Faults, monkeypatch: pytest.MonkeyPatch) -> int:
    """Do the work with *faults*, and check what is left. Return how many steps it took."""
    with faults.injected(monkeypatch):
        with open_queue(path, LIMITS) as queue:
            work = Work(queue)
            faults.enabled = True
            work.do_all()
            faults.enabled = False
            assert faults.at is not None or not work.failed
            work.check(queue)
        with open_queue(path, LIMITS) as queue:
            work.model.reopen()
            work.check(queue)
            needed = [it for it in work.model.records if it.deliveries and len(it.content) > 100]
            files = [*(path.parent / f"{path.name}.bodies").iterdir()]
            assert len(files) <= len(needed)
    return faults.steps


KINDS = {
    "error": (io_error, errno.EIO),
    "full": (full_database, errno.ENOSPC),
}


@pytest.mark.parametrize(
    ("kind", "length", "stride"),
    [
        ("error", 1, 9),
        ("full", 3, 9),
        *(
            pytest.param(kind, length, 1, marks=pytest.mark.soak)
            for kind in KINDS
            for length in (1, 3, 1000)
        ),
    ],
)
def test_after_a_fault_at_any_step_the_queue_has_what_was_confirmed_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, length: int, stride: int
) -> None:
    steps = run(tmp_path / "whole", Faults(*KINDS[kind], length), monkeypatch)
    for at in range(0, steps, stride):
        faults = Faults(*KINDS[kind], length, at)
        try:
            run(tmp_path / f"{at}.db", faults, monkeypatch)
        except BaseException as error:
            error.add_note(f"with a fault at step {at}")
            raise

"""What an SQLite queue does when a write fails: it says so, and believes nothing."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest
from attrs import evolve

from smtpproto.adapters import segments, sqlite_body
from smtpproto.errors import QueueFailed, QueueFull
from smtpproto.mta.queue_limits import QueueLimits
from smtpproto.testing.queue_contract import NOW, make_queued

from ..support.queues import ALL, claim, do, names, open_queue, relayed

LARGE = b"x" * 100_000


class Faulty(sqlite3.Connection):
    """A connection that notes what it executes, and fails where it is told to."""

    opened: ClassVar[list[Faulty]] = []
    executed: ClassVar[list[str]] = []
    fails: ClassVar[str | tuple[str, ...]] = ()

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.opened.append(self)

    def close(self) -> None:
        self.opened.remove(self)
        super().close()

    def execute(self, statement: str, *parameters: Any) -> sqlite3.Cursor:
        self.executed.append(statement)
        if statement.startswith(self.fails):
            raise sqlite3.OperationalError("disk I/O error")
        return super().execute(statement, *parameters)


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> type[Faulty]:
    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Faulty))
    monkeypatch.setattr(Faulty, "opened", [])
    monkeypatch.setattr(Faulty, "executed", [])
    monkeypatch.setattr(Faulty, "fails", ())
    return Faulty


def failing(code: int) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


@pytest.mark.parametrize("statement", ["BEGIN", "INSERT INTO message", "COMMIT"])
def test_after_a_failed_write_the_queue_is_checked_and_goes_on(
    tmp_path: Path, faulty: type[Faulty], statement: str
) -> None:
    with open_queue(tmp_path / "queue.db") as queue:
        do(queue.put([make_queued("leased")]))
        leased = claim(queue)
        faulty.fails = statement
        with pytest.raises(QueueFailed, match="disk I/O error"):
            do(queue.put([make_queued("failed")]))
        assert (tmp_path / "queue.db-wal").stat().st_size == 0  # where the next process would look
        faulty.fails = ()
        do(queue.put([make_queued("next")]))
        assert names(do(queue.find(ALL))) == ["leased", "next"]
        assert names(claim(queue)) == ["next"]
        do(queue.settle(relayed(leased), NOW))
        assert names(do(queue.find(ALL))) == ["next"]


def test_a_claim_that_failed_leases_nothing(tmp_path: Path, faulty: type[Faulty]) -> None:
    with open_queue(tmp_path / "queue.db") as queue:
        do(queue.put([make_queued("a")]))
        faulty.fails = "COMMIT"
        with pytest.raises(QueueFailed):
            claim(queue)
        faulty.fails = ()
        assert names(claim(queue)) == ["a"]


def test_a_queue_that_cannot_be_opened_again_fails_until_it_can(
    tmp_path: Path, faulty: type[Faulty]
) -> None:
    with open_queue(tmp_path / "queue.db") as queue:
        for statement in ("PRAGMA wal_checkpoint", "PRAGMA user_version", "PRAGMA wal_checkpoint"):
            faulty.fails = ("COMMIT", statement)
            with pytest.raises(QueueFailed):
                do(queue.put([make_queued("a")]))
        faulty.fails = ()
        do(queue.put([make_queued("a")]))


def test_large_contents_are_synced_before_the_rows_that_point_to_them(
    tmp_path: Path, faulty: type[Faulty], monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = segments.sync_file

    def noted(descriptor: int) -> None:
        sync(descriptor)
        faulty.executed.append("SYNC")

    with open_queue(tmp_path / "queue.db") as queue:
        monkeypatch.setattr(segments, "sync_file", noted)
        faulty.executed.clear()
        do(queue.put([make_queued("a", content=LARGE), make_queued("b", content=LARGE)]))
        order = [it for it in faulty.executed if it in ("SYNC", "COMMIT", "BEGIN IMMEDIATE")]
        assert order == ["BEGIN IMMEDIATE", "SYNC", "COMMIT"]


def test_only_claims_are_written_without_a_sync(tmp_path: Path, faulty: type[Faulty]) -> None:
    with open_queue(tmp_path / "queue.db") as queue:
        faulty.executed.clear()
        do(queue.put([make_queued("a")]))
        leased = claim(queue)
        do(queue.settle(relayed(leased), NOW))
        order = [it for it in faulty.executed if "synchronous" in it or it == "COMMIT"]
        normal, full = "PRAGMA synchronous = NORMAL", "PRAGMA synchronous = FULL"
        assert order == ["COMMIT", normal, "COMMIT", full, "COMMIT"]


@pytest.mark.parametrize(("code", "error"), [(errno.EIO, QueueFailed), (errno.ENOSPC, QueueFull)])
@pytest.mark.parametrize("function", ["sync_file", "write_all", "sync_directory"])
def test_a_content_that_cannot_be_written_is_refused_and_its_file_used_no_more(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    error: type[QueueFailed],
    function: str,
) -> None:
    with open_queue(tmp_path / "queue.db") as queue:
        with monkeypatch.context() as broken:
            broken.setattr(segments, function, failing(code))
            with pytest.raises(QueueFailed) as failed:
                do(queue.put([make_queued("a", content=LARGE)]))
        assert type(failed.value) is error
        queued = make_queued("a", content=LARGE)
        do(queue.put([queued]))
        assert (tmp_path / "queue.db.bodies" / "000000000002.seg").stat().st_size == len(LARGE)
        source: Any = do(queue.content(queued.message))
        assert source.read() == LARGE


@pytest.mark.parametrize(("code", "error"), [(errno.EIO, QueueFailed), (errno.ENOSPC, QueueFull)])
def test_a_content_in_pieces_that_cannot_be_written_is_refused_and_its_file_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, error: type[QueueFailed]
) -> None:
    with open_queue(tmp_path / "queue.db") as queue:
        body = queue.body()
        do(body.write(bytes(2_000_000)))
        monkeypatch.setattr(sqlite_body, "write_all", failing(code))
        with pytest.raises(QueueFailed) as failed:
            do(body.write(bytes(2_000_000)))
        assert type(failed.value) is error
        do(body.discard())
        assert [*(tmp_path / "queue.db.bodies").iterdir()] == []


def test_messages_do_not_use_the_reserve_of_the_disk_and_reports_may(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    with open_queue(tmp_path / "queue.db") as queue:
        do(queue.put([make_queued("a")]))
    with open_queue(tmp_path / "queue.db", QueueLimits(reserve=free * 2)) as queue:
        with pytest.raises(QueueFull, match="are kept free"):
            do(queue.put([make_queued("b")]))
        with pytest.raises(QueueFull, match="are kept free"):
            do(queue.body().write(bytes(2_000_000)))
        do(queue.settle(relayed(claim(queue)), NOW, [make_queued("report")]))
        assert names(do(queue.find(ALL))) == ["report"]


def test_the_file_of_a_content_whose_message_is_refused_is_deleted(tmp_path: Path) -> None:
    with open_queue(tmp_path / "queue.db") as queue:
        do(queue.put([make_queued("a")]))
        body = queue.body()
        do(body.write(bytes(2_000_000)))
        queued = make_queued("a", content=bytes(2_000_000))
        with pytest.raises(ValueError, match="id is in the queue already"):
            do(queue.put([evolve(queued, content=body)]))
        assert [*(tmp_path / "queue.db.bodies").iterdir()] == []


def test_a_full_database_refuses_messages_and_takes_them_again_when_there_is_room(
    tmp_path: Path, faulty: type[Faulty], caplog: pytest.LogCaptureFixture
) -> None:
    def limit(pages: int) -> None:
        for connection in faulty.opened:
            with contextlib.suppress(sqlite3.ProgrammingError):  # closed
                connection.execute(f"PRAGMA max_page_count = {pages}")

    with open_queue(tmp_path / "queue.db") as queue:
        limit(100)
        inside: list[str] = []
        with pytest.raises(QueueFull, match=r"disk of the queue .* is full"):
            while True:
                name = f"m{len(inside)}"
                do(queue.put([make_queued(name, content=b"x" * 10_000)]))
                inside.append(name)
        assert len(inside) > 10
        assert names(do(queue.find(ALL))) == inside
        leased = claim(queue)
        assert names(leased) == inside
        do(queue.settle(relayed(leased), NOW))
        do(queue.put([make_queued("next", content=b"x" * 10_000)]))
        assert names(do(queue.find(ALL))) == ["next"]


def test_what_was_appended_before_a_failed_write_is_synced_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    files = segments.Segments(tmp_path / "bodies")
    files.start(())
    first, start = files.append(b"first")
    with monkeypatch.context() as broken:
        broken.setattr(segments, "write_all", failing(errno.ENOSPC))
        broken.setattr(segments, "sync_file", synced.append)
        with pytest.raises(OSError, match="space"):
            files.append(b"second")
    assert len(synced) == 1
    assert files.candidates == {first}
    assert files.append(b"third") == (first + 1, 0)
    assert segments.FileSlice(files.path(first), start, 5).read() == b"first"
    files.abandon()


def test_a_content_in_a_file_cannot_be_put_twice(tmp_path: Path) -> None:
    with open_queue(tmp_path / "queue.db") as queue:
        body = queue.body()
        do(body.write(bytes(2_000_000)))
        for name in "ab":
            queued = evolve(make_queued(name, content=bytes(2_000_000)), content=body)
            if name == "a":
                do(queue.put([queued]))
            else:
                with pytest.raises(ValueError, match="passed to put"):
                    do(queue.put([queued]))
                with pytest.raises(ValueError, match="passed to put"):
                    do(body.write(b"more"))
        assert names(do(queue.find(ALL))) == ["a"]

"""A queue in an SQLite database, looked at and changed while another process works on it."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from smtpproto.adapters.sqlite_control import SQLiteControl
from smtpproto.errors import QueueFailed
from smtpproto.mta.queue import State
from smtpproto.mta.store import Selection
from smtpproto.testing.queue_contract import NOW, make_queued
from tests.support.queues import ALL, claim, do, names, open_queue, relayed

LARGE = b"x" * 40_000


def octets(content: Any) -> bytes:
    return content if isinstance(content, bytes) else b"".join(content)


def test_what_the_other_process_has_written_is_seen(tmp_path: Path) -> None:
    with open_queue(tmp_path / "q") as queue, SQLiteControl(tmp_path / "q") as control:
        do(queue.put([make_queued("a"), make_queued("b", content=LARGE)]))
        assert names(control.find(ALL)) == ["a", "b"]
        assert control.stats() == do(queue.stats())
        for entry in control.find(ALL):
            expected = octets(do(queue.content(entry.message)))
            assert octets(control.content(entry.message)) == expected


def test_a_change_is_seen_by_the_process_that_works_on_the_queue(tmp_path: Path) -> None:
    with open_queue(tmp_path / "q") as queue, SQLiteControl(tmp_path / "q") as control:
        do(queue.put([make_queued("a"), make_queued("b"), make_queued("c", due=NOW + 500)]))
        assert control.hold(Selection(id="a"), "wait") == 1
        assert control.drop(Selection(id="b")) == 1
        assert claim(queue) == []
        assert control.retry(Selection(id="c")) == 1
        assert control.release(Selection(id="a")) == 1
        assert do(queue.next_due()) is not None
        assert [it.deliveries[0].state for it in do(queue.find(ALL))] == [State.WAITING] * 2


def test_the_process_that_works_on_the_queue_is_told_of_a_change_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smtpproto.adapters.call_groups._LOOK", 0.01)
    told: SimpleQueue[int] = SimpleQueue()
    with open_queue(tmp_path / "q") as queue, SQLiteControl(tmp_path / "q") as control:
        queue.watch(lambda: told.put(control.stats().deliveries.get(State.HELD, 0)))
        do(queue.put([make_queued("a")]))
        claims = claim(queue)
        do(queue.put([make_queued("b")]))
        do(queue.settle(relayed(claims), NOW))
        for held in (1, 0):
            control.hold(ALL, "wait") if held else control.release(ALL)
            assert told.get(timeout=60) == held
    assert told.empty()  # nothing was told of what it did itself


def test_a_queue_goes_on_if_what_watches_it_raises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("smtpproto.adapters.call_groups._LOOK", 0.01)
    called = threading.Event()

    def fail() -> None:
        called.set()
        raise LookupError

    with open_queue(tmp_path / "q") as queue, SQLiteControl(tmp_path / "q") as control:
        do(queue.put([make_queued("a")]))
        queue.watch(fail)
        assert control.hold(ALL, "wait") == 1
        assert called.wait(60)
        do(queue.put([make_queued("b")]))
    assert "what watches the queue" in caplog.text


def test_a_delivery_that_the_other_process_has_in_hand_is_not_changed(tmp_path: Path) -> None:
    with open_queue(tmp_path / "q") as queue, SQLiteControl(tmp_path / "q") as control:
        do(queue.put([make_queued("a")]))
        claims = claim(queue)
        assert control.hold(ALL, "wait") == control.retry(ALL) == control.drop(ALL) == 0
        do(queue.settle(relayed(claims), NOW))
        assert control.find(ALL) == []


def test_dropping_a_message_while_others_of_it_are_in_hand_leaves_them(tmp_path: Path) -> None:
    with open_queue(tmp_path / "q") as queue, SQLiteControl(tmp_path / "q") as control:
        do(queue.put([make_queued("a", "x@a.test", "y@b.test", content=LARGE)]))
        claims = claim(queue, 1)
        assert control.drop(ALL) == 1
        assert do(queue.content(claims[0].message)) is not None
        do(queue.settle(relayed(claims), NOW))
        assert names(do(queue.find(ALL))) == []


def test_a_queue_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(QueueFailed, match="there is no queue at"):
        SQLiteControl(tmp_path / "q")
    assert list(tmp_path.iterdir()) == []


def test_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "q")
    connection.execute("CREATE TABLE a (b)")
    connection.close()
    with pytest.raises(QueueFailed, match="not a queue"):
        SQLiteControl(tmp_path / "q")


def test_an_empty_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "q").touch()
    with pytest.raises(QueueFailed, match="older version"):
        SQLiteControl(tmp_path / "q")

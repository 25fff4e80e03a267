"""Opening a queue in SQLite: whose it is, and whether it is whole."""

from __future__ import annotations

import logging
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from smtpproto.adapters import segments
from smtpproto.adapters.blocking import Runtime
from smtpproto.adapters.sqlite_queue import SQLiteQueue
from smtpproto.errors import ContentLost, QueueFailed
from smtpproto.mta.queue import State
from smtpproto.mta.queue_limits import QueueLimits
from smtpproto.mta.store import Selection
from smtpproto.testing.queue_contract import NOW, make_queued

from ..support.queues import ALL, claim, do, names, open_queue

LARGE = b"x" * 100_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "queue.db"


def change(path: Path, statement: str) -> None:
    """Do to the database what another program may have done."""
    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute(statement).rowcount


def files(path: Path) -> list[Path]:
    return sorted((path.parent / "queue.db.bodies").iterdir())


def open_fails(path: Path) -> str:
    with pytest.raises(QueueFailed) as failed:
        do(SQLiteQueue(path).open(Runtime()))
    return str(failed.value)


def test_a_queue_that_is_open_cannot_be_opened_again(path: Path) -> None:
    with open_queue(path):
        assert "another process uses the queue" in open_fails(path)
    with open_queue(path):
        pass


def test_the_files_of_a_queue_are_for_its_owner_only(path: Path) -> None:
    with open_queue(path):
        assert path.stat().st_mode & 0o077 == 0
        assert (path.parent / "queue.db.bodies").stat().st_mode & 0o077 == 0


def test_what_is_no_database_is_left_as_it_is(path: Path) -> None:
    path.write_bytes(b"something else " * 1000)
    assert f"{path} failed: file is not a database" in open_fails(path)
    assert path.read_bytes() == b"something else " * 1000


def test_the_database_of_another_program_is_left_as_it_is(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE message (text)")
    assert "is a database, but not a queue" in open_fails(path)


def test_a_queue_of_a_newer_version_is_refused(path: Path) -> None:
    with open_queue(path):
        pass
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    assert "has version 99, and this program knows 1" in open_fails(path)


def test_a_directory_that_does_not_exist_is_named(tmp_path: Path) -> None:
    assert str(tmp_path / "no") in open_fails(tmp_path / "no" / "queue.db")


def test_files_that_no_message_needs_are_deleted_at_the_start(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "ROTATE", 1)  # a file for each content
    with open_queue(path) as queue:
        do(queue.put([make_queued(name, content=LARGE) for name in "abc"]))
        assert len(files(path)) == 3
        do(queue.drop(Selection(id="a"), NOW))
        assert len(files(path)) == 2
        do(queue.drop(Selection(id="c"), NOW))  # of the file to which the next content may go
        (path.parent / "queue.db.bodies" / "000000000099.seg").write_bytes(b"left over")
    with open_queue(path) as queue:
        (file,) = files(path)
        assert file.read_bytes() == LARGE
        do(queue.put([make_queued("d", content=LARGE)]))
        assert "000000000100.seg" in files(path)[-1].name


def test_without_its_database_nothing_of_a_queue_is_deleted(path: Path) -> None:
    log, copy = path.with_name("queue.db-wal"), path.with_name("copy")
    with open_queue(path) as queue:
        do(queue.put([make_queued("a", content=LARGE)]))
        octets = log.read_bytes()
    path.rename(copy)
    assert f"there is no database {path}, but {files(path)[0]} is left" in open_fails(path)
    log.write_bytes(octets)
    assert f"there is no database {path}, but {log} is left" in open_fails(path)
    assert log.read_bytes() == octets
    log.unlink()
    copy.rename(path)
    with open_queue(path) as queue:
        assert names(claim(queue)) == ["a"]


@pytest.mark.parametrize("damage", ["missing", "short", "row"])
def test_a_message_whose_content_is_lost_is_held_and_shown(
    path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    row = damage == "row"
    with open_queue(path) as queue:
        do(queue.put([make_queued("lost", content=b"" if row else LARGE), make_queued("good")]))
    if row:
        change(path, "DELETE FROM body WHERE message = 1")
    elif damage == "short":
        files(path)[0].write_bytes(LARGE[:-1])
    else:
        files(path)[0].unlink()
    with caplog.at_level(logging.ERROR), open_queue(path) as queue:
        assert "the content of message lost is missing or damaged in" in caplog.text
        assert names(claim(queue)) == ["good"]
        (entry,) = do(queue.find(Selection(state=State.HELD)))
        with pytest.raises(ContentLost) as failed:
            do(queue.content(entry.message))
        assert entry.deliveries[0].reason == failed.value.message
        assert row or str(path.parent / "queue.db.bodies") in failed.value.message


@pytest.mark.parametrize("content", [b"hello\r\n", LARGE])
def test_content_that_was_changed_is_not_delivered(path: Path, content: bytes) -> None:
    with open_queue(path) as queue:
        do(queue.put([make_queued("a", content=content)]))
    if content is LARGE:
        files(path)[0].write_bytes(b"y" + LARGE[1:])
    else:
        change(path, "UPDATE body SET octets = x'00' || substr(octets, 2)")
    with open_queue(path) as queue:
        (one,) = claim(queue)
        with pytest.raises(ContentLost, match="content of message a is missing or damaged"):
            do(queue.content(one.message))


def test_a_message_with_an_unknown_fate_is_shown(path: Path) -> None:
    with open_queue(path) as queue:
        do(queue.put([make_queued("a", "bob@example.com", "carol@example.com")]))
    change(path, "UPDATE delivery SET fate = 'x' WHERE key = 1 << 20")
    with open_queue(path) as queue:
        (entry,) = do(queue.find(Selection(id="a")))
        assert "entry of message a cannot be read" in entry.deliveries[0].reason


@pytest.mark.parametrize(
    "statement",
    [
        'UPDATE delivery SET recipient = \'["\\u0007", ""]\' WHERE key = 1 << 20',
        "UPDATE delivery SET recipient = CAST(x'ff' AS TEXT) WHERE key = 1 << 20",
        "UPDATE delivery SET log = '[]x' WHERE key = 1 << 20",
        "UPDATE delivery SET attempts = 2147483647 WHERE key = 1 << 20",
        "UPDATE delivery SET attempts = -1 WHERE key = 1 << 20",
        "UPDATE message SET data = 'x' WHERE id = 'a'",
        "UPDATE message SET data = CAST(x'7bff7d' AS TEXT) WHERE id = 'a'",
    ],
)
def test_a_message_that_cannot_be_read_is_shown_and_the_others_are_delivered(
    path: Path, caplog: pytest.LogCaptureFixture, statement: str
) -> None:
    with open_queue(path) as queue:
        do(queue.put([make_queued("a"), make_queued("b")]))
    change(path, statement)
    with open_queue(path) as queue:
        assert names(claim(queue)) == ["b"]
        broken, good = do(queue.find(ALL))
        (delivery,) = broken.deliveries
        assert (broken.message.id, str(broken.message.sender)) == ("a", "ann@example.org")
        assert (str(delivery.recipient), delivery.state) == ("bob@example.com", State.HELD)
        assert "entry of message a cannot be read" in delivery.reason
        assert good.message.id == "b"
        assert do(queue.drop(Selection(id="a"), NOW)) == 1
        assert names(do(queue.find(ALL))) == ["b"]


def test_messages_that_have_left_are_forgotten_after_their_time(path: Path) -> None:
    with open_queue(path, QueueLimits(reserve=0, remember=10)) as queue:
        do(queue.put([make_queued("a")]))
        do(queue.drop(ALL, NOW))
        do(queue.settle([], NOW + 10))
        assert len(do(queue.find(Selection(id="a")))) == 1
        do(queue.settle([], NOW + 11))
        assert do(queue.find(Selection(id="a"))) == []


def test_a_damaged_log_is_told_of_and_kept_with_the_contents_it_may_name(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = path.parent / "other" / "queue.db"
    with open_queue(path) as queue:
        do(queue.put([make_queued("a")]))
        whole = (path.parent / "queue.db-wal").stat().st_size
        do(queue.put([make_queued("b", content=LARGE)]))
        do(queue.put([make_queued("c")]))
        shutil.copytree(path.parent, other.parent)  # as after a crash
    log = other.with_name("queue.db-wal")
    octets = bytearray(log.read_bytes())
    octets[whole + 100] ^= 1
    log.write_bytes(octets)
    with open_queue(other) as queue:
        assert names(do(queue.find(ALL))) == ["a"]
        assert f"{log} is damaged after frame" in caplog.text
        assert "2 commits in it cannot be read" in caplog.text
        assert log.with_name("queue.db-wal.damaged").read_bytes() == octets
        assert len(files(other)) == 1


def test_a_log_that_ends_within_a_commit_is_no_damage(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = path.parent / "other" / "queue.db"
    with open_queue(path) as queue:
        do(queue.put([make_queued("a")]))
        do(queue.put([make_queued("b")]))
        shutil.copytree(path.parent, other.parent)
    log = other.with_name("queue.db-wal")
    log.write_bytes(log.read_bytes()[:-1])
    with open_queue(other) as queue:
        assert names(do(queue.find(ALL))) == ["a"]
        assert caplog.text == ""

"""Delivery to mboxes, beside other programs that lock them."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mailbox
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from smtpproto import ForwardPath, Reply
from smtpproto.adapters import mbox as module
from smtpproto.adapters.mbox import Mbox
from smtpproto.errors import ContentLost
from tests.delivery.samples import ANN, BOB, CONTENT, queued, read_once, stored

LOCKED = Reply(451, "4.2.0", "Another program has locked the mailbox")
FROM = re.compile(rb"From zoe@example\.net \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}\n")


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """Return the mbox of ann, which is empty."""
    (tmp_path / "ann").touch(0o600)
    return tmp_path / "ann"


@pytest.fixture
def boxes(box: Path) -> Mbox:
    return Mbox(f"{box.parent}/{{user}}")


def messages(box: Path) -> list[bytes]:
    """Return the messages of an mbox, as Python reads it."""
    with contextlib.closing(mailbox.mbox(box)) as found:
        return [found.get_bytes(key) for key in found.iterkeys()]


def test_messages_are_appended_after_a_line_that_begins_with_from(boxes: Mbox, box: Path) -> None:
    for _ in range(2):
        assert boxes(*queued(ANN), CONTENT) == {ANN: Reply(250, "2.1.5", "Stored")}
    assert FROM.split(box.read_bytes()) == [b"", stored(ANN) + b"\n", stored(ANN) + b"\n"]
    assert [it.name for it in box.parent.iterdir()] == ["ann"]


def test_python_reads_as_many_messages_as_were_delivered(boxes: Mbox, box: Path) -> None:
    body = b"From x\r\n\r\nFrom ann@x Thu Jan  1 00:00:00 2026\r\n"
    content = b"Status: RO\r\nSubject: x\r\n\r\n" + body
    for _ in range(3):
        boxes(*queued(ANN), content)
    kept = stored(ANN, content).replace(b"Status: RO\n", b"").replace(b"\nFrom ", b"\n>From ")
    assert messages(box) == [kept] * 3


def test_a_mailbox_exists_if_its_file_does(boxes: Mbox, box: Path) -> None:
    assert (boxes.knows(ANN), boxes.knows(BOB)) == (True, False)
    assert boxes(*queued(BOB, ANN), CONTENT)[BOB] == Reply(550, "5.1.1", "No such mailbox")
    assert len(messages(box)) == 1


def test_a_place_without_a_user_is_made_for_its_owner_only(tmp_path: Path) -> None:
    boxes = Mbox(str(tmp_path / "all"))
    assert boxes.knows(ForwardPath.of("eve@example.org"))
    assert boxes(*queued(ANN, BOB), CONTENT)[BOB].positive
    assert messages(tmp_path / "all") == [stored(ANN), stored(BOB)]
    assert (tmp_path / "all").stat().st_mode & 0o077 == 0


def test_a_link_is_not_followed(boxes: Mbox, box: Path) -> None:
    """Else a user could let the server write into the files of others."""
    (box.parent / "bob").symlink_to(box)
    assert boxes(*queued(BOB), CONTENT)[BOB].code == 451
    assert box.read_bytes() == b""


@pytest.mark.parametrize("end", [b"x", b"x\n", b"x\n\n"])
def test_a_message_without_an_end_is_ended_first(boxes: Mbox, box: Path, end: bytes) -> None:
    box.write_bytes(b"From x Thu Jan  1 00:00:00 2026\n\n" + end)
    boxes(*queued(ANN), CONTENT)
    assert messages(box) == [b"\nx\n", stored(ANN)]


@pytest.mark.parametrize("step", ["write_all", "sync_file"])
@pytest.mark.parametrize("call", range(1, 5))
def test_what_was_written_is_taken_back_if_a_step_fails(
    boxes: Mbox, box: Path, monkeypatch: pytest.MonkeyPatch, step: str, call: int
) -> None:
    boxes(*queued(ANN), CONTENT)
    before, calls, function = box.read_bytes(), [], getattr(module, step)

    def fails(*args: object) -> object:
        calls.append(args)
        if len(calls) == call or step == "sync_file":
            raise OSError(errno.ENOSPC, "No space left on device")
        return function(*args)

    monkeypatch.setattr(module, step, fails)
    assert str(boxes(*queued(ANN), CONTENT)[ANN]) == "452 4.3.1 Insufficient system storage"
    assert box.read_bytes() == before
    assert not box.with_name("ann.lock").exists()


@pytest.mark.parametrize("error", [RuntimeError("lost"), ContentLost("lost"), OSError("lost")])
def test_a_recipient_whose_delivery_fails_is_tried_again_and_no_other(
    tmp_path: Path, error: Exception
) -> None:
    for name in ("ann", "bob"):
        (tmp_path / name).touch()
    replies = Mbox(f"{tmp_path}/{{user}}")(*queued(ANN, BOB), read_once(error))
    assert {it: reply.code for it, reply in replies.items()} == {ANN: 250, BOB: 451}
    assert messages(tmp_path / "ann") == [stored(ANN)] and not (tmp_path / "bob").read_bytes()


# -- locks ---------------------------------------------------------------------------------------


@contextlib.contextmanager
def by_fcntl(box: Path) -> Iterator[None]:
    """Lock an mbox in another process: the locks of fcntl are those of a process."""
    code = (
        "import fcntl, sys; file = open(sys.argv[1], 'r+'); fcntl.lockf(file, fcntl.LOCK_EX)\n"
        "print('locked', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-S", "-c", code, str(box)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        yield


@contextlib.contextmanager
def by_flock(box: Path) -> Iterator[None]:
    with open(box, "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def by_file(box: Path) -> Iterator[None]:
    file = box.with_name(f"{box.name}.lock")
    file.touch()
    yield
    file.unlink()


LOCKS = pytest.mark.parametrize("lock", [by_fcntl, by_flock, by_file])
Lock = Callable[[Path], contextlib.AbstractContextManager[None]]


@LOCKS
def test_a_locked_mailbox_is_tried_again_later(box: Path, lock: Lock) -> None:
    boxes = Mbox(f"{box.parent}/{{user}}", lock_timeout=0)
    with lock(box):
        assert boxes(*queued(ANN), CONTENT) == {ANN: LOCKED}
    assert box.read_bytes() == b""
    assert boxes(*queued(ANN), CONTENT)[ANN].positive
    assert not box.with_name("ann.lock").exists()


@LOCKS
def test_a_lock_is_waited_for(
    boxes: Mbox, box: Path, lock: Lock, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    with contextlib.ExitStack() as locked:
        locked.enter_context(lock(box))

        def release(seconds: float) -> None:
            waits.append(seconds)
            if len(waits) == 2:
                locked.close()

        monkeypatch.setattr("time.sleep", release)
        assert boxes(*queued(ANN), CONTENT)[ANN].positive
    assert waits == [0.1] * 2
    assert len(messages(box)) == 1


def test_the_lock_file_of_a_dead_program_is_removed(boxes: Mbox, box: Path) -> None:
    file = box.with_name("ann.lock")
    file.touch()
    os.utime(file, (time.time() - 301,) * 2)
    assert boxes(*queued(ANN), CONTENT)[ANN].positive
    assert not file.exists()


WRITER = """
import mailbox, sys
box = mailbox.mbox(sys.argv[1])
for number in range(20):
    while True:
        try:
            box.lock()
            break
        except mailbox.ExternalClashError:
            pass
    box.add("Subject: theirs\\n\\nhello\\n")
    box.flush()
    box.unlock()
"""


def test_threads_and_another_program_write_at_the_same_time(
    boxes: Mbox, box: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_POLL", 0.001)
    with (
        subprocess.Popen([sys.executable, "-c", WRITER, str(box)]) as writer,
        ThreadPoolExecutor(4) as pool,
    ):
        replies = list(pool.map(lambda _: boxes(*queued(ANN), CONTENT)[ANN], range(20)))
        assert writer.wait() == 0
    assert all(it.positive for it in replies)
    found = messages(box)
    assert found.count(stored(ANN)) == found.count(b"Subject: theirs\n\nhello\n") == 20


def test_recipients_that_would_wait_too_long_are_tried_again_later(
    box: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter([0.0, 0.0, 0.0, 301.0])
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    replies = Mbox(str(box))(*queued(ANN, BOB), CONTENT)
    assert replies[ANN].positive
    assert str(replies[BOB]) == "451 4.3.0 The deliveries to others took too long"

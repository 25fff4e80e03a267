"""Delivery to Maildirs: a message is delivered whole or not at all."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from smtpproto import ForwardPath, Reply
from smtpproto.adapters import maildir as module
from smtpproto.adapters.maildir import Maildir, MaildirFolder
from smtpproto.adapters.mbox import Mbox
from smtpproto.errors import ContentLost
from tests.delivery.samples import ANN, BOB, CONTENT, fields, queued, read_once, stored

SIZE = len(stored(ANN))
STEPS = [
    "smtpproto.adapters.maildir.write_all",
    "smtpproto.adapters.maildir.sync_file",
    "os.link",
    "smtpproto.adapters.maildir.sync_directory",
]


@pytest.fixture
def boxes(tmp_path: Path) -> Maildir:
    """Return the mailboxes of ann and bob."""
    for user in ("ann", "bob"):
        MaildirFolder(tmp_path / user)
    return Maildir(f"{tmp_path}/{{user}}")


def files(place: Path) -> list[str]:
    """Return the path of every file below *place*."""
    return sorted(str(it.relative_to(place)) for it in place.rglob("*") if it.is_file())


def new(place: Path) -> list[bytes]:
    """Return the new messages in a folder."""
    return sorted(it.read_bytes() for it in (place / "new").iterdir())


def raise_disk_full(*_: object) -> None:
    """Fail as a call does on a full disk."""
    raise OSError(errno.ENOSPC, "No space left on device")


# -- what is delivered ---------------------------------------------------------------------------


def test_each_recipient_gets_the_message_after_its_own_fields(
    boxes: Maildir, tmp_path: Path
) -> None:
    replies = boxes(*queued(ANN, BOB), CONTENT)
    assert replies == {it: Reply(250, "2.1.5", "Stored") for it in (ANN, BOB)}
    assert new(tmp_path / "ann") == [stored(ANN)]
    assert new(tmp_path / "bob") == [stored(BOB)]
    assert all(it.split("/")[1] == "new" for it in files(tmp_path))


def test_a_file_is_read_again_for_each_recipient(boxes: Maildir, tmp_path: Path) -> None:
    content = b"Subject: x\r\n\r\n" + b"y" * 300_000 + b"\r\n"
    file = io.BytesIO(content)
    file.read()
    boxes(*queued(ANN, BOB), file)
    assert new(tmp_path / "bob") == [stored(BOB, content)]
    assert new(tmp_path / "ann") == [stored(ANN, content)]


def test_names_have_the_size_and_files_are_private(boxes: Maildir, tmp_path: Path) -> None:
    boxes(*queued(ANN), CONTENT)
    [file] = (tmp_path / "ann/new").iterdir()
    assert file.name.endswith(f",S={SIZE}")
    assert file.stat().st_size == SIZE
    assert file.stat().st_mode & 0o077 == 0


def test_crlf_and_the_lines_of_binary_content_stay_on_request(tmp_path: Path) -> None:
    place = str(tmp_path / "all")
    Maildir(place, crlf=True)(*queued(ANN), CONTENT)
    Maildir(place)(*queued(BOB, binary=True), CONTENT)
    assert new(tmp_path / "all") == sorted(
        fields(it).replace(b"\n", b"\r\n") + CONTENT for it in (ANN, BOB)
    )


def test_a_mailbox_exists_if_its_directory_does(boxes: Maildir, tmp_path: Path) -> None:
    eve, out = ForwardPath.of("eve@example.org"), ForwardPath.of('"../ann"@example.org')
    assert [boxes.knows(it) for it in (ANN, eve, out)] == [True, False, False]
    replies = boxes(*queued(eve, ANN, out), CONTENT)
    assert replies[eve] == replies[out] == Reply(550, "5.1.1", "No such mailbox")
    assert replies[ANN].positive
    assert not (tmp_path / "eve").exists()


@pytest.mark.parametrize("make", [Maildir, Mbox])
@pytest.mark.parametrize(
    "place", ["{user}", "missing/{user}", "box-{user}/{{x", "{{/{domain}/{user}"]
)
def test_mail_is_not_refused_for_ever_where_nobody_has_a_mailbox(
    make: type[Maildir | Mbox], place: str, tmp_path: Path
) -> None:
    """Else all mail would bounce while a disk is not mounted."""
    boxes = make(f"{tmp_path}/{place}")
    with pytest.raises(FileNotFoundError):
        boxes.knows(ANN)
    assert boxes(*queued(ANN), CONTENT)[ANN].code == 451
    assert not files(tmp_path)


def test_a_place_without_a_user_is_made(tmp_path: Path) -> None:
    boxes = Maildir(f"{tmp_path}/{{domain}}/all")
    assert boxes.knows(ANN)
    assert boxes(*queued(ANN), CONTENT)[ANN].positive
    folder = tmp_path / "example.org/all"
    assert {it.name for it in folder.iterdir()} == {"tmp", "new", "cur"}
    assert all(it.stat().st_mode & 0o077 == 0 for it in [folder, *folder.iterdir()])
    assert not boxes.knows(ForwardPath.of("ann@[192.0.2.1]"))


@pytest.mark.parametrize(
    ("folders", "detail", "where"),
    [
        (True, "Lists", "ann/.Lists"),
        (True, "none", "ann"),
        (True, "", "ann"),
        (True, ".", "ann"),
        (False, "Lists", "ann"),
    ],
)
def test_a_detail_names_a_folder_if_there_is_one(
    tmp_path: Path, folders: bool, detail: str, where: str
) -> None:
    for path in (tmp_path / "ann", tmp_path / "ann/.Lists"):
        MaildirFolder(path)
    ann = ForwardPath.of(f'"ann+{detail}"@example.org')
    assert Maildir(f"{tmp_path}/{{user}}", folders=folders)(*queued(ann), CONTENT)[ann].positive
    assert new(tmp_path / where) == [stored(ann)]


def test_threads_deliver_at_the_same_time(boxes: Maildir, tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: boxes(*queued(ANN, BOB), CONTENT), range(20)))
    assert new(tmp_path / "ann") == [stored(ANN)] * 20


# -- quota ---------------------------------------------------------------------------------------


def test_a_full_mailbox_refuses_for_now(tmp_path: Path) -> None:
    MaildirFolder(tmp_path / "ann")
    boxes = Maildir(f"{tmp_path}/{{user}}", quota=2 * SIZE)
    replies = [boxes(*queued(ANN), CONTENT)[ANN] for _ in range(3)]
    assert [str(it) for it in replies] == ["250 2.1.5 Stored"] * 2 + [
        "452 4.2.2 The mailbox is full"
    ]
    assert (tmp_path / "ann/maildirsize").read_text() == f"{2 * SIZE}S\n{2 * SIZE} 2\n"
    assert not any((tmp_path / "ann/tmp").iterdir())


def test_the_quota_in_the_mailbox_counts_where_none_is_given(
    boxes: Maildir, tmp_path: Path
) -> None:
    (tmp_path / "ann/maildirsize").write_text("1000000S,3C\n0 0\n")
    assert [boxes(*queued(ANN), CONTENT)[ANN].positive for _ in range(4)] == [True] * 3 + [False]
    assert boxes(*queued(BOB), CONTENT)[BOB].positive


def test_what_was_deleted_is_noticed_when_the_quota_is_reached(
    boxes: Maildir, tmp_path: Path
) -> None:
    (tmp_path / "ann/maildirsize").write_text("1000S,2C\n")
    for _ in range(2):
        boxes(*queued(ANN), CONTENT)
    next((tmp_path / "ann/new").iterdir()).unlink()
    assert boxes(*queued(ANN), CONTENT)[ANN].positive
    assert (tmp_path / "ann/maildirsize").read_text() == f"1000S,2C\n{SIZE} 1\n{SIZE} 1\n"


@pytest.mark.parametrize("damage", ["x\n", "500S\n" + "1 0\n" * 2000, "999S\n5 5\n"])
def test_a_file_that_is_damaged_too_long_or_for_another_quota_is_made_anew(
    tmp_path: Path, damage: str
) -> None:
    MaildirFolder(tmp_path / "ann")
    (tmp_path / "ann/maildirsize").write_text(damage)
    assert Maildir(f"{tmp_path}/{{user}}", quota=500)(*queued(ANN), CONTENT)[ANN].positive
    assert (tmp_path / "ann/maildirsize").read_text() == f"500S\n0 0\n{SIZE} 1\n"


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX")
def test_a_link_or_a_pipe_of_the_owner_in_place_of_the_count_leads_nowhere(
    boxes: Maildir, tmp_path: Path
) -> None:
    (other := tmp_path / "other").write_text("")
    (tmp_path / "ann/maildirsize").symlink_to(other)
    os.mkfifo(tmp_path / "bob/maildirsize")
    replies = boxes(*queued(ANN, BOB), CONTENT)
    assert [str(it) for it in replies.values()] == ["250 2.1.5 Stored"] * 2
    assert other.read_text() == ""


def test_a_count_is_made_again_after_a_quarter_of_an_hour_if_the_mailbox_is_full(
    boxes: Maildir, tmp_path: Path
) -> None:
    file = tmp_path / "ann/maildirsize"
    for age, room in ((0, False), (16 * 60, True)):
        file.write_text("500S\n500 9\n")
        os.utime(file, (time.time() - age,) * 2)
        assert boxes(*queued(ANN), CONTENT)[ANN].positive is room


def test_all_folders_count_but_neither_the_trash_nor_what_is_marked_as_deleted(
    tmp_path: Path,
) -> None:
    ann = tmp_path / "ann"
    for folder in (ann, ann / ".Lists", ann / ".Trash"):
        MaildirFolder(folder)
        (folder / "cur" / "1.x.host,S=10:2,S").touch()
        (folder / "cur" / "2.x.host,S=10:2,T").touch()
        (folder / "new" / "3.x.host").write_bytes(b"12345")
    assert Maildir(f"{tmp_path}/{{user}}", quota=SIZE + 30)(*queued(ANN), CONTENT)[ANN].positive
    assert (ann / "maildirsize").read_text() == f"{SIZE + 30}S\n30 4\n{SIZE} 1\n"


@pytest.mark.parametrize("quota", [0, -1, 1.5, "1"])
def test_a_wrong_quota_raises(quota: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        Maildir("/mail/{user}", quota=quota)


# -- faults --------------------------------------------------------------------------------------


def test_content_is_synced_then_linked_then_the_directory_is_synced(
    boxes: Maildir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[str] = []

    def recorded(step: str, function: Callable[..., object]) -> Callable[..., object]:
        def call(*args: Any) -> object:
            if step.endswith("sync_file"):
                assert os.fstat(args[0]).st_size == SIZE
            taken.append(step.rpartition(".")[2])
            return function(*args)

        return call

    for step in STEPS:
        target = os.link if step == "os.link" else getattr(module, step.rpartition(".")[2])
        monkeypatch.setattr(step, recorded(step, target))
    boxes(*queued(ANN), CONTENT)
    assert taken == ["write_all", "write_all", "sync_file", "link", "sync_directory"]


@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_fails_leaves_nothing_to_be_seen(
    boxes: Maildir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """The other recipient is not affected."""
    calls: list[object] = []
    target: Any = os.link if step == "os.link" else getattr(module, step.rpartition(".")[2])

    def first_fails(*args: object) -> object:
        calls.append(args)
        if len(calls) == 1:
            raise_disk_full()
        return target(*args)

    monkeypatch.setattr(step, first_fails)
    replies = boxes(*queued(ANN, BOB), CONTENT)
    assert str(replies[ANN]) == "452 4.3.1 Insufficient system storage"
    assert replies[BOB].positive
    assert files(tmp_path / "ann") == []
    assert new(tmp_path / "bob") == [stored(BOB)]


@pytest.mark.parametrize(
    ("number", "reply"),
    [
        (errno.EDQUOT, "452 4.2.2 The mailbox is full"),
        (errno.EIO, "451 4.3.0 The mailbox cannot be written now"),
        (errno.EACCES, "451 4.3.0 The mailbox cannot be written now"),
    ],
)
def test_what_the_system_says_decides_the_reply(
    boxes: Maildir,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    number: int,
    reply: str,
) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number), "/mail/ann")

    monkeypatch.setattr("os.link", fail)
    assert str(boxes(*queued(ANN), CONTENT)[ANN]) == reply
    assert (
        "01kdvdna00z5kvvbyz1sske4zr: the delivery to ann@example.org failed: [Errno" in caplog.text
    )


@pytest.mark.parametrize("error", [RuntimeError("lost"), ContentLost("lost"), OSError("lost")])
def test_a_recipient_whose_delivery_fails_is_tried_again_and_no_other(
    boxes: Maildir, tmp_path: Path, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    expected = {ANN: "250 2.1.5 Stored", BOB: "451 4.3.0 The mailbox cannot be written now"}
    replies = boxes(*queued(ANN, BOB), read_once(error))
    assert {it: str(reply) for it, reply in replies.items()} == expected
    assert new(tmp_path / "ann") == [stored(ANN)] and files(tmp_path / "bob") == []
    assert [bool(it.exc_info) for it in caplog.records] == [isinstance(error, RuntimeError)]


KILLED = """
import os, sys
from smtpproto.adapters import maildir
from tests.delivery.samples import ANN, BOB, CONTENT, queued

boxes = maildir.Maildir(sys.argv[1] + "/{user}")
targets = [(maildir, it) for it in ("write_all", "sync_file", "sync_directory")] + [(os, "link")]
for last in range(1, 99):
    if not (child := os.fork()):
        left = [last]

        def stopping(function):
            def call(*args):
                left[0] -= 1
                if not left[0]:
                    os._exit(9)
                result = function(*args)
                return result

            return call

        for module, name in targets:
            setattr(module, name, stopping(getattr(module, name)))
        boxes(*queued(ANN, BOB), CONTENT)
        os._exit(0)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0:
        print(last - 1)
        break
"""


def test_a_process_that_is_killed_at_any_step_leaves_no_part_of_a_message_in_new(
    boxes: Maildir, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) == 10  # two writes and three other steps, for each recipient
    for recipient in (ANN, BOB):
        found = new(tmp_path / recipient.local_part)
        assert set(found) == {stored(recipient)}
        assert 1 < len(found) < 10


# -- as a sink -----------------------------------------------------------------------------------


def test_a_message_is_visible_only_after_commit(tmp_path: Path) -> None:
    message = MaildirFolder(tmp_path).begin()
    message.write(b"one\r\n")
    message.write(b"\xff\0two")
    assert [name[:4] for name in files(tmp_path)] == ["tmp/"]
    message.commit()
    assert new(tmp_path) == [b"one\r\n\xff\0two"]
    assert files(tmp_path)[0].startswith("new/")


def test_abort_leaves_no_file(tmp_path: Path) -> None:
    message = MaildirFolder(tmp_path).begin()
    message.write(b"x" * 100_000)
    message.abort()
    message.abort()
    assert files(tmp_path) == []


@pytest.mark.parametrize("step", STEPS[1:])
def test_a_failed_commit_raises_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    message = MaildirFolder(tmp_path).begin()
    message.write(b"content\r\n")
    monkeypatch.setattr(step, raise_disk_full)
    with pytest.raises(OSError, match="No space"):
        message.commit()
    assert files(tmp_path) == []

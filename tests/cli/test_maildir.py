"""The Maildir sink: a message is stored whole or not at all."""

from __future__ import annotations

import errno
import os
import re
import smtplib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from smtpproto import Envelope, Session
from smtpproto.adapters import blocking
from smtpproto.cli.inbox import Inbox, Mailbox
from smtpproto.cli.maildir import Delivery, Maildir, unique_name


def files(maildir: Maildir) -> list[str]:
    """Return the path of every file, relative to the Maildir."""
    found = (path for path in maildir.path.rglob("*") if path.is_file())
    return sorted(str(path.relative_to(maildir.path)) for path in found)


def raise_disk_full(*_: object) -> None:
    """Fail as a call does on a full disk."""
    raise OSError(errno.ENOSPC, "No space left on device")


def test_directories_are_created_for_the_owner_only(tmp_path: Path) -> None:
    maildir = Maildir(tmp_path / "a" / "b")
    assert {path.name for path in maildir.path.iterdir()} == {"tmp", "new", "cur"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in maildir.path.iterdir())
    Maildir(maildir.path)  # existing directories are no error


def test_a_message_is_visible_only_after_commit(tmp_path: Path) -> None:
    maildir = Maildir(tmp_path)
    delivery = maildir.deliver()
    delivery.write(b"one\r\n")
    delivery.write(b"\xff\0two")
    assert [name[:4] for name in files(maildir)] == ["tmp/"]
    assert delivery.commit() is None  # type: ignore[func-returns-value]
    (name,) = files(maildir)
    assert name.startswith("new/")
    assert (tmp_path / name).read_bytes() == b"one\r\n\xff\0two"
    assert (tmp_path / name).stat().st_mode & 0o077 == 0


def test_abort_leaves_no_file(tmp_path: Path) -> None:
    maildir = Maildir(tmp_path)
    delivery = maildir.deliver()
    delivery.write(b"x" * 100_000)
    delivery.abort()
    delivery.abort()
    assert files(maildir) == []


def test_commit_syncs_the_content_then_renames_then_syncs_the_directories(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maildir = Maildir(tmp_path)
    steps: list[str] = []
    fsync, rename = os.fsync, os.rename

    def recorded_fsync(descriptor: int) -> None:
        status = os.fstat(descriptor)
        known = [maildir.tmp, maildir.new, *maildir.tmp.iterdir(), *maildir.new.iterdir()]
        synced = next(path for path in known if path.stat().st_ino == status.st_ino)
        steps.append(f"sync {synced.relative_to(tmp_path).parts[0]} {status.st_size >= 9}")
        fsync(descriptor)

    def recorded_rename(source: Path, target: Path) -> None:
        steps.append("rename")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(os, "rename", recorded_rename)
    delivery = maildir.deliver()
    delivery.write(b"content\r\n")
    delivery.commit()
    assert [step.rpartition(" ")[0] or step for step in steps] == [
        "sync tmp",
        "rename",
        "sync new",
        "sync tmp",
    ]
    assert steps[0] == "sync tmp True"  # all nine octets were in the file


def test_names_are_unique_and_valid_in_a_maildir(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "a/b:c")
    monkeypatch.setattr("time.time_ns", lambda: 1_700_000_000_123_456_789)
    with ThreadPoolExecutor(8) as pool:
        names = list(pool.map(lambda _: unique_name(), range(2000)))
    assert len(set(names)) == len(names)
    pattern = r"1700000000\.M123456P\d+Q\d+R[0-9a-f]{8}\.a\\057b\\072c"
    assert all(re.fullmatch(pattern, name) for name in names)


def test_concurrent_deliveries_are_all_stored(tmp_path: Path) -> None:
    maildir = Maildir(tmp_path)

    def deliver(number: int) -> None:
        delivery = maildir.deliver()
        delivery.write(b"%d" % number)
        delivery.commit()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(deliver, range(100)))
    stored = sorted(int(path.read_bytes()) for path in maildir.new.iterdir())
    assert stored == list(range(100))


@pytest.mark.parametrize("call", ["os.fsync", "os.rename"])
def test_a_failed_commit_raises_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    maildir = Maildir(tmp_path)
    delivery = maildir.deliver()
    delivery.write(b"content\r\n")
    monkeypatch.setattr(call, raise_disk_full)
    with pytest.raises(OSError, match="No space"):
        delivery.commit()
    assert files(maildir) == []


@pytest.mark.parametrize(
    "broken",
    ["smtpproto.cli.maildir.unique_name", "smtpproto.cli.maildir.Delivery.write", "os.fsync"],
)
def test_a_full_disk_is_a_451_reply_and_the_session_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    maildir = Maildir(tmp_path)
    with (
        blocking.serve(Inbox(lambda _: maildir.deliver())) as server,
        smtplib.SMTP("127.0.0.1", server.port) as client,
    ):
        with monkeypatch.context() as patch:
            patch.setattr(broken, raise_disk_full)
            with pytest.raises(smtplib.SMTPDataError, match="451"):
                client.sendmail("a@a.test", "b@b.test", "Subject: x\r\n\r\nbody")
        assert files(maildir) == []
        client.rset()
        client.sendmail("a@a.test", "b@b.test", "Subject: x\r\n\r\nbody")
        assert len(files(maildir)) == 1


def test_an_inbox_returns_the_sink_of_its_store(tmp_path: Path) -> None:
    delivery = Maildir(tmp_path).deliver()
    inbox = Inbox(lambda _: delivery)
    assert inbox.data(None, Envelope(None, "b@b.test")) is delivery  # type: ignore[arg-type]
    delivery.abort()


def test_a_disk_that_is_full_before_the_content_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maildir = Maildir(tmp_path)
    monkeypatch.setattr(Delivery, "write", raise_disk_full)
    handler = Mailbox(lambda _: maildir.deliver(), "mx.example.org")
    session = Session(peer=("192.0.2.1", 25))
    with pytest.raises(OSError, match="No space left"):
        handler.data(session, Envelope(None, "b@b.test"))
    assert list(maildir.tmp.iterdir()) == []


@pytest.mark.req("RFC5321-4.4-01", "RFC5321-4.4-05", "RFC5321-4.4-09", "RFC5321-4.4-18")
@pytest.mark.parametrize("recipients", [["bob@example.org"], ["bob@example.org", "al@example.org"]])
def test_final_delivery_puts_return_path_and_received_before_the_octets_of_the_message(
    tmp_path: Path, recipients: list[str]
) -> None:
    """With several recipients, none of them is named: they may not know of one another."""
    maildir, message = Maildir(tmp_path), b"Received: from a by b; x\r\nSubject: x\r\n\r\n\xff\r\n"
    handler = Mailbox(lambda _: maildir.deliver(), "mx.example.org")
    with (
        blocking.serve(handler) as server,
        blocking.connect("127.0.0.1", server.port, hello="client.example") as client,
    ):
        client.send(message, Envelope("ann@example.org", recipients))
    [file] = maildir.new.iterdir()
    fields, end = file.read_bytes()[: -len(message)], file.read_bytes()[-len(message) :]
    assert end == message
    to_one = "\tfor <bob@example.org>;" if len(recipients) == 1 else ""
    assert fields.decode().split("\r\n")[:-2] == [
        "Return-Path: <ann@example.org>",
        "Received: from client.example ([127.0.0.1])",
        "\tby mx.example.org",
        *(["\twith ESMTP", to_one] if to_one else ["\twith ESMTP;"]),
    ]

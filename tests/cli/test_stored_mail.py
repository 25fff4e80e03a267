"""The mailbox of ``smtpproto serve --maildir``."""

from __future__ import annotations

import asyncio
import errno
import smtplib
import threading
from pathlib import Path
from typing import Any

import pytest

from smtpproto import Envelope, Session
from smtpproto.adapters import asyncio as on_asyncio
from smtpproto.adapters import blocking
from smtpproto.adapters.maildir import MaildirFolder, NewMessage
from smtpproto.cli.handlers import Mailbox, StoringHandler

MESSAGE = b"Received: from a by b; x\r\nSubject: x\r\n\r\n\xff\r\n"


def raise_disk_full(*_: object) -> None:
    """Fail as a call does on a full disk."""
    raise OSError(errno.ENOSPC, "No space left on device")


def deliver(folder: MaildirFolder, recipients: list[str]) -> None:
    """Send MESSAGE to a server with a mailbox in *folder*."""

    async def scenario() -> None:
        async with (
            on_asyncio.serve(Mailbox(folder, "mx.example.org")) as server,
            on_asyncio.connect("127.0.0.1", server.port, hello="client.example") as client,
        ):
            await client.send(MESSAGE, Envelope("ann@example.org", recipients))

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "broken",
    ["smtpproto.adapters.maildir._unique_name", "smtpproto.adapters.maildir.NewMessage.write",
     "smtpproto.adapters.maildir.sync_file"],
    ids=["name", "write", "sync"],
)  # fmt: skip
def test_a_full_disk_is_a_451_reply_and_the_session_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    folder = MaildirFolder(tmp_path)
    with (
        blocking.serve(StoringHandler(lambda _: folder.begin())) as server,
        smtplib.SMTP("127.0.0.1", server.port) as client,
    ):
        with monkeypatch.context() as patch:
            patch.setattr(broken, raise_disk_full)
            with pytest.raises(smtplib.SMTPDataError, match="451"):
                client.sendmail("a@a.test", "b@b.test", "Subject: x\r\n\r\nbody")
        assert [*tmp_path.glob("*/*")] == []
        client.rset()
        client.sendmail("a@a.test", "b@b.test", "Subject: x\r\n\r\nbody")
        assert len([*tmp_path.glob("*/*")]) == 1


def test_a_disk_that_is_full_before_the_content_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = MaildirFolder(tmp_path)
    monkeypatch.setattr(NewMessage, "write", raise_disk_full)
    handler = Mailbox(folder, "mx.example.org")
    session = Session(peer=("192.0.2.1", 25))
    with pytest.raises(OSError, match="No space left"):
        asyncio.run(handler.data(session, Envelope(None, "b@b.test")))
    assert list(folder.tmp.iterdir()) == []


@pytest.mark.req("RFC5321-4.4-01", "RFC5321-4.4-05", "RFC5321-4.4-09", "RFC5321-4.4-18")
@pytest.mark.parametrize("recipients", [["bob@example.org"], ["bob@example.org", "al@example.org"]])
def test_final_delivery_puts_return_path_and_received_before_the_octets_of_the_message(
    tmp_path: Path, recipients: list[str]
) -> None:
    """With several recipients, none of them is named: they may not know of one another."""
    folder = MaildirFolder(tmp_path)
    deliver(folder, recipients)
    [file] = folder.new.iterdir()
    fields, end = file.read_bytes()[: -len(MESSAGE)], file.read_bytes()[-len(MESSAGE) :]
    assert end == MESSAGE
    to_one = "\tfor <bob@example.org>;" if len(recipients) == 1 else ""
    assert fields.decode().split("\r\n")[:-2] == [
        "Return-Path: <ann@example.org>",
        "Received: from client.example ([127.0.0.1])",
        "\tby mx.example.org",
        *(["\twith ESMTP", to_one] if to_one else ["\twith ESMTP;"]),
    ]


def test_the_disk_does_not_hold_up_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[Any] = set()
    for name in ("__init__", "write", "commit"):
        original = getattr(NewMessage, name)

        def noted(self: Any, *args: Any, original: Any = original) -> Any:
            threads.add(threading.current_thread())
            return original(self, *args)

        monkeypatch.setattr(NewMessage, name, noted)
    deliver(MaildirFolder(tmp_path), ["bob@example.org"])
    assert threads
    assert threading.main_thread() not in threads

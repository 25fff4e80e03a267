"""Mail that we deliver, as Dovecot reads it by IMAP; and Dovecot as the last step, by LMTP."""

from __future__ import annotations

import contextlib
import imaplib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from smtpproto import Envelope
from smtpproto.adapters.maildir import Maildir
from smtpproto.adapters.mbox import Mbox
from smtpproto.mta import Fate, Local, SmartHost
from tests.interop.contents import CONTENTS, PLAIN
from tests.interop.dovecot import Dovecot, give_to_users
from tests.interop.mail_agent import MailAgent, mail_agent
from tests.interop.mailboxes import assert_delivered

pytestmark = pytest.mark.peer("dovecot")

FIELDS = b"Return-Path: <ann@a.test>\r\nDelivered-To: %b@box.test\r\n"
# A sender who tries to have read the message for its reader, and to make two of one.
FORGED = (
    b"Subject: forged\r\nStatus: RO\r\nX-Status: D\r\nContent-Length: 3\r\n\r\n"
    b"one\r\n\r\nFrom ann@a.test Thu Jan  1 00:00:00 2026\r\nSubject: two\r\n\r\n>From x\r\n"
)


@contextlib.contextmanager
def inbox_of(dovecot: Dovecot, user: str) -> Iterator[imaplib.IMAP4]:
    """Read the mailbox of *user* by IMAP, after what root has written there became theirs."""
    give_to_users(dovecot.mailboxes.directory / user)
    with imaplib.IMAP4("127.0.0.1", dovecot.imap) as client:
        client.login(user, "secret")
        client.select("INBOX")
        yield client


def flags(client: imaplib.IMAP4) -> list[set[bytes]]:
    """Return the flags of each message, without \\Recent."""
    _, lines = client.fetch("1:*", "(FLAGS)")
    found = [re.search(rb"FLAGS \((.*?)\)", it) for it in lines if isinstance(it, bytes)]
    return [{*it[1].split()} - {rb"\Recent"} for it in found if it is not None]


def messages(client: imaplib.IMAP4) -> list[bytes]:
    """Return each message; check the size that the server tells first."""
    _, sizes = client.fetch("1:*", "(RFC822.SIZE)")
    _, parts = client.fetch("1:*", "(BODY.PEEK[])")
    octets = [it[1] for it in parts if isinstance(it, tuple)]
    told = [re.search(rb"SIZE (\d+)", it) for it in sizes if isinstance(it, bytes)]
    assert [int(it[1]) for it in told if it is not None] == [*map(len, octets)]
    return octets


def empty(client: imaplib.IMAP4) -> None:
    client.store("1:*", "+FLAGS", r"\Deleted")
    client.expunge()


def deliver(mail: MailAgent, user: str, content: bytes) -> None:
    entry = mail.end(mail.send(content, Envelope("ann@a.test", f"{user}@box.test")))
    assert [it.fate for it in entry.ended] == [Fate.DELIVERED]


@pytest.mark.parametrize("user", ["ida", "max"])
def test_dovecot_reads_counts_and_flags_what_we_deliver(
    adapter: str, tmp_path: Path, dovecot: Dovecot, user: str
) -> None:
    place = f"{dovecot.mailboxes.directory}/{{user}}"
    local = Local(Maildir(place) if user == "ida" else Mbox(f"{place}/inbox"))
    contents = [*(it for it in CONTENTS.values() if it.isascii()), FORGED]
    with mail_agent(adapter, tmp_path, {"box.test": local}) as mail:
        for content in contents:
            deliver(mail, user, content)
        with inbox_of(dovecot, user) as client:
            found = messages(client)
            assert flags(client) == [set()] * len(contents)
            client.store("1", "+FLAGS", r"\Seen")
            client.noop()
            deliver(mail, user, PLAIN)
            give_to_users(dovecot.mailboxes.directory / user)
            client.noop()
            assert flags(client) == [{rb"\Seen"}, *[set()] * len(contents)]
            empty(client)
    for octets, content in zip(found, contents, strict=True):
        kept = content
        if user == "max":
            kept = re.sub(rb"^(>*From )", rb">\1", content, flags=re.MULTILINE)
            kept = re.sub(rb"(?im)^(x-)?status: .*\r\n|^content-length: .*\r\n", b"", kept)
        assert_delivered(octets, kept)
        assert octets.startswith(FIELDS % user.encode())


@pytest.mark.parametrize("kind", ["socket", "port"])
def test_dovecot_is_the_last_step_with_a_reply_for_each_recipient(
    adapter: str, tmp_path: Path, dovecot: Dovecot, kind: str
) -> None:
    host = f"lmtp://{dovecot.socket}" if kind == "socket" else f"lmtp://127.0.0.1:{dovecot.port}"
    users = {"alice": "2.0.0", "full": "5.2.2", "nobody": "5.1.1", "bob": "2.0.0"}
    with mail_agent(adapter, tmp_path, {"*": SmartHost(host, final=True)}) as mail:
        entry = mail.end(mail.send(PLAIN, Envelope(None, [f"{it}@box.test" for it in users])))
    attempts = {it.delivery.recipient.local_part: it.delivery.last for it in entry.ended}
    assert {
        user: str(it and it.reply and it.reply.enhanced) for user, it in attempts.items()
    } == users
    fates = {it.delivery.recipient.local_part: it.fate for it in entry.ended}
    assert {user for user, fate in fates.items() if fate is Fate.DELIVERED} == {"alice", "bob"}
    for user in ("alice", "bob"):
        assert_delivered(dovecot.mailboxes.next(user), PLAIN)

"""Dovecot's LMTP server: one reply for each recipient."""

from __future__ import annotations

import smtplib

import pytest

from tests.interop.dovecot import Dovecot
from tests.interop.mailboxes import trace_above
from tests.interop.peers import DOTS, PLAIN
from tests.interop.programs import PATIENCE, Send
from tests.interop.raw import bdat, offered

pytestmark = pytest.mark.peer("dovecot")


def dial(dovecot: Dovecot) -> smtplib.LMTP:
    return smtplib.LMTP("127.0.0.1", dovecot.port, timeout=PATIENCE)


def test_offers(dovecot: Dovecot) -> None:
    with dial(dovecot) as client:
        keywords = offered(client)
    assert set(keywords) == {
        "8BITMIME",
        "CHUNKING",
        "ENHANCEDSTATUSCODES",
        "PIPELINING",
        "XCLIENT",
        "XRCPTFORWARD",
    }
    assert {*keywords["XCLIENT"].split()} >= {"ADDR", "PORT", "PROTO", "HELO", "LOGIN"}


def test_one_reply_for_each_recipient(dovecot: Dovecot) -> None:
    with dial(dovecot) as client:
        client.ehlo()
        client.mail("ann@a.test")
        users = ("alice", "nobody", "full", "bob")
        assert [client.rcpt(f"{user}@box.test")[0] for user in users] == [250, 550, 250, 250]
        assert client.docmd("DATA")[0] == 354
        client.send(b"Subject: x\r\n\r\n..\r\n.\r\n")
        replies = [client.getreply() for _ in range(3)]
    assert [code for code, _ in replies] == [250, 552, 250]
    assert [text.split()[:2] for _, text in replies] == [
        [b"2.0.0", b"<alice@box.test>"],
        [b"5.2.2", b"<full@box.test>"],
        [b"2.0.0", b"<bob@box.test>"],
    ]
    for user in ("alice", "bob"):
        trace_above(dovecot.mailboxes.next(user), b"Subject: x\r\n\r\n.\r\n")


def test_replies_after_bdat(dovecot: Dovecot) -> None:
    with dial(dovecot) as client:
        client.ehlo()
        client.mail("ann@a.test")
        for user in ("full", "alice"):
            client.rcpt(f"{user}@box.test")
        assert bdat(client, DOTS[:7]) == 250
        assert bdat(client, DOTS[7:], "LAST") == 552
        assert client.getreply()[0] == 250
    trace_above(dovecot.mailboxes.next("alice"), DOTS)


@pytest.mark.peer("swaks")
def test_swaks_speaks_lmtp(dovecot: Dovecot, swaks: Send) -> None:
    swaks(dovecot.port, DOTS, "--protocol=LMTP", "--to=alice@box.test")
    trace_above(dovecot.mailboxes.next("alice"), DOTS)


def test_xclient(dovecot: Dovecot) -> None:
    with dial(dovecot) as client:
        client.ehlo()
        assert client.docmd("XCLIENT ADDR=192.0.2.7 PORT=4711 HELO=far.test")[0] == 220
        client.ehlo()
        client.sendmail("ann@a.test", "alice@box.test", PLAIN)
    assert "([192.0.2.7])" in trace_above(dovecot.mailboxes.next("alice"), PLAIN)[-1]

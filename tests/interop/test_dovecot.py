"""Dovecot's LMTP server behaves as the tests of our client assume."""

from __future__ import annotations

import pytest

from tests.interop.contents import ALICE, DOTS, PLAIN
from tests.interop.dovecot import Dovecot
from tests.interop.mailboxes import assert_delivered, fields_above
from tests.interop.programs import Send
from tests.interop.smtplib_client import dial_lmtp, offered, send_chunk

pytestmark = pytest.mark.peer("dovecot")


def test_dovecot_offers_the_extensions_under_test(dovecot: Dovecot) -> None:
    with dial_lmtp(dovecot.port) as client:
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


def test_dovecot_replies_for_each_recipient(dovecot: Dovecot) -> None:
    with dial_lmtp(dovecot.port) as client:
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
        assert_delivered(dovecot.mailboxes.next(user), b"Subject: x\r\n\r\n.\r\n")


def test_dovecot_replies_for_each_recipient_after_bdat(dovecot: Dovecot) -> None:
    with dial_lmtp(dovecot.port) as client:
        client.ehlo()
        client.mail("ann@a.test")
        for user in ("full", "alice"):
            client.rcpt(f"{user}@box.test")
        assert send_chunk(client, DOTS[:7]) == 250
        assert send_chunk(client, DOTS[7:], "LAST") == 552
        assert client.getreply()[0] == 250
    assert_delivered(dovecot.mailboxes.next("alice"), DOTS)


@pytest.mark.peer("swaks")
def test_dovecot_accepts_lmtp_from_swaks(dovecot: Dovecot, swaks: Send) -> None:
    swaks(dovecot.port, DOTS, "--protocol=LMTP", "--to=alice@box.test")
    assert_delivered(dovecot.mailboxes.next("alice"), DOTS)


def test_dovecot_accepts_xclient(dovecot: Dovecot) -> None:
    with dial_lmtp(dovecot.port) as client:
        client.ehlo()
        assert client.docmd("XCLIENT ADDR=192.0.2.7 PORT=4711 HELO=far.test")[0] == 220
        client.ehlo()
        client.sendmail("ann@a.test", ALICE, PLAIN)
    assert "([192.0.2.7])" in fields_above(dovecot.mailboxes.next("alice"), PLAIN)[-1]

"""Postfix: our clients send to its mailboxes, and it relays to our servers."""

from __future__ import annotations

import functools

import pytest

from smtpproto import Envelope, ForwardPath, Reply, SendRefused, TLSMode
from tests.interop.contents import ALICE, DOTS, PLAIN, TO_ALICE
from tests.interop.mailboxes import field_names, fields_above
from tests.interop.our_client import send
from tests.interop.our_server import Inbox
from tests.interop.postfix import Postfix
from tests.interop.programs import Certificate, wait_until

pytestmark = pytest.mark.peer("postfix")


def assert_only_trace_added(octets: bytes, content: bytes) -> None:
    """Check that Postfix has added only trace fields to *content*."""
    fields = field_names(fields_above(octets, content))
    assert fields <= {"return-path", "x-original-to", "delivered-to", "received"}


@pytest.mark.parametrize("mode", [TLSMode.NONE, TLSMode.REQUIRED], ids=["plain", "STARTTLS"])
def test_a_message_is_delivered_octet_for_octet(
    adapter: str, mode: TLSMode, content: bytes, postfix: Postfix, certificate: Certificate
) -> None:
    envelope = TO_ALICE
    outcome = send(adapter, postfix.port, content, envelope, tls=mode, context=certificate.client)
    delivered = postfix.mailboxes.next("alice")
    assert_only_trace_added(delivered, content)
    assert (b" with ESMTPS id " in delivered) is (mode is TLSMode.REQUIRED)
    assert outcome.reply is not None
    assert "queued as" in outcome.reply.text


def test_a_group_of_commands_with_one_refused_recipient(adapter: str, postfix: Postfix) -> None:
    alice, nobody, bob = (ForwardPath.of(f"{user}@box.test") for user in ("alice", "no", "bob"))
    dialogue: list[str] = []
    outcome = send(
        adapter,
        postfix.port,
        PLAIN,
        Envelope("ann@a.test", [alice, nobody, bob]),
        trace=lambda side, line: dialogue.append(side + line[:4]),
    )
    group = [
        "CMAIL",
        "CRCPT",
        "CRCPT",
        "CRCPT",
        "CDATA",
        "S250 ",
        "S250 ",
        "S550 ",
        "S250 ",
        "S354 ",
    ]
    start = dialogue.index("CMAIL")
    assert dialogue[start : start + len(group)] == group
    assert set(outcome.accepted) == {alice, bob}
    assert set(outcome.refused) == {nobody}
    assert str(outcome.refused[nobody].enhanced) == "5.1.1"
    assert_only_trace_added(postfix.mailboxes.next("alice"), PLAIN)
    assert_only_trace_added(postfix.mailboxes.next("bob"), PLAIN)


def test_every_recipient_refused(adapter: str, postfix: Postfix) -> None:
    """DATA has left with the group, and Postfix answers it 554."""
    nobody = ForwardPath.of("no@box.test")
    with pytest.raises(SendRefused) as caught:
        send(adapter, postfix.port, PLAIN, Envelope("ann@a.test", nobody))
    assert caught.value.reply.code == 550
    assert set(caught.value.outcome.refused) == {nobody}


def test_a_message_is_delivered_to_a_utf8_address(adapter: str, postfix: Postfix) -> None:
    send(adapter, postfix.port, DOTS, Envelope("żółw@a.test", "jürgen@box.test"))
    delivered = postfix.mailboxes.next("jürgen")
    assert_only_trace_added(delivered, DOTS)
    assert delivered.startswith("Return-Path: <żółw@a.test>\r\n".encode())


def test_a_message_is_relayed_octet_for_octet(
    adapter: str, content: bytes, postfix: Postfix, next_hop: str, inbox: Inbox
) -> None:
    recipient = f"bob@{next_hop}"
    send(adapter, postfix.port, content, Envelope("ann@a.test", recipient))
    arrival = inbox.next()
    assert_only_trace_added(arrival.body, content)
    assert (arrival.sender, arrival.recipients) == ("ann@a.test", [recipient])
    assert str(arrival.session.hello) == "mx.postfix.test"
    assert arrival.session.tls is not None


def test_a_message_with_utf8_addresses_is_relayed(
    adapter: str, postfix: Postfix, next_hop: str, inbox: Inbox
) -> None:
    recipient = f"jürgen@{next_hop}"
    send(adapter, postfix.port, DOTS, Envelope("żółw@a.test", recipient))
    arrival = inbox.next()
    assert_only_trace_added(arrival.body, DOTS)
    assert (arrival.sender, arrival.recipients) == ("żółw@a.test", [recipient])
    assert arrival.envelope.parameters.smtputf8


def test_more_recipients_than_are_sent_at_once_all_arrive(
    adapter: str, postfix: Postfix, next_hop: str, inbox: Inbox
) -> None:
    recipients = [f"recipient-with-number-{n}@{next_hop}" for n in range(500)]
    outcome = send(adapter, postfix.port, PLAIN, Envelope("ann@a.test", recipients))
    assert [str(path) for path in outcome.accepted] == recipients
    relayed: list[str] = []
    while len(relayed) < len(recipients):  # Postfix relays to 50 at a time
        arrival = inbox.next()
        assert_only_trace_added(arrival.body, PLAIN)
        relayed += arrival.recipients
    assert sorted(relayed) == sorted(recipients)


def test_postfix_reports_a_recipient_that_our_server_refused(
    adapter: str, postfix: Postfix, next_hop: str
) -> None:
    """The report has the reply of our server."""
    send(adapter, postfix.port, PLAIN, Envelope(ALICE, f"refused@{next_hop}"))
    report = postfix.mailboxes.next("alice")
    assert report.startswith(b"Return-Path: <>\r\n")
    assert b"\r\nStatus: 5.1.1\r\n" in report
    assert b"\r\nDiagnostic-Code: smtp; 550 5.1.1 No such mailbox\r\n" in report


def _arrived(postfix: Postfix, inbox: Inbox) -> bool | None:
    """Return True if a message arrived, else None. Retry the queue once the refusal is used up."""
    if not inbox.replies_once:
        postfix.run_queue()
    return None if inbox.empty else True


@pytest.mark.parametrize("moment", ["RCPT", "DATA"])
def test_postfix_retries_after_a_transient_refusal(
    adapter: str, moment: str, postfix: Postfix, next_hop: str, inbox: Inbox
) -> None:
    inbox.replies_once[moment] = Reply(450, "4.2.0", "Come back later")
    send(adapter, postfix.port, DOTS, Envelope("ann@a.test", f"bob@{next_hop}"))
    wait_until("the message arrives after the refusal", functools.partial(_arrived, postfix, inbox))
    assert_only_trace_added(inbox.next().body, DOTS)
    assert not inbox.replies_once
    assert inbox.empty

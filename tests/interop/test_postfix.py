"""Postfix, both ways: our clients send to its mailboxes, and it relays to our servers."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import pytest

from smtpproto import Envelope, ForwardPath, Reply, SendRefused, TLSMode
from tests.interop.mailboxes import names, trace_above
from tests.interop.peers import DOTS, PLAIN, Inbox, send, serving
from tests.interop.postfix import Postfix
from tests.interop.programs import Certificate, until

pytestmark = pytest.mark.peer("postfix")


@pytest.fixture
def next_hop(flavour: str, inbox: Inbox, certificate: Certificate) -> Iterator[str]:
    """The domain for which Postfix relays to our server, which gives it to *inbox*."""
    with serving(flavour, inbox, context=certificate.server, require_tls=True) as port:
        yield f"{port}.tls.test"


def below_trace(octets: bytes, content: bytes) -> None:
    """Nothing but Postfix's trace fields stands above *content*."""
    fields = names(trace_above(octets, content))
    assert fields <= {"return-path", "x-original-to", "delivered-to", "received"}


@pytest.mark.parametrize("mode", [TLSMode.NONE, TLSMode.REQUIRED], ids=["plain", "STARTTLS"])
def test_delivered_octet_for_octet(
    flavour: str, mode: TLSMode, content: bytes, postfix: Postfix, certificate: Certificate
) -> None:
    envelope = Envelope("ann@a.test", "alice@box.test")
    outcome = send(flavour, postfix.port, content, envelope, tls=mode, context=certificate.client)
    delivered = postfix.mailboxes.next("alice")
    below_trace(delivered, content)
    assert (b" with ESMTPS id " in delivered) is (mode is TLSMode.REQUIRED)
    assert outcome.reply is not None
    assert "queued as" in outcome.reply.text


def test_recipients_in_one_group_one_refused(flavour: str, postfix: Postfix) -> None:
    alice, nobody, bob = (ForwardPath.of(f"{user}@box.test") for user in ("alice", "no", "bob"))
    said: list[str] = []
    outcome = send(
        flavour,
        postfix.port,
        PLAIN,
        Envelope("ann@a.test", [alice, nobody, bob]),
        trace=lambda who, line: said.append(who + line[:4]),
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
    start = said.index("CMAIL")
    assert said[start : start + len(group)] == group
    assert set(outcome.accepted) == {alice, bob}
    assert set(outcome.refused) == {nobody}
    assert str(outcome.refused[nobody].enhanced) == "5.1.1"
    below_trace(postfix.mailboxes.next("alice"), PLAIN)
    below_trace(postfix.mailboxes.next("bob"), PLAIN)


def test_every_recipient_refused(flavour: str, postfix: Postfix) -> None:
    """DATA has left with the group, and Postfix answers it 554."""
    nobody = ForwardPath.of("no@box.test")
    with pytest.raises(SendRefused) as caught:
        send(flavour, postfix.port, PLAIN, Envelope("ann@a.test", nobody))
    assert caught.value.reply.code == 550
    assert set(caught.value.outcome.refused) == {nobody}


def test_delivered_to_address_in_utf8(flavour: str, postfix: Postfix) -> None:
    send(flavour, postfix.port, DOTS, Envelope("żółw@a.test", "jürgen@box.test"))
    delivered = postfix.mailboxes.next("jürgen")
    below_trace(delivered, DOTS)
    assert delivered.startswith("Return-Path: <żółw@a.test>\r\n".encode())


def test_relayed_octet_for_octet(
    flavour: str, content: bytes, postfix: Postfix, next_hop: str, inbox: Inbox
) -> None:
    recipient = f"bob@{next_hop}"
    send(flavour, postfix.port, content, Envelope("ann@a.test", recipient))
    arrival = inbox.next()
    below_trace(arrival.body, content)
    assert (arrival.sender, arrival.recipients) == ("ann@a.test", [recipient])
    assert str(arrival.session.hello) == "mx.postfix.test"
    assert arrival.session.tls is not None


def test_relayed_with_addresses_in_utf8(
    flavour: str, postfix: Postfix, next_hop: str, inbox: Inbox
) -> None:
    recipient = f"jürgen@{next_hop}"
    send(flavour, postfix.port, DOTS, Envelope("żółw@a.test", recipient))
    arrival = inbox.next()
    below_trace(arrival.body, DOTS)
    assert (arrival.sender, arrival.recipients) == ("żółw@a.test", [recipient])
    assert arrival.envelope.parameters.smtputf8


def test_more_recipients_than_the_window_holds(
    flavour: str, postfix: Postfix, next_hop: str, inbox: Inbox
) -> None:
    recipients = [f"somebody-with-number-{n}@{next_hop}" for n in range(500)]
    outcome = send(flavour, postfix.port, PLAIN, Envelope("ann@a.test", recipients))
    assert [str(path) for path in outcome.accepted] == recipients
    relayed: list[str] = []
    while len(relayed) < len(recipients):  # Postfix relays to 50 at a time
        arrival = inbox.next()
        below_trace(arrival.body, PLAIN)
        relayed += arrival.recipients
    assert sorted(relayed) == sorted(recipients)


def test_bounce_of_refused_recipient(flavour: str, postfix: Postfix, next_hop: str) -> None:
    """What our server refuses for good, Postfix reports to the sender with our words."""
    send(flavour, postfix.port, PLAIN, Envelope("alice@box.test", f"refused@{next_hop}"))
    report = postfix.mailboxes.next("alice")
    assert report.startswith(b"Return-Path: <>\r\n")
    assert b"\r\nStatus: 5.1.1\r\n" in report
    assert b"\r\nDiagnostic-Code: smtp; 550 5.1.1 No such mailbox\r\n" in report


def _arrived(postfix: Postfix, inbox: Inbox) -> bool | None:
    if not inbox.once:  # it was refused, once
        postfix.run_queue()
    return None if inbox.empty else True


@pytest.mark.parametrize("moment", ["RCPT", "DATA"])
def test_refused_for_now_comes_again(
    flavour: str, moment: str, postfix: Postfix, next_hop: str, inbox: Inbox
) -> None:
    inbox.once[moment] = Reply(450, "4.2.0", "Come back later")
    send(flavour, postfix.port, DOTS, Envelope("ann@a.test", f"bob@{next_hop}"))
    until("the message comes again", functools.partial(_arrived, postfix, inbox))
    below_trace(inbox.next().body, DOTS)
    assert not inbox.once
    assert inbox.empty

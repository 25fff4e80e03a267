"""Exim, both ways: our clients send to its mailboxes, and it relays to our servers, by BDAT too."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator

import pytest

from smtpproto import Envelope, ForwardPath, Reply, TLSMode
from tests.interop.exim import Exim
from tests.interop.mailboxes import trace_above
from tests.interop.peers import DOTS, LARGE, PLAIN, Inbox, send, serving
from tests.interop.programs import PATIENCE, Certificate
from tests.interop.raw import bdat, listening, offered

pytestmark = pytest.mark.peer("exim")

ALICE = "alice@box.test"


@pytest.fixture
def next_hop(flavour: str, inbox: Inbox, certificate: Certificate) -> Iterator[str]:
    """The domain for which Exim relays to our server, which gives it to *inbox*."""
    with serving(flavour, inbox, context=certificate.server, require_tls=True) as port:
        yield f"{port}.tls.test"


def dial(exim: Exim) -> smtplib.SMTP:
    return smtplib.SMTP("127.0.0.1", exim.port, timeout=PATIENCE)


def test_offers(exim: Exim) -> None:
    with dial(exim) as client:
        assert set(offered(client)) == {
            "8BITMIME",
            "CHUNKING",
            "DSN",
            "HELP",
            "PIPECONNECT",
            "PIPELINING",
            "SIZE",
            "SMTPUTF8",
            "STARTTLS",
        }


@pytest.mark.parametrize("mode", [TLSMode.NONE, TLSMode.REQUIRED], ids=["plain", "STARTTLS"])
def test_delivered_octet_for_octet(
    flavour: str, mode: TLSMode, content: bytes, exim: Exim, certificate: Certificate
) -> None:
    envelope = Envelope("ann@a.test", ALICE)
    outcome = send(flavour, exim.port, content, envelope, tls=mode, context=certificate.client)
    *envelope_fields, received = trace_above(exim.mailboxes.next("alice"), content)
    assert envelope_fields[0] == "Return-path: <ann@a.test>"
    assert envelope_fields[1] == "X-Envelope: RCPT TO:<alice@box.test>"
    assert envelope_fields[2].startswith("X-Envelope: MAIL FROM:<ann@a.test>")
    assert (" with esmtps " in received) is (mode is TLSMode.REQUIRED)
    assert f" id {outcome.queue_ids[0]} " in received


def test_one_recipient_refused(flavour: str, exim: Exim) -> None:
    alice, nobody, bob = (ForwardPath.of(f"{user}@box.test") for user in ("alice", "no", "bob"))
    outcome = send(flavour, exim.port, PLAIN, Envelope("ann@a.test", [alice, nobody, bob]))
    assert set(outcome.accepted) == {alice, bob}
    assert str(outcome.refused[nobody].enhanced) == "5.1.1"
    for user in ("alice", "bob"):
        trace_above(exim.mailboxes.next(user), PLAIN)


def test_delivered_to_address_in_utf8(flavour: str, exim: Exim) -> None:
    send(flavour, exim.port, DOTS, Envelope("żółw@a.test", "jürgen@box.test"))
    fields = trace_above(exim.mailboxes.next("jürgen"), DOTS)
    assert fields[0] == "Return-path: <żółw@a.test>"
    assert " with utf8esmtp" in fields[-1]


def test_takes_bdat_and_dsn_parameters(exim: Exim) -> None:
    mail = "MAIL FROM:<ann@a.test> RET=HDRS ENVID=q+2B1"
    rcpt = f"RCPT TO:<{ALICE}> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b+2Bob@b.test"
    with dial(exim) as client:
        client.ehlo()
        assert [client.docmd(command)[0] for command in (mail, rcpt)] == [250, 250]
        assert [bdat(client, chunk) for chunk in (LARGE[:7], LARGE[7:11])] == [250, 250]
        assert bdat(client, LARGE[11:], "LAST") == 250
    fields = trace_above(exim.mailboxes.next("alice"), LARGE)
    assert fields[1:3] == [f"X-Envelope: {rcpt}", f"X-Envelope: {mail}"]


def test_relayed_octet_for_octet(
    flavour: str, content: bytes, exim: Exim, next_hop: str, inbox: Inbox
) -> None:
    recipient = f"bob@{next_hop}"
    send(flavour, exim.port, content, Envelope("ann@a.test", recipient))
    arrival = inbox.next()
    trace_above(arrival.body, content)
    assert (arrival.sender, arrival.recipients) == ("ann@a.test", [recipient])
    assert str(arrival.session.hello) == "mx.exim.test"
    assert arrival.session.tls is not None


def test_relayed_with_addresses_in_utf8(
    flavour: str, exim: Exim, next_hop: str, inbox: Inbox
) -> None:
    recipient = f"jürgen@{next_hop}"
    send(flavour, exim.port, DOTS, Envelope("żółw@a.test", recipient))
    arrival = inbox.next()
    trace_above(arrival.body, DOTS)
    assert (arrival.sender, arrival.recipients) == ("żółw@a.test", [recipient])
    assert arrival.envelope.parameters.smtputf8


def test_relays_by_bdat_with_dsn_parameters(content: bytes, exim: Exim) -> None:
    notify = ["NOTIFY=SUCCESS,DELAY", "ORCPT=rfc822;b+2Bob@b.test"]
    with listening("DSN", "CHUNKING", "8BITMIME", "PIPELINING") as ear, dial(exim) as client:
        recipient = f"bob@{ear.port}.smtp.test"
        client.sendmail("ann@a.test", recipient, content, ["RET=HDRS", "ENVID=q+2B1"], notify)
        heard = ear.next()
    assert heard.parameters("MAIL") >= {"RET=HDRS", "ENVID=q+2B1"}
    assert heard.parameters("RCPT") == {*notify}
    assert heard.recipients == [recipient]
    assert heard.commands[-1] == f"BDAT {heard.commands[-1].split()[1]} LAST"
    trace_above(heard.octets, content)


def test_relays_by_lmtp(exim: Exim) -> None:
    with listening("DSN", "8BITMIME", "PIPELINING") as ear, dial(exim) as client:
        recipients = [f"{user}@{ear.port}.lmtp.test" for user in ("bob", "refused", "full", "cy")]
        client.sendmail(ALICE, recipients, PLAIN)
        heard = ear.next()
        report = exim.mailboxes.next("alice")
    assert heard.commands[0] == "LHLO mx.exim.test"
    assert {path.partition("@")[0] for path in heard.recipients} == {"bob", "full", "cy"}
    trace_above(heard.octets, PLAIN)
    assert report.count(b"\r\nAction: failed\r\n") == 2
    assert b"550 5.1.1 No such mailbox" in report
    assert b"552 5.2.2 Mailbox full" in report


@pytest.mark.parametrize("moment", ["RCPT", "DATA"])
def test_refused_for_now_comes_again(
    flavour: str, moment: str, exim: Exim, next_hop: str, inbox: Inbox
) -> None:
    inbox.once[moment] = Reply(450, "4.2.0", "Come back later")
    send(flavour, exim.port, DOTS, Envelope("ann@a.test", f"bob@{next_hop}"))
    trace_above(inbox.next().body, DOTS)
    assert not inbox.once

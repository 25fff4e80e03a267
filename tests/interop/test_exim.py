"""Exim: our clients send to its mailboxes, and it relays to our servers, also by BDAT."""

from __future__ import annotations

import pytest

from smtpproto import Envelope, ForwardPath, Reply, TLSMode
from tests.interop.contents import ALICE, DOTS, LARGE, PLAIN, TO_ALICE
from tests.interop.exim import Exim
from tests.interop.mailboxes import assert_delivered, fields_above
from tests.interop.our_client import send
from tests.interop.our_server import Inbox
from tests.interop.programs import Certificate
from tests.interop.recording_server import recording_server
from tests.interop.smtplib_client import dial, offered, send_chunk

pytestmark = pytest.mark.peer("exim")


def test_exim_offers_the_extensions_under_test(exim: Exim) -> None:
    with dial(exim.port) as client:
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
def test_a_message_is_delivered_octet_for_octet(
    adapter: str, mode: TLSMode, content: bytes, exim: Exim, certificate: Certificate
) -> None:
    envelope = TO_ALICE
    outcome = send(adapter, exim.port, content, envelope, tls=mode, context=certificate.client)
    *envelope_fields, received = fields_above(exim.mailboxes.next("alice"), content)
    assert envelope_fields[0] == "Return-path: <ann@a.test>"
    assert envelope_fields[1] == "X-Envelope: RCPT TO:<alice@box.test>"
    assert envelope_fields[2].startswith("X-Envelope: MAIL FROM:<ann@a.test>")
    assert (" with esmtps " in received) is (mode is TLSMode.REQUIRED)
    assert f" id {outcome.queue_ids[0]} " in received


def test_one_refused_recipient_is_reported(adapter: str, exim: Exim) -> None:
    alice, nobody, bob = (ForwardPath.of(f"{user}@box.test") for user in ("alice", "no", "bob"))
    outcome = send(adapter, exim.port, PLAIN, Envelope("ann@a.test", [alice, nobody, bob]))
    assert set(outcome.accepted) == {alice, bob}
    assert str(outcome.refused[nobody].enhanced) == "5.1.1"
    for user in ("alice", "bob"):
        assert_delivered(exim.mailboxes.next(user), PLAIN)


def test_a_message_is_delivered_to_a_utf8_address(adapter: str, exim: Exim) -> None:
    send(adapter, exim.port, DOTS, Envelope("żółw@a.test", "jürgen@box.test"))
    fields = fields_above(exim.mailboxes.next("jürgen"), DOTS)
    assert fields[0] == "Return-path: <żółw@a.test>"
    assert " with utf8esmtp" in fields[-1]


def test_exim_accepts_bdat_and_dsn_parameters(exim: Exim) -> None:
    mail = "MAIL FROM:<ann@a.test> RET=HDRS ENVID=q+2B1"
    rcpt = f"RCPT TO:<{ALICE}> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b+2Bob@b.test"
    with dial(exim.port) as client:
        client.ehlo()
        assert [client.docmd(command)[0] for command in (mail, rcpt)] == [250, 250]
        assert [send_chunk(client, chunk) for chunk in (LARGE[:7], LARGE[7:11])] == [250, 250]
        assert send_chunk(client, LARGE[11:], "LAST") == 250
    fields = fields_above(exim.mailboxes.next("alice"), LARGE)
    assert fields[1:3] == [f"X-Envelope: {rcpt}", f"X-Envelope: {mail}"]


def test_a_message_is_relayed_octet_for_octet(
    adapter: str, content: bytes, exim: Exim, next_hop: str, inbox: Inbox
) -> None:
    recipient = f"bob@{next_hop}"
    send(adapter, exim.port, content, Envelope("ann@a.test", recipient))
    arrival = inbox.next()
    assert_delivered(arrival.body, content)
    assert (arrival.sender, arrival.recipients) == ("ann@a.test", [recipient])
    assert str(arrival.session.hello) == "mx.exim.test"
    assert arrival.session.tls is not None


def test_a_message_with_utf8_addresses_is_relayed(
    adapter: str, exim: Exim, next_hop: str, inbox: Inbox
) -> None:
    recipient = f"jürgen@{next_hop}"
    send(adapter, exim.port, DOTS, Envelope("żółw@a.test", recipient))
    arrival = inbox.next()
    assert_delivered(arrival.body, DOTS)
    assert (arrival.sender, arrival.recipients) == ("żółw@a.test", [recipient])
    assert arrival.envelope.parameters.smtputf8


def test_exim_relays_by_bdat_with_dsn_parameters(content: bytes, exim: Exim) -> None:
    notify = ["NOTIFY=SUCCESS,DELAY", "ORCPT=rfc822;b+2Bob@b.test"]
    with (
        recording_server("DSN", "CHUNKING", "8BITMIME", "PIPELINING") as server,
        dial(exim.port) as client,
    ):
        recipient = f"bob@{server.port}.smtp.test"
        client.sendmail("ann@a.test", recipient, content, ["RET=HDRS", "ENVID=q+2B1"], notify)
        received = server.next()
    assert received.parameters("MAIL") >= {"RET=HDRS", "ENVID=q+2B1"}
    assert received.parameters("RCPT") == {*notify}
    assert received.recipients == [recipient]
    assert received.commands[-1] == f"BDAT {received.commands[-1].split()[1]} LAST"
    assert_delivered(received.octets, content)


def test_exim_relays_by_lmtp(exim: Exim) -> None:
    with recording_server("DSN", "8BITMIME", "PIPELINING") as server, dial(exim.port) as client:
        recipients = [
            f"{user}@{server.port}.lmtp.test" for user in ("bob", "refused", "full", "cy")
        ]
        client.sendmail(ALICE, recipients, PLAIN)
        received = server.next()
        report = exim.mailboxes.next("alice")
    assert received.commands[0] == "LHLO mx.exim.test"
    assert {path.partition("@")[0] for path in received.recipients} == {"bob", "full", "cy"}
    assert_delivered(received.octets, PLAIN)
    assert report.count(b"\r\nAction: failed\r\n") == 2
    assert b"550 5.1.1 No such mailbox" in report
    assert b"552 5.2.2 Mailbox full" in report


@pytest.mark.parametrize("moment", ["RCPT", "DATA"])
def test_exim_retries_after_a_transient_refusal(
    adapter: str, moment: str, exim: Exim, next_hop: str, inbox: Inbox
) -> None:
    inbox.replies_once[moment] = Reply(450, "4.2.0", "Come back later")
    send(adapter, exim.port, DOTS, Envelope("ann@a.test", f"bob@{next_hop}"))
    assert_delivered(inbox.next().body, DOTS)
    assert not inbox.replies_once

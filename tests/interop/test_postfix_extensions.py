"""Postfix's extensions behave as the tests of our code assume: DSN, CHUNKING, LMTP, XCLIENT,
XFORWARD and the PROXY protocol."""

from __future__ import annotations

import pytest

from tests.interop.contents import ALICE, DOTS, PLAIN
from tests.interop.mailboxes import assert_delivered, fields_above
from tests.interop.postfix import Postfix
from tests.interop.programs import Send
from tests.interop.recording_server import recording_server
from tests.interop.smtplib_client import dial, offered, send_chunk

pytestmark = pytest.mark.peer("postfix")

ON_ALL_PORTS = {
    "8BITMIME",
    "CHUNKING",
    "DSN",
    "ENHANCEDSTATUSCODES",
    "ETRN",
    "PIPELINING",
    "SIZE",
    "SMTPUTF8",
    "STARTTLS",
    "VRFY",
}


def test_postfix_offers_the_extensions_under_test(postfix: Postfix) -> None:
    with dial(postfix.port) as client:
        assert set(offered(client)) == ON_ALL_PORTS
    with dial(postfix.trusting) as client:
        keywords = offered(client)
    assert set(keywords) == ON_ALL_PORTS | {"XCLIENT", "XFORWARD"}
    shared = {"NAME", "ADDR", "PROTO", "HELO", "PORT"}
    assert set(keywords["XCLIENT"].split()) >= shared | {"LOGIN", "DESTADDR", "DESTPORT"}
    assert set(keywords["XFORWARD"].split()) == shared | {"SOURCE", "IDENT"}


def test_postfix_accepts_bdat(postfix: Postfix) -> None:
    with dial(postfix.port) as client:
        client.ehlo()
        client.mail("ann@a.test")
        client.rcpt(ALICE)
        assert [send_chunk(client, chunk) for chunk in (DOTS[:7], DOTS[7:11])] == [250, 250]
        assert send_chunk(client, DOTS[11:], "LAST") == 250
    assert postfix.mailboxes.next("alice").endswith(DOTS)


def test_postfix_relays_dsn_parameters_and_never_uses_bdat(postfix: Postfix) -> None:
    notify = ["NOTIFY=SUCCESS,DELAY", "ORCPT=rfc822;b+2Bob@b.test"]
    with recording_server("DSN", "CHUNKING", "8BITMIME") as server, dial(postfix.port) as client:
        recipient = f"bob@{server.port}.smtp.test"
        client.sendmail("ann@a.test", recipient, DOTS, ["RET=HDRS", "ENVID=q+2B1"], notify)
        received = server.next()
    assert received.parameters("MAIL") >= {"RET=HDRS", "ENVID=q+2B1"}
    assert received.parameters("RCPT") == {*notify}
    assert received.recipients == [recipient]
    assert received.commands[-1] == "DATA"


def test_postfix_relays_by_lmtp(postfix: Postfix) -> None:
    with recording_server("DSN", "8BITMIME", "PIPELINING") as server, dial(postfix.port) as client:
        recipients = [
            f"{user}@{server.port}.lmtp.test" for user in ("bob", "refused", "full", "cy")
        ]
        client.sendmail(ALICE, recipients, PLAIN)
        received = server.next()
        report = postfix.mailboxes.next("alice")
    assert received.commands[0] == "LHLO mx.postfix.test"
    assert {path.partition("@")[0] for path in received.recipients} == {"bob", "full", "cy"}
    assert_delivered(received.octets, PLAIN)
    assert report.count(b"\r\nAction: failed\r\n") == 2
    assert b"\r\nDiagnostic-Code: smtp; 550 5.1.1 No such mailbox\r\n" in report
    assert b"\r\nDiagnostic-Code: smtp; 552 5.2.2 Mailbox full\r\n" in report


def test_postfix_accepts_xclient_on_the_trusting_port_only(postfix: Postfix) -> None:
    with dial(postfix.trusting) as client:
        client.ehlo()
        assert client.docmd("XCLIENT NAME=far.test ADDR=192.0.2.7 HELO=said.test")[0] == 220
        client.ehlo()
        client.sendmail("ann@a.test", ALICE, PLAIN)
    assert b" (far.test [192.0.2.7])\r\n" in postfix.mailboxes.next("alice")
    with dial(postfix.port) as client:
        client.ehlo()
        assert client.docmd("XCLIENT NAME=far.test")[0] == 550


@pytest.mark.peer("swaks")
def test_postfix_accepts_xclient_from_swaks(postfix: Postfix, swaks: Send) -> None:
    client = ("--xclient-addr=192.0.2.7", "--xclient-name=far.test", "--xclient-helo=said.test")
    swaks(postfix.trusting, PLAIN, f"--to={ALICE}", *client)
    received = fields_above(postfix.mailboxes.next("alice"), PLAIN)[-1]
    assert "(far.test [192.0.2.7])" in received


def test_postfix_relays_xforward(postfix: Postfix) -> None:
    with (
        recording_server("XFORWARD NAME ADDR PROTO HELO") as server,
        dial(postfix.trusting) as client,
    ):
        client.ehlo()
        assert client.docmd("XFORWARD NAME=far.test ADDR=192.0.2.7 HELO=said.test")[0] == 250
        client.sendmail("ann@a.test", f"bob@{server.port}.smtp.test", PLAIN)
        commands = server.next().commands
    assert commands[1:3] == ["XFORWARD NAME=far.test ADDR=192.0.2.7", "XFORWARD HELO=said.test"]


@pytest.mark.peer("swaks")
@pytest.mark.parametrize(("version", "family"), [("1", "TCP4"), ("2", "AF_INET")])
def test_postfix_accepts_a_proxy_header_from_swaks(
    version: str, family: str, postfix: Postfix, swaks: Send
) -> None:
    source = ("--proxy-source=192.0.2.7", "--proxy-source-port=4711")
    destination = ("--proxy-dest=192.0.2.1", "--proxy-dest-port=25")
    header = (f"--proxy-version={version}", f"--proxy-family={family}", *source, *destination)
    swaks(postfix.proxied, PLAIN, f"--to={ALICE}", *header)
    received = fields_above(postfix.mailboxes.next("alice"), PLAIN)[-1]
    assert "(unknown [192.0.2.7])" in received

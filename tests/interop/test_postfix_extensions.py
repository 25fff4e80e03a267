"""What Postfix has for tests of extensions: DSN, CHUNKING, LMTP, XCLIENT, XFORWARD, PROXY."""

from __future__ import annotations

import smtplib

import pytest

from tests.interop.mailboxes import trace_above
from tests.interop.peers import DOTS, PLAIN
from tests.interop.postfix import Postfix
from tests.interop.programs import PATIENCE, Send
from tests.interop.raw import bdat, listening, offered

pytestmark = pytest.mark.peer("postfix")

ALICE = "alice@box.test"
EVERYWHERE = {
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


def dial(port: int) -> smtplib.SMTP:
    return smtplib.SMTP("127.0.0.1", port, timeout=PATIENCE)


def test_offers(postfix: Postfix) -> None:
    with dial(postfix.port) as client:
        assert set(offered(client)) == EVERYWHERE
    with dial(postfix.trusting) as client:
        keywords = offered(client)
    assert set(keywords) == EVERYWHERE | {"XCLIENT", "XFORWARD"}
    shared = {"NAME", "ADDR", "PROTO", "HELO", "PORT"}
    assert set(keywords["XCLIENT"].split()) >= shared | {"LOGIN", "DESTADDR", "DESTPORT"}
    assert set(keywords["XFORWARD"].split()) == shared | {"SOURCE", "IDENT"}


def test_takes_bdat(postfix: Postfix) -> None:
    with dial(postfix.port) as client:
        client.ehlo()
        client.mail("ann@a.test")
        client.rcpt(ALICE)
        assert [bdat(client, chunk) for chunk in (DOTS[:7], DOTS[7:11])] == [250, 250]
        assert bdat(client, DOTS[11:], "LAST") == 250
    assert postfix.mailboxes.next("alice").endswith(DOTS)


def test_relays_dsn_parameters_and_never_bdat(postfix: Postfix) -> None:
    notify = ["NOTIFY=SUCCESS,DELAY", "ORCPT=rfc822;b+2Bob@b.test"]
    with listening("DSN", "CHUNKING", "8BITMIME") as ear, dial(postfix.port) as client:
        recipient = f"bob@{ear.port}.smtp.test"
        client.sendmail("ann@a.test", recipient, DOTS, ["RET=HDRS", "ENVID=q+2B1"], notify)
        heard = ear.next()
    assert heard.parameters("MAIL") >= {"RET=HDRS", "ENVID=q+2B1"}
    assert heard.parameters("RCPT") == {*notify}
    assert heard.recipients == [recipient]
    assert heard.commands[-1] == "DATA"


def test_relays_by_lmtp(postfix: Postfix) -> None:
    with listening("DSN", "8BITMIME", "PIPELINING") as ear, dial(postfix.port) as client:
        recipients = [f"{user}@{ear.port}.lmtp.test" for user in ("bob", "refused", "full", "cy")]
        client.sendmail(ALICE, recipients, PLAIN)
        heard = ear.next()
        report = postfix.mailboxes.next("alice")
    assert heard.commands[0] == "LHLO mx.postfix.test"
    assert {path.partition("@")[0] for path in heard.recipients} == {"bob", "full", "cy"}
    trace_above(heard.octets, PLAIN)
    assert report.count(b"\r\nAction: failed\r\n") == 2
    assert b"\r\nDiagnostic-Code: smtp; 550 5.1.1 No such mailbox\r\n" in report
    assert b"\r\nDiagnostic-Code: smtp; 552 5.2.2 Mailbox full\r\n" in report


def test_xclient(postfix: Postfix) -> None:
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
def test_xclient_by_swaks(postfix: Postfix, swaks: Send) -> None:
    client = ("--xclient-addr=192.0.2.7", "--xclient-name=far.test", "--xclient-helo=said.test")
    swaks(postfix.trusting, PLAIN, f"--to={ALICE}", *client)
    received = trace_above(postfix.mailboxes.next("alice"), PLAIN)[-1]
    assert "(far.test [192.0.2.7])" in received


def test_relays_xforward(postfix: Postfix) -> None:
    with listening("XFORWARD NAME ADDR PROTO HELO") as ear, dial(postfix.trusting) as client:
        client.ehlo()
        assert client.docmd("XFORWARD NAME=far.test ADDR=192.0.2.7 HELO=said.test")[0] == 250
        client.sendmail("ann@a.test", f"bob@{ear.port}.smtp.test", PLAIN)
        commands = ear.next().commands
    assert commands[1:3] == ["XFORWARD NAME=far.test ADDR=192.0.2.7", "XFORWARD HELO=said.test"]


@pytest.mark.peer("swaks")
@pytest.mark.parametrize(("version", "family"), [("1", "TCP4"), ("2", "AF_INET")])
def test_proxy_header(version: str, family: str, postfix: Postfix, swaks: Send) -> None:
    source = ("--proxy-source=192.0.2.7", "--proxy-source-port=4711")
    destination = ("--proxy-dest=192.0.2.1", "--proxy-dest-port=25")
    header = (f"--proxy-version={version}", f"--proxy-family={family}", *source, *destination)
    swaks(postfix.proxied, PLAIN, f"--to={ALICE}", *header)
    received = trace_above(postfix.mailboxes.next("alice"), PLAIN)[-1]
    assert "(unknown [192.0.2.7])" in received

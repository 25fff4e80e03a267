"""DSN (RFC 3461): what our clients ask for comes through Postfix and Exim to our servers, or makes
these two report."""

from __future__ import annotations

import pytest
from attrs import evolve

from smtpproto import (
    Envelope,
    ForwardPath,
    MailParameters,
    Notify,
    OriginalRecipient,
    RcptParameters,
    Ret,
)
from tests.interop.exim import Exim
from tests.interop.mailboxes import trace_above
from tests.interop.peers import PLAIN, Inbox, send, serving
from tests.interop.postfix import Postfix

ENVID = "Q=1+2 (x) \\ 100%"  # "=", "+" and " " are xtext
ORIGINAL = OriginalRecipient("rfc822", "b+ob=x.y@b.test")
ALICE = "alice@box.test"


def test_relayed_as_asked_for(flavour: str, mail_server: Postfix | Exim, inbox: Inbox) -> None:
    """Where NOTIFY is asked for, our client adds who is meant."""
    with serving(flavour, inbox, extensions={"DSN": ""}) as port:
        domain = f"{port}.smtp.test"
        asked = {
            f"bob@{domain}": RcptParameters(notify={Notify.DELAY, Notify.SUCCESS}, orcpt=ORIGINAL),
            f"c+y@{domain}": RcptParameters(notify={Notify.NEVER}),
            f"dee@{domain}": RcptParameters(notify={Notify.FAILURE}),
            f"eve@{domain}": RcptParameters(),
        }
        mail = MailParameters(ret=Ret.HDRS, envid=ENVID)
        send(flavour, mail_server.port, PLAIN, Envelope("ann@a.test", asked, mail, asked))
        arrival = inbox.next()
    trace_above(arrival.body, PLAIN)
    envelope = arrival.envelope
    assert (envelope.parameters.ret, envelope.parameters.envid) == (Ret.HDRS, ENVID)
    got = {str(path): envelope.parameters_of(path) for path in envelope.recipients}
    assert {path: of.notify for path, of in got.items()} == {
        path: of.notify for path, of in asked.items()
    }
    assert got[f"bob@{domain}"].orcpt == ORIGINAL
    for path in (f"c+y@{domain}", f"dee@{domain}"):
        assert got[path].orcpt == OriginalRecipient("rfc822", path)


def test_address_in_utf8(flavour: str, mail_server: Postfix | Exim, inbox: Inbox) -> None:
    with serving(flavour, inbox, extensions={"DSN": ""}) as port:
        recipient = f"jürgen@{port}.smtp.test"
        asked = RcptParameters(notify={Notify.FAILURE})
        envelope = Envelope("ann@a.test", recipient, rcpt_parameters=asked)
        send(flavour, mail_server.port, PLAIN, envelope)
        got = inbox.next().envelope
    parameters = got.parameters_of(ForwardPath.of(recipient))
    assert parameters == evolve(asked, orcpt=OriginalRecipient("utf-8", recipient))


@pytest.mark.peer("postfix")
def test_next_hop_without_dsn(flavour: str, postfix: Postfix, inbox: Inbox) -> None:
    """Who relays reports what the next hop will not (RFC 3461 5.2.2)."""
    with serving(flavour, inbox) as port:
        mail = MailParameters(ret=Ret.HDRS, envid=ENVID)
        asked = RcptParameters(notify={Notify.SUCCESS}, orcpt=ORIGINAL)
        envelope = Envelope(ALICE, f"bob@{port}.smtp.test", mail, asked)
        send(flavour, postfix.port, PLAIN, envelope)
        arrival = inbox.next()
    report = postfix.mailboxes.next("alice")
    assert f"\r\nOriginal-Envelope-Id: {ENVID}\r\n".encode() in report
    assert b"\r\nAction: relayed" in report
    assert f"\r\nOriginal-Recipient: rfc822;{ORIGINAL.address}\r\n".encode() in report
    assert arrival.envelope.parameters.envid is None
    assert dict(arrival.envelope.rcpt_parameters) == {}


def test_only_who_was_asked_for_is_reported(flavour: str, mail_server: Postfix | Exim) -> None:
    asked = {
        "bob@box.test": RcptParameters(notify={Notify.SUCCESS}),
        "jürgen@box.test": RcptParameters(notify={Notify.FAILURE}),
    }
    send(flavour, mail_server.port, PLAIN, Envelope(ALICE, asked, MailParameters(), asked))
    for user in ("bob", "jürgen"):
        trace_above(mail_server.mailboxes.next(user), PLAIN)
    report = mail_server.mailboxes.next("alice")
    assert report.count(b"\r\nAction: delivered\r\n") == report.count(b"\r\nAction: ") == 1
    assert b"\r\nOriginal-Recipient: rfc822;bob@box.test\r\n" in report


@pytest.mark.parametrize("ret", Ret)
def test_what_a_report_returns(ret: Ret, mail_server: Postfix | Exim) -> None:
    with serving("blocking", Inbox()) as port:
        envelope = Envelope(ALICE, f"refused@{port}.smtp.test", MailParameters(ret=ret))
        send("blocking", mail_server.port, PLAIN, envelope)
        report = mail_server.mailboxes.next("alice")
    assert b"\r\nAction: failed\r\n" in report
    assert b"\r\nSubject: dots and all\r\n" in report
    assert (b"\r\nHello Bob,\r\n" in report) is (ret is Ret.FULL)

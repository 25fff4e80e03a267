"""DSN (RFC 3461): Postfix and Exim relay the parameters of our client to our server, or report."""

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
from tests.interop.contents import ALICE, PLAIN
from tests.interop.exim import Exim
from tests.interop.mailboxes import assert_delivered
from tests.interop.our_client import send
from tests.interop.our_server import Inbox, serving
from tests.interop.postfix import Postfix

ENVID = "Q=1+2 (x) \\ 100%"  # "=", "+" and " " are encoded in xtext
ORIGINAL = OriginalRecipient("rfc822", "b+ob=x.y@b.test")


def test_dsn_parameters_are_relayed(
    adapter: str, mail_server: Postfix | Exim, inbox: Inbox
) -> None:
    """Our client adds ORCPT to each recipient with NOTIFY."""
    with serving(adapter, inbox, extensions={"DSN": ""}) as port:
        domain = f"{port}.smtp.test"
        requested = {
            f"bob@{domain}": RcptParameters(notify={Notify.DELAY, Notify.SUCCESS}, orcpt=ORIGINAL),
            f"c+y@{domain}": RcptParameters(notify={Notify.NEVER}),
            f"dee@{domain}": RcptParameters(notify={Notify.FAILURE}),
            f"eve@{domain}": RcptParameters(),
        }
        mail = MailParameters(ret=Ret.HDRS, envid=ENVID)
        send(adapter, mail_server.port, PLAIN, Envelope("ann@a.test", requested, mail, requested))
        arrival = inbox.next()
    assert_delivered(arrival.body, PLAIN)
    envelope = arrival.envelope
    assert (envelope.parameters.ret, envelope.parameters.envid) == (Ret.HDRS, ENVID)
    got = {str(path): envelope.parameters_of(path) for path in envelope.recipients}
    assert {path: of.notify for path, of in got.items()} == {
        path: of.notify for path, of in requested.items()
    }
    assert got[f"bob@{domain}"].orcpt == ORIGINAL
    for path in (f"c+y@{domain}", f"dee@{domain}"):
        assert got[path].orcpt == OriginalRecipient("rfc822", path)


def test_the_original_recipient_may_be_utf8(
    adapter: str, mail_server: Postfix | Exim, inbox: Inbox
) -> None:
    with serving(adapter, inbox, extensions={"DSN": ""}) as port:
        recipient = f"jürgen@{port}.smtp.test"
        requested = RcptParameters(notify={Notify.FAILURE})
        envelope = Envelope("ann@a.test", recipient, rcpt_parameters=requested)
        send(adapter, mail_server.port, PLAIN, envelope)
        got = inbox.next().envelope
    parameters = got.parameters_of(ForwardPath.of(recipient))
    assert parameters == evolve(requested, orcpt=OriginalRecipient("utf-8", recipient))


@pytest.mark.peer("postfix")
def test_postfix_reports_relaying_to_a_server_without_dsn(
    adapter: str, postfix: Postfix, inbox: Inbox
) -> None:
    """The relay sends the report that the next hop cannot send (RFC 3461 5.2.2)."""
    with serving(adapter, inbox) as port:
        mail = MailParameters(ret=Ret.HDRS, envid=ENVID)
        requested = RcptParameters(notify={Notify.SUCCESS}, orcpt=ORIGINAL)
        envelope = Envelope(ALICE, f"bob@{port}.smtp.test", mail, requested)
        send(adapter, postfix.port, PLAIN, envelope)
        arrival = inbox.next()
    report = postfix.mailboxes.next("alice")
    assert f"\r\nOriginal-Envelope-Id: {ENVID}\r\n".encode() in report
    assert b"\r\nAction: relayed" in report
    assert f"\r\nOriginal-Recipient: rfc822;{ORIGINAL.address}\r\n".encode() in report
    assert arrival.envelope.parameters.envid is None
    assert dict(arrival.envelope.rcpt_parameters) == {}


def test_only_requested_recipients_are_reported(adapter: str, mail_server: Postfix | Exim) -> None:
    requested = {
        "bob@box.test": RcptParameters(notify={Notify.SUCCESS}),
        "jürgen@box.test": RcptParameters(notify={Notify.FAILURE}),
    }
    send(adapter, mail_server.port, PLAIN, Envelope(ALICE, requested, MailParameters(), requested))
    for user in ("bob", "jürgen"):
        assert_delivered(mail_server.mailboxes.next(user), PLAIN)
    report = mail_server.mailboxes.next("alice")
    assert report.count(b"\r\nAction: delivered\r\n") == report.count(b"\r\nAction: ") == 1
    assert b"\r\nOriginal-Recipient: rfc822;bob@box.test\r\n" in report


@pytest.mark.parametrize("ret", Ret)
def test_ret_selects_header_or_full_message(ret: Ret, mail_server: Postfix | Exim) -> None:
    with serving("blocking", Inbox()) as port:
        envelope = Envelope(ALICE, f"refused@{port}.smtp.test", MailParameters(ret=ret))
        send("blocking", mail_server.port, PLAIN, envelope)
        report = mail_server.mailboxes.next("alice")
    assert b"\r\nAction: failed\r\n" in report
    assert b"\r\nSubject: dots and all\r\n" in report
    assert (b"\r\nHello Bob,\r\n" in report) is (ret is Ret.FULL)

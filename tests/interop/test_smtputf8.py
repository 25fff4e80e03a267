"""SMTPUTF8 (RFC 6531) with Postfix and Exim: requested when it is needed, and only then."""

from __future__ import annotations

import pytest

from smtpproto import Envelope
from tests.interop.contents import ALICE, EIGHT_BIT, PLAIN
from tests.interop.exim import Exim
from tests.interop.mailboxes import assert_delivered, fields_above
from tests.interop.our_client import send
from tests.interop.our_server import Inbox, serving
from tests.interop.postfix import Postfix

HEADER = PLAIN.replace(b"Subject: dots", "Subject: 葉, Grüße".encode())
FOLDED = PLAIN.replace(b"Subject: dots", "Subject: dots\r\n żółw".encode())

NEEDED = {
    "sender": ("żółw@a.test", "bob", PLAIN),
    "recipient": ("ann@a.test", "jürgen", PLAIN),
    "domain": ("ann@bücher.test", "bob", PLAIN),
    "header": ("ann@a.test", "bob", HEADER),
    "folded": ("ann@a.test", "bob", FOLDED),
}
NOT_NEEDED = {
    "ascii": ("ann@a.test", "bob", PLAIN),
    "body": ("ann@a.test", "bob", EIGHT_BIT),
    "a-label": ("ann@xn--bcher-kva.test", "bob", PLAIN),
}
ALL_CASES = [
    pytest.param(*case, needed, id=name)
    for needed, cases in ((True, NEEDED), (False, NOT_NEEDED))
    for name, case in cases.items()
]


@pytest.mark.req("RFC6531-3.4-01", "RFC6531-3.6-01")
@pytest.mark.parametrize(("sender", "user", "content", "needed"), ALL_CASES)
def test_our_client_requests_smtputf8_only_if_needed(
    adapter: str, sender: str, user: str, content: bytes, needed: bool, exim: Exim
) -> None:
    """Exim shows the MAIL command in the message."""
    send(adapter, exim.port, content, Envelope(sender, f"{user}@box.test"))
    above = fields_above(exim.mailboxes.next(user), content)
    (mail,) = (field for field in above if field.startswith("X-Envelope: MAIL FROM:"))
    assert mail.startswith(f"X-Envelope: MAIL FROM:<{sender}> SIZE={len(content)}")
    assert (" BODY=8BITMIME" in mail) is not content.isascii()
    assert mail.endswith(" SMTPUTF8") is needed
    assert (" with utf8esmtp" in above[-1]) is needed


@pytest.mark.parametrize(("sender", "user", "content", "needed"), ALL_CASES)
def test_relays_request_smtputf8_as_our_client_did(
    sender: str,
    user: str,
    content: bytes,
    needed: bool,
    mail_server: Postfix | Exim,
    inbox: Inbox,
) -> None:
    """Our server sees the parameter of the relay."""
    with serving("asyncio", inbox) as port:
        recipient = f"{user}@{port}.smtp.test"
        send("asyncio", mail_server.port, content, Envelope(sender, recipient))
        arrival = inbox.next()
    assert_delivered(arrival.body, content)
    assert (arrival.sender, arrival.recipients) == (sender, [recipient])
    assert arrival.envelope.parameters.smtputf8 is needed


@pytest.mark.peer("postfix")
def test_postfix_returns_utf8_mail_if_our_server_does_not_offer_smtputf8(
    adapter: str, postfix: Postfix, inbox: Inbox
) -> None:
    """Postfix delivers a message that does not need SMTPUTF8."""
    with serving(adapter, inbox, extensions={"SMTPUTF8": None}) as port:
        for content in (HEADER, PLAIN):
            send(adapter, postfix.port, content, Envelope(ALICE, f"bob@{port}.smtp.test"))
        assert_delivered(inbox.next().body, PLAIN)
        report = postfix.mailboxes.next("alice")
    assert b"\r\nAction: failed\r\nStatus: 5.6.7\r\n" in report
    assert inbox.empty

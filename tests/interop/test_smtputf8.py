"""SMTPUTF8 (RFC 6531) with Postfix and Exim: asked for where it is needed, and nowhere else."""

from __future__ import annotations

import pytest

from smtpproto import Envelope
from tests.interop.exim import Exim
from tests.interop.mailboxes import trace_above
from tests.interop.peers import EIGHT_BIT, PLAIN, Inbox, send, serving
from tests.interop.postfix import Postfix

ALICE = "alice@box.test"
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
EVERY = [
    pytest.param(*case, needed, id=name)
    for needed, cases in ((True, NEEDED), (False, NOT_NEEDED))
    for name, case in cases.items()
]


@pytest.mark.req("RFC6531-3.4-01", "RFC6531-3.6-01")
@pytest.mark.parametrize(("sender", "user", "content", "needed"), EVERY)
def test_exim_was_asked(
    flavour: str, sender: str, user: str, content: bytes, needed: bool, exim: Exim
) -> None:
    """Exim shows what our client said."""
    send(flavour, exim.port, content, Envelope(sender, f"{user}@box.test"))
    above = trace_above(exim.mailboxes.next(user), content)
    (mail,) = (field for field in above if field.startswith("X-Envelope: MAIL FROM:"))
    assert mail.startswith(f"X-Envelope: MAIL FROM:<{sender}> SIZE={len(content)}")
    assert (" BODY=8BITMIME" in mail) is not content.isascii()
    assert mail.endswith(" SMTPUTF8") is needed
    assert (" with utf8esmtp" in above[-1]) is needed


@pytest.mark.parametrize(("sender", "user", "content", "needed"), EVERY)
def test_relayed(
    sender: str,
    user: str,
    content: bytes,
    needed: bool,
    mail_server: Postfix | Exim,
    inbox: Inbox,
) -> None:
    """Either of them asks our server as our client asked them."""
    with serving("asyncio", inbox) as port:
        recipient = f"{user}@{port}.smtp.test"
        send("asyncio", mail_server.port, content, Envelope(sender, recipient))
        arrival = inbox.next()
    trace_above(arrival.body, content)
    assert (arrival.sender, arrival.recipients) == (sender, [recipient])
    assert arrival.envelope.parameters.smtputf8 is needed


@pytest.mark.peer("postfix")
def test_next_hop_that_does_not_offer_it(flavour: str, postfix: Postfix, inbox: Inbox) -> None:
    """Postfix returns what needs it, and delivers what does not."""
    with serving(flavour, inbox, extensions={"SMTPUTF8": None}) as port:
        for content in (HEADER, PLAIN):
            send(flavour, postfix.port, content, Envelope(ALICE, f"bob@{port}.smtp.test"))
        trace_above(inbox.next().body, PLAIN)
        report = postfix.mailboxes.next("alice")
    assert b"\r\nAction: failed\r\nStatus: 5.6.7\r\n" in report
    assert inbox.empty

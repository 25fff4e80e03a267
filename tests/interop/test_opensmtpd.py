"""OpenSMTPD: our clients send to its mailboxes, and it relays to our servers."""

from __future__ import annotations

import pytest

from smtpproto import Envelope, ForwardPath
from tests.interop.contents import DATED, PLAIN, TO_ALICE
from tests.interop.mailboxes import assert_delivered
from tests.interop.opensmtpd import OpenSMTPD
from tests.interop.our_client import send
from tests.interop.our_server import Inbox, serving
from tests.interop.smtplib_client import dial, offered

pytestmark = pytest.mark.peer("opensmtpd")


def test_opensmtpd_offers_the_extensions_under_test(opensmtpd: OpenSMTPD) -> None:
    with dial(opensmtpd.port) as client:
        assert set(offered(client)) == {"8BITMIME", "DSN", "ENHANCEDSTATUSCODES", "HELP", "SIZE"}


def test_a_message_is_delivered_octet_for_octet(
    adapter: str, content: bytes, opensmtpd: OpenSMTPD
) -> None:
    dated = DATED + content
    outcome = send(adapter, opensmtpd.port, dated, TO_ALICE)
    delivered = opensmtpd.mailboxes.next("alice")
    assert_delivered(delivered, dated)
    assert outcome.queue_ids[0].encode() in delivered


def test_one_refused_recipient_is_reported(adapter: str, opensmtpd: OpenSMTPD) -> None:
    alice, nobody = (ForwardPath.of(f"{user}@box.test") for user in ("alice", "no"))
    outcome = send(adapter, opensmtpd.port, DATED + PLAIN, Envelope("ann@a.test", [alice, nobody]))
    assert set(outcome.accepted) == {alice}
    assert str(outcome.refused[nobody]).startswith("524 5.2.4")


def test_a_message_is_relayed_octet_for_octet(
    adapter: str, content: bytes, opensmtpd: OpenSMTPD, inbox: Inbox
) -> None:
    dated = DATED + content
    with serving(adapter, inbox, port=opensmtpd.next_hop):
        send(adapter, opensmtpd.port, dated, Envelope("ann@a.test", "bob@b.test"))
        arrival = inbox.next()
    assert_delivered(arrival.body, dated)
    assert (arrival.sender, arrival.recipients) == ("ann@a.test", ["bob@b.test"])

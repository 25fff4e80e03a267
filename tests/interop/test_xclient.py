"""XCLIENT and XFORWARD: from swaks and Postfix to our servers, and from our clients to Postfix and
Dovecot."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from attrs import evolve

from smtpproto import Client, Envelope, NotOffered, Outcome
from smtpproto.grammar.extension_command import XClient, XForward
from smtpproto.grammar.xclient import Unavailable, XClientAttributes, XForwardAttributes
from tests.interop.contents import DOTS, PLAIN, TO_ALICE
from tests.interop.dovecot import Dovecot
from tests.interop.mailboxes import assert_delivered, fields_above
from tests.interop.our_client import converse, send
from tests.interop.our_server import Inbox, serving
from tests.interop.postfix import Postfix
from tests.interop.programs import Certificate, Send, wait_for_log
from tests.interop.smtplib_client import dial, offered

FAR = ip_address("2001:db8::7")
CLIENT = XClientAttributes(
    name="far.test", addr=FAR, port=4711, proto="ESMTP", helo="said.test", login="ann lee"
)
SWAKS_OPTIONS = (
    "--xclient-name=far.test",
    "--xclient-addr=IPV6:2001:db8::7",
    "--xclient-port=4711",
    "--xclient-proto=ESMTP",
    "--xclient-helo=said.test",
    "--xclient-login=ann lee",
)
LOOPBACK = ["127.0.0.0/8"]


@pytest.mark.peer("swaks")
def test_our_server_accepts_xclient_from_swaks(adapter: str, inbox: Inbox, swaks: Send) -> None:
    with serving(adapter, inbox, xclient_from=LOOPBACK) as port:
        swaks(port, PLAIN, *SWAKS_OPTIONS, "--helo=swaks.test")
        arrival = inbox.next()
    assert arrival.body == PLAIN
    session = arrival.session
    assert session.impersonated == CLIENT
    assert (session.peer, session.user) == ((str(FAR), 4711), "ann lee")
    assert str(session.hello) == "swaks.test"  # the EHLO after XCLIENT


@pytest.mark.peer("swaks")
def test_our_server_accepts_xclient_from_swaks_after_starttls(
    adapter: str, inbox: Inbox, swaks_tls: Send, certificate: Certificate
) -> None:
    with serving(adapter, inbox, context=certificate.server, xclient_from=LOOPBACK) as port:
        swaks_tls(port, PLAIN, "--tls", "--xclient-name=[UNAVAILABLE]", "--xclient-port=4711")
        arrival = inbox.next()
    session = arrival.session
    assert session.tls is not None
    assert session.impersonated == XClientAttributes(name=Unavailable.UNAVAILABLE, port=4711)
    assert session.peer == ("127.0.0.1", 4711)


@pytest.mark.peer("swaks")
def test_our_server_offers_xclient_to_trusted_addresses_only(
    adapter: str, inbox: Inbox, swaks: Send
) -> None:
    with serving(adapter, inbox, xclient_from=["192.0.2.0/24"]) as port:
        output = swaks(port, PLAIN, *SWAKS_OPTIONS, check=False)
        assert "Host did not advertise XCLIENT" in output
        assert inbox.empty
        swaks(port, PLAIN, *SWAKS_OPTIONS, "--xclient-optional")
        session = inbox.next().session
    assert session.impersonated is None
    assert session.peer[0] == "127.0.0.1"


@pytest.mark.peer("smtplib")
@pytest.mark.parametrize("verb", ["XCLIENT", "XFORWARD"])
def test_xclient_and_xforward_from_an_untrusted_client_are_refused(
    verb: str, adapter: str, inbox: Inbox
) -> None:
    with serving(adapter, inbox) as port, dial(port) as client:
        assert verb not in offered(client)
        assert client.docmd(f"{verb} NAME=far.test ADDR=192.0.2.7")[0] == 502
        client.sendmail("ann@a.test", "bob@b.test", PLAIN)
        session = inbox.next().session
    assert (session.impersonated, session.forwarded) == (None, None)
    assert session.peer[0] == "127.0.0.1"


@pytest.mark.peer("postfix")
def test_postfix_accepts_xclient_from_our_client(adapter: str, postfix: Postfix) -> None:
    attributes = evolve(CLIENT, addr=ip_address("192.0.2.7"))  # Postfix is configured for IPv4 only

    async def talk(client: Client) -> Outcome:
        assert (await client.command(XClient(attributes))).code == 220
        return await client.send(PLAIN, TO_ALICE)

    (queue_id,) = converse(adapter, postfix.trusting, talk, hello="client.test").queue_ids
    received = fields_above(postfix.mailboxes.next("alice"), PLAIN)[-1]
    assert received.startswith("Received: from client.test (far.test [192.0.2.7]) ")
    client = "client=far.test[192.0.2.7], sasl_method=XCLIENT, sasl_username=ann lee"
    wait_for_log(postfix.log, f"{queue_id}: {client}\n")


@pytest.mark.peer("dovecot")
def test_dovecot_accepts_xclient_from_our_client(adapter: str, dovecot: Dovecot) -> None:
    async def talk(client: Client) -> Outcome:
        assert (await client.command(XClient(CLIENT))).code == 220
        return await client.send(PLAIN, TO_ALICE)

    converse(adapter, dovecot.port, talk, lmtp=True, hello="client.test")
    received = fields_above(dovecot.mailboxes.next("alice"), PLAIN)[-1]
    assert received.startswith("Received: from client.test ([2001:db8::7]) ")


@pytest.mark.peer("postfix")
def test_our_client_does_not_send_xclient_unless_it_is_offered(
    adapter: str, postfix: Postfix
) -> None:
    async def talk(client: Client) -> Outcome:
        with pytest.raises(NotOffered, match="XCLIENT"):
            await client.command(XClient(CLIENT))
        return await client.send(PLAIN, TO_ALICE)

    converse(adapter, postfix.port, talk)
    assert "[127.0.0.1]" in fields_above(postfix.mailboxes.next("alice"), PLAIN)[-1]


@pytest.mark.peer("postfix")
def test_xforward_passes_through_postfix_to_our_server(
    adapter: str, postfix: Postfix, inbox: Inbox
) -> None:
    """Postfix logs the attributes of our client, and forwards them to our server."""
    attributes = XForwardAttributes(
        name="far.test",
        addr=ip_address("192.0.2.7"),
        port=4711,
        proto="ESMTP",
        helo="said.test",
        ident="Q1",
        source="REMOTE",
    )

    async def talk(client: Client) -> Outcome:
        assert (await client.command(XForward(attributes))).code == 250
        return await client.send(DOTS, Envelope("ann@a.test", f"bob@{port}.smtp.test"))

    with serving(adapter, inbox, xforward_from=LOOPBACK) as port:
        (queue_id,) = converse(adapter, postfix.trusting, talk).queue_ids
        arrival = inbox.next()
    assert_delivered(arrival.body, DOTS)
    assert arrival.session.forwarded == attributes
    assert arrival.session.peer[0] == "127.0.0.1"
    client = "client=unknown[127.0.0.1], orig_queue_id=Q1, orig_client=far.test[192.0.2.7]"
    wait_for_log(postfix.log, f"{queue_id}: {client}\n")


@pytest.mark.peer("postfix")
def test_postfix_forwards_the_attributes_of_our_client(
    adapter: str, postfix: Postfix, inbox: Inbox
) -> None:
    with serving(adapter, inbox, xforward_from=LOOPBACK) as port:
        envelope = Envelope("ann@a.test", f"bob@{port}.smtp.test")
        outcome = send(adapter, postfix.port, PLAIN, envelope, hello="client.test")
        forwarded = inbox.next().session.forwarded
    assert forwarded is not None
    assert (forwarded.name, str(forwarded.addr)) == (None, "127.0.0.1")
    assert (forwarded.helo, forwarded.proto) == ("client.test", "ESMTP")
    assert forwarded.source == "REMOTE"
    assert outcome.queue_ids == (forwarded.ident,)

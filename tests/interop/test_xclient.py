"""XCLIENT and XFORWARD: swaks and Postfix tell our servers for whom they speak, our clients tell
Postfix and Dovecot."""

from __future__ import annotations

import smtplib
from ipaddress import ip_address

import pytest
from attrs import evolve

from smtpproto import Client, Envelope, NotOffered, Outcome
from smtpproto.grammar.extension_command import XClient, XForward
from smtpproto.grammar.xclient import Unavailable, XClientAttributes, XForwardAttributes
from tests.interop.dovecot import Dovecot
from tests.interop.mailboxes import trace_above
from tests.interop.peers import DOTS, PLAIN, Inbox, converse, send, serving
from tests.interop.postfix import Postfix
from tests.interop.programs import Certificate, Send, logged
from tests.interop.raw import offered

ENVELOPE = Envelope("ann@a.test", "alice@box.test")
FAR = ip_address("2001:db8::7")
CLIENT = XClientAttributes(
    name="far.test", addr=FAR, port=4711, proto="ESMTP", helo="said.test", login="ann lee"
)
BY_SWAKS = (
    "--xclient-name=far.test",
    "--xclient-addr=IPV6:2001:db8::7",
    "--xclient-port=4711",
    "--xclient-proto=ESMTP",
    "--xclient-helo=said.test",
    "--xclient-login=ann lee",
)
LOOPBACK = ["127.0.0.0/8"]


@pytest.mark.peer("swaks")
def test_swaks(flavour: str, inbox: Inbox, swaks: Send) -> None:
    with serving(flavour, inbox, xclient_from=LOOPBACK) as port:
        swaks(port, PLAIN, *BY_SWAKS, "--helo=swaks.test")
        arrival = inbox.next()
    assert arrival.body == PLAIN
    session = arrival.session
    assert session.impersonated == CLIENT
    assert (session.peer, session.user) == ((str(FAR), 4711), "ann lee")
    assert str(session.hello) == "swaks.test"  # said after XCLIENT


@pytest.mark.peer("swaks")
def test_swaks_after_starttls(
    flavour: str, inbox: Inbox, swaks_tls: Send, certificate: Certificate
) -> None:
    with serving(flavour, inbox, context=certificate.server, xclient_from=LOOPBACK) as port:
        swaks_tls(port, PLAIN, "--tls", "--xclient-name=[UNAVAILABLE]", "--xclient-port=4711")
        arrival = inbox.next()
    session = arrival.session
    assert session.tls is not None
    assert session.impersonated == XClientAttributes(name=Unavailable.UNAVAILABLE, port=4711)
    assert session.peer == ("127.0.0.1", 4711)


@pytest.mark.peer("swaks")
def test_swaks_is_not_trusted(flavour: str, inbox: Inbox, swaks: Send) -> None:
    with serving(flavour, inbox, xclient_from=["192.0.2.0/24"]) as port:
        said = swaks(port, PLAIN, *BY_SWAKS, check=False)
        assert "Host did not advertise XCLIENT" in said
        assert inbox.empty
        swaks(port, PLAIN, *BY_SWAKS, "--xclient-optional")
        session = inbox.next().session
    assert session.impersonated is None
    assert session.peer[0] == "127.0.0.1"


@pytest.mark.peer("smtplib")
@pytest.mark.parametrize("verb", ["XCLIENT", "XFORWARD"])
def test_nobody_is_believed_who_is_not_trusted(verb: str, flavour: str, inbox: Inbox) -> None:
    with serving(flavour, inbox) as port, smtplib.SMTP("127.0.0.1", port, timeout=10) as client:
        assert verb not in offered(client)
        assert client.docmd(f"{verb} NAME=far.test ADDR=192.0.2.7")[0] == 502
        client.sendmail("ann@a.test", "bob@b.test", PLAIN)
        session = inbox.next().session
    assert (session.impersonated, session.forwarded) == (None, None)
    assert session.peer[0] == "127.0.0.1"


@pytest.mark.peer("postfix")
def test_postfix_believes_us(flavour: str, postfix: Postfix) -> None:
    told = evolve(CLIENT, addr=ip_address("192.0.2.7"))  # it was told to know IPv4 only

    async def talk(client: Client) -> Outcome:
        assert (await client.command(XClient(told))).code == 220
        return await client.send(PLAIN, ENVELOPE)

    (queue_id,) = converse(flavour, postfix.trusting, talk, hello="client.test").queue_ids
    received = trace_above(postfix.mailboxes.next("alice"), PLAIN)[-1]
    assert received.startswith("Received: from client.test (far.test [192.0.2.7]) ")
    client = "client=far.test[192.0.2.7], sasl_method=XCLIENT, sasl_username=ann lee"
    logged(postfix.log, f"{queue_id}: {client}\n")


@pytest.mark.peer("dovecot")
def test_dovecot_believes_us(flavour: str, dovecot: Dovecot) -> None:
    async def talk(client: Client) -> Outcome:
        assert (await client.command(XClient(CLIENT))).code == 220
        return await client.send(PLAIN, ENVELOPE)

    converse(flavour, dovecot.port, talk, lmtp=True, hello="client.test")
    received = trace_above(dovecot.mailboxes.next("alice"), PLAIN)[-1]
    assert received.startswith("Received: from client.test ([2001:db8::7]) ")


@pytest.mark.peer("postfix")
def test_postfix_does_not_trust_us(flavour: str, postfix: Postfix) -> None:
    async def talk(client: Client) -> Outcome:
        with pytest.raises(NotOffered, match="XCLIENT"):
            await client.command(XClient(CLIENT))
        return await client.send(PLAIN, ENVELOPE)

    converse(flavour, postfix.port, talk)
    assert "[127.0.0.1]" in trace_above(postfix.mailboxes.next("alice"), PLAIN)[-1]


@pytest.mark.peer("postfix")
def test_xforward_both_ways(flavour: str, postfix: Postfix, inbox: Inbox) -> None:
    """Postfix logs what our client tells, and tells it to our server in turn."""
    told = XForwardAttributes(
        name="far.test",
        addr=ip_address("192.0.2.7"),
        port=4711,
        proto="ESMTP",
        helo="said.test",
        ident="Q1",
        source="REMOTE",
    )

    async def talk(client: Client) -> Outcome:
        assert (await client.command(XForward(told))).code == 250
        return await client.send(DOTS, Envelope("ann@a.test", f"bob@{port}.smtp.test"))

    with serving(flavour, inbox, xforward_from=LOOPBACK) as port:
        (queue_id,) = converse(flavour, postfix.trusting, talk).queue_ids
        arrival = inbox.next()
    trace_above(arrival.body, DOTS)
    assert arrival.session.forwarded == told
    assert arrival.session.peer[0] == "127.0.0.1"
    client = "client=unknown[127.0.0.1], orig_queue_id=Q1, orig_client=far.test[192.0.2.7]"
    logged(postfix.log, f"{queue_id}: {client}\n")


@pytest.mark.peer("postfix")
def test_xforward_of_postfix_itself(flavour: str, postfix: Postfix, inbox: Inbox) -> None:
    with serving(flavour, inbox, xforward_from=LOOPBACK) as port:
        envelope = Envelope("ann@a.test", f"bob@{port}.smtp.test")
        outcome = send(flavour, postfix.port, PLAIN, envelope, hello="client.test")
        forwarded = inbox.next().session.forwarded
    assert forwarded is not None
    assert (forwarded.name, str(forwarded.addr)) == (None, "127.0.0.1")
    assert (forwarded.helo, forwarded.proto) == ("client.test", "ESMTP")
    assert forwarded.source == "REMOTE"
    assert outcome.queue_ids == (forwarded.ident,)

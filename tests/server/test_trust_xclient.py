"""XCLIENT and XFORWARD: what trusted peers state about the real client."""

from __future__ import annotations

import ssl
from ipaddress import ip_address
from pathlib import Path

import pytest
import trustme

from smtpproto import (
    Authenticator,
    ClientCertificate,
    ClientConfig,
    Handler,
    NotOffered,
    ServerConfig,
    TLSMode,
    TLSVerify,
)
from smtpproto.client.connection import open_client
from smtpproto.client.link import Conversation
from smtpproto.grammar.extension_command import XClient, XForward
from smtpproto.grammar.xclient import XClientAttributes, XForwardAttributes
from smtpproto.testing.simulation import Simulation
from tests.support.accounts import Accounts
from tests.support.certificates import NAME, server_context
from tests.support.handlers import Guard
from tests.support.scripted_client import LOGIN, PEER, keywords, replies

TRUSTING = ServerConfig(xclient_from=["192.0.2.0/24"], xforward_from=["192.0.2.1"])
NOT_TRUSTING = ServerConfig(xclient_from=["198.51.100.0/24"], xforward_from="198.51.100.7")


@pytest.mark.req("XCLIENT-01", "XFORWARD-01")
def test_xclient_and_xforward_are_offered_only_to_trusted_peers() -> None:
    offered = keywords(Guard(), TRUSTING)
    assert "XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT" in offered
    assert "XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE" in offered
    for config in (NOT_TRUSTING, ServerConfig()):
        assert not {word for word in keywords(Guard(), config) if word[0] == "X"}
        handler = Guard()
        answers = replies(
            handler, "XCLIENT ADDR=198.51.100.7 LOGIN=root", "XFORWARD NAME=x", "MAIL FROM:<>",
            config=config,
        )  # fmt: skip
        assert [line[:3] for line in answers] == ["502", "502", "250"]
        assert {session.peer for session in handler.seen} == {(PEER, 4711)}
        assert {session.user for session in handler.seen} == {None}


# -- XCLIENT ---------------------------------------------------------------------------------------


@pytest.mark.req("XCLIENT-03")
def test_xclient_begins_a_new_session_of_the_stated_client() -> None:
    handler = Guard()
    answers = replies(
        handler, "XCLIENT ADDR=198.51.100.7 PORT=99 NAME=spike.example LOGIN=carl", "MAIL FROM:<>",
        "EHLO spike.example", "MAIL FROM:<>", config=TRUSTING,
    )  # fmt: skip
    assert answers[0] == "220 localhost ESMTP ready"
    assert answers[1] == "503 5.5.1 Send EHLO first"  # the session is new
    assert answers[-1].startswith("250 2.1.0")
    first, again, mail = handler.seen
    assert first.peer == (PEER, 4711) and first.impersonated is None
    assert again.peer == mail.peer == ("198.51.100.7", 99)
    assert again.hello is None and str(mail.hello) == "spike.example"
    assert again.user == mail.user == "carl"
    assert mail.impersonated is not None and mail.impersonated.name == "spike.example"


@pytest.mark.parametrize(
    ("attributes", "peer"),
    [
        ("ADDR=IPV6:2001:db8::7", ("2001:db8::7", 4711)),
        ("ADDR=[UNAVAILABLE]", ("", 4711)),
        ("PORT=7", (PEER, 7)),
        ("NAME=[TEMPUNAVAIL] PORT=[UNAVAILABLE]", (PEER, 4711)),
    ],
)
def test_an_address_or_port_that_xclient_does_not_state_is_kept_or_unknown(
    attributes: str, peer: tuple[str, int]
) -> None:
    handler = Guard()
    answers = replies(handler, f"XCLIENT {attributes}", config=TRUSTING)
    assert answers == ["220 localhost ESMTP ready"]
    assert handler.seen[-1].peer == peer


@pytest.mark.req("XCLIENT-03")
@pytest.mark.parametrize("login", ["", " LOGIN=[UNAVAILABLE]"])
def test_xclient_does_not_keep_the_login_of_the_trusted_peer(login: str) -> None:
    config = ServerConfig(
        xclient_from=[PEER], authenticator=Accounts(), auth_in_clear=True, require_auth=True
    )
    handler = Guard()
    answers = replies(
        handler, LOGIN, f"XCLIENT ADDR=198.51.100.7{login}", "EHLO x", "MAIL FROM:<>", LOGIN,
        "MAIL FROM:<>", config=config,
    )  # fmt: skip
    assert [line[:3] for line in answers if not line.startswith("250-")] == [
        "235", "220", "250", "530", "235", "250",
    ]  # fmt: skip
    assert [session.user for session in handler.seen] == [None, None, "ann"]


def test_the_login_of_xclient_counts_as_a_login() -> None:
    config = ServerConfig(
        xclient_from=[PEER], authenticator=Accounts(), auth_in_clear=True, require_auth=True
    )
    handler = Guard()
    answers = replies(handler, "XCLIENT LOGIN=carl", "EHLO x", "MAIL FROM:<>", LOGIN, config=config)
    codes = " ".join(line[:3] for line in answers if not line.startswith("250-"))
    assert codes == "220 250 250 503"
    assert handler.seen[-1].user == "carl"


def test_no_command_is_accepted_after_an_xclient_that_the_handler_refused() -> None:
    handler = Guard(refuse="198.51.100.7")
    answers = replies(handler, "XCLIENT ADDR=198.51.100.7", "MAIL FROM:<>", config=TRUSTING)
    assert [line[:3] for line in answers] == ["554", "503"]
    assert all(session.peer == (PEER, 4711) for session in handler.seen[:1])


@pytest.mark.req("XCLIENT-05")
def test_a_client_sends_xclient_and_greets_again() -> None:
    simulation, handler = Simulation(1), Guard()
    simulation.listen(
        25, handler, ServerConfig(xclient_from=["192.0.2.0/24"], xforward_from="::/0")
    )

    async def talk() -> None:
        async with await open_client(simulation, "mx", 25, ClientConfig()) as client:
            stated = XClientAttributes(name="spike.example", login="carl")
            assert (await client.command(XClient(stated))).code == 220
            assert client.usable and "PIPELINING" in client.extensions
            assert (await client.command(XClient(stated))).code == 220
            with pytest.raises(NotOffered, match="XFORWARD"):
                await client.command(XForward(XForwardAttributes(name="x")))
            await client.rset()

    simulation.run(talk())
    assert handler.seen[-1].user == "carl"


class CertificateUsers(Authenticator):
    def certificate_user(self, certificate: bytes) -> str:
        return "proxy"


def test_a_certificate_shown_after_xclient_does_not_belong_to_the_stated_client(
    tmp_path: Path,
) -> None:
    """EXTERNAL is not offered: the certificate is that of the trusted peer."""
    ca, simulation = trustme.CA(), Simulation(1)
    leaf = ca.issue_cert("proxy@example.org")
    leaf.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "proxy.pem"))
    context = server_context(ca.issue_cert(NAME))
    ca.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    server = ServerConfig(
        context=context, xclient_from=["192.0.2.1"], authenticator=CertificateUsers()
    )
    simulation.listen(25, Handler(), server)

    async def main() -> None:
        config = ClientConfig(
            tls="none",
            verify=TLSVerify.by_ca(ca.cert_pem.bytes()),
            certificate=ClientCertificate(tmp_path / "proxy.pem"),
        )
        async with await open_client(simulation, NAME, 25, config) as client:
            stated = XClientAttributes(addr=ip_address("198.51.100.1"))
            assert (await client.command(XClient(stated))).positive
            with Conversation(client._link):
                await client._upgrade(TLSMode.REQUIRED)
            session = simulation.conversations[0]._session
            assert session.tls is not None and session.tls.verified
            assert session.peer[0] == "198.51.100.1" and session.impersonated == stated
            assert client.extensions.mechanisms == ()

    simulation.run(main())


# -- XFORWARD --------------------------------------------------------------------------------------


@pytest.mark.req("XFORWARD-03")
def test_xforward_is_forgotten_at_the_end_of_the_message() -> None:
    handler = Guard()
    replies(
        handler,
        "XFORWARD NAME=one.test ADDR=192.0.2.9",
        "MAIL FROM:<>",
        "RSET",
        "MAIL FROM:<>",
        "RSET",
        "XFORWARD NAME=two.test",
        "MAIL FROM:<>",
        config=TRUSTING,
    )
    stated = [session.forwarded for session in handler.seen if session.hello is not None][-3:]
    assert stated[0] is not None and stated[0].name == "one.test"
    assert stated[1] is None
    assert stated[2] is not None and stated[2].name == "two.test" and stated[2].addr is None


@pytest.mark.req("XFORWARD-03", "XFORWARD-04")
def test_attributes_of_several_xforward_commands_are_merged() -> None:
    handler = Guard()
    answers = replies(
        handler, "XFORWARD NAME=spike.example ADDR=198.51.100.7", "XFORWARD IDENT=4F2A NAME=x",
        "MAIL FROM:<>", config=TRUSTING,
    )  # fmt: skip
    assert answers[:2] == ["250 2.0.0 OK"] * 2
    forwarded = handler.seen[-1].forwarded
    assert forwarded is not None
    assert (forwarded.name, str(forwarded.addr), forwarded.ident) == ("x", "198.51.100.7", "4F2A")
    assert handler.seen[-1].peer == (PEER, 4711)


# -- XCLIENT and XFORWARD --------------------------------------------------------------------------


@pytest.mark.req("XCLIENT-04/server")
@pytest.mark.parametrize(
    "line", ["XCLIENT", "XCLIENT ADDR=x", "XCLIENT FOO=1", "XFORWARD", "XFORWARD SOURCE=x"]
)
def test_invalid_attributes_are_refused_with_501(line: str) -> None:
    handler = Guard()
    assert replies(handler, line, "MAIL FROM:<>", config=TRUSTING)[0].startswith("501")
    assert handler.seen[-1].impersonated is None and handler.seen[-1].forwarded is None


def test_xclient_and_xforward_within_a_transaction_are_refused_with_503() -> None:
    answers = replies(
        Guard(), "MAIL FROM:<>", "XCLIENT NAME=x", "XFORWARD NAME=x", "RCPT TO:<a@b.example>",
        config=TRUSTING,
    )  # fmt: skip
    assert [line[:3] for line in answers] == ["250", "503", "503", "250"]

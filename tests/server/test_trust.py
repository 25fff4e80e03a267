"""What only trusted peers may say: XCLIENT, XFORWARD and PROXY."""

from __future__ import annotations

import logging
import ssl

import pytest

from smtpproto import (
    ClientConfig,
    ConnectionLost,
    Envelope,
    Handler,
    LocalProtocolError,
    MailParameters,
    NotOffered,
    Reply,
    SendRefused,
    ServerConfig,
    Session,
    TimedOut,
)
from smtpproto.client.connection import open_client
from smtpproto.grammar.extension_command import XClient, XForward
from smtpproto.grammar.xclient import XClientAttributes, XForwardAttributes
from smtpproto.server.handler import Verdict
from smtpproto.testing.simulation import Simulation
from smtpproto.wire.proxy import ProxyHeader

from ..support.scripted_client import LOGIN, PEER, Accounts, Guard, keywords, octets, replies, serve

# -- XCLIENT and XFORWARD --------------------------------------------------------------------------


TRUSTING = ServerConfig(xclient_from=["192.0.2.0/24"], xforward_from=["192.0.2.1"])
STRANGER = ServerConfig(xclient_from=["198.51.100.0/24"], xforward_from=[])


def test_xclient_and_xforward_are_for_trusted_peers() -> None:
    offered = keywords(Guard(), TRUSTING)
    assert "XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT" in offered
    assert "XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE" in offered
    for config in (STRANGER, ServerConfig()):
        assert not {word for word in keywords(Guard(), config) if word[0] == "X"}
        handler = Guard()
        said = replies(
            handler, "XCLIENT ADDR=198.51.100.7 LOGIN=root", "XFORWARD NAME=x", "MAIL FROM:<>",
            config=config,
        )  # fmt: skip
        assert [line[:3] for line in said] == ["502", "502", "250"]
        assert {session.peer for session in handler.seen} == {(PEER, 4711)}
        assert {session.user for session in handler.seen} == {None}


def test_xclient_puts_another_in_the_place_of_the_client() -> None:
    handler = Guard()
    said = replies(
        handler, "XCLIENT ADDR=198.51.100.7 PORT=99 NAME=spike.example LOGIN=carl", "MAIL FROM:<>",
        "EHLO spike.example", "MAIL FROM:<>", config=TRUSTING,
    )  # fmt: skip
    assert said[0] == "220 localhost ESMTP ready"
    assert said[1] == "503 5.5.1 Send EHLO first"  # the session is as new
    assert said[-1].startswith("250 2.1.0")
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
def test_what_xclient_may_leave_open(attributes: str, peer: tuple[str, int]) -> None:
    handler = Guard()
    said = replies(handler, f"XCLIENT {attributes}", config=TRUSTING)
    assert said == ["220 localhost ESMTP ready"]
    assert handler.seen[-1].peer == peer


@pytest.mark.parametrize("login", ["", " LOGIN=[UNAVAILABLE]"])
def test_xclient_takes_no_login_over(login: str) -> None:
    """Who logged in was the one who speaks for others."""
    config = ServerConfig(
        xclient_from=[PEER], authenticator=Accounts(), auth_in_clear=True, require_auth=True
    )
    handler = Guard()
    said = replies(
        handler, LOGIN, f"XCLIENT ADDR=198.51.100.7{login}", "EHLO x", "MAIL FROM:<>", LOGIN,
        "MAIL FROM:<>", config=config,
    )  # fmt: skip
    assert [line[:3] for line in said if not line.startswith("250-")] == [
        "235", "220", "250", "530", "235", "250",
    ]  # fmt: skip
    assert [session.user for session in handler.seen] == [None, None, "ann"]


def test_xclient_with_a_login_counts_as_one() -> None:
    config = ServerConfig(
        xclient_from=[PEER], authenticator=Accounts(), auth_in_clear=True, require_auth=True
    )
    handler = Guard()
    said = replies(handler, "XCLIENT LOGIN=carl", "EHLO x", "MAIL FROM:<>", LOGIN, config=config)
    assert [line[:3] for line in said if not line.startswith("250-")] == [
        "220",
        "250",
        "250",
        "503",
    ]
    assert handler.seen[-1].user == "carl"


def test_xclient_that_the_handler_refuses_ends_the_service() -> None:
    handler = Guard(refuse="198.51.100.7")
    said = replies(handler, "XCLIENT ADDR=198.51.100.7", "MAIL FROM:<>", config=TRUSTING)
    assert [line[:3] for line in said] == ["554", "503"]
    assert all(session.peer == (PEER, 4711) for session in handler.seen[:1])


def test_what_xforward_told_is_of_one_message() -> None:
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
    told = [session.forwarded for session in handler.seen if session.hello is not None][-3:]
    assert told[0] is not None and told[0].name == "one.test"
    assert told[1] is None
    assert told[2] is not None and told[2].name == "two.test" and told[2].addr is None


@pytest.mark.parametrize(
    "line", ["XCLIENT", "XCLIENT ADDR=x", "XCLIENT FOO=1", "XFORWARD", "XFORWARD SOURCE=x"]
)
def test_attributes_that_are_none(line: str) -> None:
    handler = Guard()
    assert replies(handler, line, "MAIL FROM:<>", config=TRUSTING)[0].startswith("501")
    assert handler.seen[-1].impersonated is None and handler.seen[-1].forwarded is None


def test_xclient_and_xforward_are_not_for_the_middle_of_a_transaction() -> None:
    said = replies(
        Guard(), "MAIL FROM:<>", "XCLIENT NAME=x", "XFORWARD NAME=x", "RCPT TO:<a@b.example>",
        config=TRUSTING,
    )  # fmt: skip
    assert [line[:3] for line in said] == ["250", "503", "503", "250"]


def test_xforward_gathers() -> None:
    handler = Guard()
    said = replies(
        handler, "XFORWARD NAME=spike.example ADDR=198.51.100.7", "XFORWARD IDENT=4F2A NAME=x",
        "MAIL FROM:<>", config=TRUSTING,
    )  # fmt: skip
    assert said[:2] == ["250 2.0.0 OK"] * 2
    forwarded = handler.seen[-1].forwarded
    assert forwarded is not None
    assert (forwarded.name, str(forwarded.addr), forwarded.ident) == ("x", "198.51.100.7", "4F2A")
    assert handler.seen[-1].peer == (PEER, 4711)


def test_a_client_says_xclient_and_greets_again() -> None:
    simulation, handler = Simulation(1), Guard()
    simulation.listen(
        25, handler, ServerConfig(xclient_from=["192.0.2.0/24"], xforward_from="::/0")
    )

    async def talk() -> None:
        async with await open_client(simulation, "mx", 25, ClientConfig()) as client:
            told = XClientAttributes(name="spike.example", login="carl")
            assert (await client.command(XClient(told))).code == 220
            assert client.usable and "PIPELINING" in client.extensions
            assert (await client.command(XClient(told))).code == 220
            with pytest.raises(NotOffered, match="XFORWARD"):
                await client.command(XForward(XForwardAttributes(name="x")))
            await client.rset()

    simulation.run(talk())
    assert handler.seen[-1].user == "carl"


# -- PROXY -----------------------------------------------------------------------------------------

PROXIED = ServerConfig(proxied_by=["192.0.2.1"], xclient_from=["198.51.100.7"])
HEADER = ProxyHeader(("198.51.100.7", 99), ("192.0.2.2", 25))
HELLO = octets("EHLO client.example", "MAIL FROM:<>")


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_proxy_tells_who_the_client_is(version: int, size: int) -> None:
    handler = Guard()
    data = (HEADER.v1() if version == 1 else bytes(HEADER)) + HELLO
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    feed = serve(handler, *pieces, config=PROXIED)
    assert feed.said[0] == "220 localhost ESMTP ready" and feed.said[-1].startswith("250 2.1.0")
    assert {session.peer for session in handler.seen} == {("198.51.100.7", 99)}
    assert handler.seen[-1].proxied == HEADER
    # trust is in the client, not in the proxy
    assert any("XCLIENT" in line for line in feed.said)


@pytest.mark.parametrize(
    "header", [b"PROXY UNKNOWN\r\n", bytes(ProxyHeader(local=True)), bytes(ProxyHeader())]
)
def test_a_proxy_that_does_not_tell(header: bytes) -> None:
    handler = Guard()
    assert serve(handler, header + HELLO, config=PROXIED).said[-1].startswith("250 2.1.0")
    assert handler.seen[-1].peer == (PEER, 4711) and handler.seen[-1].proxied is None


@pytest.mark.parametrize(
    "pieces",
    [
        [HELLO],
        [b"PROXY TCP4 198.51.100.7\r\n"],
        [b"PROXY TCP4 198.51.100.7 192.0.2.2 99 25\n"],
        [bytes(HEADER)[:20]],
        [HEADER.v1()[:-1]],
        [],
        [TimedOut("silent")],
        [bytes(HEADER)[:20], TimedOut("silent")],
        [ConnectionLost("gone")],
        [b"PROXY TCP4 " + b"1" * 200],
        [bytes(HEADER)[:14] + b"\xff\xff"],
        [b"\r\n\r\n\0\r\nQUIT\n\x31"],
    ],
    ids=repr,
)
def test_without_a_good_header_nothing_is_said(
    pieces: list[bytes | Exception], caplog: pytest.LogCaptureFixture
) -> None:
    handler = Guard()
    with caplog.at_level(logging.INFO, "smtpproto.server"):
        feed = serve(handler, *pieces, config=PROXIED)
    assert feed.written == [] and handler.seen == []
    assert not [record for record in caplog.records if record.levelno > logging.INFO]
    assert any("broke" in record.getMessage() for record in caplog.records)


def test_the_header_has_its_own_time_out() -> None:
    feed = serve(Guard(), bytes(HEADER)[:20], bytes(HEADER)[20:] + HELLO, config=PROXIED)
    header, rest, later = feed.waits
    assert header is not None and rest is not None and header <= 30 and rest <= header
    assert later is not None and later > 30


def test_a_slow_header_is_a_time_out_by_the_clock() -> None:
    simulation, handler = Simulation(1), Guard()
    simulation.listen(25, handler, PROXIED)

    async def client() -> bytes:
        stream = await simulation.dial("mx", 25, None)
        for octet in bytes(HEADER)[:10]:
            await stream.write(bytes([octet]), None)
            await simulation.wait(lambda: False, 4)
        return await stream.read(None)

    assert simulation.run(client()) == [b""]
    assert 30 <= simulation.now() <= 44 and handler.seen == []


def test_a_header_from_others_is_no_command() -> None:
    handler = Guard()
    config = ServerConfig(proxied_by=["198.51.100.7"])
    feed = serve(handler, HEADER.v1() + HELLO, config=config)
    assert feed.said[1].startswith("500") and feed.said[-1].startswith("250 2.1.0")
    assert handler.seen[-1].peer == (PEER, 4711)
    feed = serve(handler, bytes(HEADER) + HELLO, config=config)
    assert handler.seen[-1].peer == (PEER, 4711)


def test_xclient_after_a_proxy() -> None:
    handler = Guard()
    lines = octets("EHLO x", "XCLIENT ADDR=203.0.113.9", "EHLO y", "MAIL FROM:<>")
    serve(handler, bytes(HEADER) + lines, config=PROXIED)
    last = handler.seen[-1]
    assert last.peer == ("203.0.113.9", 99) and last.proxied == HEADER


class Tagged(Guard):
    """Refuses all, having seen whether TLS is required further on."""

    tags: list[bool]

    def message(self, session: Session, envelope: Envelope, body: bytes) -> Verdict:
        self.tags = [envelope.parameters.requiretls]
        return Reply(554, "5.7.1", "Seen")


@pytest.mark.req("RFC8689-2-06")
def test_requiretls_is_nothing_in_clear() -> None:
    config = ServerConfig(extensions={"REQUIRETLS": ""})
    assert "REQUIRETLS" not in keywords(Handler(), config)
    assert replies(Handler(), "MAIL FROM:<> REQUIRETLS", config=config)[0].startswith("555")


@pytest.mark.req("RFC8689-4.1-01")
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("implicit", [False, True])
def test_a_proxy_before_tls(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], implicit: bool, seed: int
) -> None:
    """And what was told in clear before STARTTLS is forgotten, but not what the proxy told."""
    client_context, context = contexts
    simulation, handler = Simulation(seed), Tagged()
    port = 465 if implicit else 25
    config = ServerConfig(
        context=context,
        implicit_tls=implicit,
        require_tls=True,
        proxied_by=["192.0.2.0/24"],
        extensions={"REQUIRETLS": ""},
    )
    simulation.listen(port, handler, config)
    options = ClientConfig(
        context=client_context, proxy=HEADER, tls="implicit" if implicit else "required"
    )

    async def talk() -> None:
        async with await open_client(simulation, "mx.example.org", port, options) as client:
            assert client.tls is not None
            with pytest.raises(LocalProtocolError):
                await client.command(XClient(XClientAttributes(name="x")))
            strict = MailParameters(requiretls=True)
            with pytest.raises(SendRefused, match="Seen"):
                await client.send(b"hi\n", Envelope("", "bob@example.org", strict))

    simulation.run(talk())
    assert handler.tags == [True]
    last = handler.seen[-1]
    assert last.tls is not None and last.peer == ("198.51.100.7", 99) and last.proxied == HEADER

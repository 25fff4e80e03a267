"""The PROXY protocol: a trusted proxy states the client before SMTP or TLS begins."""

from __future__ import annotations

import logging
import ssl

import pytest

from smtpproto import (
    ClientConfig,
    ConnectionLost,
    Envelope,
    LocalProtocolError,
    MailParameters,
    Reply,
    SendRefused,
    ServerConfig,
    Session,
    TimedOut,
)
from smtpproto.client.connection import open_client
from smtpproto.grammar.extension_command import XClient
from smtpproto.grammar.xclient import XClientAttributes
from smtpproto.server.handler import Verdict
from smtpproto.testing.simulation import Simulation
from smtpproto.wire.proxy import ProxyHeader
from tests.support.handlers import Guard
from tests.support.scripted_client import PEER, octets, serve

PROXIED = ServerConfig(proxied_by=["192.0.2.1"], xclient_from=["198.51.100.7"])
PROXY_HEADER = ProxyHeader(("198.51.100.7", 99), ("192.0.2.2", 25))
SMTP = octets("EHLO client.example", "MAIL FROM:<>")


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_the_session_has_the_client_of_the_proxy_header(version: int, size: int) -> None:
    handler = Guard()
    data = (PROXY_HEADER.v1() if version == 1 else bytes(PROXY_HEADER)) + SMTP
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    client = serve(handler, *pieces, config=PROXIED)
    assert client.lines[0] == "220 localhost ESMTP ready"
    assert client.lines[-1].startswith("250 2.1.0")
    assert {session.peer for session in handler.seen} == {("198.51.100.7", 99)}
    assert handler.seen[-1].proxied == PROXY_HEADER
    # XCLIENT is offered, because the stated client is trusted; the proxy is not.
    assert any("XCLIENT" in line for line in client.lines)


@pytest.mark.req("PROXY-2.1-02", "PROXY-2.2-01")
@pytest.mark.parametrize(
    "header", [b"PROXY UNKNOWN\r\n", bytes(ProxyHeader(local=True)), bytes(ProxyHeader())]
)
def test_a_header_without_addresses_leaves_the_peer_as_it_is(header: bytes) -> None:
    handler = Guard()
    assert serve(handler, header + SMTP, config=PROXIED).lines[-1].startswith("250 2.1.0")
    assert handler.seen[-1].peer == (PEER, 4711) and handler.seen[-1].proxied is None


@pytest.mark.req("PROXY-1-01", "PROXY-1-02")
@pytest.mark.parametrize(
    "pieces",
    [
        [SMTP],
        [b"PROXY TCP4 198.51.100.7\r\n"],
        [b"PROXY TCP4 198.51.100.7 192.0.2.2 99 25\n"],
        [bytes(PROXY_HEADER)[:20]],
        [PROXY_HEADER.v1()[:-1]],
        [],
        [TimedOut("silent")],
        [bytes(PROXY_HEADER)[:20], TimedOut("silent")],
        [ConnectionLost("gone")],
        [b"PROXY TCP4 " + b"1" * 200],
        [bytes(PROXY_HEADER)[:14] + b"\xff\xff"],
        [b"\r\n\r\n\0\r\nQUIT\n\x31"],
    ],
    ids=[
        "no header", "incomplete v1", "LF instead of CRLF", "incomplete v2", "v1 without LF",
        "nothing", "silence", "silence in v2", "lost", "v1 too long", "v2 too long", "v2 version",
    ],
)  # fmt: skip
def test_without_a_valid_header_the_connection_is_closed_without_a_reply(
    pieces: list[bytes | Exception], caplog: pytest.LogCaptureFixture
) -> None:
    handler = Guard()
    with caplog.at_level(logging.INFO, "smtpproto.server"):
        client = serve(handler, *pieces, config=PROXIED)
    assert client.written == [] and handler.seen == []
    assert not [record for record in caplog.records if record.levelno > logging.INFO]
    assert any("broke" in record.getMessage() for record in caplog.records)


def test_the_header_has_its_own_timeout() -> None:
    client = serve(
        Guard(), bytes(PROXY_HEADER)[:20], bytes(PROXY_HEADER)[20:] + SMTP, config=PROXIED
    )
    header, rest, later = client.timeouts
    assert header is not None and rest is not None and header <= 30 and rest <= header
    assert later is not None and later > 30


def test_the_timeout_is_for_the_whole_header() -> None:
    simulation, handler = Simulation(1), Guard()
    simulation.listen(25, handler, PROXIED)

    async def client() -> bytes:
        stream = await simulation.dial("mx", 25, None)
        for octet in bytes(PROXY_HEADER)[:10]:
            await stream.write(bytes([octet]), None)
            await simulation.wait(lambda: False, 4)
        return await stream.read(None)

    assert simulation.run(client()) == [b""]
    assert 30 <= simulation.now() <= 44 and handler.seen == []


@pytest.mark.req("PROXY-1-01")
@pytest.mark.parametrize("header", [PROXY_HEADER.v1(), bytes(PROXY_HEADER)], ids=["v1", "v2"])
def test_a_header_from_an_untrusted_peer_closes_the_connection(header: bytes) -> None:
    handler = Guard()
    config = ServerConfig(proxied_by=["198.51.100.7"])
    client = serve(handler, header + SMTP, config=config)
    assert client.lines[-1].startswith("421 4.7.0") and "250" not in str(client.lines)
    assert [session.peer for session in handler.seen] == [(PEER, 4711)]  # only connect was called


def test_xclient_after_a_proxy_header_keeps_the_header() -> None:
    handler = Guard()
    lines = octets("EHLO x", "XCLIENT ADDR=203.0.113.9", "EHLO y", "MAIL FROM:<>")
    serve(handler, bytes(PROXY_HEADER) + lines, config=PROXIED)
    last = handler.seen[-1]
    assert last.peer == ("203.0.113.9", 99) and last.proxied == PROXY_HEADER


class RequireTLSRecorder(Guard):
    """Refuses each message; keeps whether it was sent with REQUIRETLS."""

    required: list[bool]

    def message(self, session: Session, envelope: Envelope, body: bytes) -> Verdict:
        self.required = [envelope.parameters.requiretls]
        return Reply(554, "5.7.1", "Seen")


@pytest.mark.req("RFC8689-4.1-01")
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("implicit", [False, True])
def test_tls_keeps_the_client_of_the_proxy_header(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], implicit: bool, seed: int
) -> None:
    """Everything else that was sent in clear before STARTTLS is forgotten."""
    client_context, context = contexts
    simulation, handler = Simulation(seed), RequireTLSRecorder()
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
        context=client_context,
        proxy_header=PROXY_HEADER,
        tls="implicit" if implicit else "required",
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
    assert handler.required == [True]
    last = handler.seen[-1]
    assert last.tls is not None and last.peer == ("198.51.100.7", 99)
    assert last.proxied == PROXY_HEADER

"""Plain SMTP on a port for TLS, and TLS on a port for plain SMTP."""

from __future__ import annotations

import logging
import ssl

import pytest

from smtpproto import ClientConfig, ServerConfig, TLSFailed, TLSMode
from smtpproto.testing.simulation import Simulation
from tests.support.certificates import NAME
from tests.support.tls_client import play_session
from tests.support.tls_server import TLSServer, is_tls
from tests.support.tls_sessions import (
    SERVER_CONTEXT,
    EventRecorder,
    converse,
    do_nothing,
    each_seed,
)

# -- the server ----------------------------------------------------------------------------------


def client_hello() -> bytes:
    """Return the first record of a TLS handshake."""
    context = ssl.create_default_context()
    outgoing = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=NAME).do_handshake()
    return outgoing.read()


@each_seed
def test_a_server_recognises_tls_on_a_plain_port_and_runs_no_command(
    seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    simulation, handler, lines = Simulation(seed), EventRecorder(), list[str]()
    config = ServerConfig(
        context=SERVER_CONTEXT, trace=lambda who, line: lines.append(f"{who}: {line}")
    )
    simulation.listen(25, handler, config)
    received = b""

    async def main() -> None:
        nonlocal received
        stream = await simulation.dial(NAME, 25, None)
        await stream.write(client_hello() + b"\r\nNOOP\r\n", None)
        while octets := await stream.read(None):
            received += octets

    with caplog.at_level(logging.INFO, "smtpproto.server"):
        simulation.run(main())
    assert received == b"220 localhost ESMTP ready\r\n"
    assert lines == ["S: 220 localhost ESMTP ready"]
    assert handler.events == ["connect", "close"]
    assert "broke: the client speaks TLS here" in caplog.text
    assert "Traceback" not in caplog.text


@each_seed
@pytest.mark.parametrize("line", [b"EHLO client.example\r\n", b"QUIT\r\n"])
def test_a_server_recognises_plain_smtp_on_a_port_for_tls(
    seed: int, line: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    simulation, handler = Simulation(seed), EventRecorder()
    simulation.listen(465, handler, ServerConfig(context=SERVER_CONTEXT, implicit_tls=True))

    async def main() -> None:
        stream = await simulation.dial(NAME, 465, None)
        await stream.write(line, None)
        assert await stream.read(None) == b""

    with caplog.at_level(logging.INFO, "smtpproto.server"):
        simulation.run(main())
    assert handler.events == ["close"]
    assert "the client speaks plain SMTP here" in caplog.text


# -- the client ----------------------------------------------------------------------------------


@each_seed
def test_our_client_recognises_the_plain_port_of_our_server(seed: int) -> None:
    with pytest.raises(TLSFailed, match="the server speaks plain SMTP here"):
        converse(ServerConfig(), ClientConfig(tls="implicit"), do_nothing, seed=seed)


class GreetingServer(TLSServer):
    """Sends *handshake* at once, whether that is TLS or not."""

    def __attrs_post_init__(self) -> None:
        self._begin()
        self._output = self.handshake


@pytest.mark.parametrize("octets", [b"\x15\x03\x03\0\2\2\x50", b"\x16\x03\x01\0\5", b"\x15"])
@pytest.mark.parametrize("mode", [TLSMode.NONE, TLSMode.OPPORTUNISTIC, TLSMode.REQUIRED])
def test_a_client_recognises_tls_instead_of_a_greeting(octets: bytes, mode: TLSMode) -> None:
    server = GreetingServer(SERVER_CONTEXT, handshake=octets)
    with pytest.raises(TLSFailed, match="the server speaks TLS here") as caught:
        play_session(server, mode)
    assert caught.value.phase == "greeting"
    assert "implicit" in caught.value.check
    assert not caught.value.may_go_in_clear
    assert server.clear + server.records == b""
    assert server.closed


@pytest.mark.parametrize("greeting", [b"220 mx ESMTP\r\n", b"554 5.7.1 Not you\r\n"])
def test_a_client_recognises_a_plain_greeting_instead_of_tls(greeting: bytes) -> None:
    server = GreetingServer(SERVER_CONTEXT, handshake=greeting)
    with pytest.raises(TLSFailed, match="the server speaks plain SMTP here") as caught:
        play_session(server, TLSMode.IMPLICIT)
    assert caught.value.phase == "TLS"
    assert "STARTTLS" in caught.value.check
    assert is_tls(server.records)

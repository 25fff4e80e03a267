"""TLS over real sockets: stalls, ends, wrong ports, and certificates that are renewed."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
import trustme

from smtpproto import Client, TimedOut, Timeouts, TLSFailed, TLSMode, TLSVerify
from tests.adapters.flavours import FLAVOURS, Blocking, Flavour, served
from tests.adapters.inboxes import Inbox
from tests.support.certificates import der, server_context

CA = trustme.CA()
TRUST = TLSVerify.by_ca(CA.cert_pem.bytes())
MODES = [TLSMode.REQUIRED, TLSMode.IMPLICIT]

each_client = pytest.mark.parametrize("client", FLAVOURS, ids=lambda flavour: flavour.name)
each_server = pytest.mark.parametrize("server", FLAVOURS, ids=lambda flavour: flavour.name)
each_mode = pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)


async def nothing(_: Client) -> None:
    raise AssertionError("nobody was to be reached")


async def noop(client: Client) -> None:
    await client.noop()


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), 30)


def hear(connection: socket.socket) -> bytes:
    with suppress(ConnectionResetError):
        return connection.recv(65536)
    return b""


def until_end(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: hear(connection), b""))


@contextmanager
def answering(*replies: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """Serve one client with *replies*, one for each time it says something, the first at once, and
    then be silent; give the port, and what it said."""
    heard: list[bytes] = []

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(30)
            for reply in replies:
                connection.sendall(reply)
                heard.append(hear(connection))
            heard.append(until_end(connection))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1], heard
        thread.join(30)


# -- clients -------------------------------------------------------------------------------------


@each_client
@pytest.mark.req("RFC3207-4-08")
def test_a_server_that_stalls_after_starttls(client: type[Flavour]) -> None:
    replies = (b"220 mx\r\n", b"250-mx\r\n250 STARTTLS\r\n", b"220 go\r\n")
    with answering(*replies) as (port, heard), pytest.raises(TimedOut) as caught:
        client.client(port, nothing, tls=TLSMode.REQUIRED, timeouts=Timeouts(tls=0.05))
    assert (caught.value.phase, caught.value.command) == ("TLS", "STARTTLS")
    assert caught.value.check
    assert heard[1] == b"STARTTLS\r\n"
    assert heard[2][:2] == b"\x16\x03"
    assert heard[3:] == [b""]


@each_client
@pytest.mark.req("RFC8314-3.3-01")
def test_a_server_that_stalls_at_once(client: type[Flavour]) -> None:
    with answering(b"") as (port, heard), pytest.raises(TimedOut) as caught:
        client.client(port, nothing, tls=TLSMode.IMPLICIT, timeouts=Timeouts(tls=0.05))
    assert caught.value.phase == "TLS"
    assert heard[0][:2] == b"\x16\x03"
    assert heard[1:] == [b""]


@each_client
def test_a_server_that_speaks_in_clear_is_not_waited_for(client: type[Flavour]) -> None:
    with (
        answering(b"220 mx ESMTP\r\n") as (port, heard),
        pytest.raises(TLSFailed, match="the server speaks plain SMTP here: 220 mx ESMTP"),
    ):
        client.client(port, nothing, tls=TLSMode.IMPLICIT, timeouts=Timeouts(tls=None))
    assert not b"".join(heard) or heard[0][:2] == b"\x16\x03"


@each_client
def test_a_server_that_speaks_tls_is_not_waited_for(client: type[Flavour]) -> None:
    with (
        answering(b"\x15\x03\x03\0\2\2\x50") as (port, heard),
        pytest.raises(TLSFailed, match="the server speaks TLS here"),
    ):
        client.client(port, nothing, tls=TLSMode.NONE, timeouts=Timeouts(greeting=None))
    assert not b"".join(heard)


@each_client
@each_mode
def test_a_name_that_is_not_the_one_dialled(client: type[Flavour], mode: TLSMode) -> None:
    context = server_context(CA.issue_cert("mail.example.org"))
    implicit = mode is TLSMode.IMPLICIT
    with served(Blocking, Inbox(), context=context, implicit_tls=implicit) as running:
        name = "mail.example.org"
        client.client(running.port, noop, tls=mode, verify=TRUST, server_name=name)
        with pytest.raises(TLSFailed, match="localhost"):
            client.client(running.port, nothing, tls=mode, verify=TRUST)


# -- servers -------------------------------------------------------------------------------------


@each_server
@each_mode
def test_a_client_that_stalls_in_the_handshake_is_let_go(
    server: type[Flavour], mode: TLSMode
) -> None:
    context, inbox = server_context(CA.issue_cert("localhost")), Inbox()
    implicit, timeouts = mode is TLSMode.IMPLICIT, Timeouts(tls=0.05)
    with (
        served(server, inbox, context=context, implicit_tls=implicit, timeouts=timeouts) as running,
        connected(running.port) as client,
    ):
        if not implicit:
            client.sendall(b"EHLO c.example\r\nSTARTTLS\r\n")
        last = until_end(client)
    assert last[-7:-4] == b"\x15\x03\x03" or last == b"" or b"220 2.0.0" in last
    assert not inbox.mails


@each_server
@each_mode
def test_a_server_that_stops_does_not_wait_for_a_handshake(
    server: type[Flavour], mode: TLSMode
) -> None:
    """For less than the grace of 30 seconds."""
    context, implicit = server_context(CA.issue_cert("localhost")), mode is TLSMode.IMPLICIT
    never = Timeouts(tls=None)
    with (
        served(server, Inbox(), context=context, implicit_tls=implicit, timeouts=never) as running,
        connected(running.port) as client,
    ):
        if not implicit:
            client.sendall(b"EHLO c.example\r\nSTARTTLS\r\n")
            got = b""
            while b"220 2.0.0" not in got:
                got += client.recv(4096)
        stopping = threading.Thread(target=running.stop)
        stopping.start()
        stopping.join(20)
        assert not stopping.is_alive()


@each_server
def test_tls_at_a_plain_port_and_clear_text_at_one_for_tls(
    server: type[Flavour], caplog: pytest.LogCaptureFixture
) -> None:
    context = server_context(CA.issue_cert("localhost"))
    caplog.set_level(logging.INFO, "smtpproto.server")
    with served(server, Inbox(), context=context) as running:
        with connected(running.port) as raw, pytest.raises((ssl.SSLError, OSError)):
            ssl.create_default_context().wrap_socket(raw, server_hostname="localhost")
        Blocking.client(running.port, noop, tls=TLSMode.REQUIRED, verify=TRUST)
    assert "the client speaks TLS here" in caplog.text
    with served(server, Inbox(), context=context, implicit_tls=True) as running:
        with connected(running.port) as raw:
            raw.sendall(b"EHLO c.example\r\n")
            assert until_end(raw) == b""
        Blocking.client(running.port, noop, tls=TLSMode.IMPLICIT, verify=TRUST)
    assert "the client speaks plain SMTP here" in caplog.text


@each_server
@each_mode
def test_a_certificate_that_is_renewed_while_the_server_runs(
    server: type[Flavour], mode: TLSMode
) -> None:
    seen: list[bytes | None] = []
    current = server_context(old := CA.issue_cert("localhost"))

    async def look(client: Client) -> None:
        assert client.tls is not None
        seen.append(client.tls.peer_certificate)

    implicit = mode is TLSMode.IMPLICIT
    with served(server, Inbox(), context=lambda: current, implicit_tls=implicit) as running:
        Blocking.client(running.port, look, tls=mode, verify=TRUST)
        current = server_context(new := CA.issue_cert("localhost"))
        Blocking.client(running.port, look, tls=mode, verify=TRUST)
    assert seen == [der(old), der(new)]

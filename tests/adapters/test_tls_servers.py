"""TLS of servers over real sockets: clients that stall, wrong ports, refusals, new certificates."""

from __future__ import annotations

import logging
import socket
import ssl
import threading

import pytest
import trustme

from smtpproto import Client, Handler, Refusal, Reply, Session, Timeouts, TLSMode, TLSVerify
from tests.adapters.connections import connect_raw, must_not_connect, noop, receive_until_end
from tests.adapters.harness import Adapter, Blocking, each_server, running_server
from tests.adapters.inboxes import Certificates, Inbox
from tests.support.certificates import der, server_context

CA = trustme.CA()
TRUST = TLSVerify.by_ca(CA.cert_pem.bytes())

each_mode = pytest.mark.parametrize(
    "mode", [TLSMode.REQUIRED, TLSMode.IMPLICIT], ids=lambda mode: mode.value
)


@each_server
@each_mode
def test_a_client_that_stalls_in_the_handshake_is_disconnected(
    server: type[Adapter], mode: TLSMode
) -> None:
    context, inbox = server_context(CA.issue_cert("localhost")), Inbox()
    implicit, timeouts = mode is TLSMode.IMPLICIT, Timeouts(tls=0.05)
    with (
        running_server(
            server, inbox, context=context, implicit_tls=implicit, timeouts=timeouts
        ) as running,
        connect_raw(running.port) as client,
    ):
        if not implicit:
            client.sendall(b"EHLO c.example\r\nSTARTTLS\r\n")
        last = receive_until_end(client)
    assert last[-7:-4] == b"\x15\x03\x03" or last == b"" or b"220 2.0.0" in last
    assert not inbox.messages


@each_server
@each_mode
def test_a_stopping_server_does_not_wait_for_a_handshake(
    server: type[Adapter], mode: TLSMode
) -> None:
    context, implicit = server_context(CA.issue_cert("localhost")), mode is TLSMode.IMPLICIT
    never = Timeouts(tls=None)
    with (
        running_server(
            server, Inbox(), context=context, implicit_tls=implicit, timeouts=never
        ) as running,
        connect_raw(running.port) as client,
    ):
        if not implicit:
            client.sendall(b"EHLO c.example\r\nSTARTTLS\r\n")
            got = b""
            while b"220 2.0.0" not in got:
                got += client.recv(4096)
        stopping = threading.Thread(target=running.stop)
        stopping.start()
        stopping.join(20)  # less than the grace of 30 seconds
        assert not stopping.is_alive()


@each_server
def test_a_failed_handshake_ends_only_its_own_connection(
    server: type[Adapter], certificates: Certificates, inbox: Inbox
) -> None:
    context = certificates.server
    with running_server(server, inbox, context=context, implicit_tls=True) as running:
        with socket.create_connection(("127.0.0.1", running.port)) as plain:
            plain.sendall(b"EHLO client.example\r\n" * 10)
            while plain.recv(4096):
                pass
        Blocking.client(running.port, noop, tls=TLSMode.IMPLICIT, context=certificates.client)


@each_server
def test_tls_on_a_clear_port_and_clear_text_on_a_tls_port_are_logged(
    server: type[Adapter], caplog: pytest.LogCaptureFixture
) -> None:
    context = server_context(CA.issue_cert("localhost"))
    caplog.set_level(logging.INFO, "smtpproto.server")
    with running_server(server, Inbox(), context=context) as running:
        with connect_raw(running.port) as raw, pytest.raises((ssl.SSLError, OSError)):
            ssl.create_default_context().wrap_socket(raw, server_hostname="localhost")
        Blocking.client(running.port, noop, tls=TLSMode.REQUIRED, verify=TRUST)
    assert "the client speaks TLS here" in caplog.text
    with running_server(server, Inbox(), context=context, implicit_tls=True) as running:
        with connect_raw(running.port) as raw:
            raw.sendall(b"EHLO c.example\r\n")
            assert receive_until_end(raw) == b""
        Blocking.client(running.port, noop, tls=TLSMode.IMPLICIT, verify=TRUST)
    assert "the client speaks plain SMTP here" in caplog.text


class RefusesTLS(Handler):
    """Refuses every client after the handshake, whatever TLS it has."""

    def tls(self, session: Session) -> Reply:
        assert session.tls is not None
        return Reply(554, "5.7.0", f"Not with {session.tls.version}")


@pytest.mark.req("RFC3207-4.1-01/server", "RFC3207-4.1-02")
@each_mode
@each_server
def test_a_client_is_refused_with_the_reply_of_the_tls_hook(
    server: type[Adapter], mode: TLSMode, certificates: Certificates
) -> None:
    implicit, context = mode is TLSMode.IMPLICIT, certificates.server
    with running_server(server, RefusesTLS(), context=context, implicit_tls=implicit) as running:
        with pytest.raises(Refusal, match="Not with TLS") as caught:
            Blocking.client(running.port, must_not_connect, tls=mode, context=certificates.client)
        assert caught.value.reply.code == 554


@each_server
@each_mode
def test_a_new_certificate_is_used_while_the_server_runs(
    server: type[Adapter], mode: TLSMode
) -> None:
    seen: list[bytes | None] = []
    current = server_context(old := CA.issue_cert("localhost"))

    async def keep_certificate(client: Client) -> None:
        assert client.tls is not None
        seen.append(client.tls.peer_certificate)

    implicit = mode is TLSMode.IMPLICIT
    with running_server(server, Inbox(), context=lambda: current, implicit_tls=implicit) as running:
        Blocking.client(running.port, keep_certificate, tls=mode, verify=TRUST)
        current = server_context(new := CA.issue_cert("localhost"))
        Blocking.client(running.port, keep_certificate, tls=mode, verify=TRUST)
    assert seen == [der(old), der(new)]

"""TLS of clients over real sockets: servers that stall, wrong ports, and certificates."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trustme

from smtpproto import ClientConfig, TimedOut, Timeouts, TLSFailed, TLSMode, TLSVerify
from smtpproto.adapters import blocking as on_sockets
from smtpproto.client import ClientOptions, open_client
from smtpproto.server import ServerOptions
from tests.adapters.connections import must_not_connect, noop, receive, receive_until_end
from tests.adapters.harness import Adapter, Blocking, each_client, running_server
from tests.adapters.inboxes import Certificates, Inbox
from tests.support.accounts import Accounts
from tests.support.certificates import server_context

CA = trustme.CA()
TRUST = TLSVerify.by_ca(CA.cert_pem.bytes())
HANDSHAKE = b"\x16\x03"  # a TLS record begins so

each_mode = pytest.mark.parametrize(
    "mode", [TLSMode.REQUIRED, TLSMode.IMPLICIT], ids=lambda mode: mode.value
)


@contextmanager
def scripted_server(*replies: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """Serve one client: send the first of *replies* at once and one more after each read, then stay
    silent until the client closes. Yield the port and a list of what the client sent."""
    received: list[bytes] = []

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(30)
            for reply in replies:
                connection.sendall(reply)
                received.append(receive(connection))
            received.append(receive_until_end(connection))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1], received
        thread.join(30)


# -- servers that stall, and wrong ports -----------------------------------------------------------


@each_client
@pytest.mark.req("RFC3207-4-08")
def test_a_server_that_stalls_after_starttls_raises_timed_out(client: type[Adapter]) -> None:
    replies = (b"220 mx\r\n", b"250-mx\r\n250 STARTTLS\r\n", b"220 go\r\n")
    with scripted_server(*replies) as (port, received), pytest.raises(TimedOut) as caught:
        client.client(port, must_not_connect, tls=TLSMode.REQUIRED, timeouts=Timeouts(tls=0.05))
    assert (caught.value.phase, caught.value.command) == ("TLS", "STARTTLS")
    assert caught.value.check
    assert received[1] == b"STARTTLS\r\n"
    assert received[2][:2] == HANDSHAKE
    assert received[3:] == [b""]


@each_client
@pytest.mark.req("RFC8314-3.3-01")
def test_a_server_that_stalls_in_implicit_tls_raises_timed_out(client: type[Adapter]) -> None:
    with scripted_server(b"") as (port, received), pytest.raises(TimedOut) as caught:
        client.client(port, must_not_connect, tls=TLSMode.IMPLICIT, timeouts=Timeouts(tls=0.05))
    assert caught.value.phase == "TLS"
    assert received[0][:2] == HANDSHAKE
    assert received[1:] == [b""]


@each_client
def test_implicit_tls_on_a_server_that_speaks_first_in_clear_fails_at_once(
    client: type[Adapter],
) -> None:
    with (
        scripted_server(b"220 mx ESMTP\r\n") as (port, received),
        pytest.raises(TLSFailed, match="the server speaks plain SMTP here: 220 mx ESMTP"),
    ):
        client.client(port, must_not_connect, tls=TLSMode.IMPLICIT, timeouts=Timeouts(tls=None))
    assert not b"".join(received) or received[0][:2] == HANDSHAKE


@each_client
def test_a_client_in_clear_on_a_server_that_speaks_tls_fails_at_once(client: type[Adapter]) -> None:
    with (
        scripted_server(b"\x15\x03\x03\0\2\2\x50") as (port, received),
        pytest.raises(TLSFailed, match="the server speaks TLS here"),
    ):
        client.client(port, must_not_connect, tls=TLSMode.NONE, timeouts=Timeouts(greeting=None))
    assert not b"".join(received)


@each_client
def test_the_error_for_implicit_tls_on_a_starttls_port_suggests_starttls(
    client: type[Adapter], certificates: Certificates, inbox: Inbox
) -> None:
    with running_server(Blocking, inbox) as running, pytest.raises(TLSFailed, match="use STARTTLS"):
        client.client(
            running.port, must_not_connect, tls=TLSMode.IMPLICIT, context=certificates.client
        )


@pytest.mark.req("RFC3207-4.2-03")
@pytest.mark.parametrize(("lmtp", "hello"), [(False, "EHLO"), (True, "LHLO")])
def test_the_client_sends_ehlo_or_lhlo_first_after_the_handshake(
    lmtp: bool, hello: str, certificates: Certificates, inbox: Inbox
) -> None:
    lines: list[str] = []
    with running_server(Blocking, inbox, context=certificates.server, lmtp=lmtp) as running:
        Blocking.client(
            running.port,
            noop,
            lmtp=lmtp,
            tls=TLSMode.REQUIRED,
            context=certificates.client,
            trace=lambda who, line: lines.append(f"{who}: {line}"),
        )
    (handshake,) = [at for at, line in enumerate(lines) if line.startswith("*: TLS")]
    assert lines[handshake - 2] == "C: STARTTLS"
    assert lines[handshake + 1].startswith(f"C: {hello} ")


# -- certificates ----------------------------------------------------------------------------------


@each_client
@each_mode
@pytest.mark.req("RFC4954-14-01", "RFC3207-4-08", "RFC8314-3.3-02", "RFC8314-5-01")
def test_a_server_with_an_untrusted_certificate_gets_no_password(
    client: type[Adapter], mode: TLSMode, certificates: Certificates, inbox: Inbox
) -> None:
    implicit = mode is TLSMode.IMPLICIT
    context = certificates.server
    with (
        running_server(Blocking, inbox, context=context, implicit_tls=implicit) as running,
        pytest.raises(TLSFailed, match=r"CERTIFICATE_VERIFY_FAILED.*check"),
    ):
        client.client(running.port, must_not_connect, tls=mode, login=("ann", "secret"))
    assert not inbox.messages


@each_mode
@pytest.mark.req("RFC4954-14-02", "RFC4954-14-06", "RFC7817-3-01")
def test_a_server_whose_certificate_lacks_the_dialled_name_gets_no_password(
    mode: TLSMode, certificates: Certificates, inbox: Inbox
) -> None:
    lines: list[str] = []
    options: ClientOptions = {
        "tls": mode,
        "context": certificates.client,
        "login": ("ann", "secret"),
        "trace": lambda who, line: lines.append(f"{who}: {line}"),
    }
    implicit = mode is TLSMode.IMPLICIT
    theirs: ServerOptions = {"context": certificates.server, "implicit_tls": implicit}
    theirs["authenticator"] = Accounts()
    with running_server(Blocking, inbox, **theirs) as running:
        with pytest.raises(TLSFailed, match="check: the host name"):
            on_sockets.connect("127.0.0.1", running.port, **options)
        assert not any("AUTH PLAIN ***" in line for line in lines)
        on_sockets.connect("localhost", running.port, **options).quit()
        assert "C: AUTH PLAIN ***" in lines


@each_client
@each_mode
def test_server_name_replaces_the_dialled_name_in_verification(
    client: type[Adapter], mode: TLSMode
) -> None:
    context = server_context(CA.issue_cert("mail.example.org"))
    implicit = mode is TLSMode.IMPLICIT
    with running_server(Blocking, Inbox(), context=context, implicit_tls=implicit) as running:
        name = "mail.example.org"
        client.client(running.port, noop, tls=mode, verify=TRUST, server_name=name)
        with pytest.raises(TLSFailed, match="localhost"):
            client.client(running.port, must_not_connect, tls=mode, verify=TRUST)


class MisledRuntime(on_sockets.Runtime):
    """A runtime whose DNS leads every name to localhost."""

    async def dial(
        self,
        host: str,
        port: int,
        timeout: float | None,
        source: tuple[str, int] | None = None,
    ) -> on_sockets.Stream:
        return await super().dial("localhost", port, timeout, source)


@pytest.mark.req("RFC4954-14-04")
@each_mode
def test_the_certificate_must_have_the_requested_name_not_one_from_dns(
    mode: TLSMode, certificates: Certificates, inbox: Inbox
) -> None:
    """The certificate is valid for localhost, where DNS led the client."""
    implicit = mode is TLSMode.IMPLICIT
    config = ClientConfig(tls=mode, context=certificates.client)

    async def connect(name: str, port: int) -> None:
        async with await open_client(MisledRuntime(), name, port, config):
            pass

    context = certificates.server
    with running_server(Blocking, inbox, context=context, implicit_tls=implicit) as running:
        on_sockets.run(connect("localhost", running.port))
        with pytest.raises(TLSFailed, match=r"mail\.example\.org"):
            on_sockets.run(connect("mail.example.org", running.port))

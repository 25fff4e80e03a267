"""What RFCs ask of the ends of a connection: time-outs, and what TLS must come with."""

from __future__ import annotations

import socket
import threading

import pytest

from smtpproto import Client, ClientConfig, TimedOut, Timeouts, TLSFailed, TLSMode
from smtpproto.adapters import blocking
from smtpproto.client import open_client
from tests.adapters.flavours import FLAVOURS, Blocking, Flavour, served
from tests.adapters.inboxes import Certificates, Inbox
from tests.support.envelopes import TO_BOB

each_client = pytest.mark.parametrize("client", FLAVOURS, ids=lambda flavour: flavour.name)

REPLIES = {
    "greeting": b"220 mx",
    "hello": b"250 mx",
    "mail": b"250 ok",
    "rcpt": b"250 ok",
    "data": b"354 go",
}


def stalling(listener: socket.socket, phase: str) -> None:
    """Serve one client up to *phase*, and then wait for it to give up."""
    connected, _ = listener.accept()
    with connected:
        connected.settimeout(30)
        for name, reply in REPLIES.items():
            if name != "greeting":
                connected.recv(1000)
            if name == phase:
                break
            connected.sendall(reply + b"\r\n")
        while connected.recv(1000):
            pass


@each_client
@pytest.mark.req("RFC5321-4.5.3.2-01")
@pytest.mark.parametrize("phase", REPLIES)
def test_a_server_that_stalls_in_any_phase(client: type[Flavour], phase: str) -> None:
    async def send(opened: Client) -> None:
        await opened.send(b"hello\r\n", TO_BOB)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=stalling, args=[listener, phase], daemon=True)
        thread.start()
        with pytest.raises(TimedOut) as caught:
            port = listener.getsockname()[1]
            client.client(port, send, timeouts=Timeouts(**{phase: 0.05}))
        thread.join(30)
    assert (caught.value.command or "greeting").lower()[:4] in ("gree", "ehlo", phase)


@pytest.mark.req("RFC3207-4.2-03")
@pytest.mark.parametrize(("lmtp", "hello"), [(False, "EHLO"), (True, "LHLO")])
def test_after_the_handshake_the_client_names_itself_first(
    lmtp: bool, hello: str, certificates: Certificates, inbox: Inbox
) -> None:
    lines: list[str] = []

    async def noop(client: Client) -> None:
        await client.noop()

    with served(Blocking, inbox, context=certificates.server, lmtp=lmtp) as running:
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


class Misled(blocking.Runtime):
    """A world whose DNS leads every name to a host of its own choice."""

    async def dial(
        self,
        host: str,
        port: int,
        timeout: float | None,
        source: tuple[str, int] | None = None,
    ) -> blocking.Stream:
        return await super().dial("localhost", port, timeout, source)


@pytest.mark.req("RFC4954-14-04")
@pytest.mark.parametrize("mode", [TLSMode.REQUIRED, TLSMode.IMPLICIT])
def test_a_certificate_is_for_the_name_that_was_asked_for(
    mode: TLSMode, certificates: Certificates, inbox: Inbox
) -> None:
    """Not for the one that DNS led to, though its certificate is good."""
    implicit = mode is TLSMode.IMPLICIT
    config = ClientConfig(tls=mode, context=certificates.client)

    async def talk(name: str, port: int) -> None:
        async with await open_client(Misled(), name, port, config):
            pass

    with served(Blocking, inbox, context=certificates.server, implicit_tls=implicit) as running:
        blocking.run(talk("localhost", running.port))
        with pytest.raises(TLSFailed, match=r"mail\.example\.org"):
            blocking.run(talk("mail.example.org", running.port))

"""Work of our protocol machines without sockets: P1 to P4 of core.py."""

from __future__ import annotations

from smtpproto import (
    ClientProtocol,
    Domain,
    ForwardPath,
    Limits,
    Mailbox,
    Phase,
    ReversePath,
    ServerProtocol,
)
from smtpproto.commands import Command, Data, Ehlo, Mail, Rcpt

from .asking import work_on_request
from .core import for_each_address
from .messages import CHUNKS, COMMANDS, RECIPIENT, SENDER

EHLO = b"EHLO client.example\r\n"


def accept_all(server: ServerProtocol) -> bytes:
    """Accept all that the client asks for, and return the replies."""
    while server.next_event() is not None:
        if server.question is not None:
            server.answer()
    return server.data_to_send()


def pass_to(server: ServerProtocol, octets: bytes) -> None:
    server.receive(octets)
    accept_all(server)


def new_server(*lines: bytes) -> ServerProtocol:
    """Return a server that has accepted EHLO and *lines*."""
    server = ServerProtocol(hostname="mx.example.org", limits=Limits(message_size=None))
    accept_all(server)
    for line in (EHLO, *lines):
        server.receive(line)
        assert accept_all(server)[:1] in b"23"
    return server


def answer(port: int, count: int) -> None:
    server = new_server()
    for number in range(count):
        pass_to(server, COMMANDS[number % 4])


def decode(port: int, count: int) -> None:
    server = new_server(*COMMANDS[:3])
    for _ in range(count):
        for chunk in CHUNKS:
            pass_to(server, chunk)


def new_client(*commands: Command) -> ClientProtocol:
    """Return a client that was allowed to send content."""
    client = ClientProtocol()
    client.receive(b"220 mx.example.org\r\n")
    client.next_event()
    for command in commands:
        client.send(command)
        client.data_to_send()
        client.receive(b"354 Go ahead\r\n" if isinstance(command, Data) else b"250 Ok\r\n")
        client.next_event()
    assert client.phase is Phase.BODY, client.phase
    return client


def encode(port: int, count: int) -> None:
    mail, rcpt = Mail(ReversePath.of(SENDER)), Rcpt(ForwardPath.of(RECIPIENT))
    client = new_client(Ehlo(Domain("client.example")), mail, rcpt, Data())
    for _ in range(count):
        for chunk in CHUNKS:
            client.send_body(chunk)
            client.data_to_send()


if __name__ == "__main__":
    work_on_request(
        {"P1": answer, "P2": decode, "P3": encode, "P4": for_each_address(Mailbox.parse)}
    )

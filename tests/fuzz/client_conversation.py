"""The target of a client's conversation: any replies from a server, over a stream in memory."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from email.message import EmailMessage
from typing import Any

from attrs import define, field

from smtpproto import Client, ClientConfig, Envelope, Outcome, SMTPError, TimedOut
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.client.config import TLSMode
from smtpproto.client.connection import start_client
from smtpproto.wire.dots import has_bare
from tests.fuzz.failures import failing_on_logged_errors
from tests.support.pieces import async_pieces, single_octets

CONFIGS = [
    ClientConfig(tls="none"),
    ClientConfig(tls="opportunistic"),
    ClientConfig(tls="none", lmtp=True),
    ClientConfig(tls="none", login=("ann", "secret"), login_in_clear=True),
    ClientConfig(tls="required"),
    ClientConfig(tls="implicit"),
]
IN_CLEAR = 4  # configurations whose clients need no TLS
TO = Envelope("ann@example.org", ["bob@example.org", "carl@example.org"])
TO_UTF8 = Envelope("ann@example.org", ["\u00fc@example.org"])
LINES = b"Subject: x\r\n\r\n.\r\nQUIT\r\n"


def _email() -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = (
        "ann@a.test",
        "bob@b.test",
        "Gr\u00fc\u00dfe",
    )
    message.set_content("Gr\u00fc\u00dfe\n.\n")
    return message


EMAIL = _email()
TALKS: list[Callable[[Client], Awaitable[Any]]] = [
    lambda client: client.send(LINES, TO),
    lambda client: client.send(single_octets(LINES), TO),
    lambda client: client.send(async_pieces(single_octets(LINES)), TO),
    lambda client: client.send(EMAIL),
    lambda client: client.send("Subject: \u00fc\n".encode(), TO_UTF8),
    lambda client: client.vrfy("ann"),
    lambda client: client.etrn("a.test"),
]


@define(eq=False)
class _Server:
    """A stream that returns one of *pieces* at each read, then ends. An empty piece is silence."""

    pieces: list[bytes]
    written: bytearray = field(factory=bytearray)
    closed: bool = False
    peername: tuple[str, int] = ("192.0.2.1", 25)
    sockname: tuple[str, int] = ("127.0.0.1", 49152)

    async def read(self, timeout: float | None) -> bytes:
        if self.pieces and not self.pieces[0]:
            del self.pieces[0]
            raise TimedOut("the server is silent")
        if timeout == 0 and not self.pieces:
            raise TimedOut("nothing has arrived")
        return self.pieces.pop(0) if self.pieces else b""

    async def write(self, data: bytes, timeout: float | None) -> None:
        self.written += data

    async def end(self) -> None: ...

    async def close(self) -> None:
        self.closed = True

    def interrupt(self) -> None:
        self.pieces.clear()


def fuzz(data: bytes) -> None:
    """The first octet chooses the configuration, the second what the client does, twice; each
    piece from the server is an octet n and n octets."""
    if len(data) < 2:
        return
    number = data[0] % len(CONFIGS)
    server = _Server(list(_pieces(data[2:])))
    with failing_on_logged_errors():
        run(_talk(server, CONFIGS[number], TALKS[data[1] % len(TALKS)]))
    assert server.closed
    assert number >= IN_CLEAR or not has_bare(bytes(server.written))


def _pieces(data: bytes) -> list[bytes]:
    pieces, at = [], 0
    while at < len(data):
        end = at + 1 + data[at]
        pieces.append(data[at + 1 : end])
        at = end
    return pieces


async def _talk(
    server: _Server, config: ClientConfig, talk: Callable[[Client], Awaitable[Any]]
) -> None:
    mode = config.tls or TLSMode.NONE
    with contextlib.suppress(SMTPError):
        async with await start_client(Runtime(), server, "mx.example", config, mode) as client:
            for _ in range(2):
                outcome = await talk(client)
                assert not isinstance(outcome, Outcome) or outcome.accepted

"""A client that plays prepared octets, and the replies that a server writes to it."""

from __future__ import annotations

from attrs import define, field

from smtpproto import Handler, ServerConfig
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.server.conversation import Conversation

PEER = "192.0.2.1"
LOGIN = "AUTH PLAIN AGFubgBzZWNyZXQ="
"""The login of Ann, whom ``accounts.Accounts`` knows."""


@define(eq=False)
class ScriptedClient:
    """The server's stream to a client that sends one of *pieces* at each read, then hangs up.

    A piece that is an exception is raised.
    """

    pieces: list[bytes | Exception]
    written: list[bytes] = field(factory=list)
    """What the server wrote, one item for each write."""
    timeouts: list[float | None] = field(factory=list)
    """The timeout that the server passed to each read."""
    interrupted: bool = False
    closed: bool = False
    peername: tuple[str, int] = (PEER, 4711)
    sockname: tuple[str, int] = ("192.0.2.2", 25)

    async def read(self, timeout: float | None) -> bytes:
        self.timeouts.append(timeout)
        piece = self.pieces.pop(0) if self.pieces else b""
        if isinstance(piece, Exception):
            raise piece
        return piece

    async def write(self, data: bytes, timeout: float | None) -> None:
        self.written.append(data)

    async def end(self) -> None: ...

    async def close(self) -> None:
        self.closed = True

    def interrupt(self) -> None:
        self.interrupted = True
        self.pieces.clear()

    @property
    def lines(self) -> list[str]:
        """The lines that the server wrote."""
        return b"".join(self.written).decode().split("\r\n")[:-1]


def octets(*lines: str) -> bytes:
    """Return *lines* as octets, each with its CRLF."""
    return "".join(f"{line}\r\n" for line in lines).encode()


def serve(
    handler: Handler, *pieces: bytes | Exception, config: ServerConfig | None = None
) -> ScriptedClient:
    """Serve a client that sends *pieces*, until the connection is closed."""
    stream = ScriptedClient(list(pieces))
    run(Conversation(stream, handler, config or ServerConfig(), Runtime()).run())
    assert stream.closed
    return stream


def replies(
    handler: Handler, *lines: str, config: ServerConfig | None = None, hello: str = "EHLO"
) -> list[str]:
    """Return the reply lines to *lines*, which the client sends together with its greeting."""
    client = serve(handler, octets(f"{hello} client.example", *lines), config=config)
    return after_hello(client)


def after_hello(client: ScriptedClient) -> list[str]:
    """Return the lines that the server wrote after its reply to the greeting."""
    last = next(number for number, line in enumerate(client.lines) if line.startswith("250 "))
    return client.lines[last + 1 :]


def keywords(handler: Handler, config: ServerConfig | None = None, hello: str = "EHLO") -> set[str]:
    """Return the keywords that the server offers, with their parameters."""
    client = serve(handler, octets(f"{hello} client.example"), config=config)
    return {line[4:] for line in client.lines[2:]}

"""Clients that talk before it is their turn (RFC 2920 3.1)."""

from __future__ import annotations

import pytest

from smtpproto import Envelope, Handler, Reply, ServerConfig, Session
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.server.conversation import Conversation
from smtpproto.server.handler import Sink

EHLO, HELO = b"EHLO client.example\r\n", b"HELO client.example\r\n"
GROUP = b"MAIL FROM:<ann@example.org>\r\nRCPT TO:<bob@example.org>\r\n"
BDAT = b"BDAT 3 LAST\r\nx\r\n"


class Pieces:
    """A client that sends each piece once the replies before it were written, then goes away."""

    peername = sockname = ("192.0.2.1", 25)

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces, self.written = pieces, b""

    async def read(self, timeout: float | None) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""

    async def write(self, data: bytes, timeout: float | None) -> None:
        self.written += data

    async def close(self) -> None: ...

    def interrupt(self) -> None: ...


class Strict(Handler):
    """Refuses the messages of such clients."""

    seen = False

    def data(self, session: Session, envelope: Envelope) -> Sink | Reply:
        if session.early_talk:
            return Reply(554, "5.7.1", "You do not wait for replies")
        return super().data(session, envelope)  # type: ignore[return-value]

    def message(self, *_: object) -> None: ...

    def close(self, session: Session) -> None:
        self.seen = session.early_talk


def talk(*pieces: bytes, config: ServerConfig | None = None) -> tuple[bool, bytes]:
    """Whether the client was caught, and what it was told."""
    handler, stream = Strict(), Pieces(list(pieces))
    run(Conversation(stream, handler, config or ServerConfig(), Runtime()).run())
    return handler.seen, stream.written


@pytest.mark.req("SMUGGLING-08")
@pytest.mark.parametrize(
    "pieces",
    [
        [EHLO + GROUP],
        [EHLO, GROUP + b"DATA\r\nx\r\n.\r\n"],
        [EHLO, b"NOOP\r\nNOOP\r\n"],
        [HELO, GROUP, b"DATA\r\n"],
        [EHLO, b"MAIL FROM:<>\r\nVRFY a\r\nQUIT\r\n"],
    ],
)
def test_who_does_not_wait_is_noticed(pieces: list[bytes]) -> None:
    seen, written = talk(*pieces)
    assert seen
    assert b"354" not in written


@pytest.mark.parametrize(
    "pieces",
    [
        [EHLO, GROUP + b"DATA\r\n", b"x\r\n.\r\n" + GROUP + b"DATA\r\n", b".\r\n", b"QUIT\r\n"],
        [EHLO, GROUP + BDAT + GROUP + BDAT],
        [HELO, *GROUP.splitlines(keepends=True), b"DATA\r\n", b".\r\n"],
        [EHLO, b"NOOP\r\n", b"FOO\r\nRSET\r\n", b"QUIT\r\n"],
    ],
)
def test_who_waits_is_not(pieces: list[bytes]) -> None:
    seen, written = talk(*pieces)
    assert not seen
    assert b"\n554" not in written


def test_the_octets_of_a_chunk_are_no_early_talk() -> None:
    config = ServerConfig(extensions={"PIPELINING": None})
    group = GROUP.splitlines(keepends=True)
    assert not talk(EHLO, *group, BDAT, b"QUIT\r\n", config=config)[0]
    assert talk(EHLO, GROUP, BDAT, config=config)[0]

"""A client whose octets are written down, and handlers for it."""

from __future__ import annotations

from attrs import define, field

from smtpproto import (
    Authenticator,
    Handler,
    MailParameters,
    Reply,
    ReversePath,
    Secret,
    ServerConfig,
    Session,
)
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.server.conversation import Conversation
from smtpproto.server.handler import Verdict

PEER = "192.0.2.1"


@define(eq=False)
class Feed:
    """A client that says *pieces*, each when it is asked for more, and then hangs up."""

    pieces: list[bytes | Exception]
    written: list[bytes] = field(factory=list)
    waits: list[float | None] = field(factory=list)
    interrupted: bool = False
    closed: bool = False
    peername: tuple[str, int] = (PEER, 4711)
    sockname: tuple[str, int] = ("192.0.2.2", 25)

    async def read(self, timeout: float | None) -> bytes:
        self.waits.append(timeout)
        piece = self.pieces.pop(0) if self.pieces else b""
        if isinstance(piece, Exception):
            raise piece
        return piece

    async def write(self, data: bytes, timeout: float | None) -> None:
        self.written.append(data)

    async def close(self) -> None:
        self.closed = True

    def interrupt(self) -> None:
        self.interrupted = True
        self.pieces.clear()

    @property
    def said(self) -> list[str]:
        return b"".join(self.written).decode().split("\r\n")[:-1]


def octets(*lines: str) -> bytes:
    return "".join(f"{line}\r\n" for line in lines).encode()


def serve(handler: Handler, *pieces: bytes | Exception, config: ServerConfig | None = None) -> Feed:
    """All of a connection."""
    stream = Feed(list(pieces))
    run(Conversation(stream, handler, config or ServerConfig(), Runtime()).run())
    assert stream.closed
    return stream


def replies(
    handler: Handler, *lines: str, config: ServerConfig | None = None, hello: str = "EHLO"
) -> list[str]:
    """What is answered to *lines* behind the hello."""
    feed = serve(handler, octets(f"{hello} client.example", *lines), config=config)
    last = next(number for number, line in enumerate(feed.said) if line.startswith("250 "))
    return feed.said[last + 1 :]


def keywords(handler: Handler, config: ServerConfig | None = None, hello: str = "EHLO") -> set[str]:
    feed = serve(handler, octets(f"{hello} client.example"), config=config)
    return {line[4:] for line in feed.said[2:]}


LOGIN = "AUTH PLAIN AGFubgBzZWNyZXQ="


class Accounts(Authenticator):
    """Ann's password is "secret"; of "trouble" nobody can tell."""

    def __init__(self, **more: str) -> None:
        self.passwords = {"ann": "secret", **more}

    def check_password(self, username: str, password: Secret) -> bool:
        if username == "trouble":
            raise LookupError("no directory")
        known = self.passwords.get(username)
        return known is not None and Secret(known) == password


@define(eq=False)
class Guard(Handler):
    """Remembers the sessions it sees."""

    seen: list[Session] = field(factory=list)
    refuse: str = "nobody"

    def connect(self, session: Session) -> Verdict:
        self.seen.append(session)
        no = session.peer[0] == self.refuse
        return Reply(554, "5.7.1", "Not you") if no else None

    def mail(self, session: Session, sender: ReversePath, parameters: MailParameters) -> Verdict:
        self.seen.append(session)
        return None

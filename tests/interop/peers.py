"""What the tests against foreign programs share: contents, our server, our client."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar, Unpack

import trio
from attrs import frozen

from smtpproto import (
    Authenticator,
    Client,
    ClientConfig,
    Envelope,
    ForwardPath,
    Handler,
    Limits,
    Outcome,
    RcptParameters,
    Reply,
    Secret,
    Session,
    Timeouts,
)
from smtpproto.adapters import asyncio as on_asyncio
from smtpproto.adapters import blocking
from smtpproto.adapters import trio as on_trio
from smtpproto.client.config import ClientOptions
from smtpproto.client.connection import open_client
from smtpproto.mail.preparation import Source
from smtpproto.server.config import ServerOptions
from tests.interop.programs import PATIENCE

T = TypeVar("T")

FLAVOURS = ("asyncio", "trio", "blocking")
_TIMEOUTS = Timeouts(
    **dict.fromkeys(["tls", "greeting", "hello", "auth", "mail", "rcpt", "data", "final"], PATIENCE)
)
_NO_DELAY = Limits(failed_login_delay=0)
LOGIN = ("ann", "s3cret word")

# -- contents ------------------------------------------------------------------------------------

_HEADER = b"From: Ann <ann@a.test>\r\nTo: Bob <bob@b.test>\r\nSubject: dots and all\r\n"
_MIME = (
    b"MIME-Version: 1.0\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: 8bit\r\n"
)
_DOTS = (
    b".",
    b"..",
    b"...",
    b".hidden",
    b"..hidden",
    b". ",
    b"",
    b".",
    b"",
    b"QUIT",
    b".\tx",
    b"z",
)
_LINE = b"%06d 0123456789 abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ\r\n"

PLAIN = _HEADER + b"\r\nHello Bob,\r\n\r\n  indented, and blanks behind  \r\n\tand a tab\r\n"
DOTS = _HEADER + b"\r\n" + b"\r\n".join(_DOTS) + b"\r\n"
LAST_DOT = _HEADER + b"\r\n.\r\ntext\r\n.\r\n"
EIGHT_BIT = _HEADER + _MIME + "\r\nGrüße aus Köln: żółw, 葉, 🐢\r\n".encode() + b"\xff\x80\xfe\r\n"
LARGE = (
    _HEADER + b"\r\n" + b"".join(_LINE % number + b".\r\n" for number in range(14_500)) + b"z\r\n"
)
assert len(LARGE) > 1024 * 1024

CONTENTS = {
    "plain": PLAIN,
    "dots": DOTS,
    "last-dot": LAST_DOT,
    "eight-bit": EIGHT_BIT,
    "large": LARGE,
}

# -- our server ----------------------------------------------------------------------------------

_KEPT = Reply(250, "2.6.0", "Kept")
_FULL = Reply(552, "5.2.2", "Mailbox full")


@frozen
class Arrival:
    """A message that an :class:`Inbox` accepted."""

    session: Session
    envelope: Envelope
    body: bytes

    @property
    def sender(self) -> str:
        return str(self.envelope.sender)

    @property
    def recipients(self) -> list[str]:
        return [str(path) for path in self.envelope.recipients]


class Accounts(Authenticator):
    """Lets in who knows :data:`LOGIN`."""

    def check_password(self, username: str, password: Secret) -> bool:
        return (username, password) == (LOGIN[0], Secret(LOGIN[1]))


class Inbox(Handler):
    """Keeps what arrives; ``refused@`` is nobody; in LMTP the mailbox of ``full@`` is full.

    *once* holds replies to give a single time, to "RCPT" or to the end of "DATA".
    """

    def __init__(self) -> None:
        self.once: dict[str, Reply] = {}
        self._arrivals: queue.Queue[Arrival] = queue.Queue()

    def rcpt(
        self, session: Session, recipient: ForwardPath, parameters: RcptParameters
    ) -> Reply | None:
        if recipient.local_part == "refused":
            return Reply(550, "5.1.1", "No such mailbox")
        return self.once.pop("RCPT", None)

    def message(self, session: Session, envelope: Envelope, body: bytes) -> Reply | list[Reply]:
        if (reply := self.once.pop("DATA", None)) is not None:
            return reply
        self._arrivals.put(Arrival(session, envelope, body))
        if not session.lmtp:
            return _KEPT
        return [_FULL if path.local_part == "full" else _KEPT for path in envelope.recipients]

    def next(self) -> Arrival:
        """The next message, waited for."""
        return self._arrivals.get(timeout=PATIENCE)

    @property
    def empty(self) -> bool:
        return self._arrivals.empty()


@contextlib.contextmanager
def serving(flavour: str, handler: Handler, **options: Unpack[ServerOptions]) -> Iterator[int]:
    """Run our server of that flavour, an event loop in a thread; give its port."""
    options = {"limits": _NO_DELAY, **options}
    if flavour == "blocking":
        with blocking.serve(handler, **options) as server:
            yield server.port
        return
    started: queue.Queue[tuple[int, Callable[[], object]]] = queue.Queue()

    async def in_asyncio() -> None:
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        async with on_asyncio.serve(handler, **options) as server:
            started.put((server.port, lambda: loop.call_soon_threadsafe(over.set)))
            await over.wait()

    async def in_trio() -> None:
        token, over = trio.lowlevel.current_trio_token(), trio.Event()
        async with on_trio.serve(handler, **options) as server:
            started.put((server.port, lambda: token.run_sync_soon(over.set)))
            await over.wait()

    def run() -> None:
        if flavour == "asyncio":
            asyncio.run(in_asyncio())
        else:
            trio.run(in_trio)

    thread = threading.Thread(target=run)
    thread.start()
    port, stop = started.get(timeout=PATIENCE)
    try:
        yield port
    finally:
        stop()
        thread.join()


# -- our client ----------------------------------------------------------------------------------


def send(
    flavour: str, port: int, content: Source, envelope: Envelope, **options: Unpack[ClientOptions]
) -> Outcome:
    """Send *content* with our client of that flavour, in a session of its own."""
    if flavour == "blocking":
        options = {"timeouts": _TIMEOUTS, **options}
        with blocking.connect("127.0.0.1", port, **options) as client:
            return client.send(content, envelope)
    return converse(flavour, port, lambda client: client.send(content, envelope), **options)


def converse(
    flavour: str,
    port: int,
    talk: Callable[[Client], Awaitable[T]],
    **options: Unpack[ClientOptions],
) -> T:
    """Let *talk* use our client of that flavour, in a session of its own."""
    host, options = "127.0.0.1", {"timeouts": _TIMEOUTS, **options}

    async def in_asyncio() -> T:
        async with on_asyncio.connect(host, port, **options) as client:
            return await talk(client)

    async def in_trio() -> T:
        async with on_trio.connect(host, port, **options) as client:
            return await talk(client)

    async def in_blocking() -> T:
        config = ClientConfig(**options)
        async with await open_client(blocking.Runtime(), host, port, config) as client:
            return await talk(client)

    match flavour:
        case "asyncio":
            return asyncio.run(in_asyncio())
        case "trio":
            return trio.run(in_trio)
        case _:
            return blocking.run(in_blocking())

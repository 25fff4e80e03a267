"""Our server on each adapter, for clients that are other programs."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import queue
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar, Unpack

import trio
from attrs import frozen

from smtpproto import (
    Authenticator,
    Envelope,
    ForwardPath,
    Handler,
    Limits,
    RcptParameters,
    Reply,
    Secret,
    Session,
)
from smtpproto.adapters import asyncio as on_asyncio
from smtpproto.adapters import blocking
from smtpproto.adapters import trio as on_trio
from smtpproto.server.config import ServerOptions
from tests.interop.programs import TIMEOUT, Certificate

ADAPTERS = ("asyncio", "trio", "blocking")
LOGIN = ("ann", "s3cret word")

T = TypeVar("T")

_NO_DELAY = Limits(failed_login_delay=0)
_KEPT = Reply(250, "2.6.0", "Kept")
_FULL = Reply(552, "5.2.2", "Mailbox full")


@frozen
class Arrival:
    """A message that an :class:`Inbox` accepted, with its session."""

    session: Session
    envelope: Envelope
    body: bytes

    @property
    def sender(self) -> str:
        """The sender, as text."""
        return str(self.envelope.sender)

    @property
    def recipients(self) -> list[str]:
        """The recipients, as text."""
        return [str(path) for path in self.envelope.recipients]


class Accounts(Authenticator):
    """Accepts :data:`LOGIN`."""

    def check_password(self, username: str, password: Secret) -> bool:
        return (username, password) == (LOGIN[0], Secret(LOGIN[1]))


class Inbox(Handler):
    """Keeps each message. Refuses the recipient ``refused@``; in LMTP the message for ``full@``.

    *replies_once* holds replies that are used once: for "RCPT", or for the message after "DATA".
    """

    def __init__(self) -> None:
        self.replies_once: dict[str, Reply] = {}
        self._arrivals: queue.Queue[Arrival] = queue.Queue()

    def rcpt(
        self, session: Session, recipient: ForwardPath, parameters: RcptParameters
    ) -> Reply | None:
        if recipient.local_part == "refused":
            return Reply(550, "5.1.1", "No such mailbox")
        return self.replies_once.pop("RCPT", None)

    def message(self, session: Session, envelope: Envelope, body: bytes) -> Reply | list[Reply]:
        if (reply := self.replies_once.pop("DATA", None)) is not None:
            return reply
        self._arrivals.put(Arrival(session, envelope, body))
        if not session.lmtp:
            return _KEPT
        return [_FULL if path.local_part == "full" else _KEPT for path in envelope.recipients]

    def next(self) -> Arrival:
        """Wait for the next message and return it."""
        return self._arrivals.get(timeout=TIMEOUT)

    @property
    def empty(self) -> bool:
        """Whether no message is left."""
        return self._arrivals.empty()


def run_in_loop(adapter: str, coroutine: Coroutine[Any, Any, T]) -> T:
    """Run *coroutine* in a loop of asyncio, or of uvloop if *adapter* is "uvloop"."""
    factory = importlib.import_module("uvloop").new_event_loop if adapter == "uvloop" else None
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(coroutine)


@contextlib.contextmanager
def serving(
    adapter: str,
    handler: Handler,
    host: str = "127.0.0.1",
    port: int = 0,
    **options: Unpack[ServerOptions],
) -> Iterator[int]:
    """Run our server on *adapter*, in a thread, while the block runs. Return its port.

    The adapter "uvloop" is that of asyncio on a loop of uvloop.
    """
    options = {"limits": _NO_DELAY, **options}
    if adapter == "blocking":
        with blocking.serve(handler, host, port, **options) as server:
            yield server.port
        return
    started: queue.Queue[tuple[int, Callable[[], object]]] = queue.Queue()

    async def in_asyncio() -> None:
        loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        async with on_asyncio.serve(handler, host, port, **options) as server:
            started.put((server.port, lambda: loop.call_soon_threadsafe(stopped.set)))
            await stopped.wait()

    async def in_trio() -> None:
        token, stopped = trio.lowlevel.current_trio_token(), trio.Event()
        async with on_trio.serve(handler, host, port, **options) as server:
            started.put((server.port, lambda: token.run_sync_soon(stopped.set)))
            await stopped.wait()

    def run() -> None:
        if adapter == "trio":
            trio.run(in_trio)
        else:
            run_in_loop(adapter, in_asyncio())

    thread = threading.Thread(target=run)
    thread.start()
    bound, stop = started.get(timeout=TIMEOUT)
    try:
        yield bound
    finally:
        stop()
        thread.join()


def login_options(certificate: Certificate, *, implicit_tls: bool) -> dict[str, Any]:
    """Return the options of a server that requires TLS and the login LOGIN by PLAIN."""
    return {
        "context": certificate.server,
        "implicit_tls": implicit_tls,
        "require_tls": True,
        "require_auth": True,
        "authenticator": Accounts(),
        "mechanisms": "PLAIN",
    }

"""Ring 0: the protocols for all that the library needs from outside: streams, a clock, dialling.

The conversations in ``client/`` and ``server/`` are written once, as ``async def``, over
:class:`Stream` and :class:`Runtime`. Each adapter implements these two.

**Why ``async def`` works over blocking sockets.** ``await`` alone needs no event loop: it runs the
awaited coroutine, and goes back to a loop only if that coroutine suspends. The methods of the
asyncio and trio adapters suspend until the socket is ready. Those of the blocking adapter are
``async def`` too, but inside they make an ordinary blocking call, and never suspend. So a
conversation over them runs from start to end, like an ordinary function, in the one call of
``coroutine.send(None)`` that ``smtpproto.adapters.blocking.run`` makes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar, cast

__all__ = ["Runtime", "Semaphore", "Stream", "Trace", "is_path", "result"]

T = TypeVar("T")

Trace = Callable[[str, str], None]
"""A function that receives the sender and the text of each line of the dialogue, with secrets
masked. The sender is "C" for the client, "S" for the server, "*" for a note on the connection."""


async def result(value: T | Awaitable[T]) -> T:
    """Return what a function of the application returned; await it first if it is awaitable."""
    if isinstance(value, Awaitable):
        return await cast("Awaitable[T]", value)
    return value


def is_path(host: str) -> bool:
    """Return whether *host*, as :meth:`Runtime.dial` takes it, is the path of a Unix socket."""
    return host.startswith("/")


class Stream(Protocol):
    """A connected stream of octets. Its methods raise only :class:`.TransportError`."""

    async def read(self, timeout: float | None) -> bytes:
        """Return the octets that have arrived, at most 64 KiB, or ``b""`` at the end.

        Raises :class:`.TimedOut` if none arrive within *timeout* seconds (None: no limit), and
        :class:`.ConnectionLost` if the connection breaks. With a *timeout* of 0 it never waits: it
        returns what the system has received, or raises.
        """
        ...

    async def write(self, data: bytes, timeout: float | None) -> None:
        """Write all of *data*; wait while the peer does not read.

        Raises :class:`.TimedOut` and :class:`.ConnectionLost`, like :meth:`read`.
        """
        ...

    async def close(self) -> None:
        """Close the connection. Never raises, and may be called twice."""
        ...

    def interrupt(self) -> None:
        """Make the pending or the next :meth:`read` return ``b""``, so that a server can stop."""
        ...

    @property
    def peername(self) -> tuple[str, int]:
        """The address and port of the peer; ``("", 0)`` if it has none."""
        ...

    @property
    def sockname(self) -> tuple[str, int]:
        """The address and port of this side; ``("", 0)`` if it has none."""
        ...


class Semaphore(Protocol):
    """A counting semaphore: a number of slots, each free or taken."""

    async def acquire(self) -> object:
        """Take a slot; wait until one is free."""
        ...

    def release(self) -> None:
        """Free a slot."""
        ...


class Runtime(Protocol):
    """What conversations need besides a stream: a clock, randomness, waiting, threads, dialling."""

    def now(self) -> float:
        """Return the time of a monotonic clock, in seconds."""
        ...

    def random(self, size: int) -> bytes:
        """Return *size* octets of cryptographically strong randomness."""
        ...

    async def checkpoint(self) -> None:
        """Let the other tasks run."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for *seconds*."""
        ...

    def semaphore(self, number: int) -> Semaphore:
        """Return a semaphore with *number* slots, all free."""
        ...

    async def in_thread(self, function: Callable[[], T]) -> T:
        """Call *function*, which is slow, without delaying other connections; return its result.

        If each connection has a thread of its own, this may call it directly.
        """
        ...

    async def dial(
        self,
        host: str,
        port: int,
        timeout: float | None,
        source: tuple[str, int] | None = None,
    ) -> Stream:
        """Connect to *port* of *host*, or to the Unix socket at *host* if that is an absolute path.

        *source* is the address and port to connect from; port 0 is any. Raises
        :class:`.ConnectFailed`, or :class:`.TimedOut` after *timeout* seconds (None: no limit).
        """
        ...

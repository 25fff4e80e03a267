"""Ring 0: what the library asks of the outside world.

Conversations (``client/`` and ``server/``) are written once, as plain ``async def``, over these two
protocols. Each adapter implements them: asyncio and trio natively. The blocking adapter's methods
block inside the call and never suspend, so a coroutine made of nothing but them runs to its end at
the first ``send(None)``: no event loop, no threads, the same conversation.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

__all__ = ["Runtime", "Semaphore", "Stream", "Trace", "is_path", "result"]

T = TypeVar("T")

Trace = Callable[[str, str], None]
"""Called with "C" or "S" (who speaks; "*" for what neither says) and a line safe to show."""


async def result(value: T | Awaitable[T]) -> T:
    """What a function of the application gave, plain or ``async``: waited for if need be."""
    return await value if isinstance(value, Awaitable) else value


def is_path(host: str) -> bool:
    """Return whether *host*, as :meth:`Runtime.dial` takes it, is the path of a Unix socket."""
    return host.startswith("/")


class Stream(Protocol):
    """A connected octet stream. Errors are this library's own (:class:`.TransportError`)."""

    async def read(self, timeout: float | None) -> bytes:
        """Give what has arrived, at most 64 KiB; ``b""`` at the end.

        Waits at most *timeout* seconds (None: for ever), then raises :class:`.TimedOut`.
        Raises :class:`.ConnectionLost` if the link breaks.
        """
        ...

    async def write(self, data: bytes, timeout: float | None) -> None:
        """Take all of *data*, waiting while the peer does not read.

        Raises :class:`.TimedOut` or :class:`.ConnectionLost` as :meth:`read` does.
        """
        ...

    async def close(self) -> None:
        """End the link. Never raises, may be called twice."""
        ...

    def interrupt(self) -> None:
        """Make a pending or the next :meth:`read` give ``b""``, so that a server can stop."""
        ...

    @property
    def peername(self) -> tuple[str, int]:
        """Address and port of the peer; ``("", 0)`` where there is none."""
        ...

    @property
    def sockname(self) -> tuple[str, int]:
        """Address and port of this side; ``("", 0)`` where there is none."""
        ...


class Semaphore(Protocol):
    """A number of places; who finds none free waits."""

    async def acquire(self) -> object:
        """Take one."""
        ...

    def release(self) -> None:
        """Give one back."""
        ...


class Runtime(Protocol):
    """What conversations need besides a stream."""

    def now(self) -> float:
        """Seconds of a clock that never goes back."""
        ...

    def random(self, size: int) -> bytes:
        """*size* octets that nobody can guess."""
        ...

    async def checkpoint(self) -> None:
        """Let others have their turn."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait that long."""
        ...

    def semaphore(self, number: int) -> Semaphore:
        """So many places, all free."""
        ...

    async def in_thread(self, function: Callable[[], T]) -> T:
        """Call *function*, which takes long, without holding others up."""
        ...

    async def dial(
        self,
        host: str,
        port: int,
        timeout: float | None,
        source: tuple[str, int] | None = None,
    ) -> Stream:
        """Connect to *port* of *host*, or to the Unix socket at *host*, a path from the root.

        *source* is the address to connect from, with the port or 0 for any. Raises
        :class:`.ConnectFailed` or :class:`.TimedOut`.
        """
        ...

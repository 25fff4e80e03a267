"""Ring 0: what the library asks of the outside world.

Conversations (``session/``) are written once, as plain ``async def``, over these two protocols.
Each adapter implements them: asyncio and trio natively. The blocking adapter's methods block inside
the call and never suspend, so a coroutine made of nothing but them runs to its end at the first
``send(None)``: no event loop, no threads, the same conversation.
"""

from __future__ import annotations

from typing import Protocol


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


class World(Protocol):
    """What conversations need besides a stream."""

    def now(self) -> float:
        """Seconds of a clock that never goes back."""
        ...

    async def checkpoint(self) -> None:
        """Let others have their turn."""
        ...

    async def dial(self, host: str, port: int, timeout: float | None) -> Stream:
        """Connect. Raises :class:`.ConnectFailed` or :class:`.TimedOut`."""
        ...

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

from collections.abc import Awaitable, Callable, Coroutine, Hashable, Iterable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from types import CoroutineType
from typing import Any, NoReturn, Protocol, TypeGuard, TypeVar, cast

__all__ = [
    "CallAborted", "Event", "Runtime", "Semaphore", "Stream", "Tasks", "Trace", "as_coroutine",
    "call_contained", "is_awaitable", "is_path", "raise_contained", "result", "took_too_long",
]  # fmt: skip

T = TypeVar("T")

Trace = Callable[[str, str], None]
"""A function that receives the sender and the text of each line of the dialogue, with secrets
masked. The sender is "C" for the client, "S" for the server, "*" for a note on the connection."""


def is_awaitable(value: object) -> TypeGuard[Awaitable[Any]]:
    """Return whether *value* can be awaited. This is isinstance with Awaitable, but quick."""
    return value is not None and getattr(type(value), "__await__", None) is not None


async def result(value: T | Awaitable[T]) -> T:
    """Return what a function of the application returned; await it first if it is awaitable."""
    return await value if is_awaitable(value) else cast("T", value)


def as_coroutine(awaitable: Awaitable[T]) -> Coroutine[Any, Any, T]:
    """Return a coroutine that awaits *awaitable*, which may be any awaitable object."""
    return awaitable if type(awaitable) is CoroutineType else _await(awaitable)


async def _await(awaitable: Awaitable[T]) -> T:
    return await awaitable


class CallAborted(Exception):
    """A call of the application's code did not come to a result: it took too long, suspended where
    nothing can resume it, or raised what is not an ``Exception``. The text says which."""


def took_too_long(seconds: float) -> CallAborted:
    """Return the error for a call that was cancelled after *seconds*."""
    return CallAborted(f"took longer than {seconds:g} seconds, and was cancelled")


def raise_contained(error: BaseException) -> NoReturn:
    """Raise *error*, which the application's code raised, as an ``Exception``.

    CancelledError, SystemExit, GeneratorExit and their like would end the task or the thread of a
    connection. StopIteration cannot leave a coroutine. Only KeyboardInterrupt passes as it is.
    """
    is_safe = isinstance(error, Exception) and not isinstance(error, StopIteration)
    if is_safe or isinstance(error, KeyboardInterrupt):
        raise error
    raised = CallAborted(f"raised {type(error).__name__}").with_traceback(error.__traceback__)
    raise raised from error


def call_contained(function: Callable[..., T], *arguments: object) -> T:
    """Call *function* of the application. What it raises passes :func:`raise_contained`."""
    try:
        return function(*arguments)
    except BaseException as error:
        raise_contained(error)


def is_path(host: str) -> bool:
    """Return whether *host*, as :meth:`Runtime.dial` takes it, is the path of a Unix socket."""
    return host.startswith("/")


class Stream(Protocol):
    """A connected stream of octets. Its methods raise only :class:`.TransportError`."""

    async def read(self, timeout: float | None) -> bytes:
        """Return the octets that have arrived, at most 128 KiB, or ``b""`` at the end.

        Raises :class:`.TimedOut` if none arrive within *timeout* seconds (None: no limit), and
        :class:`.ConnectionLost` if the connection breaks. With a *timeout* of 0 it never waits: it
        returns what the system has received, or raises.
        """
        ...

    async def write(self, data: bytes, timeout: float | None) -> None:
        """Write all of *data*; wait while the peer does not read.

        Raises :class:`.TimedOut` and :class:`.ConnectionLost`, like :meth:`read`. With a *timeout*
        of 0 it hardly waits: it writes what the system takes, and may then raise.
        """
        ...

    async def end(self) -> None:
        """End this side's direction: the peer reads the end after what was written. Reading goes
        on; after :meth:`interrupt`, too, if the system can. Never raises. Only servers call it.
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


class Event(Protocol):
    """Wakes one task, from another one or from another thread."""

    def set(self) -> None:
        """Let the task that waits go on, or the next one that waits. Threads may call this."""
        ...

    async def wait(self, timeout: float | None) -> None:
        """Wait until :meth:`set` was called, at most *timeout* seconds (None: no limit); forget
        that it was."""
        ...


class Tasks(Protocol):
    """Tasks that run at the same time as the one that started them."""

    def start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run *coroutine*. It should raise nothing: what it raises ends all."""
        ...

    def cancel(self) -> None:
        """Cancel all that run, where that is possible: blocking calls end by their time-outs."""
        ...


class Runtime(Protocol):
    """What conversations need besides a stream: a clock, randomness, waiting, calls of the
    application's code, threads, dialling, what connections share."""

    def now(self) -> float:
        """Return the time of a monotonic clock, in seconds."""
        ...

    def utc(self) -> float:
        """Return the time of day, in seconds since the epoch. It may jump, but means something
        after a restart."""
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

    def event(self) -> Event:
        """Return an event that was not set. Only tasks of one loop may wait for it."""
        ...

    def tasks(self) -> AbstractAsyncContextManager[Tasks]:
        """Return a context that holds tasks. Its end waits for them; if the block raises, they are
        cancelled first."""
        ...

    def within(self, seconds: float | None, awaitable: Awaitable[T]) -> Coroutine[Any, Any, T]:
        """Return the result of *awaitable*, which the application made; cancel it after *seconds*
        (None: no limit).

        Raises what *awaitable* raises, made an ``Exception`` by :func:`raise_contained`; only a
        cancellation of the caller and KeyboardInterrupt pass as they are. Raises
        :class:`CallAborted` if the time is over, or if *awaitable* suspends and nothing can
        resume it. If *awaitable* ignores that it is cancelled, it is abandoned soon after.
        """
        ...

    def finish_within(
        self, seconds: float | None, awaitable: Awaitable[T]
    ) -> Coroutine[Any, Any, T]:
        """Like :meth:`within`, but if the caller is cancelled, before or meanwhile, *awaitable*
        still has a few seconds to come to its end; then the cancellation goes on."""
        ...

    async def in_thread(self, function: Callable[[], T]) -> T:
        """Call *function*, which is slow, without delaying other connections; return its result.

        If each connection has a thread of its own, this may call it directly.
        """
        ...

    async def wait_for(self, future: Future[T]) -> T:
        """Return the result of *future*, which another thread completes; raise what it raises.

        A caller that is cancelled stops waiting. That does not cancel *future*.
        """
        ...

    def shared(self, key: Hashable, paths: Iterable[str], make: Callable[[], T]) -> T:
        """Return what *make* returned for *key*, the same object for all connections.

        It is made again when a file or directory at *paths*, or the environment of TLS, changes;
        every hour if there is nothing at *paths*. Threads may call this. Raises what *make* raises.
        """
        ...

    async def dial(
        self, host: str, port: int, timeout: float | None, source: tuple[str, int] | None = None
    ) -> Stream:
        """Connect to *port* of *host*, or to the Unix socket at *host* if that is an absolute path.

        *source* is the address and port to connect from; port 0 is any. Raises
        :class:`.ConnectFailed`, or :class:`.TimedOut` after *timeout* seconds (None: no limit).
        """
        ...

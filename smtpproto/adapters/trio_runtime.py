"""The ports over trio: a stream, a clock, threads, dialling."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

import trio

from .. import ports
from ..errors import ConnectionLost, TimedOut
from ..grammar.printable import printable
from ..limits import READ
from ..ports import is_path
from . import eyeballs, trio_tasks
from .daemon_threads import THREADS
from .dialling import connect_unix, map_connect_errors
from .shared_values import SystemRuntime
from .socket_stream import SocketStream
from .trio_calls import Calls

T = TypeVar("T")

_YIELD_AFTER = 4096  # octets in one write: a peer that reads them at once must not delay others

Connection = trio.abc.Stream | trio.socket.SocketType | socket.socket
"""A connection that the caller has made."""


class Runtime(Calls, SystemRuntime):
    """Implements :class:`smtpproto.ports.Runtime`. :meth:`dial` uses *connected* if it is given."""

    def __init__(self, connected: Connection | None = None) -> None:
        self._connected = connected

    def now(self) -> float:
        return trio.current_time()

    def event(self) -> ports.Event:
        return trio_tasks.Event()

    def tasks(self) -> AbstractAsyncContextManager[ports.Tasks]:
        return trio_tasks.tasks()

    async def checkpoint(self) -> None:
        await trio.lowlevel.checkpoint()

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)

    def semaphore(self, number: int) -> trio.Semaphore:
        return trio.Semaphore(number)

    async def in_thread(self, function: Callable[[], T]) -> T:
        # A cancelled task abandons the thread, so a stopping server does not wait for it.
        limiter = _limiter()
        return await trio.to_thread.run_sync(function, abandon_on_cancel=True, limiter=limiter)

    async def wait_for(self, future: Future[T]) -> T:
        if future.done():
            await trio.lowlevel.checkpoint()
        else:
            token, woken = trio.lowlevel.current_trio_token(), trio.Event()
            future.add_done_callback(lambda _: _wake(token, woken))
            await woken.wait()
        return future.result()

    async def dial(
        self, host: str, port: int, timeout: float | None, source: tuple[str, int] | None = None
    ) -> ports.Stream:
        with map_connect_errors(host, port):
            with trio.move_on_after(_seconds(timeout)):
                return _stream_over(self._connected or await self._connect(host, port, source))
            raise TimeoutError

    async def _connect(self, host: str, port: int, source: tuple[str, int] | None) -> Connection:
        if is_path(host):
            return await connect_unix(self, host)
        if source is not None and source[1]:
            return await _connect_from_port(host, port, source)
        return await trio.open_tcp_stream(
            host,
            port,
            happy_eyeballs_delay=eyeballs.ATTEMPT_DELAY,
            local_address=None if source is None else source[0],
        )


def _wake(token: trio.lowlevel.TrioToken, woken: trio.Event) -> None:
    """Set *woken* from another thread, unless its run of trio has ended."""
    with contextlib.suppress(trio.RunFinishedError):
        token.run_sync_soon(woken.set)


def _stream_over(connected: Connection) -> ports.Stream:
    """Return a stream over what the caller has connected. Its socket becomes ours."""
    if isinstance(connected, socket.socket):
        connected = trio.socket.from_stdlib_socket(connected)  # raises TypeError for an SSLSocket
    theirs = connected.socket if isinstance(connected, trio.SocketStream) else connected
    if isinstance(theirs, trio.abc.Stream):
        return _AnyStream(theirs)
    family, kind, protocol = theirs.family, theirs.type, theirs.proto
    return Stream(socket.socket(family, kind, protocol, theirs.detach()))


_limiters = trio.lowlevel.RunVar[trio.CapacityLimiter]("smtpproto")


def _limiter() -> trio.CapacityLimiter:
    """Return the limiter of :meth:`Runtime.in_thread`, one for each run of trio."""
    try:
        return _limiters.get()
    except LookupError:
        _limiters.set(limiter := trio.CapacityLimiter(THREADS))
        return limiter


async def _connect_from_port(
    host: str, port: int, source: tuple[str, int]
) -> trio.socket.SocketType:
    """Connect from a given local port, to one address of *host* after the other. trio's happy
    eyeballs cannot do this."""
    errors: list[OSError] = []
    for family, kind, protocol, _, address in await trio.socket.getaddrinfo(
        host, port, type=trio.socket.SOCK_STREAM
    ):
        connecting = trio.socket.socket(family, kind, protocol)
        try:
            await connecting.bind(source)
            await connecting.connect(address)
            return connecting
        except BaseException as error:
            connecting.close()
            if not isinstance(error, OSError):  # cancelled, for example
                raise
            errors.append(error)
    raise eyeballs.all_failed(errors)


class Stream(SocketStream):
    """Implements :class:`smtpproto.ports.Stream`."""

    _now = staticmethod(trio.current_time)

    async def _is_ready(self, deadline: float, *, to_write: bool = False) -> bool:
        if self._is_closed:
            return True
        wait = trio.lowlevel.wait_writable if to_write else trio.lowlevel.wait_readable
        with trio.CancelScope(deadline=deadline):
            with contextlib.suppress(trio.ClosedResourceError):  # interrupted, or closed
                await wait(self._socket)
            return True
        return False

    async def write(self, data: bytes, timeout: float | None) -> None:
        await super().write(data, timeout)
        if len(data) > _YIELD_AFTER:
            await trio.lowlevel.checkpoint()

    async def close(self) -> None:
        self._wake()
        await super().close()
        await trio.lowlevel.checkpoint()

    def interrupt(self) -> None:
        self._interrupted = True
        self._wake()

    def _wake(self) -> None:
        if not self._is_closed:
            trio.lowlevel.notify_closing(self._socket)


class _AnyStream:
    """Implements :class:`smtpproto.ports.Stream` over any stream of trio."""

    def __init__(self, connected: trio.abc.Stream) -> None:
        self._connected = connected

    async def read(self, timeout: float | None) -> bytes:
        try:
            with _bounded(timeout, "the peer was silent for too long"):
                return bytes(await self._connected.receive_some(READ))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise ConnectionLost(printable(str(error.__cause__ or error))) from None

    async def write(self, data: bytes, timeout: float | None) -> None:
        try:
            with _bounded(timeout, "the peer did not read for too long"):
                await self._connected.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise ConnectionLost("the connection is closed") from None

    async def end(self) -> None:
        """Do nothing, as :meth:`interrupt`: a server, which would call it, has a Stream."""

    async def close(self) -> None:
        with contextlib.suppress(trio.BrokenResourceError):
            await self._connected.aclose()

    def interrupt(self) -> None:
        pass

    @property
    def peername(self) -> tuple[str, int]:
        return "", 0

    sockname = peername


@contextlib.contextmanager
def _bounded(timeout: float | None, late: str) -> Iterator[None]:
    """Raise TimedOut with the text *late* if the block takes longer than *timeout* seconds."""
    try:
        with trio.fail_after(float("inf")) as scope:
            # Set here, because a deadline of now would cancel the block before its first try.
            scope.deadline = trio.current_time() + _seconds(timeout)
            yield
    except trio.TooSlowError:
        raise TimedOut(late) from None


def _seconds(timeout: float | None) -> float:
    return float("inf") if timeout is None else timeout

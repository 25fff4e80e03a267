"""The ports over trio: a stream, a clock, threads, dialling."""

from __future__ import annotations

import contextlib
import secrets
import socket
from collections.abc import Awaitable, Callable, Hashable, Iterable
from typing import TypeVar

import trio

from ..errors import ConnectionLost, TimedOut
from ..grammar.printable import printable
from ..limits import CHUNK
from ..ports import is_path
from . import eyeballs, trio_calls
from .daemon_threads import THREADS
from .dialling import connect_unix, map_connect_errors
from .shared_values import SHARED_VALUES

T = TypeVar("T")

Connection = trio.abc.Stream | trio.socket.SocketType | socket.socket
"""A connection that the caller has made."""


class Runtime:
    """Implements :class:`smtpproto.ports.Runtime`. :meth:`dial` uses *connected* if it is given."""

    def __init__(self, connected: Connection | None = None) -> None:
        self._connected = connected

    def now(self) -> float:
        return trio.current_time()

    def random(self, size: int) -> bytes:
        return secrets.token_bytes(size)

    async def checkpoint(self) -> None:
        await trio.lowlevel.checkpoint()

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)

    def semaphore(self, number: int) -> trio.Semaphore:
        return trio.Semaphore(number)

    async def within(self, seconds: float | None, awaitable: Awaitable[T]) -> T:
        return await trio_calls.within(seconds, awaitable)

    async def finish_within(self, seconds: float | None, awaitable: Awaitable[T]) -> T:
        return await trio_calls.finish_within(seconds, awaitable)

    async def in_thread(self, function: Callable[[], T]) -> T:
        # A cancelled task abandons the thread, so a stopping server does not wait for it.
        limiter = _limiter()
        return await trio.to_thread.run_sync(function, abandon_on_cancel=True, limiter=limiter)

    def shared(self, key: Hashable, paths: Iterable[str], make: Callable[[], T]) -> T:
        return SHARED_VALUES.get(key, paths, make)

    async def dial(
        self,
        host: str,
        port: int,
        timeout: float | None,
        source: tuple[str, int] | None = None,
    ) -> Stream:
        with map_connect_errors(host, port):
            with trio.move_on_after(_seconds(timeout)):
                return Stream(await self._connect(host, port, source))
            raise TimeoutError

    async def _connect(
        self, host: str, port: int, source: tuple[str, int] | None
    ) -> trio.abc.Stream:
        connected = self._connected
        if isinstance(connected, socket.socket):
            connected = trio.socket.from_stdlib_socket(connected)
        if isinstance(connected, trio.socket.SocketType):
            return trio.SocketStream(connected)
        if connected is not None:
            return connected
        if is_path(host):
            return trio.SocketStream(trio.socket.from_stdlib_socket(await connect_unix(self, host)))
        if source is None or not source[1]:
            address = None if source is None else source[0]
            delay = eyeballs.ATTEMPT_DELAY
            return await trio.open_tcp_stream(
                host, port, happy_eyeballs_delay=delay, local_address=address
            )
        return await _connect_from_port(host, port, source)


_limiters = trio.lowlevel.RunVar[trio.CapacityLimiter]("smtpproto")


def _limiter() -> trio.CapacityLimiter:
    """Return the limiter of :meth:`Runtime.in_thread`, one for each run of trio."""
    try:
        return _limiters.get()
    except LookupError:
        _limiters.set(limiter := trio.CapacityLimiter(THREADS))
        return limiter


async def _connect_from_port(host: str, port: int, source: tuple[str, int]) -> trio.SocketStream:
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
            return trio.SocketStream(connecting)
        except OSError as error:
            connecting.close()
            errors.append(error)
        except BaseException:  # cancelled
            connecting.close()
            raise
    raise OSError("all addresses failed") from ExceptionGroup("all failed", errors)


class Stream:
    """Implements :class:`smtpproto.ports.Stream`."""

    def __init__(self, connected: trio.abc.Stream) -> None:
        self._socket = connected
        self._reading = trio.CancelScope()
        self._interrupted = False

    async def read(self, timeout: float | None) -> bytes:
        if self._interrupted:
            return b""
        self._reading = trio.CancelScope()
        with self._reading:
            # Not an argument of CancelScope: a deadline of now would cancel before the first try.
            self._reading.deadline = trio.current_time() + _seconds(timeout)
            try:
                return bytes(await self._socket.receive_some(CHUNK))
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise ConnectionLost(printable(str(error.__cause__ or error))) from None
        if self._interrupted:
            return b""
        raise TimedOut("the peer was silent for too long")

    async def write(self, data: bytes, timeout: float | None) -> None:
        try:
            with trio.fail_after(float("inf")) as scope:  # as in read, the first try comes first
                scope.deadline = trio.current_time() + _seconds(timeout)
                await self._socket.send_all(data)
        except trio.TooSlowError:
            raise TimedOut("the peer did not read for too long") from None
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise ConnectionLost("the connection is closed") from None

    async def close(self) -> None:
        with contextlib.suppress(trio.BrokenResourceError):  # the caller's stream may raise it
            await self._socket.aclose()

    def interrupt(self) -> None:
        self._interrupted = True
        self._reading.cancel()

    @property
    def peername(self) -> tuple[str, int]:
        return self._address("getpeername")

    @property
    def sockname(self) -> tuple[str, int]:
        return self._address("getsockname")

    def _address(self, which: str) -> tuple[str, int]:
        with contextlib.suppress(OSError, AttributeError):  # the caller's stream may have no socket
            match getattr(self._socket.socket, which)():  # type: ignore[attr-defined]
                case (str(host), int(port), *_):
                    return host, port
        return "", 0


def _seconds(timeout: float | None) -> float:
    return float("inf") if timeout is None else timeout

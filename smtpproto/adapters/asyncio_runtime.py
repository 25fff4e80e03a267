"""The ports over asyncio: a stream, a clock, threads, dialling."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from typing import TypeVar, cast

from .. import ports
from ..errors import ConnectionLost, TimedOut
from ..grammar.printable import printable
from ..limits import FEW, READ
from ..ports import is_path
from . import asyncio_race, asyncio_tasks
from .asyncio_calls import Calls
from .asyncio_waiter import Waiter
from .daemon_threads import THREADS, DaemonThreads
from .dialling import connect_unix, map_connect_errors, send_small_writes_at_once
from .shared_values import SystemRuntime

T = TypeVar("T")

_threads = DaemonThreads(THREADS)
_thread = threading.local()  # with the receive buffer of its streams


class Runtime(Calls, SystemRuntime):
    """Implements :class:`smtpproto.ports.Runtime`. :meth:`dial` uses *connected* if it is given."""

    def __init__(self, connected: socket.socket | None = None) -> None:
        self._connected = connected

    def event(self) -> ports.Event:
        return asyncio_tasks.Event()

    def tasks(self) -> AbstractAsyncContextManager[ports.Tasks]:
        return asyncio_tasks.tasks()

    async def checkpoint(self) -> None:
        await asyncio.sleep(0)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def semaphore(self, number: int) -> asyncio.Semaphore:
        return asyncio.Semaphore(number)

    async def in_thread(self, function: Callable[[], T]) -> T:
        return await asyncio.wrap_future(_threads.submit(function))

    async def wait_for(self, future: Future[T]) -> T:
        if not future.done():
            loop = asyncio.get_running_loop()
            woken = loop.create_future()
            future.add_done_callback(lambda _: _wake(loop, woken))
            await woken
        return future.result()

    async def dial(
        self, host: str, port: int, timeout: float | None, source: tuple[str, int] | None = None
    ) -> Stream:
        with map_connect_errors(host, port):
            async with asyncio.timeout(timeout):
                return await self._connect(host, port, source)

    async def _connect(self, host: str, port: int, source: tuple[str, int] | None) -> Stream:
        if self._connected is not None:
            return await stream_over(self._connected)
        if is_path(host):
            return await stream_over(await connect_unix(self, host))
        return await stream_over(await asyncio_race.connect(host, port, source))


def _wake(loop: asyncio.AbstractEventLoop, woken: asyncio.Future[None]) -> None:
    """Complete *woken* from another thread, unless its loop has ended."""

    def complete() -> None:
        if not woken.done():
            woken.set_result(None)

    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(complete)


async def stream_over(connected: socket.socket) -> Stream:
    """Return a stream over a socket, which is closed if that fails or is cancelled."""
    if isinstance(connected, ssl.SSLSocket):  # uvloop would send in clear
        raise TypeError("asyncio cannot use an SSLSocket; pass the socket, and set tls")
    loop = asyncio.get_running_loop()
    create = loop.create_unix_connection if _is_unix(connected) else loop.create_connection
    try:
        send_small_writes_at_once(connected)  # asyncio does not, if the socket names no protocol
        _, stream = await create(Stream, sock=connected)
    except BaseException:
        close_after_failure(connected)
        raise
    return stream


def _is_unix(connected: socket.socket) -> bool:
    return connected.family == getattr(socket, "AF_UNIX", None)


def close_after_failure(connected: socket.socket) -> None:
    """Close a socket of which the loop could not make a transport. A cancelled uvloop has closed
    its descriptor already, which may then be another file's."""
    try:
        os.fstat(connected.fileno())
    except OSError:
        connected.detach()
    connected.close()


def _receive_buffer() -> memoryview:
    """Return the buffer of a new stream.

    All streams of an event loop share one: each stream copies the octets out before the next read,
    and a separate buffer would take most of the memory of an idle connection. Loops in other
    threads have their own buffer. On Windows the proactor loop reads in the background, so
    each stream has its own.
    """
    if sys.platform == "win32" or not hasattr(_thread, "buffer"):
        _thread.buffer = memoryview(bytearray(READ))
    buffer: memoryview = _thread.buffer
    return buffer


class Stream(asyncio.BufferedProtocol):
    """Implements :class:`smtpproto.ports.Stream`."""

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self._buffer = _receive_buffer()
        self._received: list[bytes] = []
        self._ended = self._interrupted = False
        self._error: Exception | None = None
        self._full = self._paused = False
        self._broken = False  # asyncio logs writes to a transport that is closing
        self._closed = asyncio.Event()
        self._waiter = Waiter(asyncio.get_running_loop())

    async def read(self, timeout: float | None) -> bytes:
        while not (self._received or self._ended):
            await (self._look() if timeout == 0 else self._waiter.wait(timeout))
        if not self._received:
            if self._error is not None:
                raise ConnectionLost(printable(str(self._error)))
            return b""
        data = self._received.pop(0)
        if self._paused and not self._received:
            self._paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()
        return data

    async def write(self, data: bytes, timeout: float | None) -> None:
        transport = self._transport
        if not self._broken:
            transport.write(data)
            while self._full and not transport.is_closing():
                await self._waiter.wait(timeout)
            self._broken = transport.is_closing()
        if self._broken:
            raise ConnectionLost(printable(str(self._error or "the connection is closed")))

    async def end(self) -> None:
        if self._interrupted:
            self._ended = self._interrupted = False
        if not self._transport.is_closing():
            with contextlib.suppress(OSError):
                self._transport.write_eof()

    async def close(self) -> None:
        self._broken = True
        self._transport.abort() if self._full else self._transport.close()
        self._waiter.close()
        try:
            await asyncio.sleep(0)  # the loop closes the socket, if everything is written
            if not self._closed.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(5):  # the peer may not read the rest
                        await self._closed.wait()
        finally:
            if not self._closed.is_set():
                self._transport.abort()

    def interrupt(self) -> None:
        if not self._ended:
            self._ended = self._interrupted = True
            self._waiter.wake_soon()

    def abort(self) -> None:
        """Close the connection at once."""
        self._transport.abort()

    @property
    def peername(self) -> tuple[str, int]:
        return self._address("peername")

    @property
    def sockname(self) -> tuple[str, int]:
        return self._address("sockname")

    def _address(self, which: str) -> tuple[str, int]:
        address = self._transport.get_extra_info(which)
        return address[:2] if isinstance(address, tuple) else ("", 0)

    async def _look(self) -> None:
        """Receive what has arrived, without waiting. Raises TimedOut if that is nothing."""
        if sys.platform == "win32" or self._transport.is_closing():
            for _ in range(2):  # the turns that the loop needs to pass on what has arrived
                await asyncio.sleep(0)
        else:
            self._receive_now()
        if not (self._received or self._ended):
            raise TimedOut("nothing has arrived")

    def _receive_now(self) -> None:
        try:
            octets = os.read(self._socket.fileno(), FEW)
        except BlockingIOError:
            return
        except ConnectionError as error:  # the loop will not see it again
            self._ended, self._error = True, error
            return
        if octets:
            self._received.append(octets)
        else:
            self._ended = True

    # asyncio calls the methods below.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._socket = transport.get_extra_info("socket")

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return the buffer for what arrives next."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._received:  # two slices are waiting, so stop reading for now
            self._paused = True
            self._transport.pause_reading()
        self._received.append(bytes(self._buffer[:nbytes]))
        self._waiter.wake()

    def eof_received(self) -> bool:
        self._ended, self._interrupted = True, False
        self._waiter.wake()
        return True  # keep the transport open: replies can still be written

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            self._receive_the_rest()
        self._ended, self._interrupted, self._error = True, False, exc or self._error
        self._broken = True
        self._closed.set()
        self._waiter.wake_soon()

    def _receive_the_rest(self) -> None:
        """Receive what arrived before writing failed, which the loop discards: it may say why."""
        lost = self._socket
        with (
            contextlib.suppress(OSError),
            socket.fromfd(lost.fileno(), lost.family, lost.type) as it,
        ):
            it.setblocking(False)
            if rest := it.recv(READ):
                self._received.append(rest)

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        self._waiter.wake_soon()

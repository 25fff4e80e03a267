"""The ports over blocking sockets: a stream, a clock, dialling."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

from .. import ports
from ..ports import CallAborted, as_coroutine, is_path, raise_contained
from . import blocking_tasks, eyeballs
from .dialling import connect_unix, map_connect_errors
from .held_interrupt import hold_interrupt
from .shared_values import SystemRuntime
from .socket_stream import SocketStream

T = TypeVar("T")

_SUSPENDED = (
    "suspended, and a blocking server cannot resume it; use a plain hook,"
    " or serve with smtpproto.adapters.asyncio or smtpproto.adapters.trio"
)
# What asyncio and trio say to code that waits for them without their loop.
_NO_LOOP = ("no running event loop", "no current event loop", "must be called from async context")


class Runtime(SystemRuntime):
    """Implements :class:`smtpproto.ports.Runtime`. :meth:`dial` uses *connected* if it is given."""

    def __init__(self, connected: socket.socket | None = None) -> None:
        self._connected = connected

    def event(self) -> ports.Event:
        return blocking_tasks.Event()

    def tasks(self) -> AbstractAsyncContextManager[ports.Tasks]:
        return blocking_tasks.tasks()

    async def checkpoint(self) -> None:
        """Do nothing: the system switches between threads."""

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def semaphore(self, number: int) -> _Semaphore:
        return _Semaphore(number)

    async def within(self, seconds: float | None, awaitable: Awaitable[T]) -> T:
        """Await *awaitable*, without a limit of time: nothing can interrupt it. Raises CallAborted
        if it suspends."""
        return _run_call(awaitable)

    async def finish_within(self, seconds: float | None, awaitable: Awaitable[T]) -> T:
        with hold_interrupt():
            return _run_call(awaitable)

    async def in_thread(self, function: Callable[[], T]) -> T:
        """Call *function* at once: each connection has its own thread."""
        return function()

    async def wait_for(self, future: Future[T]) -> T:
        return future.result()

    async def dial(
        self, host: str, port: int, timeout: float | None, source: tuple[str, int] | None = None
    ) -> Stream:
        if self._connected is not None:
            return Stream(self._connected)
        with map_connect_errors(host, port):
            if is_path(host):
                return Stream(await connect_unix(self, host, timeout))
            return Stream(eyeballs.connect(host, port, timeout, source))


def _run_call(awaitable: Awaitable[T]) -> T:
    """Return the result of *awaitable*, which must not suspend.

    Raises CallAborted if it does, and what it raises, as an ``Exception``.
    """
    coroutine = as_coroutine(awaitable)
    try:
        coroutine.send(None)
    except StopIteration as stop:
        returned: T = stop.value
        return returned
    except BaseException as error:
        if isinstance(error, RuntimeError) and any(text in str(error) for text in _NO_LOOP):
            raise CallAborted(f"{_SUSPENDED} ({error})") from None
        raise_contained(error)
    with contextlib.suppress(Exception):  # it may raise, or ignore this
        coroutine.close()
    raise CallAborted(_SUSPENDED)


class _Semaphore:
    """Implements :class:`smtpproto.ports.Semaphore`."""

    def __init__(self, number: int) -> None:
        self._semaphore = threading.Semaphore(number)

    async def acquire(self) -> None:
        self._semaphore.acquire()

    def release(self) -> None:
        self._semaphore.release()


class Stream(SocketStream):
    """Implements :class:`smtpproto.ports.Stream`."""

    _now = staticmethod(time.monotonic)

    def __init__(self, connected: socket.socket) -> None:
        super().__init__(connected)
        # An SSLSocket may hold octets that poll does not know of.
        self._held: Callable[[], int] | None = getattr(connected, "pending", None)
        self._wait_to_read = _waiter(connected, to_write=False)

    async def _is_ready(self, deadline: float, *, to_write: bool = False) -> bool:
        if self._is_closed or (self._held is not None and not to_write and self._held()):
            return True
        wait = _waiter(self._socket, to_write=True) if to_write else self._wait_to_read
        while not wait(max(min(deadline - time.monotonic(), eyeballs.MAX_WAIT), 0)):
            if time.monotonic() >= deadline:
                return False
        return True

    def interrupt(self) -> None:
        with contextlib.suppress(OSError):
            self._own.shutdown(socket.SHUT_RD)

    def abort(self) -> None:
        """Close the connection, also while another thread reads or writes."""
        with contextlib.suppress(OSError):
            self._own.shutdown(socket.SHUT_RDWR)


def _waiter(waiting: socket.socket, *, to_write: bool) -> Callable[[float], bool]:
    """Return a function that waits until *waiting* can be read, or written, but at most so many
    seconds; it returns whether that is so."""
    if not hasattr(select, "poll"):  # on Windows
        readers, writers = ([], [waiting]) if to_write else ([waiting], [])
        return lambda seconds: any(select.select(readers, writers, writers, seconds))
    poll = select.poll()
    poll.register(waiting, select.POLLOUT if to_write else select.POLLIN)
    return lambda seconds: bool(poll.poll(seconds * 1000))

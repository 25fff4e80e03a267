"""The ports over blocking sockets: a stream, a clock, dialling."""

from __future__ import annotations

import contextlib
import secrets
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Hashable, Iterable
from typing import TypeVar

from ..errors import ConnectionLost, TimedOut
from ..grammar.printable import printable
from ..limits import CHUNK
from ..ports import is_path
from . import eyeballs
from .blocking_calls import run_call
from .dialling import close_on_error, connect_unix, map_connect_errors
from .shared_values import SHARED_VALUES

T = TypeVar("T")


class Runtime:
    """Implements :class:`smtpproto.ports.Runtime`. :meth:`dial` uses *connected* if it is given."""

    def __init__(self, connected: socket.socket | None = None) -> None:
        self._connected = connected

    def now(self) -> float:
        return time.monotonic()

    def random(self, size: int) -> bytes:
        return secrets.token_bytes(size)

    async def checkpoint(self) -> None:
        """Do nothing: the system switches between threads."""

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def semaphore(self, number: int) -> _Semaphore:
        return _Semaphore(number)

    async def within(self, seconds: float | None, awaitable: Awaitable[T]) -> T:
        """Await *awaitable*, without a limit of time: nothing can interrupt it. Raises CallAborted
        if it suspends."""
        return run_call(awaitable)

    async def finish_within(self, seconds: float | None, awaitable: Awaitable[T]) -> T:
        return run_call(awaitable)

    async def in_thread(self, function: Callable[[], T]) -> T:
        """Call *function* at once: each connection has its own thread."""
        return function()

    def shared(self, key: Hashable, paths: Iterable[str], make: Callable[[], T]) -> T:
        return SHARED_VALUES.get(key, paths, make)

    async def dial(
        self,
        host: str,
        port: int,
        timeout: float | None,
        source: tuple[str, int] | None = None,
    ) -> Stream:
        if self._connected is not None:
            return Stream(self._connected)
        with map_connect_errors(host, port):
            if is_path(host):
                return Stream(await connect_unix(self, host, timeout))
            return Stream(eyeballs.connect(host, port, timeout, source))


class _Semaphore:
    """Implements :class:`smtpproto.ports.Semaphore`."""

    def __init__(self, number: int) -> None:
        self._semaphore = threading.Semaphore(number)

    async def acquire(self) -> None:
        self._semaphore.acquire()

    def release(self) -> None:
        self._semaphore.release()


class Stream:
    """Implements :class:`smtpproto.ports.Stream`."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        with close_on_error(connected), contextlib.suppress(OSError):  # the socket is not TCP
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def read(self, timeout: float | None) -> bytes:
        try:
            self._socket.settimeout(timeout)
            return self._socket.recv(CHUNK)
        except TimeoutError:
            raise TimedOut("the peer was silent for too long") from None
        except OSError as error:
            if type(error).__name__ in _WOULD_BLOCK:
                raise TimedOut("nothing has arrived") from None
            raise ConnectionLost(printable(str(error))) from None

    async def write(self, data: bytes, timeout: float | None) -> None:
        try:
            self._socket.settimeout(_seconds(timeout))
            self._socket.sendall(data)
        except TimeoutError:
            raise TimedOut("the peer did not read for too long") from None
        except OSError as error:
            raise ConnectionLost(printable(str(error))) from None

    async def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.close()

    def interrupt(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RD)

    def abort(self) -> None:
        """Close the connection, also while another thread reads or writes."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    @property
    def peername(self) -> tuple[str, int]:
        return self._address(self._socket.getpeername)

    @property
    def sockname(self) -> tuple[str, int]:
        return self._address(self._socket.getsockname)

    @staticmethod
    def _address(get_name: Callable[[], object]) -> tuple[str, int]:
        with contextlib.suppress(OSError):
            match get_name():
                case (str(host), int(port), *_):
                    return host, port
        return "", 0


# What recv raises if it would have to wait, but must not. The second is that of an SSLSocket, which
# a caller may have connected.
_WOULD_BLOCK = ("BlockingIOError", "SSLWantReadError")


def _seconds(timeout: float | None) -> float | None:
    return None if timeout is None else max(timeout, 0.001)  # 0 would make it non-blocking

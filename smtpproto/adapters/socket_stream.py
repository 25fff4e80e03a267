"""The stream of blocking sockets and of trio: over a socket that never blocks."""

from __future__ import annotations

import contextlib
import os
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable

from ..errors import ConnectionLost, TimedOut
from ..grammar.printable import printable
from ..limits import FEW, READ
from .dialling import close_on_error, send_small_writes_at_once

# What recv and send raise if they would have to wait. The last two are those of an SSLSocket, which
# a caller may have connected.
_WOULD_BLOCK = ("BlockingIOError", "SSLWantReadError", "SSLWantWriteError")


class SocketStream(ABC):
    """Implements :class:`smtpproto.ports.Stream`, except how to wait."""

    _interrupted = False

    def __init__(self, connected: socket.socket) -> None:
        self._socket, self._amount, self._process = connected, FEW, os.getpid()
        with close_on_error(connected):
            connected.setblocking(False)
            send_small_writes_at_once(connected)

    @staticmethod
    @abstractmethod
    def _now() -> float:
        """Return the time of a monotonic clock, in seconds."""

    @abstractmethod
    async def _is_ready(self, deadline: float, *, to_write: bool = False) -> bool:
        """Wait until octets have arrived, or can be written, or the stream is interrupted; return
        False if none of this happens before *deadline*. Return True if the stream is closed."""

    @property
    def _is_closed(self) -> bool:
        return self._socket.fileno() < 0

    @property
    def _own(self) -> socket.socket:
        """The socket. Raises ConnectionLost in a process that was forked after it was opened: what
        two processes send over one connection would mix."""
        if os.getpid() != self._process:
            raise ConnectionLost(
                "the connection belongs to the process that opened it; connect after a fork"
            )
        return self._socket

    async def read(self, timeout: float | None) -> bytes:
        deadline = 0 if timeout == 0 else self._deadline(timeout)
        while not self._interrupted:
            in_time = timeout != 0 and await self._is_ready(deadline)
            if (data := self._receive()) is not None:
                return data
            if not in_time:
                raise TimedOut("the peer was silent for too long")
        return b""

    async def write(self, data: bytes, timeout: float | None) -> None:
        if (sent := self._send(data)) < len(data):
            await self._write_all(memoryview(data)[sent:], self._deadline(timeout))

    async def _write_all(self, data: memoryview, deadline: float) -> None:
        while data:
            if not await self._is_ready(deadline, to_write=True):
                raise TimedOut("the peer did not read for too long")
            data = data[self._send(data) :]

    def _deadline(self, timeout: float | None) -> float:
        return float("inf") if timeout is None else self._now() + timeout

    def _receive(self) -> bytes | None:
        """Return what has arrived; None if nothing has, b"" at the end."""
        try:
            data = self._own.recv(self._amount)
        except OSError as error:
            if type(error).__name__ in _WOULD_BLOCK:
                return None
            raise ConnectionLost(printable(str(error))) from None
        self._amount = FEW if len(data) < FEW else READ
        return data

    def _send(self, data: bytes | memoryview) -> int:
        """Write what the system takes of *data*; return how many octets that is."""
        try:
            return self._own.send(data)
        except OSError as error:
            if type(error).__name__ in _WOULD_BLOCK:
                return 0
            raise ConnectionLost(printable(str(error))) from None

    async def end(self) -> None:
        self._interrupted = False
        with contextlib.suppress(OSError):
            self._own.shutdown(socket.SHUT_WR)

    async def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.close()

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

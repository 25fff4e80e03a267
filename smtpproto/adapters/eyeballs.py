"""Happy eyeballs for blocking sockets (RFC 8305): a dead address costs a moment, not a time-out."""

from __future__ import annotations

import os
import selectors
import socket
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from itertools import chain, zip_longest
from types import TracebackType
from typing import Any, Self

STAGGER = 0.25  # seconds that an address has for itself (RFC 8305 5)

_LONGEST = 3600.0  # seconds that are waited at once: there is a limit to what the system takes

AddressInfo = tuple[int, int, int, str, Any]
"""What ``getaddrinfo`` gives for an address."""


def connect(
    host: str,
    port: int,
    timeout: float | None,
    source: tuple[str, int] | None = None,
    now: Callable[[], float] = time.monotonic,
) -> socket.socket:
    """Connect to the address of *host* that answers first; *timeout* is for all together, but for
    the name's resolution, which cannot be interrupted.

    Raises TimeoutError, or OSError of which the cause is a group with an error for each address.
    """
    end = _later(now(), timeout)
    addresses = deque(interleaved(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
    with _Race(source) as race:
        turn = now()
        while addresses or race.running:
            failed = len(race.errors)
            if addresses and now() >= turn:
                turn = now() + STAGGER
                race.start(addresses.popleft())
            if (winner := race.wait(min(end, turn if addresses else end) - now())) is not None:
                return winner
            if now() >= end:
                raise TimeoutError
            if len(race.errors) > failed:  # so that nobody has to be given more time
                turn = now()
    raise OSError("all addresses failed") from ExceptionGroup("all failed", race.errors)


def interleaved(addresses: Iterable[AddressInfo]) -> list[AddressInfo]:
    """*addresses*, their families by turns, the first one's first (RFC 8305 4)."""
    families = defaultdict(list)
    for address in addresses:
        families[address[0]].append(address)
    return [one for one in chain(*zip_longest(*families.values())) if one is not None]


def _later(now: float, timeout: float | None) -> float:
    return float("inf") if timeout is None else now + timeout


class _Race:
    """Attempts side by side. At the end of the block all sockets are closed but the winner's."""

    def __init__(self, source: tuple[str, int] | None) -> None:
        self.errors: list[OSError] = []
        self._source = source
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for key in list(self._selector.get_map().values()):
            self._drop(key).close()
        self._selector.close()

    @property
    def running(self) -> bool:
        """Whether there is an attempt of which nothing is known yet."""
        return bool(self._selector.get_map())

    def start(self, info: AddressInfo) -> None:
        """Begin to connect to an address."""
        family, kind, protocol, _, address = info
        try:
            connecting = socket.socket(family, kind, protocol)
        except OSError as error:  # of a family that this machine does not have
            self._failed(error, address)
            return
        connecting.setblocking(False)
        try:
            if self._source is not None:
                connecting.bind(self._source)
            connecting.connect(address)
        except BlockingIOError:
            pass
        except OSError as error:
            connecting.close()
            self._failed(error, address)
            return
        self._selector.register(connecting, selectors.EVENT_WRITE, address)

    def wait(self, seconds: float) -> socket.socket | None:
        """Wait until an attempt has ended, at most *seconds*; the one that succeeded."""
        if not self.running:
            return None
        for key, _ in self._selector.select(min(max(seconds, 0), _LONGEST)):
            ended = self._drop(key)
            code = ended.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if not code:
                return ended
            ended.close()
            self._failed(OSError(code, os.strerror(code)), key.data)
        return None

    def _drop(self, key: selectors.SelectorKey) -> socket.socket:
        self._selector.unregister(key.fileobj)
        assert isinstance(key.fileobj, socket.socket)
        return key.fileobj

    def _failed(self, error: OSError, address: object) -> None:
        self.errors.append(OSError(error.errno, f"{error.strerror} {address}"))

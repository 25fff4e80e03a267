"""Happy eyeballs for blocking sockets (RFC 8305): a dead address costs 250 ms, not a time-out."""

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

ATTEMPT_DELAY = 0.25  # seconds before the next address is tried as well (RFC 8305 5)

_MAX_WAIT = 3600.0  # seconds in one call of select, which refuses much larger values

AddressInfo = tuple[int, int, int, str, Any]
"""One entry of the list that ``getaddrinfo`` returns."""


def connect(
    host: str,
    port: int,
    timeout: float | None,
    source: tuple[str, int] | None = None,
    now: Callable[[], float] = time.monotonic,
) -> socket.socket:
    """Return a socket connected to the address of *host* that answers first.

    *timeout* bounds all attempts together, but not the resolution of the name, which cannot be
    interrupted. Raises TimeoutError, or an OSError whose cause is a group with the error of each
    address.
    """
    end = float("inf") if timeout is None else now() + timeout
    addresses = deque(interleave(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
    with _Race(source) as race:
        next_start = now()
        while addresses or race.running:
            failed = len(race.errors)
            if addresses and now() >= next_start:
                next_start = now() + ATTEMPT_DELAY
                race.start(addresses.popleft())
            until = min(end, next_start if addresses else end)
            if (winner := race.wait(until - now())) is not None:
                return winner
            if now() >= end:
                raise TimeoutError
            if len(race.errors) > failed:  # an attempt failed: start the next one at once
                next_start = now()
    raise OSError("all addresses failed") from ExceptionGroup("all failed", race.errors)


def interleave(addresses: Iterable[AddressInfo]) -> list[AddressInfo]:
    """Return *addresses* with the families alternating, that of the first address first
    (RFC 8305 4)."""
    families = defaultdict(list)
    for address in addresses:
        families[address[0]].append(address)
    return [one for one in chain(*zip_longest(*families.values())) if one is not None]


class _Race:
    """Concurrent attempts to connect. The end of the block closes all sockets but the winner's."""

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
            self._unregister(key).close()
        self._selector.close()

    @property
    def running(self) -> bool:
        """Whether an attempt is still pending."""
        return bool(self._selector.get_map())

    def start(self, info: AddressInfo) -> None:
        """Start an attempt to connect to an address."""
        family, kind, protocol, _, address = info
        try:
            connecting = socket.socket(family, kind, protocol)
        except OSError as error:  # this machine does not have the address family
            self._add_error(error, address)
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
            self._add_error(error, address)
            return
        self._selector.register(connecting, selectors.EVENT_WRITE, address)

    def wait(self, seconds: float) -> socket.socket | None:
        """Wait at most *seconds* for an attempt to end; return its socket if it succeeded."""
        if not self.running:
            return None
        for key, _ in self._selector.select(min(max(seconds, 0), _MAX_WAIT)):
            ended = self._unregister(key)
            code = ended.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if not code:
                return ended
            ended.close()
            self._add_error(OSError(code, os.strerror(code)), key.data)
        return None

    def _unregister(self, key: selectors.SelectorKey) -> socket.socket:
        self._selector.unregister(key.fileobj)
        assert isinstance(key.fileobj, socket.socket)
        return key.fileobj

    def _add_error(self, error: OSError, address: object) -> None:
        self.errors.append(OSError(error.errno, f"{error.strerror} {address}"))

"""Happy eyeballs (RFC 8305): a dead address costs 250 ms, not a time-out.

:class:`Schedule` decides which address is tried when, for the adapters whose library has no happy
eyeballs of its own. :func:`connect` is the race over blocking sockets.
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, zip_longest
from typing import Any, Self

from .dialling import close_on_error

ATTEMPT_DELAY = 0.25  # seconds before the next address is tried as well (RFC 8305 5)

_IN_PROGRESS = (errno.EINPROGRESS, errno.EWOULDBLOCK)
# For a few sockets and a short time, poll needs fewer calls of the kernel than epoll.
_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)
MAX_WAIT = 3600.0  # seconds in one call of select, which refuses much larger values

AddressInfo = tuple[int, int, int, str, Any]
"""One entry of the list that ``getaddrinfo`` returns."""


def interleave(addresses: Iterable[AddressInfo]) -> list[AddressInfo]:
    """Return *addresses* with the families alternating, that of the first address first
    (RFC 8305 4)."""
    families = defaultdict(list)
    for address in addresses:
        families[address[0]].append(address)
    return [one for one in chain(*zip_longest(*families.values())) if one is not None]


class Schedule:
    """Which of *addresses* is tried when: the families alternate, and each attempt starts 250 ms
    after the one before it, or as soon as one fails (RFC 8305 4 and 5).

    *now* returns seconds of a monotonic clock.
    """

    def __init__(self, addresses: Iterable[AddressInfo], now: Callable[[], float]) -> None:
        self._left = deque(interleave(addresses))
        self._now = now
        self._next_start = now()
        self._errors: list[OSError] = []

    def __bool__(self) -> bool:
        """Return whether an address has not been tried yet."""
        return bool(self._left)

    def due(self) -> AddressInfo | None:
        """Return the address to try now, or None if it is too early or none is left."""
        if not self._left or self.seconds > 0:
            return None
        self._next_start = self._now() + ATTEMPT_DELAY
        return self._left.popleft()

    @property
    def seconds(self) -> float:
        """The seconds until the next address is due; infinite if none is left."""
        return self._next_start - self._now() if self._left else float("inf")

    def failed(self, info: AddressInfo, error: OSError) -> None:
        """Note the error of an attempt; the next one may start at once."""
        self._errors.append(with_address(error, info))
        self._next_start = self._now()

    @property
    def error(self) -> OSError:
        """The error to raise if all attempts failed; its cause has the error of each address."""
        return all_failed(self._errors)


def all_failed(errors: Sequence[OSError]) -> OSError:
    """Return the error for the failure of all addresses, whose cause has that of each."""
    error = OSError("all addresses failed")
    error.__cause__ = ExceptionGroup("all failed", errors) if errors else None
    return error


def with_address(error: OSError, info: AddressInfo) -> OSError:
    """Return the *error* of an attempt with the address in its text."""
    code, address = error.errno, info[4]
    if code is None:
        return OSError(f"{error} {address}")
    return OSError(code, f"{os.strerror(code)} {address}")


def literal(host: str, port: int) -> AddressInfo | None:
    """Return the address of a *host* that is an IPv4 address, which needs no resolver, or None."""
    try:
        socket.inet_pton(socket.AF_INET, host)
    except (OSError, ValueError):  # ValueError: characters that no host has
        return None
    return socket.AF_INET, socket.SOCK_STREAM, 0, "", (host, port)


def open_socket(info: AddressInfo, source: tuple[str, int] | None) -> socket.socket:
    """Return a non-blocking socket for an address, bound to *source* if it is given.

    Raises OSError, for example if this machine does not have the address family.
    """
    opened = socket.socket(*info[:3])
    with close_on_error(opened):
        opened.setblocking(False)
        if source is not None:
            opened.bind(source)
    return opened


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
    if (info := literal(host, port)) is not None:
        return _connect_to(info, timeout, source)
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    if len(found) == 1:
        return _connect_to(found[0], timeout, source)
    schedule = Schedule(found, now)
    with _Race(schedule, source) as race:
        while schedule or race.running:
            if (info := schedule.due()) is not None:
                race.start(info)
            if (winner := race.wait(min(end - now(), schedule.seconds))) is not None:
                return winner
            if now() >= end:
                raise TimeoutError
    raise schedule.error


def _connect_to(
    info: AddressInfo, timeout: float | None, source: tuple[str, int] | None
) -> socket.socket:
    """Do what :func:`connect` does, with the only address of a host."""
    try:
        opened = open_socket(info, source)
        with close_on_error(opened):
            opened.settimeout(None if timeout is None else min(timeout, MAX_WAIT))
            opened.connect(info[4])
            return opened
    except OSError as error:
        if isinstance(error, TimeoutError) and error.errno is None:  # not one of the system
            raise
        raise all_failed([with_address(error, info)])  # noqa: B904  # it has a cause


class _Race:
    """Concurrent attempts to connect. The end of the block closes all sockets but the winner's."""

    def __init__(self, schedule: Schedule, source: tuple[str, int] | None) -> None:
        self._schedule, self._source = schedule, source
        self._selector = _Selector()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for key in list(self._selector.get_map().values()):
            self._unregister(key).close()
        self._selector.close()

    @property
    def running(self) -> bool:
        """Whether an attempt is still pending."""
        return bool(self._selector.get_map())

    def start(self, info: AddressInfo) -> None:
        """Start an attempt to connect to an address."""
        try:
            connecting = open_socket(info, self._source)
            with close_on_error(connecting):
                code = connecting.connect_ex(info[4])
                if code not in (0, *_IN_PROGRESS):
                    raise OSError(code, "")
                self._selector.register(connecting, selectors.EVENT_WRITE, info)
        except OSError as error:
            self._schedule.failed(info, error)

    def wait(self, seconds: float) -> socket.socket | None:
        """Wait at most *seconds* for an attempt to end; return its socket if it succeeded."""
        if not self.running:
            return None
        for key, _ in self._selector.select(min(max(seconds, 0), MAX_WAIT)):
            ended = self._unregister(key)
            code = ended.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if not code:
                return ended
            ended.close()
            self._schedule.failed(key.data, OSError(code, ""))
        return None

    def _unregister(self, key: selectors.SelectorKey) -> socket.socket:
        self._selector.unregister(key.fileobj)
        assert isinstance(key.fileobj, socket.socket)
        return key.fileobj

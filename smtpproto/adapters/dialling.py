"""Helpers for connecting, shared by the adapters. Their errors say what to check."""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import Iterator
from contextlib import suppress

from ..errors import ConnectFailed, TimedOut, TransportError
from ..grammar.printable import printable
from ..ports import Runtime, is_path

_CHECKS = {
    errno.ECONNREFUSED: "whether a server listens there",
    errno.ENETUNREACH: "this machine's network and routes",
    errno.ENETDOWN: "this machine's network and routes",
    errno.EHOSTUNREACH: "the network and firewalls on the way",
    errno.EADDRNOTAVAIL: "source: whether this machine has that address",
    errno.EADDRINUSE: "source: whether its port is free",
    errno.ENOENT: "the path, and whether the server runs",
    errno.EACCES: "the permissions of the socket's file, or a firewall of this machine",
}
_FAULTS = {
    errno.ECONNREFUSED: "connection-refused",
    errno.ENETUNREACH: "no-route",
    errno.ENETDOWN: "no-route",
    errno.EHOSTUNREACH: "no-route",
    errno.ETIMEDOUT: "connect-timeout",
    errno.EADDRNOTAVAIL: "source-address",
    errno.EADDRINUSE: "source-address",
    errno.ENOENT: "unix-socket",
    errno.EACCES: "unix-socket",
}
_CHECK_ALL = "host and port, whether the server runs, the network and firewalls on the way"
_CHECK_ON_TIMEOUT = "host and port, the network and firewalls on the way"
_RETRY_DELAY = 0.02  # seconds
_PORT_25 = "; many providers block outgoing port 25: send through a relay on port 587 or 465"


class map_connect_errors:  # noqa: N801  # a generator would cost more calls
    """Turns the errors of a block that connects into this library's errors.

    TimeoutError becomes TimedOut. Other errors of the system and its resolver become ConnectFailed,
    whose text has the error of each address that was tried.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        # ValueError and the others: an invalid host name or port, or a socket that cannot be used.
        if isinstance(error, OSError | ValueError | OverflowError | TypeError):
            raise _mapped(error, self._host, self._port) from None


def _mapped(error: Exception, host: str, port: int) -> TransportError:
    where = host if is_path(host) else f"{host}, port {port}"
    hint = _PORT_25 if port == 25 else ""
    if isinstance(error, TimeoutError):
        text = printable(f"cannot connect to {where} in time")
        late = TimedOut(text, phase="connect", check=_CHECK_ON_TIMEOUT + hint)
        late.fault = _timeout_fault(port)
        return late
    if isinstance(error, socket.gaierror):
        text = printable(f"cannot resolve {host}: {error}")
        check = "the name, and the DNS settings of this machine"
        unknown = ConnectFailed(text, phase="connect", check=check)
        unknown.fault = "name-not-found"
        return unknown
    reasons = ", ".join(str(one) for one in _errors_of_addresses(error))
    text = printable(f"cannot connect to {where}: {reasons}")
    failed = ConnectFailed(text, phase="connect", check=_what_to_check(reasons, hint))
    failed.fault = _fault_of(reasons, port)
    return failed


async def connect_unix(runtime: Runtime, path: str, timeout: float | None = None) -> socket.socket:
    """Connect to the server that listens at *path*, and return the socket.

    Retries while the server's queue is full, because the system does not report when there is room
    for a non-blocking Unix socket. Raises OSError, or TimeoutError after *timeout* seconds.
    """
    end = None if timeout is None else runtime.now() + timeout
    while True:
        connecting = socket.socket(socket.AF_UNIX)
        with suppress(BlockingIOError), close_on_error(connecting):
            connecting.setblocking(False)
            connecting.connect(path)
            return connecting
        if end is not None and runtime.now() >= end:
            raise TimeoutError
        await runtime.sleep(_RETRY_DELAY)


def send_small_writes_at_once(connected: socket.socket) -> None:
    """Do not delay small writes until the peer has acknowledged those before, if this is TCP."""
    with suppress(OSError):
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class close_on_error:  # noqa: N801  # a generator would cost more calls
    """Closes the caller's *connection*, if there is one, when the block raises."""

    def __init__(self, connection: socket.socket | None) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is not None and self._connection is not None:
            self._connection.close()


def _errors_of_addresses(error: BaseException) -> Iterator[BaseException]:
    """Yield the error of each address: the members of a group, or the cause, or *error* itself."""
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _errors_of_addresses(one)
    elif error.__cause__ is not None:
        yield from _errors_of_addresses(error.__cause__)
    else:
        yield error


def _what_to_check(reasons: str, hint: str) -> str:
    """Return what to check after a failure. The error codes are read from the text, because asyncio
    raises one error whose text alone has the codes of all addresses."""
    codes = _codes_in(reasons)
    checks = {_CHECKS.get(code, _CHECK_ALL) for code in codes} or {_CHECK_ALL}
    refused = codes == {errno.ECONNREFUSED}
    return (checks.pop() if len(checks) == 1 else _CHECK_ALL) + ("" if refused else hint)


def _fault_of(reasons: str, port: int) -> str:
    """Return the name of the fault; if addresses failed for different reasons, that of the first
    one in the table."""
    found = [name for code, name in _FAULTS.items() if code in _codes_in(reasons)]
    fault = found[0] if found else ConnectFailed.fault
    return _timeout_fault(port) if fault == "connect-timeout" else fault


def _timeout_fault(port: int) -> str:
    return "port-25-timeout" if port == 25 else "connect-timeout"


def _codes_in(reasons: str) -> set[int]:
    return {int(code) for code in re.findall(r"\[Errno (\d+)\]", reasons)}

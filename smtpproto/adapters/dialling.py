"""Making connections, as far as adapters share it; what goes wrong is told so that one sees what to
do."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from errno import (
    EACCES,
    EADDRINUSE,
    EADDRNOTAVAIL,
    ECONNREFUSED,
    EHOSTUNREACH,
    ENETDOWN,
    ENETUNREACH,
    ENOENT,
)

from ..errors import ConnectFailed, TimedOut
from ..grammar.printable import printable
from ..ports import Runtime, is_path

_CHECKS = {
    ECONNREFUSED: "whether a server listens there",
    ENETUNREACH: "this machine's network and routes",
    ENETDOWN: "this machine's network and routes",
    EHOSTUNREACH: "the network and firewalls on the way",
    EADDRNOTAVAIL: "source: whether this machine has that address",
    EADDRINUSE: "source: whether its port is free",
    ENOENT: "the path, and whether the server runs",
    EACCES: "the permissions of the socket's file, or a firewall of this machine",
}
_ANYTHING = "host and port, whether the server runs, the network and firewalls on the way"
_SILENCE = "host and port, the network and firewalls on the way"
_AGAIN = 0.02  # seconds
_PORT_25 = "; many providers block port 25 outward: a relay takes mail on 587 or 465"


@contextmanager
def dialling(host: str, port: int) -> Iterator[None]:
    """Connect in this block: TimeoutError becomes TimedOut, what else the system or its resolver
    raises ConnectFailed, with an error for each address that was tried."""
    where = host if is_path(host) else f"{host}, port {port}"
    hint = _PORT_25 if port == 25 else ""
    try:
        yield
    except TimeoutError:
        text = printable(f"no connection to {where} in time")
        raise TimedOut(text, phase="connect", check=_SILENCE + hint) from None
    except socket.gaierror as error:
        text = printable(f"no address for {host}: {error}")
        check = "the name, and the name resolution (DNS) of this machine"
        raise ConnectFailed(text, phase="connect", check=check) from None
    # The latter for what is no host name, or no socket that can be used.
    except (OSError, ValueError, OverflowError, TypeError) as error:
        told = ", ".join(str(one) for one in _each(error))
        text = printable(f"no connection to {where}: {told}")
        raise ConnectFailed(text, phase="connect", check=_check(told, hint)) from None


async def unix(runtime: Runtime, path: str, timeout: float | None = None) -> socket.socket:
    """Connect to the server that listens at *path*; ask again as long as its queue is full, for
    which sockets that do not block have no other way to wait. Raises OSError, TimeoutError."""
    end = None if timeout is None else runtime.now() + timeout
    while True:
        connecting = socket.socket(socket.AF_UNIX)
        try:
            connecting.setblocking(False)
            connecting.connect(path)
            return connecting
        except BlockingIOError:
            connecting.close()
        except BaseException:
            connecting.close()
            raise
        if end is not None and runtime.now() >= end:
            raise TimeoutError
        await runtime.sleep(_AGAIN)


@contextmanager
def closed_on_error(given: socket.socket | None) -> Iterator[None]:
    """Close a socket that was given, if what is done in this block fails."""
    try:
        yield
    except BaseException:
        if given is not None:
            given.close()
        raise


def _each(error: BaseException) -> Iterator[BaseException]:
    """The errors of each address, where there are several: they are then the cause, or a part."""
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _each(one)
    elif error.__cause__ is not None:
        yield from _each(error.__cause__)
    else:
        yield error


def _check(told: str, hint: str) -> str:
    """What to check. The codes are read from the text, in which asyncio has those of all."""
    codes = {int(code) for code in re.findall(r"\[Errno (\d+)\]", told)}
    checks = {_CHECKS.get(code, _ANYTHING) for code in codes} or {_ANYTHING}
    refused = codes == {ECONNREFUSED}
    return (checks.pop() if len(checks) == 1 else _ANYTHING) + ("" if refused else hint)

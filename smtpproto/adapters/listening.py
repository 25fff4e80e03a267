"""Listening sockets; the file of a Unix socket is created and removed again."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

from ..ports import is_path


def listen_tcp(host: str, port: int) -> socket.socket:
    """Return a socket that listens on *host* and *port*. Raises OSError."""
    family = socket.getaddrinfo(host, port, flags=socket.AI_PASSIVE)[0][0]
    return socket.create_server((host, port), family=family, backlog=1024)


@contextmanager
def listen_unix(host: str, port: int) -> Iterator[socket.socket | None]:
    """Listen at *host* if it is a path, and remove the socket's file when the block ends.

    Yields None if *host* is not a path. Replaces a file that a dead server left. Raises ValueError
    for a path with a port, and OSError if it cannot listen: for example, the file is not a socket,
    or a server is running there. The umask and the directory's permissions decide who may connect.
    """
    if not is_path(host):
        yield None
        return
    if port:
        raise ValueError(f"a Unix socket has no port, but port is {port}; leave it 0")
    _remove_stale_socket(host)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(host)
        created = _file_id(host)
        try:
            listener.listen(1024)
            yield listener
        finally:
            with suppress(OSError):  # the file may be gone already
                if _file_id(host) == created:  # not the file of another server that came later
                    os.unlink(host)


class _HasAddress(Protocol):
    def getsockname(self) -> Any: ...


def port_of(listener: _HasAddress) -> int:
    """Return the TCP port of *listener*; 0 for a Unix socket."""
    address = listener.getsockname()
    port: int = address[1] if isinstance(address, tuple) else 0
    return port


def _file_id(path: str) -> tuple[int, int]:
    status = os.lstat(path)
    return status.st_dev, status.st_ino


def _remove_stale_socket(path: str) -> None:
    """Remove the socket at *path* if its server is dead. Raises OSError for any other file."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise FileExistsError(
            errno.EEXIST, "not a socket; remove the file or choose another path", path
        )
    if not _is_stale(path):
        raise OSError(
            errno.EADDRINUSE, "a server is listening there; stop it or choose another path", path
        )
    os.unlink(path)


def _is_stale(path: str) -> bool:
    """Return whether no server listens at *path*."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return True
        except OSError:  # the server is busy, or this user may not connect to it
            return False
    return False

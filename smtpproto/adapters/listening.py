"""Sockets that listen; a Unix socket's file is made, and taken away again."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

from ..ports import is_path


def tcp(host: str, port: int) -> socket.socket:
    """A socket that listens on *host* and *port*. Raises OSError."""
    family = socket.getaddrinfo(host, port, flags=socket.AI_PASSIVE)[0][0]
    return socket.create_server((host, port), family=family, backlog=1024)


@contextmanager
def unix(host: str, port: int) -> Iterator[socket.socket | None]:
    """A socket that listens at *host*, if that is a path; the file is removed at the end.

    The file of a server that is no more is replaced. Raises OSError if it cannot listen, as when
    there is a file that is no socket, or a server that runs; ValueError for a path with a port.
    Who may connect is said by the umask, or by the directory.
    """
    if not is_path(host):
        yield None
        return
    if port:
        raise ValueError("a Unix socket has no port")
    _make_room(host)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(host)
        made = _identity(host)
        try:
            listener.listen(1024)
            yield listener
        finally:
            with suppress(OSError):  # it is gone already
                if _identity(host) == made:  # not that of a server which came after us
                    os.unlink(host)


class _Named(Protocol):
    def getsockname(self) -> Any: ...


def port_of(listener: _Named) -> int:
    """The port that *listener* listens on; 0 for a Unix socket."""
    address = listener.getsockname()
    port: int = address[1] if isinstance(address, tuple) else 0
    return port


def _identity(path: str) -> tuple[int, int]:
    status = os.lstat(path)
    return status.st_dev, status.st_ino


def _make_room(path: str) -> None:
    """Remove the file of a server that is no more."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise FileExistsError(errno.EEXIST, "there is a file that is no socket", path)
    if not _is_dead(path):
        raise OSError(errno.EADDRINUSE, "a server listens there already", path)
    os.unlink(path)


def _is_dead(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return True
        except OSError:  # busy, or not for us to know
            return False
    return False

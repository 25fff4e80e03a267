"""Listening sockets, the same for all adapters: on one host or several, in both families of
addresses, or at a path, whose file is removed at the end."""

from __future__ import annotations

import errno
import logging
import os
import socket
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

from attrs import define, field

from ..option_types import require_type, wrong_type
from ..ports import is_path

HostOption = str | None | Iterable[str | None]
"""Where to listen: a name, an address or the absolute path of a Unix socket, or several of them.
None and ``""`` are all interfaces."""

Address = tuple[str, int] | str
"""Host and port that a server listens on, or the path of a Unix socket."""

_log = logging.getLogger("smtpproto.server")

_HOSTS = "a name, an address or an absolute path, or a list of them"
_BACKLOG = 1024
_ATTEMPTS = 20  # to find a free port that is free in both families
_ALL_INTERFACES = ("0.0.0.0", "::")
_LOOPBACK = ("127.0.0.1", "::1")  # RFC 6761 6.3, whatever the system's table of hosts says
_MISSING = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)  # of a system without IPv6, for example

# accept() raises these for the connection that it would return: the next one may be fine. Not every
# system has all of them.
_LOST_CONNECTIONS = {
    getattr(errno, name)
    for name in (
        "ECONNABORTED", "EPROTO", "EPERM", "EINTR", "ENETDOWN", "ENOPROTOOPT", "EHOSTDOWN",
        "ENONET", "EHOSTUNREACH", "EOPNOTSUPP", "ENETUNREACH", "ECONNRESET", "ETIMEDOUT",
    )
    if hasattr(errno, name)
}  # fmt: skip

ACCEPT_PAUSE = 0.5  # seconds to wait when the system has no descriptor for a connection
_ACCEPTED_AT_ONCE = 100
_LOG_INTERVAL = 60.0  # seconds before such a shortage is logged again


@define(eq=False)
class Listeners:
    """The listening sockets of one server."""

    sockets: list[socket.socket] = field(factory=list)
    _files: dict[str, tuple[int, int]] = field(factory=dict)  # of Unix sockets, with their ids

    @property
    def addresses(self) -> list[Address]:
        """The address of each socket."""
        return [_address_of(listener) for listener in self.sockets]

    def close(self) -> None:
        """Close the sockets, and remove the files of Unix sockets."""
        for listener in self.sockets:
            listener.close()
        for path, created in self._files.items():
            with suppress(OSError):  # the file may be gone already
                if _file_id(path) == created:  # not the file of another server that came later
                    os.unlink(path)

    def add_tcp(self, hosts: list[str | None], port: int) -> None:
        """Listen on *port* of all *hosts*; if it is 0, on the first free one. Raises OSError."""
        for host in hosts:
            found = 0
            for family, address in _resolve(host):
                port = port or port_of(self.addresses)
                found += self._add_address(family, (address[0], port, *address[2:]), host)
            if not found:
                raise OSError(errno.EADDRNOTAVAIL, f"this system has no address of {host!r}")

    def add_unix(self, path: str) -> None:
        """Listen at *path*, in place of a file that a dead server left. Raises OSError if the file
        is not a socket, or if a server is running there."""
        _remove_stale_socket(path)
        listener = socket.socket(socket.AF_UNIX)
        self.sockets.append(listener)
        try:
            listener.bind(path)
        except OSError as error:
            reason = error.strerror or str(error)
            raise OSError(error.errno, f"cannot listen at {path}: {reason}") from None
        self._files[path] = _file_id(path)
        listener.listen(_BACKLOG)
        listener.setblocking(False)

    def _add_address(
        self, family: socket.AddressFamily, address: tuple[Any, ...], host: str | None
    ) -> bool:
        """Listen on one *address* of *host*; return False if the system has no such address."""
        if address[:2] in self.addresses:  # another host has the same address
            return True
        try:
            self.sockets.append(_listen(family, address))
        except OSError as error:
            if error.errno in _MISSING and not _is_address(host):
                return False
            reason = error.strerror or str(error)
            where = f"{address[0]} port {address[1]}"
            raise OSError(error.errno, f"cannot listen on {where}: {reason}") from None
        return True


def listen(host: HostOption, port: int) -> Listeners:
    """Listen on *port* of *host*, or of several hosts. Port 0 finds a port that is free on all.

    A name is looked up at once, which blocks. ``"localhost"`` is 127.0.0.1 and ::1. Addresses that
    the system does not have are left out, unless they are given as such, or nothing is left. The
    umask and the directory's permissions decide who may connect to a Unix socket. Raises TypeError
    or ValueError for arguments that make no sense, and OSError if the server cannot listen.
    """
    hosts = hosts_of(host, port)
    paths = [one for one in hosts if one is not None and is_path(one)]
    names = [one for one in hosts if one is None or not is_path(one)]
    listeners = _listen_on_names(names, port)
    try:
        for path in paths:
            listeners.add_unix(path)
    except BaseException:
        listeners.close()
        raise
    return listeners


def port_of(addresses: Iterable[Address]) -> int:
    """Return the TCP port of the first of *addresses* that has one; 0 if none has."""
    return next((one[1] for one in addresses if not isinstance(one, str)), 0)


class Acceptor:
    """Accepts connections, and decides what to do if that fails. A shortage is logged once in a
    minute at most."""

    def __init__(self, begin: Callable[[socket.socket], object]) -> None:
        """Make an acceptor that calls *begin* with each connection."""
        self._begin = begin
        self._quiet_until = -1.0

    def accept(self, listener: socket.socket) -> bool:
        """Accept the connections that have arrived, up to a number: then other tasks run.

        Returns whether to accept nothing for :data:`ACCEPT_PAUSE`: the system lacks descriptors,
        memory or threads.
        """
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                self._begin(listener.accept()[0])
            except BlockingIOError:
                break
            except OSError as error:
                if self.must_pause(error):
                    return True
        return False

    def must_pause(self, error: OSError) -> bool:
        """Return whether *error* of accept() is a shortage, and not that of one connection."""
        if error.errno in _LOST_CONNECTIONS:
            return False
        if time.monotonic() >= self._quiet_until:
            self._quiet_until = time.monotonic() + _LOG_INTERVAL
            _log.error("cannot accept connections for now: %s; trying again", error)
        return True


def hosts_of(host: HostOption, port: int) -> list[str | None]:
    """Return the hosts to listen on as a list. Raises TypeError or ValueError for arguments that
    make no sense."""
    require_type("port", port, int, "an integer, 0 for any free port")
    if not 0 <= port <= 65535:
        raise ValueError(f"not a port: {port}; use 0 to 65535")
    given: Any = host
    if isinstance(given, bytes | bytearray) or not isinstance(given, Iterable | None):
        raise wrong_type("host", given, _HOSTS)
    hosts = [host] if host is None or isinstance(host, str) else list(host)
    if not hosts:
        raise ValueError('no host to listen on; use "" for all interfaces')
    for one in hosts:
        if one is not None:
            require_type("host", one, str, _HOSTS)
            if is_path(one) and port:
                raise ValueError(f"a Unix socket has no port, but port is {port}; leave it 0")
    return hosts


def _listen_on_names(hosts: list[str | None], port: int) -> Listeners:
    """Listen on *hosts*. If a free port in one family is not free in the other, try another."""
    for attempt in range(1, _ATTEMPTS + 1):
        listeners = Listeners()
        try:
            listeners.add_tcp(hosts, port)
        except BaseException as error:
            taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
            again = taken and port == 0 and bool(listeners.sockets) and attempt < _ATTEMPTS
            listeners.close()
            if not again:
                raise
        else:
            return listeners
    raise AssertionError("unreachable")


def _resolve(host: str | None) -> Iterator[tuple[socket.AddressFamily, tuple[Any, ...]]]:
    """Yield the family and the socket address of each address of *host*, with port 0."""
    names: tuple[str, ...] = _ALL_INTERFACES
    if host:
        names = _LOOPBACK if host.lower() == "localhost" else (host,)
    for name in names:
        try:
            found = socket.getaddrinfo(name, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            advice = f"pass {_HOSTS}; the port is an argument of its own"
            text = f"cannot listen on {name!r}: {reason}; {advice}"
            raise socket.gaierror(getattr(error, "errno", socket.EAI_NONAME), text) from None
        for family, _, _, _, address in found:
            yield family, address


def _is_address(host: str | None) -> bool:
    """Return whether *host* is one address, and not a name or all interfaces."""
    try:
        socket.getaddrinfo(host, 0, flags=socket.AI_NUMERICHOST)
    except (socket.gaierror, UnicodeError):
        return False
    return bool(host)


def _listen(family: socket.AddressFamily, address: tuple[Any, ...]) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":  # Windows would let two servers have the same port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def _address_of(listener: socket.socket) -> Address:
    name = listener.getsockname()
    return name[:2] if isinstance(name, tuple) else str(name)


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

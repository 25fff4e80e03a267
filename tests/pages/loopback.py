"""A network for the pages of the documentation: they name hosts and ports, and tests may not.

While a :class:`Loopback` is installed, every name leads to this machine. A program that listens on
port 2525 gets a free port instead, and one that connects to 2525 is led there.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from typing import Any

import pytest

Address = tuple[Any, ...] | str

_FREE = 20000  # what the system chooses is above, what pages name is below


class Loopback:
    """The ports that pages name, and those that stand for them."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._real: dict[tuple[int, int], int] = {}  # by family and by the port that a page names
        self._named: dict[int, int] = {}  # by the real port
        self._getsockname = socket.socket.getsockname
        self._getpeername = socket.socket.getpeername
        self._getaddrinfo = socket.getaddrinfo
        for name, method in {
            "bind": self._binding(socket.socket.bind),
            "connect": self._leading(socket.socket.connect),
            "connect_ex": self._leading(socket.socket.connect_ex),
        }.items():
            patch.setattr(socket.socket, name, method)
        patch.setattr(socket.socket, "getsockname", lambda it: self._shown(self._getsockname(it)))
        patch.setattr(socket.socket, "getpeername", lambda it: self._shown(self._getpeername(it)))
        patch.setattr(socket, "getaddrinfo", self._look_up)
        patch.setattr(socket, "getfqdn", lambda name="": name or "client.example.org")

    def _binding(self, bind: Callable[..., None]) -> Callable[..., None]:
        def bind_free(bound: socket.socket, address: Address) -> None:
            port = _port(bound, address)
            if not 0 < port < _FREE:
                return bind(bound, address)
            if (bound.family, port) in self._real:
                raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
            bind(bound, _with_port(address, 0))
            real = self._getsockname(bound)[1]
            self._real[bound.family, port], self._named[real] = real, port
            return None

        return bind_free

    def _leading(self, connect: Callable[..., Any]) -> Callable[..., Any]:
        def lead(connecting: socket.socket, address: Address) -> Any:
            port = _port(connecting, address)
            if 0 < port < _FREE:
                address = _with_port(address, self._real.get((connecting.family, port), 1))
            return connect(connecting, address)

        return lead

    def _shown(self, address: Address) -> Address:
        if isinstance(address, tuple) and len(address) > 1 and address[1] in self._named:
            return _with_port(address, self._named[address[1]])
        return address

    def _look_up(self, host: Any, port: Any, *arguments: Any, **options: Any) -> Any:
        """Return the addresses of this machine for every name, and those that an address is."""
        if isinstance(host, bytes):
            host = host.decode()
        if host and any(letter.isalpha() for letter in host) and ":" not in host:
            host = "127.0.0.1"
        return self._getaddrinfo(host, port, *arguments, **options)


def _port(used: socket.socket, address: Address) -> int:
    """Return the port of *address*; 0 for the path of a Unix socket."""
    inet = used.family in (socket.AF_INET, socket.AF_INET6)
    return int(address[1]) if inet else 0


def _with_port(address: Address, port: int) -> Address:
    return (address[0], port, *address[2:])

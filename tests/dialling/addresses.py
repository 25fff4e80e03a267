"""Addresses as getaddrinfo returns them, a TCP port that does not answer, and recorded sockets."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from smtpproto.adapters import eyeballs


def inet(port: int, host: str = "127.0.0.1") -> eyeballs.AddressInfo:
    """Return an IPv4 address."""
    return socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port)


def inet6(port: int) -> eyeballs.AddressInfo:
    """Return the IPv6 loopback address."""
    return socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("::1", port, 0, 0)


@contextmanager
def silent_port() -> Iterator[int]:
    """Yield a port that does not answer: its backlog is full, and no connection is accepted."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def record_sockets(monkeypatch: pytest.MonkeyPatch) -> list[socket.socket]:
    """Return a list to which each socket created from now on is added."""
    created: list[socket.socket] = []

    class RecordedSocket(socket.socket):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            created.append(self)

    monkeypatch.setattr(socket, "socket", RecordedSocket)
    return created

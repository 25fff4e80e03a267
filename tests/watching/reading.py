"""Reads pages from a server on the loopback."""

from __future__ import annotations

import contextlib
import http.client
import socket
from typing import Any


def port_of(url: str) -> int:
    return int(url.rstrip("/").rpartition(":")[2])


def get(url: str, path: str = "/", method: str = "GET", **header: str) -> tuple[Any, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port_of(url))
    with contextlib.closing(connection):
        connection.request(method, path, headers=header)
        response = connection.getresponse()
        return response, response.read().decode()


def talk(url: str, data: bytes) -> bytes:
    """Send *data*, and return all that comes back."""
    with socket.create_connection(("127.0.0.1", port_of(url))) as connection:
        with contextlib.suppress(OSError):  # the server may close before all is sent
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while data := connection.recv(4096):
                received += data
        return received

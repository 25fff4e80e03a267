"""What a client of a load does: connections that send prepared octets and count the replies."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator, Sequence

from .processes import BenchError

PATIENCE = 60.0  # seconds that a server may take for a reply
Step = tuple[bytes, int]
"""Octets to send, and the number of replies to wait for after them."""


class Lane:
    """A connection to a server."""

    def __init__(self, port: int) -> None:
        self._sock = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._unread = b""

    def send(self, data: bytes) -> None:
        self._sock.sendall(data)

    def wait(self, replies: int = 1) -> None:
        """Read *replies* replies. Raises BenchError if one of them is a refusal."""
        while replies > 0:
            octets = self._sock.recv(262144)
            if not octets:
                raise BenchError("the server closed the connection")
            *lines, self._unread = (self._unread + octets).split(b"\r\n")
            for line in lines:
                if line[:1] not in b"23":
                    raise BenchError(f"the server answered {line.decode(errors='replace')!r}")
                replies -= line[3:4] != b"-"

    def say(self, data: bytes, replies: int = 1) -> None:
        self.send(data)
        self.wait(replies)

    def greet(self) -> None:
        self.wait()
        self.say(b"EHLO client.example\r\n")

    def start_tls(self, context: ssl.SSLContext) -> None:
        self.say(b"STARTTLS\r\n")
        self._sock = context.wrap_socket(self._sock)
        self.say(b"EHLO client.example\r\n")

    def quit(self) -> None:
        self.say(b"QUIT\r\n")
        self.close()

    def close(self) -> None:
        self._sock.close()


@contextlib.contextmanager
def lanes(port: int, number: int) -> Iterator[list[Lane]]:
    """Open *number* connections and say EHLO on each; close them after the block."""
    opened: list[Lane] = []
    try:
        for _ in range(number):
            opened.append(Lane(port))
        for lane in opened:
            lane.greet()
        yield opened
    finally:
        for lane in opened:
            lane.close()


def say_all(opened: Sequence[Lane], steps: Sequence[Step]) -> None:
    """Take each of *steps* on all connections before the next one."""
    for data, replies in steps:
        for lane in opened:
            lane.send(data)
        for lane in opened:
            lane.wait(replies)

"""What a client of a load does: connections that send prepared octets and count the replies."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
from collections.abc import Iterator, Sequence

from .processes import BenchError

PATIENCE = 60  # seconds that a server may take for a reply
Step = tuple[bytes, int]
"""Octets to send, and the number of replies to wait for after them."""


class Lane:
    """A connection to a server."""

    def __init__(self, port: int) -> None:
        self._sock = socket.create_connection(("127.0.0.1", port))
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # The time-out of Python itself would add a call of the kernel to each read and write.
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            self._sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", PATIENCE, 0))
        self._unread = b""

    def send(self, data: bytes) -> None:
        self._sock.sendall(data)

    def wait(self, replies: int = 1, codes: bytes = b"23") -> None:
        """Read *replies* replies, whose codes begin with one of *codes*.

        Raises BenchError for another one.
        """
        while replies > 0:
            replies -= self._replies(codes)

    def _replies(self, codes: bytes) -> int:
        """Return how many replies have ended with what is read."""
        octets = self._sock.recv(262144)
        if not octets:
            raise BenchError("the server closed the connection")
        if (
            not self._unread
            and octets[3:4] == b" "
            and octets[:1] in codes
            and octets.count(b"\n") == 1
        ):
            return 1  # most replies
        *lines, self._unread = (self._unread + octets).split(b"\r\n")
        for line in lines:
            if line[:1] not in codes:
                raise BenchError(f"the server answered {line.decode(errors='replace')!r}")
        return sum(line[3:4] != b"-" for line in lines)

    def say(self, data: bytes, replies: int = 1) -> None:
        self.send(data)
        self.wait(replies)

    def exchange(self, data: bytes, replies: int) -> None:
        """Send *data* and read meanwhile, because both sides could wait for the other to read."""
        while data:
            readable, writable, _ = select.select([self._sock], [self._sock], [], PATIENCE)
            if readable:
                replies -= self._replies(b"23")
            elif writable:
                data = data[self._sock.send(data[:65536]) :]
            else:
                raise BenchError("the server neither reads nor answers")
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
def lanes(port: int, number: int, at_a_time: int = 10) -> Iterator[list[Lane]]:
    """Open *number* connections and say EHLO on each; close them after the block.

    *at_a_time* of them are opened before the greeting of the first is read.
    """
    opened: list[Lane] = []
    try:
        while len(opened) < number:
            some = [Lane(port) for _ in range(min(at_a_time, number - len(opened)))]
            opened += some
            for lane in some:
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

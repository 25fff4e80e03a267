"""Clients that send canned lines and count CRLF, the practical ceiling: ``floor_client NAME``.

They pipeline MAIL, RCPT and DATA, and check nothing.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import cast

from .asking import Work, work_on_request
from .messages import BODY, MEBIBYTE, RECIPIENT, SENDER, big_body

HOST = "127.0.0.1"
GROUP = f"MAIL FROM:<{SENDER}>\r\nRCPT TO:<{RECIPIENT}>\r\nDATA\r\n".encode()
CONTENT = BODY + b".\r\n"
EHLO, QUIT = b"EHLO client.example\r\n", b"QUIT\r\n"
SLICE = 65536


# -- blocking ------------------------------------------------------------------------------------


def wait(sock: socket.socket, replies: int) -> None:
    """Read *replies* lines."""
    while replies > 0:
        replies -= sock.recv(SLICE).count(b"\n")


def greet(port: int) -> socket.socket:
    sock = socket.create_connection((HOST, port))
    wait(sock, 1)
    sock.sendall(EHLO)
    data = b""
    while b"\r\n250 " not in data and not data.startswith(b"250 "):
        data += sock.recv(SLICE)
    return sock


def send(sock: socket.socket, content: bytes) -> None:
    sock.sendall(GROUP)
    wait(sock, 3)
    for at in range(0, len(content), SLICE):
        sock.sendall(content[at : at + SLICE])
    wait(sock, 1)


def leave(sock: socket.socket) -> None:
    sock.sendall(QUIT)
    wait(sock, 1)
    sock.close()


def sessions(port: int, count: int) -> None:
    for _ in range(count):
        session(port, 1)


def session(port: int, count: int, content: bytes = CONTENT) -> None:
    sock = greet(port)
    for _ in range(count):
        send(sock, content)
    leave(sock)


def big(port: int, count: int) -> None:
    session(port, 1, big_body(count * MEBIBYTE) + b".\r\n")


# -- asyncio -------------------------------------------------------------------------------------


class Stream(asyncio.BufferedProtocol):
    """A connection that counts lines, with one receive buffer for all connections."""

    view = memoryview(bytearray(256 * 1024))
    _transport: asyncio.Transport
    _waiter: asyncio.Future[None]
    _missing = 0
    _offer: bytes | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.greeting = self.say(b"", 1)
        self._may_write = asyncio.Event()
        self._may_write.set()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.view

    def buffer_updated(self, nbytes: int) -> None:
        data = bytes(self.view[:nbytes])
        if self._offer is not None:
            self._offer += data
            self._missing = b"250 " not in self._offer
        else:
            self._missing -= data.count(b"\n")
        if self._missing <= 0 and not self._waiter.done():
            self._waiter.set_result(None)

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    def say(self, data: bytes, replies: int) -> asyncio.Future[None]:
        self._missing = replies
        self._waiter = asyncio.get_running_loop().create_future()
        if data:
            self._transport.write(data)
        return self._waiter

    async def greet(self) -> None:
        self._offer = b""
        await self.say(EHLO, 1)
        self._offer = None

    async def send(self, content: bytes) -> None:
        await self.say(GROUP, 3)
        waiter = self.say(b"", 1)
        for at in range(0, len(content), SLICE):
            self._transport.write(content[at : at + SLICE])
            await self._may_write.wait()
        await waiter

    async def leave(self) -> None:
        await self.say(QUIT, 1)
        self._transport.close()


async def converse(port: int, count: int, content: bytes = CONTENT) -> None:
    loop = asyncio.get_running_loop()
    _, stream = await loop.create_connection(Stream, HOST, port)
    await stream.greeting
    await stream.greet()
    for _ in range(count):
        await stream.send(content)
    await stream.leave()


async def async_sessions(port: int, count: int) -> None:
    for _ in range(count):
        await converse(port, 1)


async def async_big(port: int, count: int) -> None:
    await converse(port, 1, big_body(count * MEBIBYTE) + b".\r\n")


async def async_at_once(port: int, count: int) -> None:
    await asyncio.gather(*[converse(port, 1) for _ in range(count)])


def work(function: Callable[[int, int], Awaitable[None]]) -> Work:
    async def main(port: int, count: int) -> None:
        await function(port, count)

    return lambda port, count: asyncio.run(main(port, count))


LOADS: dict[str, Mapping[str, Work]] = {
    "floor-sync": {"C1": sessions, "C2": session, "C2f": session, "C3": big},
    "floor-asyncio": {
        "C1": work(async_sessions),
        "C2": work(converse),
        "C2f": work(converse),
        "C3": work(async_big),
        "C4": work(async_at_once),
    },
}

if __name__ == "__main__":
    work_on_request(LOADS[sys.argv[1]])

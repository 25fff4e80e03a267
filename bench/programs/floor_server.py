"""Servers that answer canned lines, the practical ceiling of Python: ``floor_server NAME PEM``.

They look for CRLF, for CRLF.CRLF, and for the size of a chunk, and check nothing.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from typing import cast

OFFER = b"250-floor\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE 0\r\n250-CHUNKING\r\n"
OK = b"250 Ok\r\n"
REPLIES = {
    b"EHLO": OFFER + b"250 STARTTLS\r\n",
    b"DATA": b"354 Go ahead\r\n",
    b"QUIT": b"221 Bye\r\n",
    b"STAR": b"220 Go ahead\r\n",
}
END = b"\r\n.\r\n"


class Canned:
    """Finds where commands and messages end, and answers the same to all."""

    __slots__ = ("chunk", "in_content", "last", "tail")

    def __init__(self) -> None:
        self.tail = b""
        self.in_content = False
        self.chunk = 0  # octets of it that are still to come
        self.last = b""  # verb

    def answer(self, data: bytes) -> bytes:
        """Return the replies to what *data* completes."""
        if self.tail:
            data, self.tail = self.tail + data, b""
        at, out = 0, b""
        while at < len(data):
            if self.chunk:
                at, self.chunk = at + self.chunk, max(self.chunk - len(data) + at, 0)
                out += b"" if self.chunk else OK
                continue
            end = data.find(END if self.in_content else b"\r\n", at)
            if end < 0:
                self.tail = data[max(at, len(data) - 4) :] if self.in_content else data[at:]
                break
            if self.in_content:
                at, self.in_content = end + 5, False
                out += OK
            else:
                out += self._command(data[at:end])
                at = end + 2
        return out

    def _command(self, line: bytes) -> bytes:
        self.last = line[:4]
        if self.last == b"DATA":
            self.in_content = True
        elif self.last == b"BDAT":
            self.chunk = int(line.split()[1])
            return b"" if self.chunk else OK
        return REPLIES.get(self.last, OK)


class Plain(asyncio.Protocol):
    """One receive buffer for each read, as asyncio makes it; STARTTLS."""

    context: ssl.SSLContext

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._canned = Canned()
        self._held: bytes | None = None  # octets that arrive before TLS is ready
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(b"220 floor\r\n")

    def data_received(self, data: bytes) -> None:
        if self._held is not None:
            self._held += data
            return
        if replies := self._canned.answer(data):
            self._transport.write(replies)
        if self._canned.last == b"QUIT":
            self._transport.close()
        elif self._canned.last == b"STAR":
            self._held = b""
            self._task = asyncio.ensure_future(self._start_tls())

    async def _start_tls(self) -> None:
        loop = asyncio.get_running_loop()
        upgraded = await loop.start_tls(self._transport, self, self.context, server_side=True)
        assert upgraded is not None
        self._transport, held, self._held = upgraded, self._held, None
        self._canned = Canned()
        if held:
            self.data_received(held)


class Shared(asyncio.BufferedProtocol):
    """One receive buffer for all connections, and a copy out of it."""

    view = memoryview(bytearray(256 * 1024))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._canned = Canned()
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(b"220 floor\r\n")

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.view

    def buffer_updated(self, nbytes: int) -> None:
        if replies := self._canned.answer(bytes(self.view[:nbytes])):
            self._transport.write(replies)
        if self._canned.last == b"QUIT":
            self._transport.close()


PROTOCOLS = {
    "floor-shared": Shared,
    "floor-asyncio": Plain,
    "floor-uvloop": Plain,
    "floor-tls": Plain,
}


async def main(name: str, certificate: str) -> None:
    Plain.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    Plain.context.load_cert_chain(certificate)
    tls = Plain.context if name == "floor-tls" else None
    loop = asyncio.get_running_loop()
    server = await loop.create_server(PROTOCOLS[name], "127.0.0.1", 0, ssl=tls)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1] == "floor-uvloop":
        import uvloop

        uvloop.run(main(*sys.argv[1:3]))
    else:
        asyncio.run(main(*sys.argv[1:3]))

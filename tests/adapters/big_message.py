"""Send or receive one large message, and print how much memory that took. Run as a program:

big_message.py FLAVOUR serve             prints the port, then the growth in octets
big_message.py FLAVOUR send PORT MIB     prints the growth in octets
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import trio

from smtpproto import Envelope, Handler, Limits, Reply, Session
from smtpproto.adapters import asyncio as on_asyncio
from smtpproto.adapters import blocking as on_sockets
from smtpproto.adapters import trio as on_trio

LINE = b".0123456789" * 6 + b"0123456789\r\n"
ENVELOPE = Envelope("ann@example.org", "bob@example.org")
NO_BOUND = Limits(message_size=None)


def content(mib: int) -> Iterator[bytes]:
    """Yield about *mib* MiB in lines that all begin with a dot."""
    slice_ = LINE * 800
    yield from (slice_ for _ in range(mib * 1024 * 1024 // len(slice_) + 1))


def peak() -> int:
    """Return the largest resident set of this program so far, in octets.

    Linux only. getrusage() would count the process that started this one, too.
    """
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


class Digest(Handler):
    """Streams one message into a hash, and replies with the digest."""

    def __init__(self) -> None:
        self.done = threading.Event()

    def data(self, session: Session, envelope: Envelope) -> Digest:
        self._hash = hashlib.sha256()
        return self

    def write(self, data: bytes) -> None:
        self._hash.update(data)

    def commit(self) -> Reply:
        return Reply(250, "2.0.0", self._hash.hexdigest())

    def abort(self) -> None:
        raise AssertionError("the message was aborted")

    def close(self, session: Session) -> None:
        self.done.set()


def serve(flavour: str) -> None:
    handler = Digest()

    async def with_asyncio() -> None:
        async with on_asyncio.serve(handler, limits=NO_BOUND) as server:
            print(server.port, flush=True)
            await asyncio.to_thread(handler.done.wait)

    async def with_trio() -> None:
        async with on_trio.serve(handler, limits=NO_BOUND) as server:
            print(server.port, flush=True)
            await trio.to_thread.run_sync(handler.done.wait)

    match flavour:
        case "asyncio":
            asyncio.run(with_asyncio())
        case "trio":
            trio.run(with_trio)
        case _:
            with on_sockets.serve(handler, limits=NO_BOUND) as server:
                print(server.port, flush=True)
                handler.done.wait()


def send(flavour: str, port: int, mib: int) -> str:
    async def with_asyncio() -> Reply | None:
        async with on_asyncio.connect("127.0.0.1", port) as client:
            return (await client.send(content(mib), ENVELOPE)).reply

    async def with_trio() -> Reply | None:
        async with on_trio.connect("127.0.0.1", port) as client:
            return (await client.send(content(mib), ENVELOPE)).reply

    match flavour:
        case "asyncio":
            reply = asyncio.run(with_asyncio())
        case "trio":
            reply = trio.run(with_trio)
        case _:
            with on_sockets.connect("127.0.0.1", port) as client:
                reply = client.send(content(mib), ENVELOPE).reply
    assert reply is not None
    return reply.text


def main() -> None:
    flavour, role, *rest = sys.argv[1:]
    before = peak()
    if role == "serve":
        serve(flavour)
    else:
        port, mib = map(int, rest)
        digest = hashlib.sha256()
        for slice_ in content(mib):
            digest.update(slice_)
        assert send(flavour, port, mib) == digest.hexdigest()
    print(peak() - before)


if __name__ == "__main__":
    main()

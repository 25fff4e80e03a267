"""One side of a message of 100 MiB, and how much memory it took. Run as a program:

big_message.py FLAVOUR serve            prints the port, then the growth in octets
big_message.py FLAVOUR send PORT        prints the growth in octets
"""

from __future__ import annotations

import asyncio
import hashlib
import resource
import sys
import threading
from collections.abc import Iterator

import trio

from smtpproto import Envelope, Handler, Limits, Reply, Session
from smtpproto.adapters import asyncio as on_asyncio
from smtpproto.adapters import blocking as on_sockets
from smtpproto.adapters import trio as on_trio

SIZE = 100 * 1024 * 1024
LINE = b".0123456789" * 6 + b"0123456789\r\n"
ENVELOPE = Envelope("ann@example.org", "bob@example.org")
NO_BOUND = Limits(message_size=None)


def content() -> Iterator[bytes]:
    """About 100 MiB in lines that all begin with a dot."""
    slice_ = LINE * 800
    yield from (slice_ for _ in range(SIZE // len(slice_) + 1))


def peak() -> int:
    """The largest resident set so far, in octets (Linux counts KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


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


def send(flavour: str, port: int) -> str:
    async def with_asyncio() -> Reply | None:
        async with on_asyncio.connect("127.0.0.1", port) as client:
            return (await client.send(content(), ENVELOPE)).reply

    async def with_trio() -> Reply | None:
        async with on_trio.connect("127.0.0.1", port) as client:
            return (await client.send(content(), ENVELOPE)).reply

    match flavour:
        case "asyncio":
            reply = asyncio.run(with_asyncio())
        case "trio":
            reply = trio.run(with_trio)
        case _:
            with on_sockets.connect("127.0.0.1", port) as client:
                reply = client.send(content(), ENVELOPE).reply
    assert reply is not None
    return reply.text


def main() -> None:
    flavour, role, *rest = sys.argv[1:]
    before = peak()
    if role == "serve":
        serve(flavour)
    else:
        digest = hashlib.sha256()
        for slice_ in content():
            digest.update(slice_)
        assert send(flavour, int(rest[0])) == digest.hexdigest()
    print(peak() - before)


if __name__ == "__main__":
    main()

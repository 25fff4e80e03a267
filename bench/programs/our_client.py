"""Our clients: ``our_client NAME``. NAME is an adapter."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from smtpproto import ConnectOptions, Envelope

from .asking import Work, work_on_request
from .messages import BODY, MEBIBYTE, RECIPIENT, SENDER, big_body

HOST = "127.0.0.1"
CLEAR: ConnectOptions = {"tls": "none", "hello": "client.example"}
OVER_TLS: ConnectOptions = {"tls": "implicit", "hello": "client.example"}
TO_BOB = Envelope(SENDER, RECIPIENT)


METHODS = {
    "C1": "sessions",
    "C2": "session",
    "C2f": "new_envelopes",
    "C3": "big",
    "C4": "at_once",
    "TLS": "over_tls",
}
Function = Callable[[], Awaitable[Any]]
Run = Callable[[Function], None]
AllAtOnce = Callable[[Function, int], Awaitable[None]]


class Blocking:
    """What a program over blocking sockets does."""

    def __init__(self) -> None:
        from smtpproto.adapters import blocking

        self._adapter = blocking

    def sessions(self, port: int, count: int) -> None:
        for _ in range(count):
            with self._adapter.connect(HOST, port, **CLEAR) as client:
                client.send(BODY, TO_BOB)

    def session(self, port: int, count: int) -> None:
        with self._adapter.connect(HOST, port, **CLEAR) as client:
            for _ in range(count):
                client.send(BODY, TO_BOB)

    def new_envelopes(self, port: int, count: int) -> None:
        with self._adapter.connect(HOST, port, **CLEAR) as client:
            for _ in range(count):
                client.send(BODY, Envelope(SENDER, RECIPIENT))

    def big(self, port: int, count: int) -> None:
        with self._adapter.connect(HOST, port, **CLEAR) as client:
            client.send(big_body(count * MEBIBYTE), TO_BOB)

    def at_once(self, port: int, count: int) -> None:
        def send() -> None:
            self._adapter.send(BODY, HOST, port, envelope=TO_BOB, **CLEAR)

        with ThreadPoolExecutor(count) as threads:
            for done in [threads.submit(send) for _ in range(count)]:
                done.result()

    def over_tls(self, port: int, count: int) -> None:
        for _ in range(count):
            with self._adapter.connect("localhost", port, **OVER_TLS):
                pass

    def loads(self) -> Mapping[str, Work]:
        return {name: getattr(self, method) for name, method in METHODS.items()}


class Async:
    """What a program does over asyncio or trio."""

    def __init__(self, adapter: Any, run: Run, all_at_once: AllAtOnce) -> None:
        self._adapter = adapter
        self._run = run
        self._all_at_once = all_at_once

    async def sessions(self, port: int, count: int) -> None:
        for _ in range(count):
            async with self._adapter.connect(HOST, port, **CLEAR) as client:
                await client.send(BODY, TO_BOB)

    async def session(self, port: int, count: int) -> None:
        async with self._adapter.connect(HOST, port, **CLEAR) as client:
            for _ in range(count):
                await client.send(BODY, TO_BOB)

    async def new_envelopes(self, port: int, count: int) -> None:
        async with self._adapter.connect(HOST, port, **CLEAR) as client:
            for _ in range(count):
                await client.send(BODY, Envelope(SENDER, RECIPIENT))

    async def big(self, port: int, count: int) -> None:
        async with self._adapter.connect(HOST, port, **CLEAR) as client:
            await client.send(big_body(count * MEBIBYTE), TO_BOB)

    async def at_once(self, port: int, count: int) -> None:
        async def send() -> None:
            await self._adapter.send(BODY, HOST, port, envelope=TO_BOB, **CLEAR)

        await self._all_at_once(send, count)

    async def over_tls(self, port: int, count: int) -> None:
        for _ in range(count):
            async with self._adapter.connect("localhost", port, **OVER_TLS):
                pass

    def loads(self) -> Mapping[str, Work]:
        return {name: self._work(getattr(self, method)) for name, method in METHODS.items()}

    def _work(self, method: Callable[[int, int], Awaitable[None]]) -> Work:
        return lambda port, count: self._run(lambda: method(port, count))


def over_asyncio(run: Any = asyncio.run) -> Async:
    from smtpproto.adapters import asyncio as adapter

    async def all_at_once(function: Function, count: int) -> None:
        await asyncio.gather(*[function() for _ in range(count)])

    return Async(adapter, lambda main: run(main()), all_at_once)


def over_uvloop() -> Async:
    import uvloop

    return over_asyncio(uvloop.run)


def over_trio() -> Async:
    import trio

    from smtpproto.adapters import trio as adapter

    async def all_at_once(function: Function, count: int) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(count):
                nursery.start_soon(function)

    return Async(adapter, trio.run, all_at_once)


CLIENTS: Mapping[str, Callable[[], Blocking | Async]] = {
    "asyncio": over_asyncio,
    "uvloop": over_uvloop,
    "trio": over_trio,
    "blocking": Blocking,
}

if __name__ == "__main__":
    work_on_request(CLIENTS[sys.argv[1]]().loads())

"""The three adapters behind one face, so that one scenario runs on each."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, Protocol, TypeVar, Unpack

import trio

from smtpproto import Client, Handler
from smtpproto.adapters import asyncio as on_asyncio
from smtpproto.adapters import blocking as on_sockets
from smtpproto.adapters import trio as on_trio
from smtpproto.client import ClientOptions
from smtpproto.server import ServerOptions

T = TypeVar("T")
Source = Handler | Callable[[], Handler]


class Running(Protocol):
    """A server in a thread of its own."""

    port: int

    def stop(self) -> None:
        """Stop it gracefully and wait for that."""


class _Awaitable:
    """A blocking client with the face of the others; nothing it does suspends."""

    def __init__(self, client: on_sockets.Client) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._client, name)
        if not callable(value):
            return value

        async def call(*args: Any, **kwargs: Any) -> Any:
            return value(*args, **kwargs)

        return call


class _Thread:
    """A server in a thread; *start* is given what to call when it runs."""

    port: int

    def __init__(self, start: Callable[[_Thread], None]) -> None:
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=[start], daemon=True)
        self._thread.start()
        assert self._ready.wait(30)

    def _run(self, start: Callable[[_Thread], None]) -> None:
        try:
            start(self)
        except BaseException as error:
            self._error = error
        finally:
            self._ready.set()

    def running(self, port: int, leave: Callable[[], object]) -> None:
        self.port, self._leave = port, leave
        self._ready.set()

    def stop(self) -> None:
        if self._thread.is_alive():
            with suppress(RuntimeError):  # it has just ended by itself
                self._leave()
        self._thread.join(60)
        assert not self._thread.is_alive()
        if self._error is not None:
            raise self._error


class Asyncio:
    name = "asyncio"

    @staticmethod
    def serve(handler: Source, **options: Unpack[ServerOptions]) -> Running:
        async def main(thread: _Thread) -> None:
            done = asyncio.Event()
            loop = asyncio.get_running_loop()
            async with on_asyncio.serve(handler, **options) as server:
                thread.running(server.port, lambda: loop.call_soon_threadsafe(done.set))
                await done.wait()

        return _Thread(lambda thread: asyncio.run(main(thread)))

    @staticmethod
    def client(
        port: int, scenario: Callable[[Client], Awaitable[T]], **options: Unpack[ClientOptions]
    ) -> T:
        async def main() -> T:
            async with on_asyncio.connect("localhost", port, **options) as client:
                return await scenario(client)

        return asyncio.run(main())


class Trio:
    name = "trio"

    @staticmethod
    def serve(handler: Source, **options: Unpack[ServerOptions]) -> Running:
        async def main(thread: _Thread) -> None:
            done = trio.Event()
            token = trio.lowlevel.current_trio_token()
            async with on_trio.serve(handler, **options) as server:
                thread.running(server.port, lambda: token.run_sync_soon(done.set))
                await done.wait()

        return _Thread(lambda thread: trio.run(main, thread))

    @staticmethod
    def client(
        port: int, scenario: Callable[[Client], Awaitable[T]], **options: Unpack[ClientOptions]
    ) -> T:
        async def main() -> T:
            async with on_trio.connect("localhost", port, **options) as client:
                return await scenario(client)

        return trio.run(main)


class Blocking:
    name = "blocking"

    @staticmethod
    def serve(handler: Source, **options: Unpack[ServerOptions]) -> Running:
        def main(thread: _Thread) -> None:
            done = threading.Event()
            with on_sockets.serve(handler, **options) as server:
                thread.running(server.port, done.set)
                done.wait()

        return _Thread(main)

    @staticmethod
    def client(
        port: int, scenario: Callable[[Client], Awaitable[T]], **options: Unpack[ClientOptions]
    ) -> T:
        async def main(client: Any) -> T:
            return await scenario(client)

        with on_sockets.connect("localhost", port, **options) as client:
            return on_sockets.run(main(_Awaitable(client)))


class Flavour(Protocol):
    name: str

    @staticmethod
    def serve(handler: Source, **options: Unpack[ServerOptions]) -> Running: ...

    @staticmethod
    def client(
        port: int, scenario: Callable[[Client], Awaitable[T]], **options: Unpack[ClientOptions]
    ) -> T: ...


FLAVOURS: list[type[Flavour]] = [Asyncio, Trio, Blocking]


@contextmanager
def _served(flavour: type[Flavour], handler: Source, options: ServerOptions) -> Iterator[Running]:
    server = flavour.serve(handler, **options)
    try:
        yield server
    finally:
        server.stop()


def served(
    flavour: type[Flavour], handler: Source, **options: Unpack[ServerOptions]
) -> AbstractContextManager[Running]:
    """A server of *flavour* while the block runs."""
    return _served(flavour, handler, options)

"""One interface to all three adapters, so that one test runs on each of them; the asyncio adapter
runs on uvloop, too, if that is installed."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from importlib.util import find_spec
from ipaddress import ip_address
from typing import Any, Protocol, TypeVar, Unpack

import pytest
import trio

from smtpproto import Client, Handler
from smtpproto.adapters import asyncio as on_asyncio
from smtpproto.adapters import blocking as on_sockets
from smtpproto.adapters import trio as on_trio
from smtpproto.client import ClientOptions
from smtpproto.server import ServerOptions

T = TypeVar("T")
HOST = "127.0.0.1"
Source = Handler | Callable[[], Handler]


class RunningServer(Protocol):
    """A server that runs in its own thread."""

    port: int

    def stop(self) -> None:
        """Stop the server gracefully and wait until it has stopped."""


class AwaitableClient:
    """A blocking client whose methods can be awaited like those of the others; none suspends."""

    def __init__(self, client: on_sockets.Client) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._client, name)
        if not callable(value):
            return value

        async def call(*args: Any, **kwargs: Any) -> Any:
            return value(*args, **kwargs)

        return call


class _ServerThread:
    """A thread that runs a server. *start* must call :meth:`running` once the server listens."""

    port: int

    def __init__(self, start: Callable[[_ServerThread], None]) -> None:
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=[start], daemon=True)
        self._thread.start()
        assert self._ready.wait(30)

    def _run(self, start: Callable[[_ServerThread], None]) -> None:
        try:
            start(self)
        except BaseException as error:
            self._error = error
        finally:
            self._ready.set()

    def running(self, port: int, stop: Callable[[], object]) -> None:
        """Report that the server listens on *port*; *stop* ends it from another thread."""
        self.port, self._stop = port, stop
        self._ready.set()

    def stop(self) -> None:
        if self._thread.is_alive():
            with suppress(RuntimeError):  # the event loop may just have ended
                self._stop()
        self._thread.join(60)
        assert not self._thread.is_alive()
        if self._error is not None:
            raise self._error


class Asyncio:
    """The asyncio adapter: see :class:`Adapter`."""

    name = "asyncio"

    @staticmethod
    def new_loop() -> asyncio.AbstractEventLoop:
        """Return an event loop of the kind that the tests run on."""
        return asyncio.new_event_loop()

    @classmethod
    def run(cls, main: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine as ``asyncio.run`` does."""
        with asyncio.Runner(loop_factory=cls.new_loop) as runner:
            return runner.run(main)

    @classmethod
    def serve(
        cls, handler: Source, host: str = HOST, **options: Unpack[ServerOptions]
    ) -> RunningServer:
        async def main(thread: _ServerThread) -> None:
            done = asyncio.Event()
            loop = asyncio.get_running_loop()
            async with on_asyncio.serve(handler, host, **options) as server:
                thread.running(server.port, lambda: loop.call_soon_threadsafe(done.set))
                await done.wait()

        return _ServerThread(lambda thread: cls.run(main(thread)))

    @classmethod
    def client(
        cls, port: int, scenario: Callable[[Client], Awaitable[T]], **options: Unpack[ClientOptions]
    ) -> T:
        async def main() -> T:
            async with on_asyncio.connect("localhost", port, **options) as client:
                return await scenario(client)

        return cls.run(main())


class Uvloop(Asyncio):
    """The asyncio adapter on uvloop, which is missing on some systems."""

    name = "uvloop"

    @staticmethod
    def new_loop() -> asyncio.AbstractEventLoop:
        """Return a loop that resolves names by ``socket.getaddrinfo``, which tests replace."""
        loop: asyncio.AbstractEventLoop = _uvloop_class()()
        return loop


def _uvloop_class() -> Any:
    import uvloop  # noqa: PLC0415 - it does not run on every system

    class Loop(uvloop.Loop):
        async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> Any:
            with suppress(ValueError):
                ip_address(host)  # sock_connect asks for the form of an address
                return await super().getaddrinfo(host, port, **options)
            resolve = partial(socket.getaddrinfo, host, port, **options)
            return await self.run_in_executor(None, resolve)

    return Loop


class Trio:
    """The trio adapter: see :class:`Adapter`."""

    name = "trio"

    @staticmethod
    def serve(handler: Source, host: str = HOST, **options: Unpack[ServerOptions]) -> RunningServer:
        async def main(thread: _ServerThread) -> None:
            done = trio.Event()
            token = trio.lowlevel.current_trio_token()
            async with on_trio.serve(handler, host, **options) as server:
                thread.running(server.port, lambda: token.run_sync_soon(done.set))
                await done.wait()

        return _ServerThread(lambda thread: trio.run(main, thread))

    @staticmethod
    def client(
        port: int, scenario: Callable[[Client], Awaitable[T]], **options: Unpack[ClientOptions]
    ) -> T:
        async def main() -> T:
            async with on_trio.connect("localhost", port, **options) as client:
                return await scenario(client)

        return trio.run(main)


class Blocking:
    """The adapter for blocking sockets: see :class:`Adapter`."""

    name = "blocking"

    @staticmethod
    def serve(handler: Source, host: str = HOST, **options: Unpack[ServerOptions]) -> RunningServer:
        def main(thread: _ServerThread) -> None:
            done = threading.Event()
            with on_sockets.serve(handler, host, **options) as server:
                thread.running(server.port, done.set)
                done.wait()

        return _ServerThread(main)

    @staticmethod
    def client(
        port: int, scenario: Callable[[Client], Awaitable[T]], **options: Unpack[ClientOptions]
    ) -> T:
        async def main(client: Any) -> T:
            return await scenario(client)

        with on_sockets.connect("localhost", port, **options) as client:
            return on_sockets.run(main(AwaitableClient(client)))


class Adapter(Protocol):
    """An adapter under test. Each of its functions takes the same arguments for all adapters."""

    name: str

    @staticmethod
    def serve(handler: Source, host: str = HOST, **options: Unpack[ServerOptions]) -> RunningServer:
        """Start a server in a thread."""

    @staticmethod
    def client(
        port: int, scenario: Callable[[Client], Awaitable[T]], **options: Unpack[ClientOptions]
    ) -> T:
        """Connect to *port* of localhost and return the result of *scenario*."""


LOOPS: list[type[Asyncio]] = [Asyncio, *([Uvloop] if find_spec("uvloop") else [])]
ADAPTERS: list[type[Adapter]] = [*LOOPS, Trio, Blocking]

each_loop = pytest.mark.parametrize("loop", LOOPS, ids=lambda loop: loop.name)
each_client = pytest.mark.parametrize("client", ADAPTERS, ids=lambda adapter: adapter.name)
each_server = pytest.mark.parametrize("server", ADAPTERS, ids=lambda adapter: adapter.name)


@contextmanager
def _running_server(
    adapter: type[Adapter], handler: Source, host: str, options: ServerOptions
) -> Iterator[RunningServer]:
    server = adapter.serve(handler, host, **options)
    try:
        yield server
    finally:
        server.stop()


def running_server(
    adapter: type[Adapter], handler: Source, host: str = HOST, **options: Unpack[ServerOptions]
) -> AbstractContextManager[RunningServer]:
    """Run a server of *adapter* until the block ends. *host* may be the path of a Unix socket."""
    return _running_server(adapter, handler, host, options)

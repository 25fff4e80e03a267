"""SMTP over asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, Unpack, cast

from ..client import Client, ClientOptions, Pool, PoolOptions, make_pool, make_target, open_client
from ..errors import ConnectionLost, TimedOut
from ..grammar.printable import printable
from ..ports import is_path
from ..server import Conversation, HandlerSource, check_server, handler_of
from ..server.config import ServerConfig, ServerOptions
from . import listening
from .dialling import close_on_error, connect_unix, map_connect_errors
from .eyeballs import ATTEMPT_DELAY
from .receive_buffer import receive_buffer

__all__ = ["Client", "Pool", "Runtime", "Server", "Stream", "connect", "pool", "serve"]

T = TypeVar("T")

# Not the loop's default executor: clients that guess passwords could exhaust its threads.
_threads = ThreadPoolExecutor(thread_name_prefix="smtpproto")


@contextlib.asynccontextmanager
async def connect(
    host: str,
    port: int | None = None,
    *,
    sock: socket.socket | None = None,
    **options: Unpack[ClientOptions],
) -> AsyncIterator[Client]:
    """Connect, greet, upgrade to TLS and log in; send QUIT when the block ends.

    *host* may also be a URL or the path of a Unix socket, which need no *port*: see
    :mod:`~smtpproto.client.target`. If *sock* is given, the client uses this connection
    instead of a new one and closes it at the end; TLS then verifies the server as *host*.
    Options: see :class:`.ClientConfig`. Errors: see
    :func:`~smtpproto.client.connection.open_client`.
    """
    target = make_target(host, port, options)
    with close_on_error(sock):
        opened = await open_client(Runtime(sock), target.host, target.port, target.config)
    async with opened as client:
        yield client


@contextlib.asynccontextmanager
async def pool(
    host: str, port: int | None = None, **options: Unpack[PoolOptions]
) -> AsyncIterator[Pool]:
    """Keep connections to one server for many messages; send QUIT on each when the block ends.

    See :class:`~smtpproto.client.pool.Pool`. Options: see
    :class:`~smtpproto.client.pool.PoolConfig`, and those of :func:`connect`.
    """
    connections = make_pool(Runtime(), host, port, options)
    try:
        yield connections
    finally:
        await connections.close()


@contextlib.asynccontextmanager
async def serve(
    handler: HandlerSource,
    host: str = "127.0.0.1",
    port: int = 0,
    **options: Unpack[ServerOptions],
) -> AsyncIterator[Server]:
    """Serve *handler* on *host* and *port* (0: any free port) until the block ends; then stop.
    *host* may be the path of a Unix socket: see :func:`.listening.listen_unix`.

    Options: see :class:`.ServerConfig`. Raises OSError if the server cannot listen.
    """
    server = Server(handler, ServerConfig(**options))
    with listening.listen_unix(host, port) as listener:
        await server.start(host, port, listener)
        try:
            yield server
        finally:
            await server.stop()


class Server:
    """A running server."""

    def __init__(self, handler: HandlerSource, config: ServerConfig) -> None:
        self._handler, self._config = handler, config
        self._running: dict[asyncio.Task[None], Conversation] = {}

    async def start(self, host: str, port: int, listener: socket.socket | None = None) -> None:
        """Listen on *host* and *port*, or accept connections from *listener* if it is given."""
        check_server(self._handler, self._config, port)
        loop = asyncio.get_running_loop()
        if listener is None:
            self._server = await loop.create_server(self._stream, host, port)
        else:
            self._server = await loop.create_server(self._stream, sock=listener)

    @property
    def port(self) -> int:
        """The TCP port that the server listens on; 0 for a Unix socket."""
        return listening.port_of(self._server.sockets[0])

    async def wait(self) -> None:
        """Wait until the caller is cancelled."""
        await asyncio.get_running_loop().create_future()

    async def stop(self, grace: float = 30) -> None:
        """Stop accepting connections and send 421 to idle clients. Messages in flight have *grace*
        seconds to finish; then close the remaining connections."""
        try:
            await self._stop_listening()
            for conversation in self._running.values():
                conversation.stop()
            if self._running:
                await asyncio.wait(list(self._running), timeout=grace)
        finally:  # also if this task is cancelled while it waits
            for task in self._running:
                task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _stop_listening(self) -> None:
        """Give connections that were just accepted the two loop turns they need to reach _accept;
        ``close`` alone would lose them."""
        for listener in self._server.sockets:
            with contextlib.suppress(NotImplementedError):
                asyncio.get_running_loop().remove_reader(listener.fileno())
        try:
            for _ in range(2):
                await asyncio.sleep(0)
        finally:
            self._server.close()

    def _stream(self) -> Stream:
        return Stream(self._accept)

    def _accept(self, stream: Stream) -> None:
        conversation = Conversation(stream, handler_of(self._handler), self._config, Runtime())
        task = asyncio.get_running_loop().create_task(conversation.run())
        self._running[task] = conversation
        task.add_done_callback(self._running.pop)


class Runtime:
    """Implements :class:`smtpproto.ports.Runtime`. :meth:`dial` uses *connected* if it is given."""

    def __init__(self, connected: socket.socket | None = None) -> None:
        self._connected = connected

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def random(self, size: int) -> bytes:
        return secrets.token_bytes(size)

    async def checkpoint(self) -> None:
        await asyncio.sleep(0)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def semaphore(self, number: int) -> asyncio.Semaphore:
        return asyncio.Semaphore(number)

    async def in_thread(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(_threads, function)

    async def dial(
        self,
        host: str,
        port: int,
        timeout: float | None,
        source: tuple[str, int] | None = None,
    ) -> Stream:
        with map_connect_errors(host, port):
            async with asyncio.timeout(timeout):
                return await self._connect(host, port, source)

    async def _connect(self, host: str, port: int, source: tuple[str, int] | None) -> Stream:
        loop = asyncio.get_running_loop()
        if self._connected is not None:
            return (await loop.create_connection(Stream, sock=self._connected))[1]
        if is_path(host):
            return (await loop.create_unix_connection(Stream, sock=await connect_unix(self, host)))[
                1
            ]
        _, stream = await loop.create_connection(
            Stream, host, port, local_addr=source, happy_eyeballs_delay=ATTEMPT_DELAY
        )
        return stream


class Stream(asyncio.BufferedProtocol):
    """Implements :class:`smtpproto.ports.Stream`."""

    _transport: asyncio.Transport

    def __init__(self, on_connect: Callable[[Stream], None] | None = None) -> None:
        self._on_connect = on_connect
        self._buffer = receive_buffer()
        self._received: deque[bytes] = deque()
        self._ended = False
        self._error: Exception | None = None
        self._full = self._paused = False
        self._changed = asyncio.Event()
        self._closed = asyncio.get_running_loop().create_future()

    async def read(self, timeout: float | None) -> bytes:
        while not self._received:
            if self._error is not None:
                raise ConnectionLost(printable(str(self._error)))
            if self._ended:
                return b""
            await self._wait_for_change(timeout)
        data = self._received.popleft()
        if self._paused and not self._received:
            self._paused = False
            self._transport.resume_reading()
        return data

    async def write(self, data: bytes, timeout: float | None) -> None:
        if not self._closed.done():
            self._transport.write(data)
        while self._full and not self._closed.done():
            await self._wait_for_change(timeout)
        if self._closed.done():
            raise ConnectionLost("the connection is closed")

    async def close(self) -> None:
        self._transport.abort() if self._full else self._transport.close()
        try:
            with contextlib.suppress(TimeoutError):  # the peer may not read what is buffered
                async with asyncio.timeout(5):
                    await asyncio.shield(self._closed)
        finally:
            if not self._closed.done():
                self._transport.abort()

    def interrupt(self) -> None:
        self.eof_received()

    @property
    def peername(self) -> tuple[str, int]:
        return self._address("peername")

    @property
    def sockname(self) -> tuple[str, int]:
        return self._address("sockname")

    def _address(self, which: str) -> tuple[str, int]:
        address = self._transport.get_extra_info(which)
        return address[:2] if isinstance(address, tuple) else ("", 0)

    async def _wait_for_change(self, timeout: float | None) -> None:
        self._changed.clear()
        try:
            async with asyncio.timeout(timeout):
                await self._changed.wait()
        except TimeoutError:
            raise TimedOut("the peer was silent for too long") from None

    # asyncio calls the methods below.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._on_connect is not None:
            self._on_connect(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._received:  # two slices are waiting, so stop reading for now
            self._paused = True
            self._transport.pause_reading()
        self._received.append(bytes(self._buffer[:nbytes]))
        self._changed.set()

    def eof_received(self) -> bool:
        self._ended = True
        self._changed.set()
        return True  # keep the transport open: replies can still be written

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended, self._error = True, exc
        if not self._closed.done():
            self._closed.set_result(None)
        self._changed.set()

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        self._changed.set()

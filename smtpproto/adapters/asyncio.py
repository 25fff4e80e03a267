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
from .dialling import closed_on_error, dialling, unix
from .eyeballs import STAGGER
from .receive_buffer import receive_buffer

__all__ = ["Client", "Pool", "Runtime", "Server", "Stream", "connect", "pool", "serve"]

T = TypeVar("T")

# Not the application's, which those who guess passwords could keep busy.
_threads = ThreadPoolExecutor(thread_name_prefix="smtpproto")


@contextlib.asynccontextmanager
async def connect(
    host: str,
    port: int | None = None,
    *,
    sock: socket.socket | None = None,
    **options: Unpack[ClientOptions],
) -> AsyncIterator[Client]:
    """Connect, greet, upgrade to TLS and log in; quit at the end.

    *host* may be a URL or the path of a Unix socket, and *port* None: see
    :mod:`~smtpproto.client.target`. *sock*, a socket that is connected already, is used
    instead of a new one, and closed at the end; *host* then only names the server for TLS.
    Options: :class:`.ClientConfig`. Errors: see
    :func:`~smtpproto.client.connection.open_client`.
    """
    to = make_target(host, port, options)
    with closed_on_error(sock):
        opened = await open_client(Runtime(sock), to.host, to.port, to.config)
    async with opened as client:
        yield client


@contextlib.asynccontextmanager
async def pool(
    host: str, port: int | None = None, **options: Unpack[PoolOptions]
) -> AsyncIterator[Pool]:
    """Keep connections to one server for many messages, and quit at the end.

    See :class:`~smtpproto.client.pool.Pool`. Options:
    :class:`~smtpproto.client.pool.PoolConfig` and those of :func:`connect`.
    """
    members = make_pool(Runtime(), host, port, options)
    try:
        yield members
    finally:
        await members.close()


@contextlib.asynccontextmanager
async def serve(
    handler: HandlerSource,
    host: str = "127.0.0.1",
    port: int = 0,
    **options: Unpack[ServerOptions],
) -> AsyncIterator[Server]:
    """Serve *handler* on *host* and *port* (0: a free one) while the block runs; then stop.
    *host* may be the path of a Unix socket: see :func:`.listening.unix`.

    Options: :class:`.ServerConfig`. Raises OSError if it cannot listen.
    """
    server = Server(handler, ServerConfig(**options))
    with listening.unix(host, port) as listener:
        await server.start(host, port, listener)
        try:
            yield server
        finally:
            await server.stop()


class Server:
    """A server that is running."""

    def __init__(self, handler: HandlerSource, config: ServerConfig) -> None:
        self._handler, self._config = handler, config
        self._running: dict[asyncio.Task[None], Conversation] = {}

    async def start(self, host: str, port: int, listener: socket.socket | None = None) -> None:
        """Start listening, or to accept from *listener*."""
        check_server(self._handler, self._config, port)
        loop = asyncio.get_running_loop()
        if listener is None:
            self._server = await loop.create_server(self._stream, host, port)
        else:
            self._server = await loop.create_server(self._stream, sock=listener)

    @property
    def port(self) -> int:
        """The port it listens on; 0 for a Unix socket."""
        return listening.port_of(self._server.sockets[0])

    async def wait(self) -> None:
        """Wait until cancelled."""
        await asyncio.get_running_loop().create_future()

    async def stop(self, grace: float = 30) -> None:
        """Stop accepting, say 421 to the idle, let messages in flight finish for *grace* seconds,
        then cut what is left."""
        try:
            await self._stop_listening()
            for conversation in self._running.values():
                conversation.stop()
            if self._running:
                await asyncio.wait(list(self._running), timeout=grace)
        finally:  # also if we are cancelled meanwhile
            for task in self._running:
                task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _stop_listening(self) -> None:
        """Let what was just accepted arrive, which takes two turns: ``close`` would lose it."""
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
    """The port :class:`smtpproto.ports.World`. Who dials gets *connected*, if there is one."""

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
        with dialling(host, port):
            async with asyncio.timeout(timeout):
                return await self._connect(host, port, source)

    async def _connect(self, host: str, port: int, source: tuple[str, int] | None) -> Stream:
        loop = asyncio.get_running_loop()
        if self._connected is not None:
            return (await loop.create_connection(Stream, sock=self._connected))[1]
        if is_path(host):
            return (await loop.create_unix_connection(Stream, sock=await unix(self, host)))[1]
        _, stream = await loop.create_connection(
            Stream, host, port, local_addr=source, happy_eyeballs_delay=STAGGER
        )
        return stream


class Stream(asyncio.BufferedProtocol):
    """The port :class:`smtpproto.ports.Stream`."""

    _transport: asyncio.Transport

    def __init__(self, connected: Callable[[Stream], None] | None = None) -> None:
        self._connected = connected
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
            await self._change(timeout)
        data = self._received.popleft()
        if self._paused and not self._received:
            self._paused = False
            self._transport.resume_reading()
        return data

    async def write(self, data: bytes, timeout: float | None) -> None:
        if not self._closed.done():
            self._transport.write(data)
        while self._full and not self._closed.done():
            await self._change(timeout)
        if self._closed.done():
            raise ConnectionLost("the connection is closed")

    async def close(self) -> None:
        self._transport.abort() if self._full else self._transport.close()
        try:
            with contextlib.suppress(TimeoutError):  # what is buffered leaves, or nobody reads it
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

    async def _change(self, timeout: float | None) -> None:
        self._changed.clear()
        try:
            async with asyncio.timeout(timeout):
                await self._changed.wait()
        except TimeoutError:
            raise TimedOut("the peer was silent for too long") from None

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._connected is not None:
            self._connected(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._received:  # two slices wait: enough
            self._paused = True
            self._transport.pause_reading()
        self._received.append(bytes(self._buffer[:nbytes]))
        self._changed.set()

    def eof_received(self) -> bool:
        self._ended = True
        self._changed.set()
        return True  # what is left to say can still be written

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

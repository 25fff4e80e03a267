"""SMTP over asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Unpack

from ..client import Client, ClientOptions, Pool, PoolOptions, make_pool, make_target, open_client
from ..server import Conversation, HandlerSource, Usage, check_server, handler_of
from ..server.config import ServerConfig, ServerOptions
from . import listening
from .asyncio_runtime import Runtime, Stream
from .dialling import close_on_error

__all__ = ["Client", "Pool", "Runtime", "Server", "Stream", "connect", "pool", "serve"]


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
        self._usage = Usage(config.limits)
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
        conversation = Conversation(
            stream, handler_of(self._handler), self._config, Runtime(), self._usage
        )
        task = asyncio.get_running_loop().create_task(conversation.run())
        self._running[task] = conversation
        task.add_done_callback(self._running.pop)

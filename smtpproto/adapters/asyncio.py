"""SMTP over asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Coroutine
from functools import partial
from typing import Any, Unpack

from ..client import (
    Client,
    Connecting,
    ConnectOptions,
    Pool,
    PoolOptions,
    Target,
    make_pool,
    make_target,
    open_client,
    send_once,
)
from ..grammar.envelope import Envelope
from ..grammar.secret import keeps_secret
from ..mail import Source
from ..outcome import Outcome
from ..server import Conversation, HandlerSource, Usage, check_server, handler_of
from ..server.config import ServerConfig, ServerOptions
from . import listening
from .asyncio_runtime import Runtime, Stream
from .dialling import close_on_error

__all__ = ["Client", "Pool", "Runtime", "Server", "Stream", "connect", "pool", "send", "serve"]


@keeps_secret
def connect(
    host: str,
    port: int | None = None,
    *,
    sock: socket.socket | None = None,
    **options: Unpack[ConnectOptions],
) -> Connecting:
    """Connect, greet, upgrade to TLS and log in.

    Use ``async with connect(...) as client``, which sends QUIT when the block ends, or
    ``client = await connect(...)`` and later ``await client.quit()``.

    *host* may also be a URL or the path of a Unix socket, which need no *port*: see
    :mod:`~smtpproto.client.target`. If *sock* is given, the client uses this connection
    instead of a new one and closes it at the end; TLS then verifies the server as *host*.
    Options: see :class:`.ClientConfig`. Errors: see
    :func:`~smtpproto.client.connection.open_client`; those of the arguments are raised at once.
    """
    return Connecting(partial(_open, make_target(host, port, options), sock))


async def _open(target: Target, sock: socket.socket | None) -> Client:
    with close_on_error(sock):
        return await open_client(Runtime(sock), target.host, target.port, target.config)


@keeps_secret
def send(
    message: Source,
    host: str,
    port: int | None = None,
    *,
    envelope: Envelope | None = None,
    **options: Unpack[ConnectOptions],
) -> Coroutine[Any, Any, Outcome]:
    """Connect, send one message, send QUIT; ``await`` the outcome.

    *message* and *envelope*: see :meth:`~smtpproto.client.connection.Client.send`. *host*, *port*,
    options and errors: see :func:`connect`. For several messages use :func:`pool`.
    """
    return send_once(Runtime(), make_target(host, port, options), message, envelope)


@keeps_secret
def pool(host: str, port: int | None = None, **options: Unpack[PoolOptions]) -> Pool:
    """Keep connections to one server for many messages; in ``async with``, send QUIT on each when
    the block ends.

    See :class:`~smtpproto.client.pool.Pool`. Options: see
    :class:`~smtpproto.client.pool.PoolConfig`, and those of :func:`connect`.
    """
    return make_pool(Runtime(), host, port, options)


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

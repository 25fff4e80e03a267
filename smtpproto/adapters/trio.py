"""SMTP over trio."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator, Coroutine
from functools import partial
from typing import Any, Unpack

import trio

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
from .trio_runtime import Connection, Runtime, Stream

__all__ = ["Client", "Pool", "Runtime", "Server", "Stream", "connect", "pool", "send", "serve"]


@keeps_secret
def connect(
    host: str,
    port: int | None = None,
    *,
    stream: Connection | None = None,
    **options: Unpack[ConnectOptions],
) -> Connecting:
    """Connect, greet, upgrade to TLS and log in.

    Use ``async with connect(...) as client``, which sends QUIT when the block ends, or
    ``client = await connect(...)`` and later ``await client.quit()``.

    *host* may also be a URL or the path of a Unix socket, which need no *port*: see
    :mod:`~smtpproto.client.target`. If *stream* is given, the client uses this connection
    instead of a new one and closes it at the end; TLS then verifies the server as *host*.
    Options: see :class:`.ClientConfig`. Errors: see
    :func:`~smtpproto.client.connection.open_client`; those of the arguments are raised at once.
    """
    return Connecting(partial(_open, make_target(host, port, options), stream))


async def _open(target: Target, stream: Connection | None) -> Client:
    try:
        return await open_client(Runtime(stream), target.host, target.port, target.config)
    except BaseException:
        await _close_connection(stream)
        raise


async def _close_connection(connection: Connection | None) -> None:
    """Close the caller's connection, which could not be used."""
    if isinstance(connection, trio.abc.Stream):
        await trio.aclose_forcefully(connection)
    elif connection is not None:
        connection.close()


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
    async with _single_error(), trio.open_nursery() as nursery:
        server = Server(handler, ServerConfig(**options), nursery)
        with listening.listen_unix(host, port) as listener:
            await server.start(host, port, listener)
            try:
                yield server
            finally:
                await server.stop()


@contextlib.asynccontextmanager
async def _single_error() -> AsyncIterator[None]:
    """Raise an error of the block itself, not the group in which trio's nursery wraps it. The
    server's tasks raise no errors, so a group with one error holds that of the block."""
    try:
        yield
    except BaseExceptionGroup as group:
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from None
        raise


class Server:
    """A running server."""

    def __init__(self, handler: HandlerSource, config: ServerConfig, nursery: trio.Nursery) -> None:
        self._handler, self._config, self._nursery = handler, config, nursery
        self._usage = Usage(config.limits)
        self._running: set[Conversation] = set()
        self._accepting = trio.CancelScope()
        self._idle = trio.Event()

    async def start(self, host: str, port: int, listener: socket.socket | None = None) -> None:
        """Listen on *host* and *port*, or accept connections from *listener* if it is given."""
        check_server(self._handler, self._config, port)
        if listener is None:
            self._listeners = await trio.open_tcp_listeners(port, host=host)
        else:
            self._listeners = [trio.SocketListener(trio.socket.from_stdlib_socket(listener))]
        self._nursery.start_soon(self._accept_all)

    @property
    def port(self) -> int:
        """The TCP port that the server listens on; 0 for a Unix socket."""
        return listening.port_of(self._listeners[0].socket)

    async def wait(self) -> None:
        """Wait until the caller is cancelled."""
        await trio.sleep_forever()

    async def stop(self, grace: float = 30) -> None:
        """Stop accepting connections and send 421 to idle clients. Messages in flight have *grace*
        seconds to finish; then close the remaining connections."""
        self._accepting.cancel()
        for conversation in self._running:
            conversation.stop()
        with trio.move_on_after(grace):
            while self._running:
                self._idle = trio.Event()
                await self._idle.wait()
        self._nursery.cancel_scope.cancel()

    async def _accept_all(self) -> None:
        with self._accepting:
            await trio.serve_listeners(self._accept, self._listeners, handler_nursery=self._nursery)

    async def _accept(self, accepted: trio.SocketStream) -> None:
        handler = handler_of(self._handler)
        conversation = Conversation(Stream(accepted), handler, self._config, Runtime(), self._usage)
        self._running.add(conversation)
        try:
            await conversation.run()
        finally:
            self._running.discard(conversation)
            self._idle.set()

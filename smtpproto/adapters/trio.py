"""SMTP over trio."""

from __future__ import annotations

import contextlib
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from typing import TypeVar, Unpack

import trio

from ..client import Client, ClientOptions, Pool, PoolOptions, make_pool, make_target, open_client
from ..errors import ConnectionLost, TimedOut
from ..grammar.printable import printable
from ..limits import CHUNK
from ..ports import is_path
from ..server import Conversation, HandlerSource, check_server, handler_of
from ..server.config import ServerConfig, ServerOptions
from . import listening
from .dialling import connect_unix, map_connect_errors

__all__ = ["Client", "Pool", "Runtime", "Server", "Stream", "connect", "pool", "serve"]

T = TypeVar("T")

Connection = trio.abc.Stream | trio.socket.SocketType | socket.socket
"""A connection that the caller has made."""


@contextlib.asynccontextmanager
async def connect(
    host: str,
    port: int | None = None,
    *,
    stream: Connection | None = None,
    **options: Unpack[ClientOptions],
) -> AsyncIterator[Client]:
    """Connect, greet, upgrade to TLS and log in; send QUIT when the block ends.

    *host* may also be a URL or the path of a Unix socket, which need no *port*: see
    :mod:`~smtpproto.client.target`. If *stream* is given, the client uses this connection
    instead of a new one and closes it at the end; TLS then verifies the server as *host*.
    Options: see :class:`.ClientConfig`. Errors: see
    :func:`~smtpproto.client.connection.open_client`.
    """
    target = make_target(host, port, options)
    try:
        opened = await open_client(Runtime(stream), target.host, target.port, target.config)
    except BaseException:
        await _close_connection(stream)
        raise
    async with opened as client:
        yield client


async def _close_connection(connection: Connection | None) -> None:
    """Close the caller's connection, which could not be used."""
    if isinstance(connection, trio.abc.Stream):
        await trio.aclose_forcefully(connection)
    elif connection is not None:
        connection.close()


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
        conversation = Conversation(Stream(accepted), handler, self._config, Runtime())
        self._running.add(conversation)
        try:
            await conversation.run()
        finally:
            self._running.discard(conversation)
            self._idle.set()


class Runtime:
    """Implements :class:`smtpproto.ports.Runtime`. :meth:`dial` uses *connected* if it is given."""

    def __init__(self, connected: Connection | None = None) -> None:
        self._connected = connected

    def now(self) -> float:
        return trio.current_time()

    def random(self, size: int) -> bytes:
        return secrets.token_bytes(size)

    async def checkpoint(self) -> None:
        await trio.lowlevel.checkpoint()

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)

    def semaphore(self, number: int) -> trio.Semaphore:
        return trio.Semaphore(number)

    async def in_thread(self, function: Callable[[], T]) -> T:
        # A cancelled task abandons the thread, so a stopping server does not wait for it.
        return await trio.to_thread.run_sync(function, abandon_on_cancel=True)

    async def dial(
        self,
        host: str,
        port: int,
        timeout: float | None,
        source: tuple[str, int] | None = None,
    ) -> Stream:
        with map_connect_errors(host, port):
            with trio.move_on_after(_seconds(timeout)):
                return Stream(await self._connect(host, port, source))
            raise TimeoutError

    async def _connect(
        self, host: str, port: int, source: tuple[str, int] | None
    ) -> trio.abc.Stream:
        connected = self._connected
        if isinstance(connected, socket.socket):
            connected = trio.socket.from_stdlib_socket(connected)
        if isinstance(connected, trio.socket.SocketType):
            return trio.SocketStream(connected)
        if connected is not None:
            return connected
        if is_path(host):
            return trio.SocketStream(trio.socket.from_stdlib_socket(await connect_unix(self, host)))
        if source is None or not source[1]:
            address = None if source is None else source[0]
            return await trio.open_tcp_stream(host, port, local_address=address)
        return await _connect_from_port(host, port, source)


async def _connect_from_port(host: str, port: int, source: tuple[str, int]) -> trio.SocketStream:
    """Connect from a given local port, to one address of *host* after the other. trio's happy
    eyeballs cannot do this."""
    errors: list[OSError] = []
    for family, kind, protocol, _, address in await trio.socket.getaddrinfo(
        host, port, type=trio.socket.SOCK_STREAM
    ):
        connecting = trio.socket.socket(family, kind, protocol)
        try:
            await connecting.bind(source)
            await connecting.connect(address)
            return trio.SocketStream(connecting)
        except OSError as error:
            connecting.close()
            errors.append(error)
    raise OSError("all addresses failed") from ExceptionGroup("all failed", errors)


class Stream:
    """Implements :class:`smtpproto.ports.Stream`."""

    def __init__(self, connected: trio.abc.Stream) -> None:
        self._socket = connected
        self._reading = trio.CancelScope()
        self._interrupted = False

    async def read(self, timeout: float | None) -> bytes:
        if self._interrupted:
            return b""
        self._reading = trio.CancelScope(deadline=trio.current_time() + _seconds(timeout))
        with self._reading:
            try:
                return bytes(await self._socket.receive_some(CHUNK))
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise ConnectionLost(printable(str(error.__cause__ or error))) from None
        if self._interrupted:
            return b""
        raise TimedOut("the peer was silent for too long")

    async def write(self, data: bytes, timeout: float | None) -> None:
        try:
            with trio.fail_after(_seconds(timeout)):
                await self._socket.send_all(data)
        except trio.TooSlowError:
            raise TimedOut("the peer did not read for too long") from None
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise ConnectionLost("the connection is closed") from None

    async def close(self) -> None:
        with contextlib.suppress(trio.BrokenResourceError):  # the caller's stream may raise it
            await self._socket.aclose()

    def interrupt(self) -> None:
        self._interrupted = True
        self._reading.cancel()

    @property
    def peername(self) -> tuple[str, int]:
        return self._address("getpeername")

    @property
    def sockname(self) -> tuple[str, int]:
        return self._address("getsockname")

    def _address(self, which: str) -> tuple[str, int]:
        with contextlib.suppress(OSError, AttributeError):  # the caller's stream may have no socket
            match getattr(self._socket.socket, which)():  # type: ignore[attr-defined]
                case (str(host), int(port), *_):
                    return host, port
        return "", 0


def _seconds(timeout: float | None) -> float:
    return float("inf") if timeout is None else timeout

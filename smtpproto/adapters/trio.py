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
from .dialling import dialling, unix

__all__ = ["Client", "Pool", "Runtime", "Server", "Stream", "connect", "pool", "serve"]

T = TypeVar("T")

Given = trio.abc.Stream | trio.socket.SocketType | socket.socket
"""A connection that somebody else has made."""


@contextlib.asynccontextmanager
async def connect(
    host: str,
    port: int | None = None,
    *,
    stream: Given | None = None,
    **options: Unpack[ClientOptions],
) -> AsyncIterator[Client]:
    """Connect, greet, upgrade to TLS and log in; quit at the end.

    *host* may be a URL or the path of a Unix socket, and *port* None: see
    :mod:`~smtpproto.client.target`. *stream*, trio's or a socket, connected already, is used
    instead of a new one, and closed at the end; *host* then only names the server for TLS.
    Options: :class:`.ClientConfig`. Errors: see
    :func:`~smtpproto.client.connection.open_client`.
    """
    to = make_target(host, port, options)
    try:
        opened = await open_client(Runtime(stream), to.host, to.port, to.config)
    except BaseException:
        await _close(stream)
        raise
    async with opened as client:
        yield client


async def _close(given: Given | None) -> None:
    """Close what was given, and could not be used."""
    if isinstance(given, trio.abc.Stream):
        await trio.aclose_forcefully(given)
    elif given is not None:
        given.close()


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
    async with _one_error(), trio.open_nursery() as nursery:
        server = Server(handler, ServerConfig(**options), nursery)
        with listening.unix(host, port) as listener:
            await server.start(host, port, listener)
            try:
                yield server
            finally:
                await server.stop()


@contextlib.asynccontextmanager
async def _one_error() -> AsyncIterator[None]:
    """Let an error leave the block as it is: our own tasks raise none that would join it."""
    try:
        yield
    except BaseExceptionGroup as group:
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from None
        raise


class Server:
    """A server that is running."""

    def __init__(self, handler: HandlerSource, config: ServerConfig, nursery: trio.Nursery) -> None:
        self._handler, self._config, self._nursery = handler, config, nursery
        self._running: set[Conversation] = set()
        self._accepting = trio.CancelScope()
        self._idle = trio.Event()

    async def start(self, host: str, port: int, listener: socket.socket | None = None) -> None:
        """Start listening, or to accept from *listener*."""
        check_server(self._handler, self._config, port)
        if listener is None:
            self._listeners = await trio.open_tcp_listeners(port, host=host)
        else:
            self._listeners = [trio.SocketListener(trio.socket.from_stdlib_socket(listener))]
        self._nursery.start_soon(self._accept_all)

    @property
    def port(self) -> int:
        """The port it listens on; 0 for a Unix socket."""
        return listening.port_of(self._listeners[0].socket)

    async def wait(self) -> None:
        """Wait until cancelled."""
        await trio.sleep_forever()

    async def stop(self, grace: float = 30) -> None:
        """Stop accepting, say 421 to the idle, let messages in flight finish for *grace* seconds,
        then cut what is left."""
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
    """The port :class:`smtpproto.ports.World`. Who dials gets *connected*, if there is one."""

    def __init__(self, connected: Given | None = None) -> None:
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
        # Left to end by itself if we are cancelled: a server that stops does not wait for it.
        return await trio.to_thread.run_sync(function, abandon_on_cancel=True)

    async def dial(
        self,
        host: str,
        port: int,
        timeout: float | None,
        source: tuple[str, int] | None = None,
    ) -> Stream:
        with dialling(host, port):
            with trio.move_on_after(_seconds(timeout)):
                return Stream(await self._connect(host, port, source))
            raise TimeoutError

    async def _connect(
        self, host: str, port: int, source: tuple[str, int] | None
    ) -> trio.abc.Stream:
        given = self._connected
        if isinstance(given, socket.socket):
            given = trio.socket.from_stdlib_socket(given)
        if isinstance(given, trio.socket.SocketType):
            return trio.SocketStream(given)
        if given is not None:
            return given
        if is_path(host):
            return trio.SocketStream(trio.socket.from_stdlib_socket(await unix(self, host)))
        if source is None or not source[1]:
            address = None if source is None else source[0]
            return await trio.open_tcp_stream(host, port, local_address=address)
        return await _from_port(host, port, source)


async def _from_port(host: str, port: int, source: tuple[str, int]) -> trio.SocketStream:
    """Connect from a port, which trio's happy eyeballs cannot: to one address after the other."""
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
    """The port :class:`smtpproto.ports.Stream`."""

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
        with contextlib.suppress(trio.BrokenResourceError):  # of a stream of the user's
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
        with contextlib.suppress(OSError, AttributeError):  # the latter for what has no socket
            match getattr(self._socket.socket, which)():  # type: ignore[attr-defined]
                case (str(host), int(port), *_):
                    return host, port
        return "", 0


def _seconds(timeout: float | None) -> float:
    return float("inf") if timeout is None else timeout

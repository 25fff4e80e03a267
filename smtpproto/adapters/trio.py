"""SMTP over trio."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Unpack

import trio

from ..errors import ConnectFailed, ConnectionLost, TimedOut
from ..grammar.printable import printable
from ..limits import CHUNK
from ..session.client import Client, open_client
from ..session.handler import HandlerSource, handler_of
from ..session.options import ClientConfig, ClientOptions, ServerConfig, ServerOptions
from ..session.server import Conversation
from ..session.serving import check


@contextlib.asynccontextmanager
async def connect(
    host: str, port: int = 587, **options: Unpack[ClientOptions]
) -> AsyncIterator[Client]:
    """Connect, greet, upgrade to TLS and log in; quit at the end.

    Options: :class:`~smtpproto.session.options.ClientConfig`. Errors: see
    :func:`~smtpproto.session.client.open_client`.
    """
    async with await open_client(World(), host, port, ClientConfig(**options)) as client:
        yield client


@contextlib.asynccontextmanager
async def serve(
    handler: HandlerSource,
    host: str = "127.0.0.1",
    port: int = 0,
    **options: Unpack[ServerOptions],
) -> AsyncIterator[Server]:
    """Serve *handler* on *host* and *port* (0: a free one) while the block runs; then stop.

    Options: :class:`~smtpproto.session.options.ServerConfig`. Raises OSError if it cannot listen.
    """
    async with _one_error(), trio.open_nursery() as nursery:
        server = Server(handler, ServerConfig(**options), nursery)
        await server.start(host, port)
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

    async def start(self, host: str, port: int) -> None:
        """Start listening."""
        check(self._handler, self._config, port)
        self._listeners = await trio.open_tcp_listeners(port, host=host)
        self._nursery.start_soon(self._accept_all)

    @property
    def port(self) -> int:
        """The port it listens on."""
        port: int = self._listeners[0].socket.getsockname()[1]
        return port

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

    async def _accept(self, socket: trio.SocketStream) -> None:
        handler = handler_of(self._handler)
        conversation = Conversation(Stream(socket), handler, self._config, World())
        self._running.add(conversation)
        try:
            await conversation.run()
        finally:
            self._running.discard(conversation)
            self._idle.set()


class World:
    """The port :class:`smtpproto.ports.World`."""

    def now(self) -> float:
        return trio.current_time()

    async def checkpoint(self) -> None:
        await trio.lowlevel.checkpoint()

    async def dial(self, host: str, port: int, timeout: float | None) -> Stream:
        try:
            with trio.fail_after(_seconds(timeout)):
                return Stream(await trio.open_tcp_stream(host, port))
        except trio.TooSlowError:
            raise TimedOut(f"no connection to {host}, {port} in time", phase="connect") from None
        except (OSError, ValueError, OverflowError) as error:  # the latter for what is no host name
            raise ConnectFailed(printable(str(error)), phase="connect") from None


class Stream:
    """The port :class:`smtpproto.ports.Stream`."""

    def __init__(self, socket: trio.SocketStream) -> None:
        self._socket = socket
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
        await self._socket.aclose()

    def interrupt(self) -> None:
        self._interrupted = True
        self._reading.cancel()

    @property
    def peername(self) -> tuple[str, int]:
        return self._address(self._socket.socket.getpeername)

    @property
    def sockname(self) -> tuple[str, int]:
        return self._address(self._socket.socket.getsockname)

    @staticmethod
    def _address(ask: Callable[[], object]) -> tuple[str, int]:
        with contextlib.suppress(OSError):
            match ask():
                case (str(host), int(port), *_):
                    return host, port
        return "", 0


def _seconds(timeout: float | None) -> float:
    return float("inf") if timeout is None else timeout

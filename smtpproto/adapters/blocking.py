"""SMTP over blocking sockets; a server runs a thread for each connection."""

from __future__ import annotations

import contextlib
import secrets
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar, Unpack

from ..client import ClientOptions, PoolOptions, make_pool, make_target, open_client
from ..errors import ConnectionLost, TimedOut
from ..grammar.printable import printable
from ..limits import CHUNK
from ..ports import is_path
from ..server import Conversation, HandlerSource, check_server, handler_of
from ..server.config import ServerConfig, ServerOptions
from . import eyeballs, listening
from .dialling import closed_on_error, dialling, unix
from .facade import Client, Pool, run

__all__ = ["Client", "Pool", "Runtime", "Server", "Stream", "connect", "pool", "run", "serve"]

T = TypeVar("T")


def connect(
    host: str,
    port: int | None = None,
    *,
    sock: socket.socket | None = None,
    **options: Unpack[ClientOptions],
) -> Client:
    """Connect, greet, upgrade to TLS and log in. Use it in ``with``, to quit at the end.

    *host* may be a URL or the path of a Unix socket, and *port* None: see
    :mod:`~smtpproto.client.target`. *sock*, a socket that is connected already, is used
    instead of a new one, and closed at the end; *host* then only names the server for TLS.
    Options: :class:`.ClientConfig`. Errors: see
    :func:`~smtpproto.client.connection.open_client`.
    """
    to = make_target(host, port, options)
    with closed_on_error(sock):
        return Client(run(open_client(Runtime(sock), to.host, to.port, to.config)))


def pool(host: str, port: int | None = None, **options: Unpack[PoolOptions]) -> Pool:
    """Keep connections to one server for many messages, and quit at the end; used in ``with``.

    See :class:`~smtpproto.client.pool.Pool`. Options:
    :class:`~smtpproto.client.pool.PoolConfig` and those of :func:`connect`.
    """
    return Pool(make_pool(Runtime(), host, port, options))


@contextlib.contextmanager
def serve(
    handler: HandlerSource,
    host: str = "127.0.0.1",
    port: int = 0,
    **options: Unpack[ServerOptions],
) -> Iterator[Server]:
    """Serve *handler* on *host* and *port* (0: a free one) while the block runs; then stop.
    *host* may be the path of a Unix socket: see :func:`.listening.unix`.

    Options: :class:`.ServerConfig`. Raises OSError if it cannot listen.
    Hooks are called in the connections' threads; they may be ``async`` only if they never suspend.
    """
    server = Server(handler, ServerConfig(**options))
    with listening.unix(host, port) as listener:
        server.start(host, port, listener)
        try:
            yield server
        finally:
            server.stop()


class Server:
    """A server that is running."""

    def __init__(self, handler: HandlerSource, config: ServerConfig) -> None:
        self._handler, self._config = handler, config
        self._running: dict[threading.Thread, tuple[Conversation, Stream]] = {}
        self._stopping = threading.Event()

    def start(self, host: str, port: int, listener: socket.socket | None = None) -> None:
        """Start listening, or to accept from *listener*."""
        check_server(self._handler, self._config, port)
        self._listener = listener or listening.tcp(host, port)
        self._wake, self._woken = socket.socketpair()
        self._acceptor = threading.Thread(target=self._accept_all, daemon=True)
        self._acceptor.start()

    @property
    def port(self) -> int:
        """The port it listens on; 0 for a Unix socket."""
        return listening.port_of(self._listener)

    def wait(self) -> None:
        """Wait until stopped."""
        self._stopping.wait()

    def stop(self, grace: float = 30) -> None:
        """Stop accepting, say 421 to the idle, let messages in flight finish for *grace* seconds,
        then cut what is left."""
        self._stopping.set()
        self._wake.close()
        self._acceptor.join()
        running = dict(self._running)
        for conversation, _ in running.values():
            conversation.stop()
        end = time.monotonic() + grace
        for thread, (_, stream) in running.items():
            thread.join(max(end - time.monotonic(), 0))
            if thread.is_alive():
                stream.abort()
                thread.join(1)  # a hook that is still busy is left to end by itself

    def _accept_all(self) -> None:
        with self._listener, self._woken, selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while not self._stopping.is_set():
                selector.select()
                if not self._stopping.is_set():
                    self._accept()

    def _accept(self) -> None:
        try:
            stream = Stream(self._listener.accept()[0])
        except OSError:  # no more files, most likely: let some connections end
            self._stopping.wait(1)
            return
        conversation = Conversation(stream, handler_of(self._handler), self._config, Runtime())
        thread = threading.Thread(target=self._converse, args=[conversation], daemon=True)
        self._running[thread] = conversation, stream
        try:
            thread.start()
        except RuntimeError:  # no more threads
            del self._running[thread]
            run(stream.close())

    def _converse(self, conversation: Conversation) -> None:
        try:
            run(conversation.run())
        finally:
            del self._running[threading.current_thread()]


class Runtime:
    """The port :class:`smtpproto.ports.World`. Who dials gets *connected*, if there is one."""

    def __init__(self, connected: socket.socket | None = None) -> None:
        self._connected = connected

    def now(self) -> float:
        return time.monotonic()

    def random(self, size: int) -> bytes:
        return secrets.token_bytes(size)

    async def checkpoint(self) -> None:
        """Nothing to do: threads take turns by themselves."""

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def semaphore(self, number: int) -> _Slots:
        return _Slots(number)

    async def in_thread(self, function: Callable[[], T]) -> T:
        """At once: each connection has a thread already."""
        return function()

    async def dial(
        self,
        host: str,
        port: int,
        timeout: float | None,
        source: tuple[str, int] | None = None,
    ) -> Stream:
        if self._connected is not None:
            return Stream(self._connected)
        with dialling(host, port):
            if is_path(host):
                return Stream(await unix(self, host, timeout))
            return Stream(eyeballs.connect(host, port, timeout, source))


class _Slots:
    """The port :class:`smtpproto.ports.Slots`."""

    def __init__(self, number: int) -> None:
        self._semaphore = threading.Semaphore(number)

    async def acquire(self) -> None:
        self._semaphore.acquire()

    def release(self) -> None:
        self._semaphore.release()


class Stream:
    """The port :class:`smtpproto.ports.Stream`."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        with contextlib.suppress(OSError):  # not TCP
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def read(self, timeout: float | None) -> bytes:
        try:
            self._socket.settimeout(_seconds(timeout))
            return self._socket.recv(CHUNK)
        except TimeoutError:
            raise TimedOut("the peer was silent for too long") from None
        except OSError as error:
            raise ConnectionLost(printable(str(error))) from None

    async def write(self, data: bytes, timeout: float | None) -> None:
        try:
            self._socket.settimeout(_seconds(timeout))
            self._socket.sendall(data)
        except TimeoutError:
            raise TimedOut("the peer did not read for too long") from None
        except OSError as error:
            raise ConnectionLost(printable(str(error))) from None

    async def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.close()

    def interrupt(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RD)

    def abort(self) -> None:
        """Cut the connection, whatever a thread is doing with it."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    @property
    def peername(self) -> tuple[str, int]:
        return self._address(self._socket.getpeername)

    @property
    def sockname(self) -> tuple[str, int]:
        return self._address(self._socket.getsockname)

    @staticmethod
    def _address(ask: Callable[[], object]) -> tuple[str, int]:
        with contextlib.suppress(OSError):
            match ask():
                case (str(host), int(port), *_):
                    return host, port
        return "", 0


def _seconds(timeout: float | None) -> float | None:
    return None if timeout is None else max(timeout, 0.001)  # 0 would mean not to block at all

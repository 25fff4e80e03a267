"""SMTP over blocking sockets; a server runs one thread for each connection."""

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
from .dialling import close_on_error, connect_unix, map_connect_errors
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
    """Connect, greet, upgrade to TLS and log in; in ``with``, send QUIT when the block ends.

    *host* may also be a URL or the path of a Unix socket, which need no *port*: see
    :mod:`~smtpproto.client.target`. If *sock* is given, the client uses this connection
    instead of a new one and closes it at the end; TLS then verifies the server as *host*.
    Options: see :class:`.ClientConfig`. Errors: see
    :func:`~smtpproto.client.connection.open_client`.
    """
    target = make_target(host, port, options)
    with close_on_error(sock):
        return Client(run(open_client(Runtime(sock), target.host, target.port, target.config)))


def pool(host: str, port: int | None = None, **options: Unpack[PoolOptions]) -> Pool:
    """Keep connections to one server for many messages; in ``with``, send QUIT at the end.

    See :class:`~smtpproto.client.pool.Pool`. Options: see
    :class:`~smtpproto.client.pool.PoolConfig`, and those of :func:`connect`.
    """
    return Pool(make_pool(Runtime(), host, port, options))


@contextlib.contextmanager
def serve(
    handler: HandlerSource,
    host: str = "127.0.0.1",
    port: int = 0,
    **options: Unpack[ServerOptions],
) -> Iterator[Server]:
    """Serve *handler* on *host* and *port* (0: any free port) until the block ends; then stop.
    *host* may be the path of a Unix socket: see :func:`.listening.listen_unix`.

    Options: see :class:`.ServerConfig`. Raises OSError if the server cannot listen.
    Hooks run in the threads of the connections. An ``async`` hook must never suspend.
    """
    server = Server(handler, ServerConfig(**options))
    with listening.listen_unix(host, port) as listener:
        server.start(host, port, listener)
        try:
            yield server
        finally:
            server.stop()


class Server:
    """A running server."""

    def __init__(self, handler: HandlerSource, config: ServerConfig) -> None:
        self._handler, self._config = handler, config
        self._running: dict[threading.Thread, tuple[Conversation, Stream]] = {}
        self._stopping = threading.Event()

    def start(self, host: str, port: int, listener: socket.socket | None = None) -> None:
        """Listen on *host* and *port*, or accept connections from *listener* if it is given."""
        check_server(self._handler, self._config, port)
        self._listener = listener or listening.listen_tcp(host, port)
        self._wake, self._woken = socket.socketpair()
        self._acceptor = threading.Thread(target=self._accept_all, daemon=True)
        self._acceptor.start()

    @property
    def port(self) -> int:
        """The TCP port that the server listens on; 0 for a Unix socket."""
        return listening.port_of(self._listener)

    def wait(self) -> None:
        """Wait until the server is stopped."""
        self._stopping.wait()

    def stop(self, grace: float = 30) -> None:
        """Stop accepting connections and send 421 to idle clients. Messages in flight have *grace*
        seconds to finish; then close the remaining connections."""
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
                thread.join(1)  # do not wait longer for a hook that is still busy

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
        except OSError:  # most likely too many open files: wait for some connections to end
            self._stopping.wait(1)
            return
        conversation = Conversation(stream, handler_of(self._handler), self._config, Runtime())
        thread = threading.Thread(target=self._converse, args=[conversation], daemon=True)
        self._running[thread] = conversation, stream
        try:
            thread.start()
        except RuntimeError:  # the system starts no more threads
            del self._running[thread]
            run(stream.close())

    def _converse(self, conversation: Conversation) -> None:
        try:
            run(conversation.run())
        finally:
            del self._running[threading.current_thread()]


class Runtime:
    """Implements :class:`smtpproto.ports.Runtime`. :meth:`dial` uses *connected* if it is given."""

    def __init__(self, connected: socket.socket | None = None) -> None:
        self._connected = connected

    def now(self) -> float:
        return time.monotonic()

    def random(self, size: int) -> bytes:
        return secrets.token_bytes(size)

    async def checkpoint(self) -> None:
        """Do nothing: the system switches between threads."""

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def semaphore(self, number: int) -> _Semaphore:
        return _Semaphore(number)

    async def in_thread(self, function: Callable[[], T]) -> T:
        """Call *function* at once: each connection has its own thread."""
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
        with map_connect_errors(host, port):
            if is_path(host):
                return Stream(await connect_unix(self, host, timeout))
            return Stream(eyeballs.connect(host, port, timeout, source))


class _Semaphore:
    """Implements :class:`smtpproto.ports.Semaphore`."""

    def __init__(self, number: int) -> None:
        self._semaphore = threading.Semaphore(number)

    async def acquire(self) -> None:
        self._semaphore.acquire()

    def release(self) -> None:
        self._semaphore.release()


class Stream:
    """Implements :class:`smtpproto.ports.Stream`."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        with contextlib.suppress(OSError):  # the socket is not TCP
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
        """Close the connection, also while another thread reads or writes."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    @property
    def peername(self) -> tuple[str, int]:
        return self._address(self._socket.getpeername)

    @property
    def sockname(self) -> tuple[str, int]:
        return self._address(self._socket.getsockname)

    @staticmethod
    def _address(get_name: Callable[[], object]) -> tuple[str, int]:
        with contextlib.suppress(OSError):
            match get_name():
                case (str(host), int(port), *_):
                    return host, port
        return "", 0


def _seconds(timeout: float | None) -> float | None:
    return None if timeout is None else max(timeout, 0.001)  # 0 would make it non-blocking

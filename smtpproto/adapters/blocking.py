"""SMTP over blocking sockets; a server runs one thread for each connection."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from typing import Unpack

from ..client import ConnectOptions, PoolOptions, make_pool, make_target, open_client, send_once
from ..grammar.envelope import Envelope
from ..grammar.secret import keeps_secret
from ..mail import Source
from ..outcome import Outcome
from ..server import Conversation, HandlerSource, Usage, check_server, handler_of
from ..server.config import ServerConfig, ServerOptions
from . import listening
from .blocking_runtime import Runtime, Stream
from .dialling import close_on_error
from .facade import Client, Pool, run

__all__ = [
    "Client",
    "Pool",
    "Runtime",
    "Server",
    "Stream",
    "connect",
    "pool",
    "run",
    "send",
    "serve",
]


def connect(
    host: str,
    port: int | None = None,
    *,
    sock: socket.socket | None = None,
    **options: Unpack[ConnectOptions],
) -> Client:
    """Connect, greet, upgrade to TLS and log in; in ``with``, send QUIT when the block ends.

    *host* may also be a URL or the path of a Unix socket, which need no *port*: see
    :mod:`~smtpproto.client.target`. If *sock* is given, the client uses this connection
    instead of a new one and closes it at the end; TLS then verifies the server as *host*.
    Options: see :class:`.ClientConfig`. Errors: see
    :func:`~smtpproto.client.connection.open_client`.
    """
    try:
        target = make_target(host, port, options)
    finally:
        del host, options  # there may be a password in them, and tracebacks can show locals
    with close_on_error(sock):
        return Client(run(open_client(Runtime(sock), target.host, target.port, target.config)))


def send(
    message: Source,
    host: str,
    port: int | None = None,
    *,
    envelope: Envelope | None = None,
    **options: Unpack[ConnectOptions],
) -> Outcome:
    """Connect, send one message, send QUIT, and return the outcome.

    *message* and *envelope*: see :meth:`~smtpproto.client.connection.Client.send`. *host*, *port*,
    options and errors: see :func:`connect`. For several messages use :func:`pool`.
    """
    try:
        target = make_target(host, port, options)
    finally:
        del host, options
    return run(send_once(Runtime(), target, message, envelope))


@keeps_secret
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
        self._usage = Usage(config.limits, threading.Lock())
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
        conversation = Conversation(
            stream, handler_of(self._handler), self._config, Runtime(), self._usage
        )
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

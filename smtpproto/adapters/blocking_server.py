"""A server over blocking sockets, with one thread for each connection."""

from __future__ import annotations

import contextlib
import selectors
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Unpack

from ..server import Conversation, HandlerSource
from . import listening
from .blocking_runtime import Runtime, Stream
from .dialling import close_on_error
from .facade import run
from .listening import HostOption
from .serving import LAST, ServeOptions, ServerBase


@contextlib.contextmanager
def serve(
    handler: HandlerSource,
    host: HostOption = "127.0.0.1",
    port: int = 0,
    **options: Unpack[ServeOptions],
) -> Iterator[Server]:
    """Serve *handler* until the block ends; then stop, with *grace*: see :meth:`Server.stop`.

    The arguments are those of :class:`Server`. Raises OSError if the server cannot listen.
    """
    server = Server(handler, host, port, **options)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def serve_forever(
    handler: HandlerSource,
    host: HostOption = "127.0.0.1",
    port: int = 0,
    *,
    on_start: Callable[[Server], object] = bool,
    **options: Unpack[ServeOptions],
) -> None:
    """Serve *handler* until SIGTERM or SIGINT arrives; then stop, with *grace*.

    See :meth:`Server.serve_forever`. The other arguments are those of :class:`Server`. Raises
    OSError if the server cannot listen.
    """
    Server(handler, host, port, **options).serve_forever(on_start)


class Server(ServerBase):
    """A server of *handler* on *host* and *port*.

    *host* is a name, an address, the absolute path of a Unix socket, or several of them. ``""`` and
    None are all interfaces, ``"localhost"`` is 127.0.0.1 and ::1: see :func:`.listening.listen`.
    Port 0 is any free port. *grace* is the default of :meth:`stop`. Options: see
    :class:`.ServerConfig`. Hooks run in the threads of the
    connections. An ``async`` hook must never suspend, and nothing can interrupt a hook.
    """

    def _prepare(self) -> None:
        self._runtime = Runtime()
        self._running: dict[threading.Thread, tuple[Stream, Conversation]] = {}
        self._stopped = threading.Event()
        self._must_stop = threading.Event()
        self._on_stop: Callable[[], object] = bool  # wakes serve_forever

    def start(self) -> None:
        """Listen, and accept connections in a thread until :meth:`stop`. A server starts only once.

        Raises OSError if it cannot listen.
        """
        wake, woken = socket.socketpair()
        with close_on_error(wake), close_on_error(woken):
            listeners = self._listen()
        self._wake = wake
        self._accepting = threading.Thread(
            target=self._accept_all, args=[listeners, woken], daemon=True
        )
        self._accepting.start()

    def wait(self) -> None:
        """Wait until the server has stopped."""
        self._check_started()
        self._stopped.wait()

    def serve_forever(self, on_start: Callable[[Server], object] = bool) -> None:
        """Serve until SIGTERM or SIGINT arrives, or :meth:`stop` is called; then stop gracefully.

        Starts the server, unless it has been started, and then calls *on_start* with it. During the
        stop, signals have their former effect: a second SIGINT interrupts it. Outside the main
        thread, no signals are handled. Raises OSError if the server cannot listen.
        """
        near, far = socket.socketpair()
        try:
            with near, far, _signals_to(near):
                self._on_stop = lambda: near.send(b"\0")
                if self._listeners is None:
                    self.start()
                on_start(self)
                if not self._must_stop.is_set():
                    far.recv(1)
        finally:
            self._on_stop = bool
            self.stop()

    def stop(self, grace: float | None = None) -> None:
        """Stop accepting connections and send 421 to idle clients. Messages in flight have *grace*
        seconds to finish (None: the server's own); then close the remaining connections.

        What runs at the end of a connection has a few seconds more. A hook that is still busy then
        is abandoned, which is logged; its thread does not keep the program from ending. Does
        nothing if the server is not running.
        """
        if self._listeners is None or self._stopped.is_set():
            return
        self._stop_accepting()
        for _, conversation in list(self._running.values()):
            conversation.stop()
        try:
            self._join(self._grace if grace is None else grace)
        finally:
            for stream, _ in list(self._running.values()):
                stream.abort()
            self._join(LAST)
            self._log_stop(len(self._running))
            self._stopped.set()

    def _stop_accepting(self) -> None:
        self._stopping = True
        self._must_stop.set()
        with contextlib.suppress(OSError):  # it is closed already
            self._on_stop()
        self._wake.close()
        self._accepting.join(LAST)

    def _join(self, seconds: float) -> None:
        """Wait at most *seconds* until all connections have ended, except that of this thread, if a
        hook stops the server."""
        end = time.monotonic() + seconds
        for thread in list(self._running):
            if thread is not threading.current_thread():
                thread.join(max(end - time.monotonic(), 0))

    # -- accepting ---------------------------------------------------------------------------

    def _accept_all(self, listeners: listening.Listeners, woken: socket.socket) -> None:
        with woken, selectors.DefaultSelector() as selector, contextlib.closing(listeners):
            selector.register(woken, selectors.EVENT_READ)
            for listener in listeners.sockets:
                selector.register(listener, selectors.EVENT_READ)
            while not self._must_stop.is_set():
                for key, _ in selector.select():
                    if key.fileobj is not woken:
                        self._accept(key.fileobj)  # type: ignore[arg-type]
            for listener in listeners.sockets:
                self._acceptor.accept(listener)

    def _accept(self, listener: socket.socket) -> None:
        if self._acceptor.accept(listener):
            self._must_stop.wait(listening.ACCEPT_PAUSE)

    def _begin(self, connected: socket.socket) -> None:
        stream = Stream(connected)
        conversation = self._converse(stream)
        thread = threading.Thread(target=self._serve, args=[conversation], daemon=True)
        self._running[thread] = stream, conversation
        try:
            thread.start()
        except RuntimeError as error:
            del self._running[thread]
            connected.close()
            raise OSError(str(error)) from None

    def _serve(self, conversation: Conversation) -> None:
        try:
            run(conversation.run())
        finally:
            del self._running[threading.current_thread()]


@contextlib.contextmanager
def _signals_to(near: socket.socket) -> Iterator[None]:
    """Let SIGTERM and SIGINT write an octet to *near*; then restore their former effect."""
    near.setblocking(False)
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: None) for number in numbers}
    wakeup = signal.set_wakeup_fd(near.fileno())
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)

"""A server over asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Unpack

from ..server import Conversation, HandlerSource
from . import asyncio_calls, listening
from .asyncio_runtime import Runtime, Stream, close_after_failure, stream_over
from .listening import HostOption
from .serving import LAST, ServeOptions, ServerBase


@contextlib.asynccontextmanager
async def serve(
    handler: HandlerSource,
    host: HostOption = "127.0.0.1",
    port: int = 0,
    **options: Unpack[ServeOptions],
) -> AsyncIterator[Server]:
    """Serve *handler* until the block ends; then stop, with *grace*: see :meth:`Server.stop`.

    The arguments are those of :class:`Server`. Raises OSError if the server cannot listen.
    """
    server = Server(handler, host, port, **options)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def serve_forever(
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
    await Server(handler, host, port, **options).serve_forever(on_start)


class Server(ServerBase):
    """A server of *handler* on *host* and *port*.

    *host* is a name, an address, the absolute path of a Unix socket, or several of them. ``""`` and
    None are all interfaces, ``"localhost"`` is 127.0.0.1 and ::1: see :func:`.listening.listen`.
    Port 0 is any free port. *grace* is the default of :meth:`stop`. Options: see
    :class:`.ServerConfig`.
    """

    def _prepare(self) -> None:
        self._runtime = Runtime()
        # Each task with its stream and conversation, which begin when there is a transport.
        self._running: dict[asyncio.Task[None], tuple[Stream, Conversation] | None] = {}
        self._accepting: dict[socket.socket, Callable[[], object]] = {}  # each with its end
        self._stopped = asyncio.Event()
        self._must_stop = asyncio.Event()

    async def start(self) -> None:
        """Listen, and accept connections until :meth:`stop`. A server starts only once.

        Raises OSError if it cannot listen.
        """
        self._loop = asyncio.get_running_loop()  # raises RuntimeError before anything is opened
        for listener in self._listen().sockets:
            self._accept_from(listener)

    async def wait(self) -> None:
        """Wait until the server has stopped."""
        self._check_started()
        await self._stopped.wait()

    async def serve_forever(self, on_start: Callable[[Server], object] = bool) -> None:
        """Serve until SIGTERM or SIGINT arrives, or :meth:`stop` is called; then stop gracefully.

        Starts the server, unless it has been started, and then calls *on_start* with it. During the
        stop, signals have their former effect: a second SIGINT interrupts it. Outside the main
        thread, no signals are handled. Raises OSError if the server cannot listen.
        """
        try:
            with on_signals(self._must_stop.set):
                if self._listeners is None:
                    await self.start()
                on_start(self)
                await self._must_stop.wait()
        finally:
            await self.stop()

    async def stop(self, grace: float | None = None) -> None:
        """Stop accepting connections and send 421 to idle clients. Messages in flight have *grace*
        seconds to finish (None: the server's own); then close the remaining connections.

        What runs at the end of a connection, and hooks that ignore that they are cancelled, have a
        few seconds more. Then they are abandoned, which is logged. Does nothing if the server is
        not running.
        """
        if self._listeners is None or self._stopped.is_set():
            return
        self._stop_accepting()
        for connection in filter(None, self._running.values()):
            connection[1].stop()
        try:
            await self._wait_for_connections(self._grace if grace is None else grace)
        finally:  # also if this task is cancelled while it waits
            self._cancel_connections()
            try:
                await self._wait_for_connections(LAST)
            finally:
                self._log_stop(len(self._running))
                self._stopped.set()

    def _stop_accepting(self) -> None:
        self._stopping = True
        self._must_stop.set()
        if self._listeners is not None and self._accepting:
            for end in self._accepting.values():
                end()
            self._accepting.clear()
            for listener in self._listeners.sockets:
                self._acceptor.accept(listener)
            self._listeners.close()

    def _cancel_connections(self) -> None:
        for task, connection in self._running.items():
            asyncio_calls.end(task)
            if connection is not None:
                connection[0].abort()

    async def _wait_for_connections(self, seconds: float) -> None:
        if self._running:
            await asyncio.wait(list(self._running), timeout=seconds)

    # -- accepting ---------------------------------------------------------------------------

    def _accept_from(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            loop.add_reader(listener, self._accept, listener)
        except NotImplementedError:  # on Windows
            self._accepting[listener] = loop.create_task(self._accept_forever(listener)).cancel
        else:
            self._accepting[listener] = lambda: loop.remove_reader(listener)

    def _accept(self, listener: socket.socket) -> None:
        """Accept the connections that have arrived at *listener*."""
        if self._acceptor.accept(listener):
            loop = asyncio.get_running_loop()
            loop.remove_reader(listener)
            timer = loop.call_later(listening.ACCEPT_PAUSE, self._accept_from, listener)
            self._accepting[listener] = timer.cancel

    async def _accept_forever(self, listener: socket.socket) -> None:
        while True:
            try:
                connected, _ = await asyncio.get_running_loop().sock_accept(listener)
            except OSError as error:
                if self._acceptor.must_pause(error):
                    await asyncio.sleep(listening.ACCEPT_PAUSE)
            else:
                self._begin(connected)

    def _begin(self, connected: socket.socket) -> None:
        task = self._loop.create_task(self._serve(connected))
        self._running[task] = None
        task.add_done_callback(partial(self._end, connected))

    def _end(self, connected: socket.socket, task: asyncio.Task[None]) -> None:
        if self._running.pop(task) is None:  # the task was cancelled before it ran, for example
            close_after_failure(connected)

    async def _serve(self, connected: socket.socket) -> None:
        try:
            stream = await stream_over(connected)
        except OSError:  # the client has left already
            return
        conversation = self._converse(stream)
        self._running[asyncio_calls.current_task()] = stream, conversation
        await conversation.run()


@contextlib.contextmanager
def on_signals(stop: Callable[[], object]) -> Iterator[None]:
    """Call *stop* at the first SIGTERM or SIGINT; a second one has its former effect.

    These are handlers of the loop, because they wake it: a signal that arrives just before the loop
    waits would otherwise go unnoticed until the next event. On systems where loops have no signal
    handlers, Ctrl-C cancels the task, which stops the server too.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def handle(number: int) -> None:
        loop.remove_signal_handler(number)
        signal.signal(number, before[signal.Signals(number)])
        stop()

    with contextlib.suppress(NotImplementedError):
        for number in before:
            loop.add_signal_handler(number, handle, number)
    try:
        yield
    finally:
        for number, handler in before.items():
            with contextlib.suppress(NotImplementedError):
                loop.remove_signal_handler(number)
            signal.signal(number, handler)

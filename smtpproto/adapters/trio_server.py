"""A server over trio."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from typing import Unpack

import trio

from ..server import Conversation, HandlerSource
from . import listening
from .listening import HostOption
from .serving import LAST, ServeOptions, ServerBase
from .trio_runtime import Runtime, Stream


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
    trio.lowlevel.current_trio_token()  # raises RuntimeError outside trio
    async with _single_error(), trio.open_nursery() as nursery:
        server = Server(handler, host, port, **options)
        await server.start(nursery)
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


def _signal_receiver() -> AbstractContextManager[AsyncIterator[int] | None]:
    if threading.current_thread() is not threading.main_thread():
        return contextlib.nullcontext()
    return trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM)


class Server(ServerBase):
    """A server of *handler* on *host* and *port*.

    *host* is a name, an address, the absolute path of a Unix socket, or several of them. ``""`` and
    None are all interfaces, ``"localhost"`` is 127.0.0.1 and ::1: see :func:`.listening.listen`.
    Port 0 is any free port. *grace* is the default of :meth:`stop`. Options: see
    :class:`.ServerConfig`.
    """

    def _prepare(self) -> None:
        self._runtime = Runtime()
        self._running: set[Conversation] = set()
        self._accepting = trio.CancelScope()
        self._waiting_for_ends = trio.lowlevel.ParkingLot()
        self._stopped = trio.Event()
        self._must_stop = trio.Event()
        self._nursery: trio.Nursery

    async def start(self, nursery: trio.Nursery) -> None:
        """Listen, and serve in a task of *nursery* until :meth:`stop`. A server starts only once.

        Raises OSError if it cannot listen.
        """
        await nursery.start(self._run)

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
        watching = trio.CancelScope()
        async with _single_error(), trio.open_nursery() as nursery:
            try:
                with _signal_receiver() as signals:
                    if self._listeners is None:
                        await self.start(nursery)
                    on_start(self)
                    nursery.start_soon(self._watch, signals, watching)
                    await self._must_stop.wait()
            finally:
                watching.cancel()
                await self.stop()

    async def _watch(self, signals: AsyncIterator[int] | None, watching: trio.CancelScope) -> None:
        """Let a signal stop the server."""
        with watching:
            if signals is not None:
                await anext(signals)
                self._must_stop.set()

    async def stop(self, grace: float | None = None) -> None:
        """Stop accepting connections and send 421 to idle clients. Messages in flight have *grace*
        seconds to finish (None: the server's own); then close the remaining connections.

        What runs at the end of a connection, and hooks that ignore that they are cancelled, have a
        few seconds more. A hook that shields itself from being cancelled must bound its own time:
        trio cannot end it. This is logged. Does nothing if the server is not running.
        """
        if self._listeners is None or self._stopped.is_set():
            return
        self._stop_accepting()
        for conversation in self._running:
            conversation.stop()
        try:
            with trio.move_on_after(self._grace if grace is None else grace):
                while self._running:
                    await self._waiting_for_ends.park()
        finally:
            self._nursery.cancel_scope.cancel()
        with trio.move_on_after(LAST):
            await self._stopped.wait()
        self._log_stop(len(self._running))

    def _stop_accepting(self) -> None:
        self._must_stop.set()
        if not self._stopping and self._listeners is not None:
            self._stopping = True
            self._accepting.cancel()
            for listener in self._listeners.sockets:
                self._acceptor.accept(listener)

    # -- accepting ---------------------------------------------------------------------------

    async def _run(self, task_status: trio.TaskStatus[None]) -> None:
        listeners = self._listen()
        try:
            async with trio.open_nursery() as self._nursery:
                self._nursery.start_soon(self._accept_all, listeners)
                task_status.started()
        finally:
            listeners.close()
            self._stopped.set()

    async def _accept_all(self, listeners: listening.Listeners) -> None:
        with self._accepting:
            async with trio.open_nursery() as nursery:
                for listener in listeners.sockets:
                    nursery.start_soon(self._accept_from, listener)
        listeners.close()

    async def _accept_from(self, listener: socket.socket) -> None:
        while True:
            await trio.lowlevel.wait_readable(listener)
            if self._acceptor.accept(listener):
                await trio.sleep(listening.ACCEPT_PAUSE)

    def _begin(self, connected: socket.socket) -> None:
        conversation = self._converse(Stream(connected))
        self._running.add(conversation)
        self._nursery.start_soon(self._serve, conversation)

    async def _serve(self, conversation: Conversation) -> None:
        try:
            await conversation.run()
        finally:
            self._running.discard(conversation)
            self._waiting_for_ends.unpark_all()

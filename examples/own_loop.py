"""An event loop of your own, and the adapter that runs clients and servers on it.

The loop is fifty lines over ``selectors``. The adapter replaces what would block in the runtime and
the stream of blocking sockets; all else of them stays.
"""

from __future__ import annotations

import heapq
import itertools
import selectors
import socket
import threading
import time
import types
from collections import deque
from collections.abc import Awaitable, Coroutine, Generator
from contextlib import closing
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any, TypeVar

from smtpproto import (
    ClientOptions,
    ConnectFailed,
    ConnectionLost,
    Envelope,
    Handler,
    Outcome,
    Session,
    TimedOut,
)
from smtpproto.adapters import blocking
from smtpproto.client import make_target, open_client
from smtpproto.ports import raise_contained
from smtpproto.server import Conversation, ServerConfig, Usage

T = TypeVar("T")
Task = Coroutine[Any, Any, None]
Wait = tuple[socket.socket | None, int, float | None]

# -- the loop ------------------------------------------------------------------------------------


@types.coroutine
def wait(
    ready: socket.socket | None, event: int, seconds: float | None
) -> Generator[Wait, bool, bool]:
    """Suspend the task until the socket is *ready* for *event*, at most so many *seconds*; return
    False if the time is over."""
    return (yield ready, event, seconds)


class Loop:
    """Runs tasks, each until it waits."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._ready: deque[tuple[Task, bool | None]] = deque()
        self._parked: dict[Task, tuple[int, socket.socket | None]] = {}
        self._timers: list[tuple[float, int, Task]] = []
        self._numbers = itertools.count()

    def start(self, task: Task) -> None:
        self._ready.append((task, None))

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run all tasks until *main* has its result; return it."""
        results: list[T] = []

        async def run_main() -> None:
            results.append(await main)

        self.start(run_main())
        while not results:
            while self._ready:
                self._advance(*self._ready.popleft())
            if not results:
                self._wake_some()
        return results[0]

    def close(self) -> None:
        """End all tasks that have not ended."""
        for task in [*self._parked, *(task for task, _ in self._ready)]:
            task.close()
        self._selector.close()

    def _advance(self, task: Task, in_time: bool | None) -> None:
        try:
            ready, event, seconds = task.send(in_time)
        except StopIteration:
            return
        number = next(self._numbers)
        self._parked[task] = number, ready
        if ready is not None:
            self._selector.register(ready, event, task)
        if seconds is not None:
            heapq.heappush(self._timers, (time.monotonic() + seconds, number, task))

    def _wake_some(self) -> None:
        seconds = max(self._timers[0][0] - time.monotonic(), 0) if self._timers else None
        for key, _ in self._selector.select(seconds):
            self._wake(key.data, True)
        while self._timers and self._timers[0][0] <= time.monotonic():
            _, number, task = heapq.heappop(self._timers)
            if self._parked.get(task, (-1, None))[0] == number:
                self._wake(task, False)

    def _wake(self, task: Task, in_time: bool) -> None:
        _, ready = self._parked.pop(task)
        if ready is not None:
            self._selector.unregister(ready)
        self._ready.append((task, in_time))


# -- the adapter ---------------------------------------------------------------------------------


class Stream(blocking.Stream):
    """A connection whose reads and writes wait in the loop."""

    def __init__(self, connected: socket.socket) -> None:
        super().__init__(connected)
        self._connected = connected

    async def read(self, timeout: float | None) -> bytes:
        while True:
            try:
                return await super().read(0)  # what has arrived already
            except TimedOut:
                if timeout == 0 or not await wait(self._connected, EVENT_READ, timeout):
                    raise

    async def write(self, data: bytes, timeout: float | None) -> None:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self._connected.send(rest) :]
            except BlockingIOError:
                if not await wait(self._connected, EVENT_WRITE, timeout):
                    raise TimedOut("the peer did not read for too long") from None
            except OSError as error:
                raise ConnectionLost(str(error)) from None


class Runtime(blocking.Runtime):
    """Waits and dials in the loop, where the runtime of blocking sockets would block."""

    async def checkpoint(self) -> None:
        await wait(None, 0, 0)

    async def sleep(self, seconds: float) -> None:
        await wait(None, 0, seconds)

    async def within(self, seconds: float | None, awaitable: Awaitable[T]) -> T:
        """Await an ``async`` hook. This loop cannot cancel it after *seconds*."""
        try:
            return await awaitable
        except BaseException as error:
            raise_contained(error)

    finish_within = within

    async def dial(
        self, host: str, port: int, timeout: float | None, source: tuple[str, int] | None = None
    ) -> Stream:
        connecting = socket.socket()
        connecting.setblocking(False)
        connecting.connect_ex((host, port))  # looking up a name blocks
        if not await wait(connecting, EVENT_WRITE, timeout):
            connecting.close()
            raise TimedOut(f"{host}, port {port} did not answer")
        if connecting.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            connecting.close()
            raise ConnectFailed(f"cannot connect to {host}, port {port}")
        return Stream(connecting)


async def serve(loop: Loop, handler: Handler, listener: socket.socket) -> None:
    """Serve *handler* to each client that connects to *listener*."""
    config, runtime = ServerConfig(hostname="mx.example.org"), Runtime()
    usage = Usage(config.limits, threading.Lock())
    listener.setblocking(False)
    while await wait(listener, EVENT_READ, None):
        connected, _ = listener.accept()
        loop.start(Conversation(Stream(connected), handler, config, runtime, usage).run())


async def send(message: bytes, host: str, port: int, envelope: Envelope) -> Outcome:
    """Connect, send one message, and quit."""
    options: ClientOptions = {"tls": "none"}
    target = make_target(host, port, options)
    async with await open_client(Runtime(), *target) as client:
        return await client.send(message, envelope)


# -- a client and a server on one loop -----------------------------------------------------------


class Inbox(Handler):
    async def message(self, session: Session, envelope: Envelope, body: bytes) -> None:
        await wait(None, 0, 0.01)  # a hook may wait in the loop, too
        print(f"received {len(body)} octets")


def main() -> None:
    with closing(Loop()) as loop, socket.create_server(("127.0.0.1", 0)) as listener:
        loop.start(serve(loop, Inbox(), listener))
        envelope = Envelope("ann@example.org", "bob@example.org")
        port: int = listener.getsockname()[1]
        print(loop.run(send(b"Subject: hello\r\n", "127.0.0.1", port, envelope)))


if __name__ == "__main__":
    main()

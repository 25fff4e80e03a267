"""A network in memory with faults and a simulated clock; one integer reproduces a run.

::

    simulation = Simulation(seed=7, cut_at=12)
    simulation.listen(25, handler, ServerConfig())

    async def client() -> None:
        async with await open_client(simulation, "mx.example", 25, ClientConfig()) as client:
            await client.send(message)

    simulation.run(client())

No real time passes. The seed decides which coroutine runs next, and how much of what has arrived
each read returns. When all coroutines wait, the clock jumps to the first deadline.
"""

from __future__ import annotations

import random
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Hashable,
    Iterable,
)
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from attrs import define, field

from ..errors import ConnectFailed, ConnectionLost, TimedOut
from ..limits import CHUNK
from ..ports import Event, Tasks, as_coroutine, raise_contained, took_too_long
from ..server.config import ServerConfig
from ..server.conversation import Conversation
from ..server.handler import HandlerSource
from ..server.usage import Usage

T = TypeVar("T")

EPOCH = 1767225600.0  # seconds since the epoch at the start of a simulation


class Deadlock(AssertionError):
    """All coroutines wait, and none has a deadline."""


@define(eq=False)
class _Wait:
    """What a coroutine yields to the scheduler: resume it when *ready*, or at *deadline*."""

    ready: Callable[[], bool]
    deadline: float

    def __await__(self) -> Generator[_Wait, None, None]:
        yield self


@define(eq=False)
class _Task:
    coroutine: Coroutine[Any, Any, Any]
    wait: _Wait | None = None
    result: Any = None
    error: BaseException | None = None


class Simulation:
    """A seeded network, clock and scheduler. Implements :class:`smtpproto.ports.Runtime`.

    *cut_at* breaks the connection at the n-th read or write on any stream, counted from 0; of the
    octets in flight, the seed decides how many arrive. None breaks no connection.
    """

    def __init__(self, seed: int, *, cut_at: int | None = None) -> None:
        self.dice: random.Random = random.Random(seed)
        self.operations: int = 0
        self._cut_at = cut_at
        self._now = 0.0
        self._tasks: list[_Task] = []
        self._servers: dict[int, tuple[HandlerSource, ServerConfig, Usage]] = {}
        self.conversations: list[Conversation] = []

    # -- the runtime -------------------------------------------------------------------------

    def now(self) -> float:
        """Return the seconds since the start. The clock moves only when all coroutines wait."""
        return self._now

    def utc(self) -> float:
        """Return the seconds since the epoch: the simulation starts on 1 January 2026."""
        return EPOCH + self._now

    def random(self, size: int) -> bytes:
        """Return octets that the seed decides."""
        return self.dice.randbytes(size)

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock has jumped *seconds* ahead."""
        await _Wait(lambda: False, self._now + seconds)

    def semaphore(self, number: int) -> SimulatedSemaphore:
        """Return a semaphore of *number* slots. The seed decides which waiter gets a free slot."""
        return SimulatedSemaphore(self, number)

    def event(self) -> Event:
        """Return an event."""
        return SimulatedEvent(self)

    @asynccontextmanager
    async def tasks(self) -> AsyncIterator[Tasks]:
        """Run tasks beside those of the test. What one raises is raised by :meth:`run`."""
        running = SimulatedTasks(self)
        try:
            yield running
        except BaseException:
            running.cancel()
            raise
        await self.wait(lambda: not running.running, None)

    async def within(self, seconds: float | None, awaitable: Awaitable[T]) -> T:
        """Return the result of *awaitable*, which may wait for what this simulation offers. Close
        it after *seconds*, and raise CallAborted."""
        deadline = float("inf") if seconds is None else self._now + seconds
        coroutine = as_coroutine(awaitable)
        while True:
            try:
                wait: _Wait = coroutine.send(None)
            except StopIteration as stop:
                returned: T = stop.value
                return returned
            except BaseException as error:
                raise_contained(error)
            await _Wait(wait.ready, min(wait.deadline, deadline))
            if seconds is not None and not wait.ready() and wait.deadline > deadline <= self._now:
                coroutine.close()
                raise took_too_long(seconds)

    finish_within = within  # a simulation cancels nothing

    async def in_thread(self, function: Callable[[], T]) -> T:
        """Call *function* at once: there are no threads."""
        return function()

    async def wait_for(self, future: Future[T]) -> T:
        """Wait for a thread of the test itself. No simulated time passes."""
        return future.result()

    def shared(self, key: Hashable, paths: Iterable[str], make: Callable[[], T]) -> T:
        """Call *make* each time."""
        return make()

    async def checkpoint(self) -> None:
        """Let the seed decide which coroutine runs next."""
        await _Wait(lambda: True, self._now)

    async def dial(
        self, host: str, port: int, timeout: float | None, source: tuple[str, int] | None = None
    ) -> SimulatedStream:
        """Connect to the server on *port*. Raises ConnectFailed if there is none."""
        if port not in self._servers:
            raise ConnectFailed(f"nothing listens on port {port}", phase="connect")
        handler, config, usage = self._servers[port]
        near, far = self.pair()
        near.peername, far.sockname = (near.peername[0], port), (far.sockname[0], port)
        conversation = Conversation(far, handler, config, self, usage)
        self.conversations.append(conversation)
        self._tasks.append(_Task(conversation.run()))
        return near

    def listen(self, port: int, handler: HandlerSource, config: ServerConfig) -> None:
        """Serve *handler* on *port*."""
        self._servers[port] = handler, config, Usage(config.limits)

    def pair(self) -> tuple[SimulatedStream, SimulatedStream]:
        """Return the two ends of a new connection."""
        near, far = SimulatedStream(self), SimulatedStream(self)
        near.peer, far.peer = far, near
        return near, far

    # -- the scheduler -----------------------------------------------------------------------

    def run(self, *coroutines: Coroutine[Any, Any, Any]) -> list[Any]:
        """Run *coroutines*, and the servers they dial, until all have ended; return their results.

        If one of them raises, that error is raised after all have ended. Raises Deadlock if all
        wait and none has a deadline.
        """
        ours = [_Task(coroutine) for coroutine in coroutines]
        self._tasks += ours
        while self._tasks:
            runnable = [task for task in self._tasks if self._is_ready(task)]
            if runnable:
                self._step(self.dice.choice(runnable))
            else:
                self._jump()
        for task in ours:
            if task.error is not None:
                raise task.error
        return [task.result for task in ours]

    async def wait(self, ready: Callable[[], bool], timeout: float | None) -> bool:
        """Wait at most *timeout* seconds until *ready* is true; return whether it is."""
        deadline = float("inf") if timeout is None else self._now + timeout
        if not ready():
            await _Wait(ready, deadline)
        return ready()

    def _is_ready(self, task: _Task) -> bool:
        wait = task.wait
        return wait is None or wait.ready() or wait.deadline <= self._now

    def _step(self, task: _Task) -> None:
        try:
            task.wait = task.coroutine.send(None)
            return
        except StopIteration as stop:
            task.result = stop.value
        except BaseException as error:
            task.error = error
        self._tasks.remove(task)

    def _jump(self) -> None:
        deadline = min(task.wait.deadline for task in self._tasks if task.wait is not None)
        if deadline == float("inf"):
            raise Deadlock(f"{len(self._tasks)} coroutines wait forever")
        self._now = deadline

    def count(self, stream: SimulatedStream) -> None:
        """Count a read or a write, and cut the connection if its number is *cut_at*."""
        if self.operations == self._cut_at:
            stream.cut()
        self.operations += 1


@define(eq=False)
class SimulatedEvent:
    """Implements :class:`smtpproto.ports.Event`."""

    _simulation: Simulation
    _is_set: bool = False

    def set(self) -> None:
        self._is_set = True

    async def wait(self, timeout: float | None) -> None:
        await self._simulation.wait(lambda: self._is_set, timeout)
        self._is_set = False


@define(eq=False)
class SimulatedTasks:
    """Implements :class:`smtpproto.ports.Tasks`."""

    _simulation: Simulation
    _tasks: list[_Task] = field(factory=list, init=False)

    @property
    def running(self) -> bool:
        """Whether one of the tasks has not ended."""
        self._tasks = [task for task in self._tasks if task in self._simulation._tasks]
        return bool(self._tasks)

    def start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = _Task(coroutine)
        self._tasks.append(task)
        self._simulation._tasks.append(task)

    def cancel(self) -> None:
        for task in self._tasks:
            if task in self._simulation._tasks:
                self._simulation._tasks.remove(task)
                task.coroutine.close()


@define(eq=False)
class SimulatedSemaphore:
    """Implements :class:`smtpproto.ports.Semaphore`."""

    _simulation: Simulation
    free: int

    async def acquire(self) -> None:
        while not self.free:
            await self._simulation.wait(lambda: self.free > 0, None)
        self.free -= 1

    def release(self) -> None:
        self.free += 1


@define(eq=False)
class SimulatedStream:
    """One end of a connection in memory. Implements :class:`smtpproto.ports.Stream`."""

    _simulation: Simulation
    peer: SimulatedStream = field(init=False)

    peername: tuple[str, int] = ("192.0.2.1", 25)
    sockname: tuple[str, int] = ("192.0.2.2", 49152)
    _arrived: bytearray = field(factory=bytearray, init=False)
    _ended: bool = field(default=False, init=False)
    _broken: bool = field(default=False, init=False)

    async def read(self, timeout: float | None) -> bytes:
        self._simulation.count(self)
        if not await self._simulation.wait(lambda: bool(self._arrived) or self._ended, timeout):
            raise TimedOut("the peer was silent for too long")
        if not self._arrived and self._broken and self._simulation.dice.random() < 0.5:
            raise ConnectionLost("connection reset by peer")
        size = self._simulation.dice.randint(1, min(len(self._arrived), CHUNK) or 1)
        octets = bytes(self._arrived[:size])
        del self._arrived[:size]
        return octets

    async def write(self, data: bytes, timeout: float | None) -> None:
        if not self._broken:
            self.peer._arrived += data  # before the cut, which may lose any part of it
        self._simulation.count(self)
        if self._broken and self._simulation.dice.random() < 0.5:
            raise ConnectionLost("broken pipe")  # half of the time the writer notices only later

    async def end(self) -> None:
        self.peer._ended = True

    async def close(self) -> None:
        self._ended = self.peer._ended = True

    def interrupt(self) -> None:
        self._ended = True

    def cut(self) -> None:
        """Break the connection. Of the unread octets, the seed decides how many still arrive."""
        for end in (self, self.peer):
            end._broken = end._ended = True
            del end._arrived[self._simulation.dice.randint(0, len(end._arrived)) :]

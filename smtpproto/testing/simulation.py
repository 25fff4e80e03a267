"""A network in memory with faults, and a clock that jumps: one integer reproduces a run.

::

    simulation = Simulation(seed=7, cut_at=12)
    simulation.listen(25, handler, ServerConfig())

    async def client() -> None:
        async with await open_client(simulation, "mx.example", 25, ClientConfig()) as client:
            await client.send(message)

    simulation.run(client())

Nothing here waits for real: coroutines are stepped in an order that the seed decides, reads give
what has arrived cut at places that the seed decides, and when all wait the clock jumps to the
first deadline.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar

from attrs import define, field

from ..errors import ConnectFailed, ConnectionLost, TimedOut
from ..limits import CHUNK
from ..server.config import ServerConfig
from ..server.conversation import Conversation
from ..server.handler import HandlerSource, handler_of

T = TypeVar("T")


class Deadlock(AssertionError):
    """All wait, and nothing will ever happen."""


@define(eq=False)
class _Wait:
    """What a coroutine yields: wake me when *ready*, or at *deadline*."""

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
    """A seeded world: network, clock and scheduler. Implements :class:`smtpproto.ports.World`.

    *cut_at* breaks the connection at the n-th read or write on any stream, counted from 0; what
    is on its way then arrives up to a place that the seed decides. None never does.
    """

    def __init__(self, seed: int, *, cut_at: int | None = None) -> None:
        self.dice = random.Random(seed)
        self.operations = 0
        self._cut_at = cut_at
        self._now = 0.0
        self._tasks: list[_Task] = []
        self._servers: dict[int, tuple[HandlerSource, ServerConfig]] = {}
        self.conversations: list[Conversation] = []

    # -- the world ---------------------------------------------------------------------------

    def now(self) -> float:
        """Seconds since the start; they pass only when all wait."""
        return self._now

    def random(self, size: int) -> bytes:
        """What the seed gives."""
        return self.dice.randbytes(size)

    async def sleep(self, seconds: float) -> None:
        """Let the clock jump."""
        await _Wait(lambda: False, self._now + seconds)

    def semaphore(self, number: int) -> SimulatedSlots:
        """So many places; the seed decides who gets one."""
        return SimulatedSlots(self, number)

    async def in_thread(self, function: Callable[[], T]) -> T:
        """There are no threads."""
        return function()

    async def checkpoint(self) -> None:
        """Let the seed choose who goes on."""
        await _Wait(lambda: True, self._now)

    async def dial(
        self,
        host: str,
        port: int,
        timeout: float | None,
        source: tuple[str, int] | None = None,
    ) -> SimulatedStream:
        """Connect to what listens on *port*."""
        if port not in self._servers:
            raise ConnectFailed(f"nothing listens on port {port}", phase="connect")
        handler, config = self._servers[port]
        near, far = self.pair()
        conversation = Conversation(far, handler_of(handler), config, self)
        self.conversations.append(conversation)
        self._tasks.append(_Task(conversation.run()))
        return near

    def listen(self, port: int, handler: HandlerSource, config: ServerConfig) -> None:
        """Serve *handler* on *port*."""
        self._servers[port] = handler, config

    def pair(self) -> tuple[SimulatedStream, SimulatedStream]:
        """Two streams, each the other's peer."""
        near, far = SimulatedStream(self), SimulatedStream(self)
        near.peer, far.peer = far, near
        return near, far

    # -- the scheduler -----------------------------------------------------------------------

    def run(self, *coroutines: Coroutine[Any, Any, Any]) -> list[Any]:
        """Run *coroutines*, and the servers they dial, until all have ended; their results.

        An error that ends one of them is raised when all have ended. Raises Deadlock.
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
        """Wait for *ready*, at most *timeout* seconds; whether it is."""
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
            raise Deadlock(f"{len(self._tasks)} coroutines wait for ever")
        self._now = deadline

    def count(self, stream: SimulatedStream) -> None:
        """Count a read or a write, and cut the connection if it is the one."""
        if self.operations == self._cut_at:
            stream.cut()
        self.operations += 1


@define(eq=False)
class SimulatedSlots:
    """Implements :class:`smtpproto.ports.Slots`."""

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
            self.peer._arrived += data  # before the cut: it may lose any part of this
        self._simulation.count(self)
        if self._broken and self._simulation.dice.random() < 0.5:
            raise ConnectionLost("broken pipe")  # the other half of the time nobody notices yet

    async def close(self) -> None:
        self._ended = self.peer._ended = True

    def interrupt(self) -> None:
        self._ended = True

    def cut(self) -> None:
        """Break the connection; what has not been read arrives in part or not at all."""
        for end in (self, self.peer):
            end._broken = end._ended = True
            del end._arrived[self._simulation.dice.randint(0, len(end._arrived)) :]

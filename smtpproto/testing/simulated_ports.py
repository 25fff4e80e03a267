"""The ports of a simulation, but for those that reach other hosts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Hashable, Iterable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import Any, Generic, Protocol, TypeVar

from attrs import define, field

from ..errors import ConnectionLost, TimedOut
from ..limits import CHUNK
from ..ports import Event, Tasks, as_coroutine, raise_contained, took_too_long
from .scheduler import Cancelled, Scheduler, Source, Task, Wait, always, as_wait, never

__all__ = [
    "EPOCH", "Faults", "SimulatedEvent", "SimulatedRuntime", "SimulatedSemaphore",
    "SimulatedStream", "SimulatedTasks",
]  # fmt: skip

T = TypeVar("T")
S = TypeVar("S", bound=Scheduler)

EPOCH = 1767225600.0  # seconds since the epoch at the start of a simulation
_INFINITY = float("inf")
_UNWIND = 1.0  # seconds for a call to end after it was cancelled
_HANDSHAKE = b"\x16\x03"  # the first octets of a record of TLS with a handshake


class SimulatedRuntime(Generic[S]):
    """The part of :class:`smtpproto.ports.Runtime` that is the same on all hosts."""

    _scheduler: S

    def now(self) -> float:
        """Return the seconds since the start. The clock moves only when all coroutines wait."""
        return self._scheduler._now

    def utc(self) -> float:
        """Return the seconds since the epoch: the simulation starts on 1 January 2026. The clock
        jumps with :meth:`.Simulation.shift_utc`."""
        return EPOCH + self._scheduler._now + self._scheduler.utc_offset

    def random(self, size: int) -> bytes:
        """Return octets that the seed decides."""
        return self._scheduler.dice.randbytes(size)

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock has jumped *seconds* ahead."""
        await Wait(never, self._scheduler._now + seconds)

    def semaphore(self, number: int) -> SimulatedSemaphore:
        """Return a semaphore of *number* slots. The seed decides which waiter gets a free slot."""
        return SimulatedSemaphore(self._scheduler, number)

    def event(self) -> Event:
        """Return an event."""
        return SimulatedEvent(self._scheduler)

    @asynccontextmanager
    async def tasks(self) -> AsyncIterator[Tasks]:
        """Run tasks beside those of the test. What one raises is raised at once by
        :meth:`Simulation.run`."""
        running = SimulatedTasks(self._scheduler, self._owner)
        try:
            yield running
        except BaseException:
            running.cancel()
            raise
        await running.ended()

    @property
    def _owner(self) -> Hashable:
        return None

    async def within(self, seconds: float | None, awaitable: Awaitable[T]) -> T:
        """Return the result of *awaitable*, which may wait for what this simulation offers. Cancel
        it after *seconds*, and raise CallAborted."""
        scheduler, coroutine = self._scheduler, as_coroutine(awaitable)
        deadline = _INFINITY if seconds is None else self.now() + seconds
        thrown: Cancelled | None = None
        late = False
        while True:
            try:
                wait = as_wait(coroutine.send(None) if thrown is None else coroutine.throw(thrown))
            except StopIteration as stop:
                returned: T = stop.value
                return returned
            except BaseException as error:
                if thrown is not None and error is thrown:
                    if late and seconds is not None:
                        raise took_too_long(seconds) from None
                    raise
                raise_contained(error)
            thrown = None
            try:
                wait = scheduler.hook_waits(coroutine, wait)
                await Wait(wait.ready, min(wait.deadline, deadline), wait.source)
            except Cancelled as error:
                thrown = error
                continue
            except BaseException:  # the end of the host
                coroutine.close()
                raise
            if seconds is not None and not wait.ready() and wait.deadline > deadline <= self.now():
                if late:
                    coroutine.close()
                    raise took_too_long(seconds)
                scheduler.note(f"cancels a hook after {seconds:g} seconds")
                thrown, late, deadline = Cancelled(), True, deadline + _UNWIND

    async def finish_within(self, seconds: float | None, awaitable: Awaitable[T]) -> T:
        """Like :meth:`within`. A cancellation of the caller has to wait until it is over."""
        task = self._scheduler.current
        assert task is not None
        task.shields += 1
        try:
            return await self.within(seconds, awaitable)
        finally:
            task.shields -= 1

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
        await Wait(always, self.now())


@define(eq=False)
class SimulatedEvent:
    """Implements :class:`smtpproto.ports.Event`."""

    _scheduler: Scheduler
    _is_set: bool = False
    _source: Source = field(factory=Source, init=False)

    def set(self) -> None:
        """Let the task that waits go on."""
        self._is_set = True
        self._scheduler.changed(self._source)

    async def wait(self, timeout: float | None) -> None:
        """Wait until :meth:`set` was called; forget that it was."""
        await self._scheduler.wait(lambda: self._is_set, timeout, self._source)
        self._is_set = False


@define(eq=False)
class SimulatedTasks:
    """Implements :class:`smtpproto.ports.Tasks`."""

    _scheduler: Scheduler
    _owner: Hashable = None
    _tasks: dict[Task, None] = field(factory=dict, init=False)

    def start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run *coroutine*."""
        self._forget_ended()
        self._tasks[self._scheduler.start(coroutine, self._owner, fails_all=True)] = None

    def cancel(self) -> None:
        """Close all that run."""
        for task in self._tasks:
            self._scheduler.close(task)

    async def ended(self) -> None:
        """Wait until all have ended."""
        while self._tasks:
            task = next(iter(self._tasks))
            await self._scheduler.wait(lambda task=task: task.ended, None, task.end)  # type: ignore[misc]
            del self._tasks[task]

    def _forget_ended(self) -> None:
        """Forget the oldest tasks, as far as they have ended."""
        while self._tasks and (task := next(iter(self._tasks))).ended:
            del self._tasks[task]


@define(eq=False)
class SimulatedSemaphore:
    """Implements :class:`smtpproto.ports.Semaphore`."""

    _scheduler: Scheduler
    free: int
    """How many slots are free."""
    _source: Source = field(factory=Source, init=False)

    async def acquire(self) -> None:
        """Take a slot; wait until one is free."""
        while not self.free:
            try:
                await self._scheduler.wait(lambda: self.free > 0, None, self._source)
            except BaseException:  # this task ends, perhaps after it was chosen
                if self.free:
                    self._scheduler.changed_for_one(self._source)
                raise
        self.free -= 1

    def release(self) -> None:
        """Free a slot."""
        self.free += 1
        self._scheduler.changed_for_one(self._source)


# -- connections -----------------------------------------------------------------------------


@define(eq=False)
class Faults:
    """What is wrong with the network of a host. It may be changed at any time."""

    refuses: bool = False
    """New connections are refused."""
    silent: bool = False
    """Nothing that is sent to the host or from it arrives, and nobody is told."""
    latency: float = 0.0
    """Seconds that each write takes, to the host and from it."""
    breaks_tls: bool = False
    """The connection breaks at the first octets of a TLS handshake."""


class _Network(Protocol):
    """The simulation, as streams see it."""

    @property
    def dice(self) -> Any: ...
    async def wait(
        self, ready: Callable[[], bool], timeout: float | None, source: Source | None = None
    ) -> bool: ...
    def changed(self, source: Source) -> None: ...
    async def sleep(self, seconds: float) -> None: ...
    def count(self, stream: Any) -> None: ...
    async def before_write(self) -> None: ...
    def call_after(self, seconds: float, function: Callable[[], None]) -> None: ...


@define(eq=False)
class SimulatedStream:
    """One end of a connection in memory. Implements :class:`smtpproto.ports.Stream`."""

    _simulation: _Network
    peer: SimulatedStream = field(init=False)
    """The other end."""

    peername: tuple[str, int] = ("192.0.2.1", 25)
    sockname: tuple[str, int] = ("192.0.2.2", 49152)
    faults: tuple[Faults, ...] = ()
    """Those of the hosts at both ends."""
    _arrived: bytearray = field(factory=bytearray, init=False)
    _ended: bool = field(default=False, init=False)
    _broken: bool = field(default=False, init=False)
    _half_closed: bool = field(default=False, init=False)
    _held: bytearray | None = field(default=None, init=False)  # what a stall keeps from this end
    _end_held: bool = field(default=False, init=False)
    _source: Source = field(factory=Source, init=False)

    async def read(self, timeout: float | None) -> bytes:
        """Return octets that have arrived: all, or some. The seed decides how many."""
        simulation = self._simulation
        simulation.count(self)
        if not await simulation.wait(self._has_input, timeout, self._source):
            raise TimedOut("the peer was silent for too long")
        if not self._arrived:
            if self._broken and simulation.dice.random() < 0.5:
                raise ConnectionLost("connection reset by peer")
            return b""
        most = min(len(self._arrived), CHUNK)
        size = min(int(simulation.dice.random() * 2 * most) + 1, most)  # all, in half of the cases
        octets = bytes(self._arrived[:size])
        del self._arrived[:size]
        return octets

    def _has_input(self) -> bool:
        return bool(self._arrived) or self._ended

    async def write(self, data: bytes, timeout: float | None) -> None:
        """Let *data* arrive at the other end, unless the connection is broken."""
        await self._simulation.before_write()
        if self.faults:
            await self._suffer(data, timeout)
        if not (self._broken or self._is_silent or self._half_closed):
            self.peer._take(data)  # before the cut, which may lose any part of it
        self._simulation.count(self)
        if self._broken and self._simulation.dice.random() < 0.5:
            raise ConnectionLost("broken pipe")  # half of the time the writer notices only later

    def _take(self, data: bytes) -> None:
        if self._held is not None:
            self._held += data
        else:
            self._arrived += data
            self._simulation.changed(self._source)

    @property
    def _is_silent(self) -> bool:
        return any(faults.silent for faults in self.faults)

    async def _suffer(self, data: bytes, timeout: float | None) -> None:
        latency = sum(faults.latency for faults in self.faults)
        if latency:
            await self._simulation.sleep(min(latency, latency if timeout is None else timeout))
            if timeout is not None and latency > timeout:
                raise TimedOut("the peer did not read for too long")
        if data.startswith(_HANDSHAKE) and any(faults.breaks_tls for faults in self.faults):
            self.cut()

    async def end(self) -> None:
        """End this side's direction."""
        self._end(self.peer)

    async def close(self) -> None:
        """Close the connection."""
        self._end(self)
        self._end(self.peer)

    def _end(self, stream: SimulatedStream) -> None:
        if stream is not self and stream._held is not None:
            stream._end_held = True
        elif stream is self or not self._is_silent:
            stream._ended = True
            self._simulation.changed(stream._source)

    def interrupt(self) -> None:
        """Make the pending or the next read return ``b""``."""
        self._end(self)

    def half_close(self) -> None:
        """End this side's direction: what it writes from now on is lost."""
        self._end(self.peer)
        self._half_closed = True

    def stall(self, seconds: float) -> None:
        """Let nothing pass on this connection, either way, for *seconds*. Then all arrives."""
        for end in (self, self.peer):
            if end._held is None:
                end._held = bytearray()
                self._simulation.call_after(seconds, end._release)

    def _release(self) -> None:
        held, self._held = self._held or b"", None
        if not self._broken:
            self._take(bytes(held))
        if self._end_held:
            self._end(self)

    def cut(self) -> None:
        """Break the connection. Of the unread octets, the seed decides how many still arrive."""
        for end in (self, self.peer):
            end._broken = end._ended = True
            del end._arrived[self._simulation.dice.randint(0, len(end._arrived)) :]
            self._simulation.changed(end._source)

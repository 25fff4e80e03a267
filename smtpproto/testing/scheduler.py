"""Runs coroutines in an order that a seed decides, by a clock that jumps to the next deadline.

A step costs the same however many coroutines wait: what can end a wait names the tasks that wait
for it, and deadlines are in a heap.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Hashable
from itertools import count
from typing import Any

from attrs import define, field

from ..errors import SMTPError

__all__ = [
    "Cancelled",
    "Deadlock",
    "Livelock",
    "Scheduler",
    "Source",
    "Task",
    "Wait",
    "always",
    "never",
]

_INFINITY = float("inf")
_CLOSINGS = 20  # awaits in the ``finally`` blocks of a coroutine that is closed


class Deadlock(AssertionError):
    """All coroutines wait, and none has a deadline."""


class Livelock(AssertionError):
    """The coroutines have taken more steps than the simulation allows."""


class Ended(BaseException):
    """The host on which a coroutine runs has ended."""


class Cancelled(BaseException):
    """The task was cancelled. Like ``asyncio.CancelledError`` it is no Exception; code that
    catches it raises it again."""


def always() -> bool:
    """Return true: the wait is over already."""
    return True


def never() -> bool:
    """Return false: only the deadline ends the wait."""
    return False


@define(eq=False)
class Source:
    """A thing whose changes end waits. It knows the tasks that wait for it."""

    waiting: list[Task] = field(factory=list, init=False)


@define(eq=False)
class Wait:
    """What a coroutine yields to the scheduler: resume it when *ready*, or at *deadline*.

    If *source* is given, *ready* can become true only by a change of it. Otherwise *ready* is
    called before each step, which is slow if many tasks wait like that.
    """

    ready: Callable[[], bool]
    deadline: float
    source: Source | None = None

    def __await__(self) -> Generator[Wait, None, None]:
        yield self


def as_wait(request: object) -> Wait:
    """Return *request*, which a coroutine has yielded. Raises TypeError if it is no :class:`Wait`:
    the coroutine awaits something of asyncio, or of another library."""
    if isinstance(request, Wait):
        return request
    raise TypeError(
        f"awaits {type(request).__name__}, which is not of this simulation; await its sleep, "
        "checkpoint, semaphore, event, tasks or streams instead of those of asyncio or trio"
    )


@define(eq=False)
class Task:
    """A coroutine that runs beside others."""

    coroutine: Coroutine[Any, Any, Any]
    owner: Hashable = None
    """The host whose end is the end of this task; None: there is none."""
    fails_all: bool = False
    """Whether :meth:`Scheduler.run` raises at once what the coroutine raises."""
    name: str = ""
    """Names it in a trace."""
    shields: int = 0  # while it is above 0, a cancellation has to wait
    cancelled: bool = False  # but it does not know yet
    wait: Wait | None = None
    queued: bool = False  # whether it is in the list of those that may be ready
    ended: bool = False
    result: Any = None
    error: BaseException | None = None
    end: Source = field(factory=Source, init=False)
    """Changes when the task ends."""

    @property
    def must_end(self) -> bool:
        """Whether :class:`Cancelled` is to be raised in it now."""
        return self.cancelled and not self.shields


class Scheduler:
    """A seeded scheduler with a clock."""

    def __init__(self, seed: int, max_steps: int | None = None) -> None:
        self.dice: random.Random = random.Random(seed)
        self.steps: int = 0
        """How many times a coroutine was resumed."""
        self.max_steps: int | None = max_steps
        """The steps after which :meth:`run` raises Livelock. None: no limit."""
        self.current: Task | None = None
        """The task that runs."""
        self.utc_offset: float = 0.0
        """Seconds by which the time of day is ahead: see :meth:`shift_utc`."""
        self._now = 0.0
        self._tasks: dict[Task, None] = {}
        self._ready: list[Task] = []  # those that may be ready
        self._polled: dict[Task, None] = {}  # those whose wait has no source
        self._deadlines: list[tuple[float, int, Task, Wait]] = []
        self._order = count()
        self._soon: deque[Callable[[], None]] = deque()

    def start(
        self,
        coroutine: Coroutine[Any, Any, Any],
        owner: Hashable = None,
        *,
        fails_all: bool = False,
        name: str = "",
    ) -> Task:
        """Run *coroutine* beside the others."""
        task = Task(coroutine, owner, fails_all, name)
        self._tasks[task] = None
        self._queue(task)
        return task

    def run(self, *coroutines: Coroutine[Any, Any, Any], return_errors: bool = False) -> list[Any]:
        """Run *coroutines*, and the servers they dial, until all have ended; return their results.

        If one of them raises, that error is raised after all have ended; with *return_errors*, an
        error of this library (SMTPError) is returned as its result. The result of a coroutine that
        was cancelled is None. Raises Deadlock if all wait and none has a deadline, and Livelock
        after :attr:`max_steps`.
        """
        ours = [self.start(coroutine) for coroutine in coroutines]
        try:
            self._run_all()
        except Deadlock:  # perhaps because one of them has raised
            if all(task.error is None for task in ours):
                raise
        return [_outcome(task, return_errors=return_errors) for task in ours]

    def _run_all(self) -> None:
        while self._tasks or self._soon:
            self._call_soon()
            self._expire()
            self._poll()
            if self._ready:
                self._step_one()
            elif self._tasks and not self._soon:
                self._jump()

    async def wait(
        self, ready: Callable[[], bool], timeout: float | None, source: Source | None = None
    ) -> bool:
        """Wait at most *timeout* seconds until *ready* is true; return whether it is.

        *source* makes it quick: see :class:`Wait`.
        """
        deadline = _INFINITY if timeout is None else self._now + timeout
        if not ready():
            await Wait(ready, deadline, source)
        return ready()

    def changed(self, source: Source) -> None:
        """Let those that wait for *source* look again."""
        waiting, source.waiting = source.waiting, []
        for task in waiting:
            if task.wait is not None and task.wait.source is source:
                self._queue(task)

    def changed_for_one(self, source: Source) -> None:
        """Let one of those that wait for *source* look again; the dice say which."""
        waiting = source.waiting
        while waiting:
            place = int(self.dice.random() * len(waiting))
            waiting[place], waiting[-1] = waiting[-1], waiting[place]
            task = waiting.pop()
            if task.wait is not None and task.wait.source is source and not task.queued:
                self._queue(task)
                return

    def soon(self, function: Callable[[], None]) -> None:
        """Call *function* before the next step, when no coroutine runs."""
        self._soon.append(function)

    def shift_utc(self, seconds: float) -> None:
        """Let the time of day jump by *seconds*. The monotonic clock does not notice."""
        self.utc_offset += seconds

    def cancel(self, task: Task) -> None:
        """Raise :class:`Cancelled` once in *task*, where it waits."""
        task.cancelled = True
        self._queue(task)

    def close(self, task: Task) -> None:
        """End *task*, which must not be the one that runs: where it waits, :class:`Ended` is
        raised, and what it then awaits does not happen."""
        if not task.ended:
            _close(task.coroutine)
            self._end(task)

    # -- one step ----------------------------------------------------------------------------

    def _call_soon(self) -> None:
        while self._soon:
            self._soon.popleft()()

    def _step_one(self) -> None:
        """Resume one of the tasks that are ready; the dice say which."""
        ready = self._ready
        place = int(self.dice.random() * len(ready))
        ready[place], ready[-1] = ready[-1], ready[place]
        task = ready.pop()
        task.queued = False
        if task.ended:
            return
        wait = task.wait
        if wait is None or wait.deadline <= self._now or task.must_end or wait.ready():
            self._step(task)
        else:
            self._park(task, wait)

    def _step(self, task: Task) -> None:
        if self.steps == self.max_steps:
            self.end()
            raise Livelock(f"the coroutines have not ended after {self.steps} steps")
        self.steps += 1
        self.current = task
        try:
            if task.must_end and task.wait is not None:
                task.cancelled = False
                task.wait = wait = as_wait(task.coroutine.throw(Cancelled()))
            else:
                task.wait = wait = as_wait(task.coroutine.send(None))
        except StopIteration as stop:
            task.result = stop.value
            self._end(task)
        except Cancelled:
            self._end(task)
        except BaseException as error:
            task.error = error
            self._end(task)
            if task.fails_all:
                self.end()
                raise
        else:
            self.suspended(task)
            self._park(task, wait)

    def suspended(self, task: Task) -> None:
        """Called after each step after which *task* waits."""

    def hook_waits(self, coroutine: Coroutine[Any, Any, Any], wait: Wait) -> Wait:
        """Called when *coroutine*, a hook of the application, waits. Return its wait."""
        return wait

    def note(self, what: str) -> None:
        """Called when something worth a line in a trace has happened."""

    def call_after(self, seconds: float, function: Callable[[], None]) -> None:
        """Call *function* in *seconds*, in a task of its own."""

        async def call() -> None:
            await Wait(never, self._now + seconds)
            function()

        self.start(call())

    def _park(self, task: Task, wait: Wait) -> None:
        """Put *task* where the end of its wait will be noticed."""
        if wait.deadline <= self._now or task.must_end or wait.ready():
            self._queue(task)
            return
        if wait.deadline != _INFINITY:
            entry = wait.deadline, next(self._order), task, wait
            heapq.heappush(self._deadlines, entry)
        if wait.source is not None:
            wait.source.waiting.append(task)
        elif wait.ready is not never:
            self._polled[task] = None

    def _queue(self, task: Task) -> None:
        if not task.queued and not task.ended:
            task.queued = True
            self._ready.append(task)

    def _poll(self) -> None:
        for task in [*self._polled]:
            wait = task.wait
            if wait is None or wait.ready() or wait.deadline <= self._now:
                del self._polled[task]
                self._queue(task)

    def _expire(self) -> None:
        """Queue the tasks whose deadline has come."""
        deadlines = self._deadlines
        while deadlines and deadlines[0][0] <= self._now:
            _, _, task, wait = heapq.heappop(deadlines)
            if task.wait is wait:
                self._queue(task)

    def _jump(self) -> None:
        """Move the clock to the next deadline."""
        deadlines = self._deadlines
        while deadlines and (deadlines[0][2].wait is not deadlines[0][3]):
            heapq.heappop(deadlines)
        if not deadlines:
            raise Deadlock(f"{len(self._tasks)} coroutines wait forever")
        self._now = deadlines[0][0]

    def _end(self, task: Task) -> None:
        task.ended, task.wait = True, None
        self._tasks.pop(task, None)
        self._polled.pop(task, None)
        self.changed(task.end)

    def end(self) -> None:
        """Close all tasks."""
        for task in [*self._tasks]:
            self.close(task)


def _outcome(task: Task, *, return_errors: bool) -> Any:
    """Return the result of *task*, or what it raised; raise that if it is not an SMTPError."""
    if task.error is None or (return_errors and isinstance(task.error, SMTPError)):
        return task.error or task.result
    raise task.error


def _close(coroutine: Coroutine[Any, Any, Any]) -> None:
    """End *coroutine* where it waits.

    Its own ``close`` would not end the asynchronous generators in which it waits.
    """
    for _ in range(_CLOSINGS):
        try:
            coroutine.throw(Ended())
        except BaseException:  # the end of a process is no place for errors
            return
        # else it awaits something in a ``finally`` block
    coroutine.close()

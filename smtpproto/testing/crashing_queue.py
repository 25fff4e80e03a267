"""A queue in memory whose process dies at a chosen write, for simulations.

::

    queue = CrashingQueue(simulation.dice, crash_at=17)

The 17th write raises :class:`.QueueFailed`, and so does every call after it, until the queue is
opened again, as after a restart. The dice decide whether that write took effect, and whether the
power failed too: then claims that no later write has made durable are forgotten.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from ..errors import QueueFailed
from ..mta.memory_store import MemoryQueue
from ..mta.queue import Delivery
from ..mta.settlement import Settlement
from ..mta.store import Claim, PassOver, Queued, Selection, take_all
from ..ports import Runtime

T = TypeVar("T")


class CrashingQueue(MemoryQueue):
    """Implements :class:`.QueueStore`. *crash_at* counts writes from 1; None never crashes."""

    def __init__(self, dice: random.Random, *, crash_at: int | None = None) -> None:
        super().__init__()
        self._dice = dice
        self.crash_at: int | None = crash_at
        """It may be set again, for a further crash."""
        self.writes: int = 0
        self._unsynced: list[Delivery] = []  # as they were before they were claimed

    async def open(self, runtime: Runtime) -> None:
        """Open the queue, as after a restart."""
        if self._dice.random() < 0.5:
            for delivery in self._unsynced:
                self._replace(delivery)
        self._unsynced.clear()
        await super().open(runtime)

    async def put(self, messages: Sequence[Queued]) -> None:
        await self._write(super().put(messages))

    async def claim(
        self,
        now: float,
        limit: int,
        due: Callable[[Delivery], float],
        *,
        pass_over: PassOver = take_all,
    ) -> Sequence[Claim]:
        before: list[Delivery] = []

        def note(delivery: Delivery) -> float:
            before.append(delivery)
            return due(delivery)

        claiming = super().claim(now, limit, note, pass_over=pass_over)
        return await self._write(claiming, before)

    async def settle(
        self, settlements: Sequence[Settlement], now: float, new: Sequence[Queued] = ()
    ) -> None:
        await self._write(super().settle(settlements, now, new))

    async def hold(self, selection: Selection, reason: str) -> int:
        return await self._write(super().hold(selection, reason))

    async def release(self, selection: Selection, now: float) -> int:
        return await self._write(super().release(selection, now))

    async def retry(self, selection: Selection, now: float) -> int:
        return await self._write(super().retry(selection, now))

    async def drop(self, selection: Selection, now: float) -> int:
        return await self._write(super().drop(selection, now))

    async def _write(
        self, operation: Coroutine[Any, Any, T], claimed: Sequence[Delivery] | None = None
    ) -> T:
        """Return the result of *operation*, unless the process dies before or after it. *claimed*
        is for a claim, which is not durable."""
        self.writes += 1
        dies = self.writes == self.crash_at
        if dies and self._dice.random() < 0.5:
            operation.close()
            await self._die()
        result = await operation
        if claimed is None:
            self._unsynced.clear()
        else:
            self._unsynced += claimed
        if dies:
            await self._die()
        return result

    async def _die(self) -> None:
        await self.close()
        raise QueueFailed(f"the process has died at write {self.writes}")

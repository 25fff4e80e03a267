"""Who is next: the highest priority first, and within it origins in turn, each by due time.

The turns follow start-time fair queueing, which gives each origin the share that deficit round
robin gives it, and serves an origin that was idle at once. No operation costs more if a queue is
longer, except the logarithm that a heap takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import count
from typing import Generic, TypeVar

from attrs import Factory, define, field

__all__ = ["FairQueue"]

T = TypeVar("T")


@define(eq=False)
class _Origin(Generic[T]):
    """The items of one origin, and when its next turn is, in virtual time."""

    name: str
    items: list[tuple[float, int, T]] = Factory(list)  # a heap: due, number, item


@define(eq=False)
class _Lane(Generic[T]):
    """The items of one priority."""

    _numbers: Iterator[int]
    _origins: dict[str, _Origin[T]] = Factory(dict)
    _turns: list[tuple[float, int, _Origin[T]]] = Factory(list)  # a heap: virtual time, number
    _time: float = 0.0
    size: int = 0

    def add(self, name: str, due: float, item: T) -> None:
        origin = self._origins.get(name)
        if origin is None:
            origin = self._origins[name] = _Origin(name)
            heappush(self._turns, (self._time, next(self._numbers), origin))
        heappush(origin.items, (due, next(self._numbers), item))
        self.size += 1

    def first(self) -> T:
        """Return the next item. The lane must not be empty."""
        while not self._turns[0][2].items:  # an origin is kept until its last turn is paid for
            _, _, origin = heappop(self._turns)
            del self._origins[origin.name]
        return self._turns[0][2].items[0][2]

    def charge(self, cost: float, done: bool) -> None:
        self.first()
        self._time, _, origin = heappop(self._turns)
        if done:
            heappop(origin.items)
            self.size -= 1
        heappush(self._turns, (self._time + cost, next(self._numbers), origin))

    def __iter__(self) -> Iterator[T]:
        for origin in self._origins.values():
            for _, _, item in origin.items:
                yield item


@define(eq=False)
class FairQueue(Generic[T]):
    """Items that wait, of several origins and priorities."""

    _lanes: dict[int, _Lane[T]] = field(factory=dict, init=False)
    _numbers: Iterator[int] = field(factory=count, init=False)

    def add(self, item: T, *, origin: str, priority: int, due: float) -> None:
        """Add *item*."""
        lane = self._lanes.get(priority)
        if lane is None:
            lane = self._lanes[priority] = _Lane(self._numbers)
        lane.add(origin, due, item)

    def first(self) -> T:
        """Return the item whose turn it is. Raises ValueError if there is none."""
        return self._lanes[max(self._lanes)].first()

    def charge(self, cost: float, *, done: bool) -> None:
        """Let the origin of the first item pay *cost*, above 0, for a turn; remove the item if it
        is *done*."""
        priority = max(self._lanes)
        lane = self._lanes[priority]
        lane.charge(cost, done)
        if not lane.size:
            del self._lanes[priority]

    def clear(self) -> list[T]:
        """Remove all items, and return them."""
        items = [item for lane in self._lanes.values() for item in lane]
        self._lanes.clear()
        return items

    def __bool__(self) -> bool:
        return bool(self._lanes)

"""The order in which a claim takes deliveries from the lanes of a queue in a database."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence

__all__ = ["Due", "Place", "Turns"]

Place = tuple[int, str, str]
"""Of a lane: a priority, a domain and an origin."""
Due = tuple[float, int]
"""Of a delivery: when it is due, and its key."""


class Turns:
    """The deliveries of one priority that are due: the earliest of each lane, then the second of
    each, and so on.

    *lanes* yields each lane with a time that is not later than its earliest delivery, in the order
    of these times; *rows* returns the deliveries of a lane that are due, in their order. Before a
    turn, *prepare* is called with the lanes that take part. Lanes whose time is too early after the
    claim are added to *early*.
    """

    def __init__(
        self,
        lanes: Iterator[tuple[Place, float]],
        rows: Callable[[Place], Iterator[Due]],
        early: set[Place],
        prepare: Callable[[Sequence[Place]], object] = len,
    ) -> None:
        self._lanes, self._rows, self._early, self._prepare = lanes, rows, early, prepare
        self._heads: list[tuple[Due, Place, Iterator[Due]]] = []  # a heap, of this turn
        self._next: list[tuple[Place, Iterator[Due]]] = []  # of the next turn
        self._coming = next(self._lanes, None)

    def next(self) -> int | None:
        """Return the key of the next delivery; None if there is none."""
        while self._coming is not None and self._comes_first(self._coming[1]):
            place, least = self._coming
            if self._push(place, self._rows(place)) != least:
                self._early.add(place)
            self._coming = next(self._lanes, None)
        if not self._heads:
            self._begin_turn()
        if not self._heads:
            return None
        (_, key), place, rows = heapq.heappop(self._heads)
        self._early.add(place)
        self._next.append((place, rows))
        return key

    def _begin_turn(self) -> None:
        lanes, self._next = self._next, []
        if lanes:
            self._prepare([place for place, _ in lanes])
        for place, rows in lanes:
            self._push(place, rows)

    def _comes_first(self, due: float) -> bool:
        """Return whether a lane with nothing before *due* must be looked at now."""
        return not self._heads or due <= self._heads[0][0][0]

    def _push(self, place: Place, rows: Iterator[Due]) -> float | None:
        """Let the next of *rows* have its turn; return when it is due, None if there is none."""
        if (row := next(rows, None)) is None:
            return None
        heapq.heappush(self._heads, (row, place, rows))
        return row[0]

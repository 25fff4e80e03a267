"""The port that keeps the states of guards: buckets, triplets; over restarts and for several
processes, if the store can do that."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush
from typing import NamedTuple, Protocol, TypeVar

from attrs import define, field
from attrs.validators import ge

from ..limits import KEPT_STATES
from ..option_types import checked
from ..ports import Runtime, Semaphore

__all__ = ["Change", "MemoryStates", "Record", "State", "StateStore"]

_FEW = 64  # ends that may be kept in vain

T = TypeVar("T")

State = tuple[float, ...]
"""What is known under a key: a few numbers; none if nothing is known."""


class Record(NamedTuple):
    """What is to be kept under a key."""

    state: State
    expires: float
    """When it is forgotten, in seconds since the epoch; at once if that is not after *now*."""


Change = Callable[[Sequence[State], float], tuple[T, Sequence[Record | None]]]
"""Takes the states of some keys, and the time of the store in seconds since the epoch. Returns a
result, and what is to be kept for each key; None leaves it as it is. It is pure, and may be called
again, because another process was faster."""


class StateStore(Protocol):
    """Keeps states. Tasks and threads may use it at the same time; for processes, the store says.

    A key is a kind, a colon and a name: at most 300 characters, without control characters. A store
    keeps a bounded number of states of each kind; if there are more, it forgets those that expire
    first. ``smtpproto.testing.state_contract`` has the tests that a store must pass.
    """

    async def update(self, keys: Sequence[str], change: Change[T], runtime: Runtime) -> T:
        """Let *change* look at the states of *keys*, which differ, and keep what it returns: all or
        nothing, and as if no other update ran meanwhile. Return the result of *change*.

        All processes that share a store must have the same time there: that of its database, if
        they run on several machines. Raises what *change* raises, and :class:`.StatesFailed`.
        """
        ...

    async def close(self) -> None:
        """Close the store. May be called twice; the next :meth:`update` opens it again."""
        ...


class _Kind:
    """The states of one kind."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self._ends: list[tuple[float, str]] = []  # a heap, with ends that are not true any more

    def put(self, key: str, record: Record) -> None:
        known = self.records.get(key)
        self.records[key] = record
        if known is None or known.expires != record.expires:
            heappush(self._ends, (record.expires, key))

    def bound(self, most: int, now: float) -> None:
        """Forget what has expired, and what expires first if there are more than *most*."""
        records, ends = self.records, self._ends
        while ends and (ends[0][0] <= now or len(records) > most):
            expires, key = heappop(ends)
            if key in records and records[key].expires == expires:
                del records[key]
        if len(ends) > 2 * len(records) + _FEW:
            ends[:] = [(record.expires, key) for key, record in records.items()]
            heapify(ends)


@checked
@define(eq=False)
class MemoryStates:
    """Keeps states in memory, at most *most* of each kind. Implements :class:`StateStore`."""

    most: int = field(default=KEPT_STATES, validator=ge(1))
    _kinds: dict[str, _Kind] = field(factory=lambda: defaultdict(_Kind), init=False)
    _turns: dict[None, Semaphore] = field(factory=dict, init=False)  # one, made by the first thread

    async def update(self, keys: Sequence[str], change: Change[T], runtime: Runtime) -> T:
        turn = self._turns.get(None) or self._turns.setdefault(None, runtime.semaphore(1))
        await turn.acquire()
        try:
            return self._update(keys, change, runtime.utc())
        finally:
            turn.release()

    def _update(self, keys: Sequence[str], change: Change[T], now: float) -> T:
        kinds = [self._kinds[key.partition(":")[0]] for key in keys]
        states = list[State]()
        for key, kind in zip(keys, kinds, strict=True):
            record = kind.records.get(key)
            states.append(() if record is None or record.expires <= now else record.state)
        result, records = change(states, now)
        for key, kind, new in zip(keys, kinds, records, strict=True):
            if new is not None:
                kind.put(key, new)
                kind.bound(self.most, now)
        return result

    async def close(self) -> None:
        """Do nothing: the states stay in memory."""

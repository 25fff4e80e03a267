"""The rules that every store of guards keeps, as tests. Run them on a store of your own.

::

    class TestMyStates(StateContract):
        def make(self, most: int) -> MyStates:
            return MyStates(":memory:", most=most)

pytest finds the tests in the class. The store runs under a :class:`.Simulation`; override
:meth:`StateContract.run` for a store that needs an event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from ..policy.rate import Demand, Limit, Release, Renewal
from ..policy.state_store import Change, Record, State, StateStore
from ..ports import Runtime
from .simulation import Simulation

__all__ = ["StateContract"]

T = TypeVar("T")

_MANY = 1000
_LONG = 1e6  # seconds
_NAMES = ["a", "A", "ann@example.org 192.0.2.0/24", "bücher", "%_'\"\\", "a:b", "n" * 290]


def _keep(*states: State, seconds: float = _LONG) -> Change[Sequence[State]]:
    """Return a change that keeps *states*, for *seconds*, and returns those before."""

    def change(before: Sequence[State], now: float) -> tuple[Sequence[State], Sequence[Record]]:
        return tuple(before), [Record(state, now + seconds) for state in states]

    return change


def _look(states: Sequence[State], now: float) -> tuple[Sequence[State], Sequence[None]]:
    return tuple(states), [None] * len(states)


def _count(states: Sequence[State], now: float) -> tuple[float, Sequence[Record]]:
    (number,) = states[0] or (0.0,)
    return number, [Record((number + 1,), now + _LONG)]


class StateContract:
    """Inherit from this, and define :meth:`make`. Each test begins with an empty store."""

    runtime: Runtime
    """What the stores are used with."""

    def make(self, most: int) -> StateStore:
        """Return an empty store that keeps about *most* states of each kind."""
        raise NotImplementedError("define make() to return an empty store")

    def again(self, store: StateStore) -> StateStore:
        """Return a store of the same states as another process, or as this one after a restart. For
        a store in memory, return *store* itself."""
        return store

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run *coroutine* to its end; return its result. Set :attr:`runtime` before."""
        simulation = Simulation(0)
        self.runtime = simulation
        result: T = simulation.run(coroutine)[0]
        return result

    def with_store(
        self, use: Callable[[StateStore], Coroutine[Any, Any, None]], most: int = _MANY
    ) -> None:
        """Run *use* with an empty store, and close it."""

        async def run() -> None:
            store = self.make(most)
            try:
                await use(store)
            finally:
                await store.close()

        self.run(run())

    def test_what_was_kept_is_found_also_after_a_restart(self) -> None:
        async def use(store: StateStore) -> None:
            keys = [f"test:{name}" for name in _NAMES]
            states = [(0.1, -1e300, 1764547200.123456)[: number % 4] for number in range(len(keys))]
            before = await store.update(keys, _keep(*states), self.runtime)
            assert before == ((),) * len(keys)
            assert await store.update(keys, _look, self.runtime) == tuple(states)
            await store.close()
            other = self.again(store)
            assert await other.update(keys[::-1], _look, self.runtime) == tuple(states[::-1])
            await other.close()

        self.with_store(use)

    def test_none_leaves_a_state_as_it_is(self) -> None:
        async def use(store: StateStore) -> None:
            await store.update(["a:1", "a:2"], _keep((1.0,), (2.0,)), self.runtime)

            def change(states: Sequence[State], now: float) -> tuple[None, Sequence[Record | None]]:
                return None, [None, Record((3.0,), now + 1)]

            await store.update(["a:1", "a:2"], change, self.runtime)
            assert await store.update(["a:1", "a:2"], _look, self.runtime) == ((1.0,), (3.0,))

        self.with_store(use)

    def test_a_change_that_fails_keeps_nothing(self) -> None:
        async def use(store: StateStore) -> None:
            def change(states: Sequence[State], now: float) -> tuple[None, Sequence[Record]]:
                raise ZeroDivisionError

            await store.update(["a:1"], _keep((1.0,)), self.runtime)
            try:
                await store.update(["a:1", "a:2"], change, self.runtime)
            except ZeroDivisionError:
                assert await store.update(["a:1", "a:2"], _look, self.runtime) == ((1.0,), ())
            else:
                raise AssertionError("what the change raised was lost")

        self.with_store(use)

    def test_an_expired_state_is_not_found(self) -> None:
        async def use(store: StateStore) -> None:
            for seconds in (0.0, -1.0):
                await store.update(["a:1"], _keep((1.0,)), self.runtime)
                await store.update(["a:1"], _keep((2.0,), seconds=seconds), self.runtime)
                assert await store.update(["a:1"], _look, self.runtime) == ((),)

        self.with_store(use)

    def test_a_full_store_forgets_what_expires_first_of_each_kind(self) -> None:
        async def use(store: StateStore) -> None:
            await store.update(["other:1"], _keep((1.0,), seconds=10), self.runtime)
            for seconds in (500, 2 * _LONG):
                await store.update(["a:last"], _keep((1.0,), seconds=seconds), self.runtime)
            for number in range(3 * _MANY):
                keep = _keep((1.0,), seconds=1000 + number)
                await store.update([f"a:{number}"], keep, self.runtime)
            store = await self.settled(store)
            kept = [
                (await store.update([key], _look, self.runtime))[0]
                for key in ("other:1", "a:last", f"a:{3 * _MANY - 1}", "a:0", "a:1")
            ]
            assert kept == [(1.0,), (1.0,), (1.0,), (), ()]

        self.with_store(use, most=10)

    async def settled(self, store: StateStore) -> StateStore:
        """Return *store* after it has had time to forget. By default it is closed, and used."""
        await store.close()
        await store.update(["other:2"], _look, self.runtime)
        return store

    def test_no_update_is_lost_among_tasks_and_stores(self) -> None:
        async def use(store: StateStore) -> None:
            other = self.again(store)

            async def work(mine: StateStore) -> None:
                for _ in range(20):
                    await mine.update(["a:1"], _count, self.runtime)
                    await self.runtime.checkpoint()

            async with self.runtime.tasks() as tasks:
                for _ in range(4):
                    tasks.start(work(store))
                    tasks.start(work(other))
            assert await store.update(["a:1"], _count, self.runtime) == 160
            await other.close()

        self.with_store(use)

    def test_limits_hold_among_tasks_and_stores(self) -> None:
        async def use(store: StateStore) -> None:
            other = self.again(store)
            limits = {"user:ann": Limit.parse("5/d, 3 at once"), "network:x": Limit.parse("9/d")}
            grants = []

            async def work(mine: StateStore, number: int) -> None:
                demand = Demand(limits, id=number)
                grants.append((demand, await mine.update(demand.keys, demand, self.runtime)))

            async def all_work() -> None:
                async with self.runtime.tasks() as tasks:
                    for number in range(10):
                        tasks.start(work(store if number % 2 else other, number))

            await all_work()
            given = [demand for demand, grant in grants if grant.number]
            assert len(given) == 3
            for demand in given:
                release = Release(demand)
                await store.update(release.keys, release, self.runtime)
            await all_work()
            assert sum(grant.number for _, grant in grants) == 5
            await other.close()

        self.with_store(use)

    def test_what_goes_on_at_once_is_renewed_by_another_store_than_that_of_a_process_that_died(
        self,
    ) -> None:
        async def use(store: StateStore) -> None:
            other, limits = self.again(store), {"network:x": Limit(at_once=2)}

            async def ask(number: int, heartbeat: float = _LONG) -> int:
                demand = Demand(limits, id=number, heartbeat=heartbeat)
                return (await other.update(demand.keys, demand, self.runtime)).number

            assert [await ask(1, 0.0), await ask(2, 0.0)] == [1, 1]  # they are dead at once
            renewal = Renewal({1.0: ["live:network:x"]})
            await store.update(renewal.keys, renewal, self.runtime)
            assert [await ask(3), await ask(4)] == [1, 0]
            await other.close()

        self.with_store(use)

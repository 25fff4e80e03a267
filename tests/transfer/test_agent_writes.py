"""What an agent does at the same time: jobs, one claim and one write."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from smtpproto.errors import QueueFailed
from smtpproto.limits import ScheduleLimits
from smtpproto.mta.memory_store import MemoryQueue
from tests.transfer.relaying import Network
from tests.transfer.working import Working

ONE_BY_ONE = ScheduleLimits(window=1, largest_window=1)


class Slow(MemoryQueue):
    """A queue whose writes, or claims, take a while."""

    def __init__(self, *, settle: float = 0, claim: float = 0) -> None:
        super().__init__()
        self.network = Network()
        self.seconds = {"settle": settle, "claim": claim}
        self.running: set[str] = set()
        self.settled: list[int] = []

    async def _wait(self, method: str) -> None:
        assert method not in self.running
        self.running.add(method)
        await self.network.simulation.sleep(self.seconds[method])
        self.running.discard(method)

    async def claim(self, *args: Any, **more: Any) -> Any:
        await self._wait("claim")
        return await super().claim(*args, **more)

    async def settle(self, settlements: Sequence[Any], *args: Any, **more: Any) -> None:
        await self._wait("settle")
        self.settled.append(len(settlements))
        await super().settle(settlements, *args, **more)


def test_what_ends_while_a_write_runs_is_the_next_write() -> None:
    store = Slow(settle=100)
    working = Working(store.network, store=store, limits=ONE_BY_ONE)
    entries = working.deliver(*(working.queued() for _ in range(40)), hours=0.1)
    assert len(working.ended(entries)) == 40
    assert store.settled == [1, 39]


def test_claims_go_on_while_a_write_runs() -> None:
    store = Slow(settle=1000)
    working = Working(store.network, store=store)

    async def scenario() -> int:
        for _ in range(5):
            await store.put([working.queued()])
            working.agent.wake()
            await store.network.simulation.sleep(10)
        return len(store.network.hosts[0].received)

    assert working.run(scenario) == 5


def test_jobs_begin_and_writes_go_on_while_a_claim_runs() -> None:
    store = Slow(claim=100)
    working = Working(store.network, store=store, limits=ONE_BY_ONE)

    async def scenario() -> tuple[int, int]:
        await store.put([working.queued() for _ in range(10)])
        await store.network.simulation.sleep(99)
        working.agent.wake()  # so that another claim follows
        await store.network.simulation.sleep(10)
        assert store.running == {"claim"}
        return len(store.network.hosts[0].received), sum(store.settled)

    assert working.run(scenario) == (10, 10)


def test_what_a_claim_brings_after_the_stop_is_put_back() -> None:
    store = Slow(claim=100)
    working = Working(store.network, store=store)

    async def scenario() -> None:
        await store.put([working.queued()])
        await store.network.simulation.sleep(50)

    working.run(scenario)
    [entry] = store.network.simulation.run(working.entries())[0]
    [delivery] = entry.deliveries
    assert (delivery.state.value, delivery.attempts) == ("waiting", 0)
    assert store.network.hosts[0].received == []


def test_writes_go_on_while_claims_fail() -> None:
    class Unclaimable(MemoryQueue):
        claims = 0

        async def claim(self, *args: Any, **more: Any) -> Any:
            self.claims += 1
            if self.claims > 1:
                raise QueueFailed("broken")
            return await super().claim(*args, **more)

    working = Working(store=Unclaimable(), limits=ONE_BY_ONE)

    async def scenario() -> Any:
        await working.store.put([working.queued() for _ in range(10)])
        await working.network.simulation.sleep(1)
        working.agent.wake()
        await working.network.simulation.sleep(3)
        return await working.entries()

    assert len(working.ended(working.run(scenario))) == 10

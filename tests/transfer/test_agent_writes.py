"""What an agent does at the same time: jobs, one claim and one write."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import pytest

from smtpproto import Reply
from smtpproto.errors import QueueFailed, QueueFull
from smtpproto.limits import ScheduleLimits
from smtpproto.mta.memory_store import MemoryQueue
from smtpproto.mta.route import Routes, SmartHost
from tests.support.hosts import Host
from tests.transfer.relaying import ROUTE, Network
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


class Counting(MemoryQueue):
    """A queue that counts what is claimed and not settled, and what is put back."""

    def __init__(self) -> None:
        super().__init__()
        self.claimed = self.most = self.put_back = 0

    async def claim(self, *args: Any, **more: Any) -> Any:
        claims = await super().claim(*args, **more)
        self.claimed += sum(len(claim.deliveries) for claim in claims)
        self.most = max(self.most, self.claimed)
        return claims

    async def settle(self, settlements: Sequence[Any], *args: Any, **more: Any) -> None:
        await super().settle(settlements, *args, **more)
        self.claimed -= len(settlements)
        self.put_back += sum(not it.counts for it in settlements)


@pytest.mark.parametrize(
    "routes",
    [
        {"*": ROUTE},
        {"*": SmartHost("192.0.2.1", 25, tls="none")},
        {"*": SmartHost("192.0.2.1", 25, tls="none"), "example.org": ROUTE},
    ],
    ids=["by MX", "one smart host", "a smart host among others"],
)
def test_a_backlog_of_one_origin_is_delivered_by_and_by_without_being_put_back(
    routes: dict[str, Any],
) -> None:
    store = Counting()
    limits = ScheduleLimits(active=100, active_per_destination=20, window=2, largest_window=2)
    working = Working(store=store, routes=Routes(routes), limits=limits)
    giant = [working.queued(origin="giant") for _ in range(200)]
    entries = working.deliver(*giant, working.queued("ann@example.org"))
    assert len(working.ended(entries)) == 201
    assert store.put_back == 0
    assert store.most <= 20 + 1


def test_a_message_of_another_origin_does_not_wait_for_a_backlog() -> None:
    network = Network()
    network.simulation.host("192.0.2.1").faults.latency = 1.0
    limits = ScheduleLimits(active=100, active_per_destination=20, window=2, largest_window=2)
    working = Working(network, limits=limits)

    async def scenario() -> list[str]:
        await working.store.put([working.queued(origin="giant") for _ in range(200)])
        working.agent.wake()
        await network.simulation.sleep(30)
        await working.store.put([working.queued("single@example.net", origin="other")])
        working.agent.wake()
        await network.simulation.sleep(30)
        return [str(envelope.recipients[0]) for envelope, _ in network.hosts[0].received]

    received = working.run(scenario)
    assert len(received) < 100
    assert "single@example.net" in received


def test_on_a_full_disk_what_makes_room_is_written_first_and_one_by_one() -> None:
    class Full(MemoryQueue):
        settled: ClassVar[list[str]] = []

        async def settle(
            self, settlements: Sequence[Any], now: float, new: Sequence[Any] = ()
        ) -> None:
            if len(settlements) > 1 or (new and len(self.settled) < 2):
                raise QueueFull("no room")
            self.settled.extend(it.delivery.message for it in settlements)
            await super().settle(settlements, now, new)

    nobody = Host(refuse_rcpt={"nobody": Reply(550, "5.1.1", "No such user")})
    working = Working(Network((nobody,)), store=Full())
    messages = [
        working.queued(f"{name}@example.net") for name in ("nobody", "bob", "nobody", "eve")
    ]
    entries = working.deliver(*messages)
    assert len(working.ended(entries)) == 4
    assert {*Full.settled[:2]} == {"m2", "m4"}
    assert len(working.reports) == 2

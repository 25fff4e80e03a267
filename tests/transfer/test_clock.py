"""A clock that is put back or forward while the agent works."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from smtpproto import Reply
from smtpproto.mta.memory_store import MemoryQueue
from smtpproto.mta.queue import Result
from smtpproto.mta.settlement import Fate
from smtpproto.mta.store import Queued
from smtpproto.ports import Runtime
from smtpproto.testing.simulation import EPOCH
from tests.support.hosts import Host
from tests.transfer.relaying import Network
from tests.transfer.working import Working

DAY = 86400.0
GREY = Reply(451, "4.7.1", "Greylisted")


def put_back(working: Working, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let the calendar be *seconds* behind what it said."""
    simulation = working.network.simulation
    wrong = simulation.utc
    monkeypatch.setattr(simulation, "utc", lambda: wrong() - seconds)


@pytest.mark.parametrize("seconds", [DAY, 365 * DAY])
def test_what_waits_is_tried_soon_after_the_clock_was_put_back(
    monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    working = Working(Network((Host(refuse_message=GREY, times=1),)))

    async def scenario() -> list[Any]:
        await working.store.put([working.queued()])
        working.agent.wake()
        await working.network.simulation.sleep(10)
        put_back(working, monkeypatch, seconds)
        await working.network.simulation.sleep(3600)
        return await working.entries()

    [ended] = working.ended(working.run(scenario))
    assert ended.fate is Fate.RELAYED


@pytest.mark.parametrize("seconds", [61.0, DAY])
def test_an_unknown_outcome_still_waits_a_quarter_of_an_hour_after_the_clock_was_put_back(
    monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """The host may still be busy with the message, so that a second one would be delivered."""
    network = Network()
    working, host = Working(network), network.hosts[0]
    host.cuts = network.simulation.host("192.0.2.1")
    connections: list[int] = []

    async def scenario() -> list[Any]:
        await working.store.put([working.queued()])
        working.agent.wake()
        await network.simulation.sleep(60)
        put_back(working, monkeypatch, seconds)
        host.cuts = None
        for wait in (800, 200):
            await network.simulation.sleep(wait)
            connections.append(host.connections)
        return await working.entries()

    [ended] = working.ended(working.run(scenario))
    assert connections == [1, 2]
    assert [it.result for it in ended.delivery.log] == [Result.UNKNOWN, Result.RELAYED]


def test_another_process_is_noticed_within_a_minute_after_the_clock_was_put_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    working = Working()

    async def scenario() -> None:
        await working.network.simulation.sleep(100)
        put_back(working, monkeypatch, DAY)
        await working.network.simulation.sleep(100)
        await working.store.put([working.queued()])  # and nobody wakes the agent
        await working.network.simulation.sleep(61)

    working.run(scenario)
    assert len(working.network.hosts[0].received) == 1


def test_a_message_is_tried_once_more_before_it_expires_by_a_clock_that_was_put_forward(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    working = Working(Network((Host(refuse_message=GREY, times=1),)))

    async def scenario() -> list[Any]:
        await working.store.put([working.queued()])
        working.agent.wake()
        await working.network.simulation.sleep(10)
        put_back(working, monkeypatch, -365 * DAY)
        await working.network.simulation.sleep(3600)
        return await working.entries()

    [ended] = working.ended(working.run(scenario))
    assert ended.fate is Fate.RELAYED


class Left(MemoryQueue):
    """A queue in which a message was left by the process before."""

    def __init__(self) -> None:
        super().__init__()
        self.left: list[Queued] = []

    async def open(self, runtime: Runtime) -> None:
        await super().open(runtime)
        await self.put(self.left)


@pytest.mark.parametrize(("held", "tried"), [(0, True), (2 * DAY, False)])
def test_what_waits_is_tried_at_the_start_if_all_of_it_is_due_too_late_to_be_right(
    held: float, tried: bool
) -> None:
    """So the clock was put back meanwhile. A message whose sender asked for it still waits."""
    store = Left()
    working = Working(store=store)
    message = working.queued(not_before=EPOCH + held)
    waiting = tuple(evolve(it, due=it.due + 2 * DAY) for it in message.deliveries)
    store.left = [evolve(message, deliveries=waiting)]
    entries = working.deliver(hours=1)
    assert bool(working.ended(entries)) is tried


def test_what_waits_for_as_long_as_the_schedule_says_is_not_tried_at_the_start() -> None:
    store = Left()
    working = Working(store=store)
    message = working.queued()
    waiting = tuple(evolve(it, due=it.due + 4 * 3600) for it in message.deliveries)
    store.left = [evolve(message, deliveries=waiting)]
    assert not working.ended(working.deliver(hours=1))

"""A crash at any write loses nothing that was confirmed; a power loss may undo claims."""

from __future__ import annotations

from random import Random

import pytest
from attrs import evolve
from hypothesis import settings

from smtpproto.errors import QueueFailed
from smtpproto.mta.queue import Delivery, State
from smtpproto.mta.settlement import Done, Fate, Later, Settlement
from smtpproto.mta.store import Claim, Entry, Selection
from smtpproto.testing import Simulation
from smtpproto.testing.crashing_queue import CrashingQueue
from smtpproto.testing.queue_contract import NOW, QueueContract, make_queued

ALL = Selection()


class TestCrashingQueue(QueueContract):
    """One that does not crash keeps the rules of every store, as long as no claim is forgotten."""

    settings = settings(QueueContract.settings, max_examples=settings().max_examples // 6)

    def make(self) -> CrashingQueue:
        class NoPowerLoss(Random):
            def random(self) -> float:
                return 1.0

        return CrashingQueue(NoPowerLoss(0))


def due(delivery: Delivery) -> float:
    return NOW + 50


def ended(claim: Claim, fate: Fate | None) -> list[Settlement]:
    decision = Later(due=NOW + 5) if fate is None else Done(fate)
    return [Settlement(delivery=it, decision=decision) for it in claim.deliveries]


async def work(queue: CrashingQueue, steps: list[list[Entry]]) -> None:
    """Do seven writes; add to *steps* what is in the queue after each."""

    async def note() -> None:
        steps.append([*await queue.find(ALL)])

    await queue.put([make_queued("a"), make_queued("b")])
    await note()
    (first,) = await queue.claim(NOW, 1, due)
    await note()
    await queue.settle(ended(first, Fate.FAILED), NOW, [make_queued("report")])
    await note()
    (second,) = await queue.claim(NOW, 1, due)
    await note()
    await queue.settle(ended(second, None), NOW)
    await note()
    await queue.hold(Selection(id="report"), "why")
    await note()
    await queue.drop(Selection(id="b"), NOW)
    await note()


def after_restart(entries: list[Entry]) -> list[Entry]:
    """Return *entries* with all leases void."""
    return [
        evolve(
            entry,
            deliveries=tuple(
                evolve(it, state=State.WAITING) if it.state is State.LEASED else it
                for it in entry.deliveries
            ),
        )
        for entry in entries
    ]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("crash_at", range(1, 8))
def test_what_is_left_is_what_was_there_before_or_after_the_write(crash_at: int, seed: int) -> None:
    whole: list[list[Entry]] = [[]]
    simulation = Simulation(seed)

    async def run_whole() -> None:
        queue = CrashingQueue(simulation.dice)
        await queue.open(simulation)
        await work(queue, whole)
        assert queue.writes == 7

    async def run_and_crash() -> None:
        steps: list[list[Entry]] = []
        queue = CrashingQueue(simulation.dice, crash_at=crash_at)
        await queue.open(simulation)
        with pytest.raises(QueueFailed, match=f"died at write {crash_at}"):
            await work(queue, steps)
        with pytest.raises(QueueFailed, match="not open"):
            await queue.put([make_queued("c")])
        assert steps == whole[1:crash_at]
        await queue.open(simulation)
        left = [*await queue.find(ALL)]
        claims = (2, 4)  # what follows a claim may have been lost with it
        possible = [whole[crash_at - 1], whole[crash_at]]
        possible += [whole[it - 1] for it in claims if it in (crash_at - 1, crash_at)]
        assert left in map(after_restart, possible)

    simulation.run(run_whole())
    simulation.run(run_and_crash())


def test_a_power_loss_forgets_a_claim_and_nothing_that_was_confirmed() -> None:
    attempts = set()
    for seed in range(20):
        simulation = Simulation(seed)

        async def run(simulation: Simulation = simulation) -> None:
            queue = CrashingQueue(simulation.dice)
            await queue.open(simulation)
            await queue.put([make_queued("a")])
            await queue.claim(NOW, 1, due)
            await queue.close()
            await queue.open(simulation)
            (entry,) = await queue.find(ALL)
            attempts.add((entry.deliveries[0].attempts, entry.deliveries[0].due))

        simulation.run(run())
    assert attempts == {(0, NOW), (1, NOW + 50)}

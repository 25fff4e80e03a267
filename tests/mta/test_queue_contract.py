"""The contract of the queue's stores finds stores that are wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from attrs import evolve
from hypothesis import Phase, settings

from smtpproto.mta.memory_store import MemoryQueue
from smtpproto.mta.queue import Delivery, Message, State
from smtpproto.mta.settlement import Settlement
from smtpproto.mta.store import Claim, Entry, PassOver, Queued, QueueStats, Selection, take_all
from smtpproto.ports import Runtime
from smtpproto.testing.queue_contract import QueueContract

Due = Callable[[Delivery], float]


class LosesWhatFollows(MemoryQueue):
    async def settle(
        self, settlements: Sequence[Settlement], now: float, new: Sequence[Queued] = ()
    ) -> None:
        await super().settle(settlements, now)


class AddsSomeOfMany(MemoryQueue):
    async def put(self, messages: Sequence[Queued]) -> None:
        for queued in messages:
            await super().put([queued])


class ForgetsAtRestart(MemoryQueue):
    async def open(self, runtime: Runtime) -> None:
        self.__init__()  # type: ignore[misc]
        await super().open(runtime)


class KeepsLeases(MemoryQueue):
    async def open(self, runtime: Runtime) -> None:
        leased = [*self._deliveries(State.LEASED)]
        await super().open(runtime)
        for delivery in leased:
            self._replace(delivery)


class CountsNoAttempts(MemoryQueue):
    async def claim(
        self,
        now: float,
        limit: int,
        due: Due,
        *,
        pass_over: PassOver = take_all,
    ) -> Sequence[Claim]:
        claims = await super().claim(now, limit, due, pass_over=pass_over)
        for claim in claims:
            for delivery in claim.deliveries:
                self._replace(evolve(delivery, attempts=0))
        return claims


class IgnoresExcluded(MemoryQueue):
    async def next_due(self, *, pass_over: PassOver = take_all) -> float | None:
        return await super().next_due()


class IgnoresLimit(MemoryQueue):
    async def find(self, selection: Selection, limit: int = 100) -> Sequence[Entry]:
        return await super().find(selection)


class CutsContent(MemoryQueue):
    async def content(self, message: Message) -> bytes:
        return (await super().content(message))[:-1]


class ReleasesTooEarly(MemoryQueue):
    async def release(self, selection: Selection, now: float) -> int:
        released = await super().release(selection, now)
        for delivery in [*self._deliveries(State.WAITING, selection)]:
            self._replace(evolve(delivery, due=now))
        return released


class CountsWhatHasLeft(MemoryQueue):
    async def stats(self) -> QueueStats:
        return evolve(await super().stats(), messages=len(self._records))


def rules_of(contract: QueueContract) -> list[Callable[[], None]]:
    """Return the tests, the random sequence last: it takes longest."""
    tests = [getattr(contract, name) for name in dir(contract) if name.startswith("test_")]
    return sorted(tests, key=lambda test: "any_sequence" in test.__name__)


@pytest.mark.parametrize(
    "store",
    [
        LosesWhatFollows,
        AddsSomeOfMany,
        ForgetsAtRestart,
        KeepsLeases,
        CountsNoAttempts,
        IgnoresExcluded,
        IgnoresLimit,
        CutsContent,
        ReleasesTooEarly,
        CountsWhatHasLeft,
    ],
)
def test_a_store_that_breaks_a_rule_fails(store: type[MemoryQueue]) -> None:
    class Contract(QueueContract):
        settings = settings(QueueContract.settings, phases=[Phase.generate], database=None)

        def make(self) -> MemoryQueue:
            return store()

    failed = []
    for test in rules_of(Contract()):
        try:
            test()
        except Exception:
            failed.append(test)
            break
    assert failed


def test_a_contract_without_a_store_says_what_to_define() -> None:
    with pytest.raises(NotImplementedError, match=r"make\(\)"):
        QueueContract().test_content_can_be_read_again_and_again()

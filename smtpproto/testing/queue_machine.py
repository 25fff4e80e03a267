"""Random operations on a store of the queue, which are compared with the model."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any, Protocol, TypeVar

from attrs import evolve
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from hypothesis.strategies import DataObject, SearchStrategy

from ..mta.queue import Attempt, Message, Result, State
from ..mta.settlement import Decision, Done, Fate, Hold, Later, Settlement
from ..mta.store import Queued, QueueStore, Selection
from ..ports import Runtime
from .queue_model import QueueModel
from .queue_samples import NOW, due_if_lost, make_queued, read

T = TypeVar("T")


class Subject(Protocol):
    """What the machine works on: see :class:`.QueueContract`."""

    runtime: Runtime

    def make(self) -> QueueStore: ...

    async def reopen(self, store: QueueStore) -> QueueStore: ...

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T: ...


_DOMAINS = ("one.test", "two.test", "three.test")
_ADDRESSES = (*(f"{name}@{domain}" for domain in _DOMAINS for name in "xy"), "postmaster")
_SENDERS = ("ann@example.org", "eve@one.test", "")
_limits = st.integers(0, 4)
_origins = st.sampled_from(["", "o1", "o2"])
_excluded = st.sets(st.tuples(st.sampled_from(_DOMAINS), _origins))
_decisions: SearchStrategy[Decision] = st.one_of(
    st.sampled_from(Fate).map(Done),
    st.builds(Later, due=st.floats(NOW - 50, NOW + 200), warned=st.booleans()),
    st.text(max_size=5).map(Hold),
)
_selections = st.builds(
    Selection,
    id=st.none() | st.integers(0, 30).map(str),
    sender=st.none() | st.sampled_from([*_SENDERS, "@one.test"]),
    recipient=st.none() | st.sampled_from([*_ADDRESSES, "@two.test"]),
    state=st.none() | st.sampled_from(State),
)
_messages = st.lists(
    st.builds(
        lambda recipients, sender, size, due, priority, not_before, origin: make_queued(
            "",
            *recipients,
            sender=sender,
            content=b"x" * size,
            due=due,
            priority=priority,
            not_before=not_before,
            origin=origin,
        ),
        st.lists(st.sampled_from(_ADDRESSES), min_size=1, max_size=4, unique=True),
        st.sampled_from(_SENDERS),
        st.sampled_from([0, 10, 50_000]),
        st.integers(-50, 100).map(lambda it: NOW + it),
        st.none() | st.integers(-1, 1),
        st.sampled_from([0, NOW + 30]),
        _origins,
    ),
    max_size=3,
)


def _attempts(now: float) -> SearchStrategy[Attempt]:
    return st.builds(Attempt, at=st.just(now), result=st.sampled_from(Result))


class QueueMachine(RuleBasedStateMachine):
    """Does the same to a store and to the model, and compares what they show."""

    def __init__(self, contract: Subject) -> None:
        super().__init__()
        self.contract = contract
        self.now: float = NOW
        self.count: int = 0
        self.model: QueueModel = QueueModel()
        self.store: QueueStore = contract.make()
        self.run(self._open())

    async def _open(self) -> None:
        await self.store.open(self.contract.runtime)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.contract.run(coroutine)

    def teardown(self) -> None:
        self.run(self.store.close())

    def _named(self, messages: Sequence[Queued]) -> list[Queued]:
        """Return *messages* with new ids."""
        named = []
        for queued in messages:
            self.count += 1
            name = str(self.count)
            deliveries = tuple(evolve(it, message=name) for it in queued.deliveries)
            message = evolve(queued.message, id=name)
            named.append(evolve(queued, message=message, deliveries=deliveries))
        return named

    @rule(messages=_messages)
    def put(self, messages: list[Queued]) -> None:
        named = self._named(messages)
        self.run(self.store.put(named))
        self.model.put(named)

    @rule(seconds=st.floats(0, 100))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule(limit=_limits, excluded=_excluded)
    def claim(self, limit: int, excluded: set[tuple[str, str]]) -> None:
        def pass_over(*lane: str) -> bool:
            return lane in excluded

        claims = self.run(self.store.claim(self.now, limit, due_if_lost, pass_over=pass_over))
        assert [*claims] == self.model.claim(self.now, limit, due_if_lost, pass_over)

    @rule(data=st.data(), new=_messages)
    def settle(self, data: DataObject, new: list[Queued]) -> None:
        leased = [*self.model.deliveries(State.LEASED)]
        if not leased:
            return
        chosen = data.draw(st.lists(st.sampled_from(leased), unique_by=id))
        settlements = [
            Settlement(
                delivery=delivery,
                decision=data.draw(_decisions),
                attempt=data.draw(st.none() | _attempts(self.now)),
            )
            for delivery in chosen
        ]
        named = self._named(new)
        self.run(self.store.settle(settlements, self.now, named))
        self.model.settle(settlements, self.now, named)

    @rule(what=st.sampled_from(["hold", "release", "retry", "drop"]), selection=_selections)
    def change(self, what: str, selection: Selection) -> None:
        value = "why" if what == "hold" else self.now
        changed = self.run(getattr(self.store, what)(selection, value))
        assert changed == getattr(self.model, what)(selection, value)

    @rule(selection=_selections, limit=_limits)
    def find(self, selection: Selection, limit: int) -> None:
        found = self.run(self.store.find(selection, limit))
        assert [*found] == self.model.find(selection, limit)

    @rule(data=st.data())
    def read(self, data: DataObject) -> None:
        queued = [record for record in self.model.records if record.deliveries]
        if queued:
            record = data.draw(st.sampled_from(queued))
            assert self.run(self._content(record.message)) == record.content

    async def _content(self, message: Message) -> bytes:
        return await read(await self.store.content(message))

    @rule()
    def reopen(self) -> None:
        self.store = self.run(self.contract.reopen(self.store))
        self.model.reopen()

    @rule(excluded=_excluded)
    def next_due(self, excluded: set[tuple[str, str]]) -> None:
        def pass_over(*lane: str) -> bool:
            return lane in excluded

        due = self.run(self.store.next_due(pass_over=pass_over))
        assert due == self.model.next_due(pass_over)

    @invariant()
    def stats_agree(self) -> None:
        stats, expected = self.run(self.store.stats()), self.model.stats()
        assert {**dict.fromkeys(State, 0), **stats.deliveries} == {
            **dict.fromkeys(State, 0),
            **expected.deliveries,
        }
        assert evolve(stats, deliveries={}) == evolve(expected, deliveries={})

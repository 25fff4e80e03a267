"""Limits: buckets are never exceeded, and what goes on at once is counted."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smtpproto.adapters.blocking import run
from smtpproto.adapters.blocking_runtime import Runtime
from smtpproto.adapters.sqlite_states import SQLiteStates
from smtpproto.policy import Demand, Grant, Limit, MemoryStates, Rate, Release, Renewal, StateStore

START = 1_764_547_200.0
IDS = count(1)


class Clock(Runtime):
    def __init__(self) -> None:
        self.time = START

    def utc(self) -> float:
        return self.time


class Step(NamedTuple):
    passes: float
    put_back: float
    machine: int
    name: str
    number: int


STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from([0.0, 0.0, 0.3, 1.0, 17.0, 36.0, 4000.0]),
        st.sampled_from([0.0, 0.0, 0.0, 5.0, 100_000.0]),
        st.integers(0, 2),
        st.sampled_from(["ann", "bob"]),
        st.integers(1, 7),
    ),
    max_size=40,
)
LIMITS = st.builds(
    Limit,
    rate=st.builds(Rate, st.integers(1, 100), st.sampled_from([1.0, 60.0, 3600.0]))
    | st.builds(Rate, st.integers(1, 100), st.just(3600.0), st.integers(1, 30)),
)


def ask(store: StateStore, clock: Runtime, limits: dict[str, Limit], number: int = 1) -> Grant:
    demand = Demand(limits, number, next(IDS))
    return run(store.update(demand.keys, demand, clock))


@given(steps=STEPS, limit=LIMITS)
def test_no_sequence_of_demands_on_several_machines_exceeds_a_bucket(
    steps: list[Step], limit: Limit
) -> None:
    """A limit of all (``all``), and one of each name, hold at the same time, whatever the clock
    does: when it is put back, no tokens are added."""
    rate, clock, store, really = limit.rate, Clock(), MemoryStates(), 0.0
    assert rate is not None
    whole = Limit(rate=Rate(rate.count * 2, rate.seconds, rate.burst))
    taken: dict[str, list[tuple[float, int]]] = {"ann": [], "bob": [], "all": []}
    for step in steps:
        really += step.passes
        clock.time += step.passes - step.put_back
        demand = Demand({f"user:{step.name}": limit, "all:": whole}, step.number)
        grant = run(store.update(demand.keys, demand, clock))
        assert 0 <= grant.number <= step.number
        assert bool(grant.waits) == (grant.number < step.number)
        used, at = grant.number, really
        if step.machine == 2 and used:  # after a while, one turns out not to be needed
            clock.time += 0.2
            really += 0.2
            release = Release(demand, grant, 1)
            run(store.update(release.keys, release, clock))
            used -= 1
        taken[step.name].append((at, used))
        taken["all"].append((at, used))
    for name, events in taken.items():
        speed = rate.count / rate.seconds * (2 if name == "all" else 1)
        for first, (begin, _) in enumerate(events):
            total = 0
            for at, number in events[first:]:
                total += number
                assert total <= rate.burst + speed * (at - begin) + 1e-3


@given(steps=STEPS)
def test_no_more_go_on_at_once_than_a_limit_says(steps: list[Step]) -> None:
    clock, store = Clock(), MemoryStates()
    limits = {"destination:a": Limit(at_once=3)}
    going: list[Demand] = []
    for step in steps:
        clock.time += step.passes / 1000 - step.put_back
        demand = Demand(limits, step.number, next(IDS))
        if step.number > 4 and going:
            release = Release(going.pop())
            run(store.update(release.keys, release, clock))
        elif (grant := run(store.update(demand.keys, demand, clock))).number:
            assert grant.number == step.number
            going.append(demand)
        assert len(going) <= 3
        renewal = Renewal({demand.id: demand.keys for demand in going})
        run(store.update(renewal.keys, renewal, clock))


def test_a_demand_of_several_limits_takes_the_same_from_all_or_nothing() -> None:
    clock, store = Clock(), MemoryStates()
    limits = {"user:ann": Limit.parse("10/h"), "network:x": Limit.parse("4/h")}
    assert ask(store, clock, limits, 6) == Grant(4, {"network:x": 900.0}, START)
    assert ask(store, clock, limits).number == 0
    assert ask(store, clock, {"user:ann": limits["user:ann"]}, 10).number == 6


def test_the_wait_of_a_refusal_is_enough_and_no_shorter_one_is() -> None:
    clock, store, limits = Clock(), MemoryStates(), {"user:ann": Limit.parse("100/h burst 3")}
    assert ask(store, clock, limits, 3) == Grant(3, {}, START)
    grant = ask(store, clock, limits)
    assert grant.number == 0
    assert grant.waits == {"user:ann": pytest.approx(36)}
    clock.time += grant.waits["user:ann"] - 0.01
    assert ask(store, clock, limits).number == 0
    clock.time += 0.01
    assert ask(store, clock, limits).number == 1


def test_what_goes_on_counts_as_ended_when_its_process_has_died() -> None:
    clock, store, limits = Clock(), MemoryStates(), {"network:x": Limit.parse("1 at once")}
    assert ask(store, clock, limits).number == 1
    assert ask(store, clock, limits).number == 0
    clock.time += 60
    assert ask(store, clock, limits).number == 1


def test_tokens_return_only_if_the_bucket_was_not_filled_again_meanwhile() -> None:
    clock, store, limits = Clock(), MemoryStates(), {"user:ann": Limit.parse("1/s burst 5")}
    for passes in (0, 1, 10):
        clock.time += 100
        demand = Demand(limits, 2)
        grant = run(store.update(demand.keys, demand, clock))
        clock.time += passes
        assert ask(store, clock, limits, 5).number == min(3 + passes, 5)
        release = Release(demand, grant, 2)
        run(store.update(release.keys, release, clock))
        assert ask(store, clock, limits, 5).number == max(2 - passes, 0)


def test_a_full_bucket_is_forgotten() -> None:
    rate = Rate(100, 3600, 20)
    record = rate.take(rate.left((), START), 5, START)
    assert record.expires == START + 5 * 36
    assert rate.left(record.state, record.expires) == 20


def test_buckets_survive_a_restart(tmp_path: Path) -> None:
    clock, limits = Clock(), {"user:ann": Limit.parse("5/h")}
    for expected in (3, 2, 0):
        store = SQLiteStates(tmp_path / "states.db")
        assert ask(store, clock, limits, 3).number == expected
        run(store.close())


@settings(max_examples=8)
@given(steps=STEPS)
def test_two_stores_on_one_file_share_a_bucket(
    steps: list[Step], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("states") / "states.db"
    clock, memory, limits = Clock(), MemoryStates(), {"user:ann": Limit.parse("40/h, 9 at once")}
    stores = [SQLiteStates(path), SQLiteStates(path)]
    for step in steps[:12]:
        clock.time += step.passes - step.put_back
        expected = ask(memory, clock, limits, step.number)
        assert ask(stores[step.machine % 2], clock, limits, step.number) == expected
    for store in stores:
        run(store.close())


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("100/h", Limit(rate=Rate(100, 3600, 100))),
        ("1 / s", Limit(rate=Rate(1, 1, 1))),
        ("3/10m burst 30", Limit(rate=Rate(3, 600, 30))),
        ("5 at once", Limit(at_once=5)),
        (" 2/d  burst 1 ,  5 at once", Limit(rate=Rate(2, 86400, 1), at_once=5)),
    ],
)
def test_limits_are_read_from_text(text: str, limit: Limit) -> None:
    assert Limit.parse(text) == limit


@pytest.mark.parametrize(
    "text", ["", "100", "100/w", "-1/h", "1/h, 2/h", "1/h burst", "5 at once, 5 at once", "1/h,"]
)
def test_other_texts_are_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match='write it as "100/h"'):
        Limit.parse(text)


@pytest.mark.parametrize("text", ["0/h", "1/0h", "1/h burst 0", "0 at once"])
def test_a_limit_lets_through_something(text: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        Limit.parse(text)

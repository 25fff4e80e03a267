"""The cache of answers of the DNS."""

from __future__ import annotations

from contextlib import suppress

import hypothesis.strategies as st
import pytest
from attrs import define, evolve, field
from hypothesis import given

from smtpproto.dns import MX, SRV, TLSA, Answer, Kind, Record, Status
from smtpproto.dns_cache import CachingResolver, DNSCacheLimits
from smtpproto.testing import Mood, Simulation, Zone


@define
class Scene:
    """A cache before a zone, on a clock of its own."""

    limits: DNSCacheLimits = field(factory=DNSCacheLimits)
    simulation: Simulation = field(factory=lambda: Simulation(1))
    zone: Zone = field(init=False)
    cache: CachingResolver = field(init=False)

    def __attrs_post_init__(self) -> None:
        records = {Kind.MX: [MX(1, "mx.example.org")]}
        self.zone = Zone({"example.org": records}, self.simulation)
        self.cache = CachingResolver(self.zone, self.simulation, self.limits)

    def ask(self, name: str = "example.org", kind: Kind = Kind.MX) -> Answer:
        [answer] = self.simulation.run(self.cache.lookup(name, kind))
        assert isinstance(answer, Answer)
        return answer

    def wait(self, seconds: float) -> None:
        self.simulation.run(self.simulation.sleep(seconds))

    @property
    def questions(self) -> int:
        return len(self.zone.asked)


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["a.test", "b.test", "c.test", "none.test"]),
        st.sampled_from([Kind.A, Kind.MX]),
        st.integers(0, 400),
    ),
    max_size=40,
)


@given(EVENTS)
def test_an_answer_is_the_one_of_the_resolver_and_never_older_than_its_time(
    events: list[tuple[str, Kind, int]],
) -> None:
    scene = Scene(DNSCacheLimits(answers=4))
    changed = dict[str, float]()
    for number, (name, kind, seconds) in enumerate(events):
        if number % 3 == 0 and name != "none.test":
            scene.zone.records[name] = {Kind.A: [f"192.0.2.{number}"]}
            changed[name] = scene.simulation.now()
        answer = scene.ask(name, kind)
        [fresh] = scene.simulation.run(scene.zone.lookup(name, kind))
        assert answer.ttl <= 300
        if scene.simulation.now() - changed.get(name, 0) >= 300:
            assert evolve(answer, ttl=0) == evolve(fresh, ttl=0)
        scene.wait(seconds)
    assert len(scene.cache._recent) + len(scene.cache._old) <= 4


def test_a_question_is_asked_again_when_its_time_is_over() -> None:
    scene = Scene()
    assert scene.ask().ttl == 300
    scene.wait(299)
    assert scene.ask().ttl == 1
    assert scene.questions == 1
    scene.wait(1)
    assert scene.ask().ttl == 300
    assert scene.questions == 2


def test_types_of_records_are_kept_apart() -> None:
    scene = Scene()
    assert scene.ask(kind=Kind.MX).status is Status.FOUND
    assert scene.ask(kind=Kind.A).status is Status.NO_DATA


@pytest.mark.parametrize(
    ("name", "ttl", "seconds"),
    [
        ("example.org", 10**6, 86400),
        ("none.test", 10**6, 3600),
        ("none.test", 60, 60),
        ("example.org", 0, 0),
    ],
)
def test_no_answer_is_kept_for_longer_than_the_limits(
    name: str, ttl: float, seconds: float
) -> None:
    scene = Scene()
    scene.zone.ttl = ttl
    scene.ask(name)
    if seconds:
        scene.wait(seconds - 1)
        scene.ask(name)
        assert scene.questions == 1
        scene.wait(1)
    scene.ask(name)
    assert scene.questions == 2


@pytest.mark.parametrize("status", [Status.FAILED, Status.BOGUS])
def test_a_failure_is_kept_for_half_a_minute(status: Status) -> None:
    scene = Scene()
    scene.zone.moods["example.org"] = Mood(status, times=1)
    assert scene.ask().status is status
    scene.wait(29)
    assert scene.ask().status is status
    scene.wait(1)
    assert scene.ask().status is Status.FOUND


def test_failures_are_kept_for_five_minutes_at_most() -> None:
    with pytest.raises(ValueError, match="failure"):
        DNSCacheLimits(failure=301)


def test_many_who_ask_the_same_at_once_share_one_question() -> None:
    scene = Scene()
    scene.zone.moods["example.org"] = Mood(delay=5)
    scene.zone.ttl = 0  # not kept, but shared by those that wait for it
    asking = [scene.cache.lookup("example.org", Kind.MX) for _ in range(20)]
    answers = scene.simulation.run(*asking)
    assert {answer.status for answer in answers} == {Status.FOUND}
    assert (scene.questions, scene.simulation.now()) == (1, 5)


def test_if_the_one_that_asks_fails_another_asks() -> None:
    scene = Scene()

    class Failing(Zone):
        async def lookup(self, name: str, kind: Kind) -> Answer:
            answer = await super().lookup(name, kind)
            if len(self.asked) == 1:
                raise RuntimeError("cancelled")
            return answer

    zone = Failing(scene.zone.records, scene.simulation)
    zone.moods["example.org"] = Mood(delay=5)
    cache = CachingResolver(zone, scene.simulation)
    found = list[Answer]()

    async def ask() -> None:
        with suppress(RuntimeError):
            found.append(await cache.lookup("example.org", Kind.MX))

    scene.simulation.run(ask(), ask(), ask())
    assert [answer.status for answer in found] == [Status.FOUND] * 2
    assert len(zone.asked) == 2


def test_the_number_of_answers_is_bounded_and_recent_ones_stay() -> None:
    scene = Scene(DNSCacheLimits(answers=10))
    for number in range(100):
        scene.ask()  # each time: so it is always recent
        scene.ask(f"h{number}.test")
    assert len(scene.cache._recent) + len(scene.cache._old) <= 10
    assert scene.zone.asked.count(("example.org", Kind.MX)) == 1


@pytest.mark.parametrize(
    ("kind", "records"),
    [
        (Kind.TXT, [b"x" * 16000, b"x" * 400]),
        (Kind.A, ["192.0.2.1"] * 250),
        (Kind.MX, [MX(1, "x" * 250)] * 60),
        (Kind.SRV, [SRV(priority=0, weight=0, port=1, target="x" * 8200)] * 2),
        (Kind.TLSA, [TLSA(3, 0, 0, b"x" * 8200)] * 2),
    ],
)
def test_a_large_answer_is_not_kept(kind: Kind, records: list[Record]) -> None:
    scene = Scene()
    for count, questions in ((len(records) // 2, 1), (len(records), 3)):
        scene.zone.records[f"{count}.test"] = {kind: records[:count]}
        scene.ask(f"{count}.test", kind)
        scene.ask(f"{count}.test", kind)
        assert scene.questions == questions


def test_clear_forgets_all_answers() -> None:
    scene = Scene()
    scene.ask()
    scene.cache.clear()
    scene.ask()
    assert scene.questions == 2

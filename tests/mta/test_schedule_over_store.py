"""The schedule over a store: what a mail agent does, on a clock that jumps."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from itertools import count, pairwise

import pytest
from attrs import define, field

from smtpproto import Reply
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.limits import ScheduleLimits
from smtpproto.mta.judge import Judge
from smtpproto.mta.memory_store import MemoryQueue
from smtpproto.mta.queue import Attempt, Result
from smtpproto.mta.schedule import Job, PutBack, Schedule, feedback_of
from smtpproto.mta.settlement import Fate, Settlement
from smtpproto.mta.store import PassOver, Queued, Selection

from ..support.queued import attempt, delivery, message

DAY = 86400.0
SMALL = ScheduleLimits(active=200, active_per_destination=100, connections=10)
Take = Callable[[Job, float], tuple[float, Attempt]]
"""What a destination does with a job that begins at a time: how long it takes, and the attempt."""


def accept(_: Job, now: float) -> tuple[float, Attempt]:
    return 1, attempt(Result.RELAYED, Reply(250), at=now)


def hang(_: Job, now: float) -> tuple[float, Attempt]:
    return 60, attempt(Result.UNREACHED, at=now, host="dead.test", error="timed out")


@define
class Agent:
    """Claims, works and settles as a mail agent does. Time passes only while all are busy."""

    takes: dict[str, Take]
    smart_host: str = ""
    """The destination of all mail; "" if that is the domain of the recipient."""
    now: float = 0.0
    store: MemoryQueue = field(factory=MemoryQueue)
    schedule: Schedule = field(factory=lambda: Schedule(SMALL))
    judge: Judge = field(factory=Judge)
    started: list[tuple[float, Job]] = field(factory=list)
    put_back: Counter[str] = field(factory=Counter)
    _busy: list[tuple[float, int, Job, Attempt]] = field(factory=list)
    _numbers: Iterable[int] = field(factory=count)

    def __attrs_post_init__(self) -> None:
        run(self.store.open(Runtime()))

    def put(self, name: str, to: str, *, origin: str = "", recipients: int = 1) -> None:
        its = message(name, size=1, origin=origin, arrived=self.now, expires=self.now + 5 * DAY)
        rows = tuple(
            delivery(name, number, f"u{number}@{to}", due=self.now, attempts=0)
            for number in range(recipients)
        )
        run(self.store.put([Queued(message=its, deliveries=rows, content=b"x")]))

    def work(self, until: float) -> None:
        """Work until nothing is left to do before *until*."""
        while True:
            self._claim()
            while (job := self.schedule.next_job(self.now)) is not None:
                self.started.append((self.now, job))
                seconds, outcome = self.takes[job.destination](job, self.now)
                entry = self.now + seconds, next(iter(self._numbers)), job, outcome
                heapq.heappush(self._busy, entry)
            wakes = [self._busy[0][0]] if self._busy else []
            due = run(self.store.next_due(pass_over=self._pass_over()))
            if due is not None and due > self.now:
                wakes.append(due)
            if (wake := self.schedule.next_wake(self.now)) is not None:
                wakes.append(wake)
            if not wakes or min(wakes) > until:
                self.now = until
                return
            self.now = min(wakes)
            while self._busy and self._busy[0][0] <= self.now:
                self._finish(*heapq.heappop(self._busy)[2:])

    def _claim(self) -> None:
        while self.schedule.room:
            claims = run(
                self.store.claim(
                    self.now,
                    min(self.schedule.room, 50),
                    lambda row: self.judge.due_if_lost(row, self.now),
                    pass_over=self._pass_over(),
                )
            )
            if not claims:
                return
            for claim in claims:
                by_key = defaultdict(list)
                for row in claim.deliveries:
                    by_key[self.smart_host or row.domain].append(row)
                for key, rows in by_key.items():
                    self._return(self.schedule.add(key, claim.message, rows, self.now))

    def _pass_over(self) -> PassOver:
        excluded = set() if self.smart_host else {*self.schedule.excluded(self.now)}
        return lambda domain, origin: not excluded.isdisjoint([(domain, None), (domain, origin)])

    def _finish(self, job: Job, outcome: Attempt) -> None:
        settlements = [
            Settlement(
                delivery=row,
                decision=self.judge.decide(job.message, row, outcome, now=self.now, chance=0.5),
                attempt=outcome,
            )
            for row in job.deliveries
        ]
        run(self.store.settle(settlements, self.now))
        self._return(self.schedule.done(job, feedback_of([outcome]), self.now, outcome))

    def _return(self, rows: list[PutBack]) -> None:
        self.put_back.update(it.destination for it in rows)
        run(self.store.settle([self.judge.put_back(it, self.now) for it in rows], self.now))

    def fates(self) -> Counter[Fate]:
        """How the deliveries that ended came to their end; those in the queue are not counted."""
        entries = [run(self.store.find(Selection(id=job.message.id))) for _, job in self.started]
        unique = {entry.message.id: entry for found in entries for entry in found}
        return Counter(ended.fate for entry in unique.values() for ended in entry.ended)

    def first_start(self, name: str) -> tuple[float, int]:
        """When the first job of a message began, and how many began before it."""
        for number, (at, job) in enumerate(self.started):
            if job.message.id == name:
                return at, number
        raise AssertionError(f"{name} was never tried")


@pytest.mark.parametrize("messages", [100, 400])
def test_a_single_message_waits_for_few_of_a_giant_origin_with_the_same_destination(
    messages: int,
) -> None:
    agent = Agent({"live.test": accept})
    for number in range(messages):
        agent.put(f"g{number}", "live.test", origin="giant")
    agent.work(until=5)
    begun = len(agent.started)
    agent.put("single", "live.test", origin="other")
    agent.work(until=DAY)
    at, before = agent.first_start("single")
    assert at <= 6
    assert before <= begun + 10  # the jobs of one window, and of the turn
    assert agent.fates() == {Fate.RELAYED: messages + 1}
    assert agent.put_back["live.test"] <= 3 * messages


def test_dead_destinations_delay_a_live_one_no_longer_than_it_takes_to_know_them() -> None:
    dead = {f"dead{number}.test": hang for number in range(30)}
    agent = Agent({"live.test": accept, **dead})
    for to in dead:
        for number in range(20):
            agent.put(f"{to}.{number}", to, origin=f"o{number}")
    agent.work(until=600)
    for minute in range(60):
        agent.put(f"live{minute}", "live.test")
        put = agent.now
        agent.work(until=put + 60)
        assert agent.first_start(f"live{minute}")[0] == put


def test_mail_for_a_host_that_is_dead_for_ever_expires_after_few_attempts_for_all_of_it() -> None:
    agent = Agent({"dead.test": hang})
    for number in range(40):
        agent.put(f"m{number}", "dead.test", origin=f"o{number}")
    agent.work(until=6 * DAY)
    assert run(agent.store.stats()).messages == 0
    probes = [at for at, _ in agent.started]
    assert len(probes) < 5 + 6 + 5 * 24
    pauses = [later - at for at, later in pairwise(probes[5:])]
    assert min(pauses) >= 60
    assert probes[-1] <= 5 * DAY + SMALL.longest_pause


def test_mail_for_a_host_that_comes_back_is_delivered_within_an_hour_of_that() -> None:
    back = 0.5 * DAY

    def recover(job: Job, now: float) -> tuple[float, Attempt]:
        return accept(job, now) if now >= back else hang(job, now)

    agent = Agent({"host.test": recover})
    for number in range(300):
        agent.put(f"m{number}", "host.test", origin=f"o{number % 7}")
    agent.work(until=back + 2 * 3600)
    assert run(agent.store.stats()).messages == 0
    assert agent.fates()[Fate.RELAYED] == 300


def test_a_smart_host_that_was_dead_gets_all_domains_although_none_can_be_excluded() -> None:
    back = 0.25 * DAY

    def recover(job: Job, now: float) -> tuple[float, Attempt]:
        return accept(job, now) if now >= back else hang(job, now)

    agent = Agent({"relay": recover}, smart_host="relay")
    for number in range(100):
        agent.put(f"m{number}", f"d{number}.test", origin=f"o{number % 7}")
    agent.work(until=back)
    probes = len(agent.started)
    agent.work(until=back + 2 * 3600)
    assert probes < 5 + 6 + 6
    assert agent.put_back["relay"] <= 2 * 100 * (probes + 2)
    assert run(agent.store.stats()).messages == 0


def test_no_attempt_is_counted_for_what_is_put_back() -> None:
    agent = Agent({"dead.test": hang})
    for number in range(100):
        agent.put(f"m{number}", "dead.test", origin=f"o{number}")
    agent.work(until=3600)
    tried = Counter(job.message.id for _, job in agent.started)
    for entry in run(agent.store.find(Selection(), limit=1000)):
        [row] = entry.deliveries
        assert row.attempts == tried[entry.message.id]
        assert row.log  # why it waits, also if it was never tried

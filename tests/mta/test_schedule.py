"""The schedule: what is in memory, which job is next, and what is put back."""

from __future__ import annotations

from collections import Counter

import hypothesis.strategies as st
import pytest
from attrs import evolve
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from smtpproto import MailParameters, Reply
from smtpproto.limits import ScheduleLimits
from smtpproto.mta.destination_stats import DestinationStats
from smtpproto.mta.queue import Attempt, Result
from smtpproto.mta.schedule import Feedback, Job, PutBack, Schedule, feedback_of

from ..support.queued import attempt, delivery, message

ANSWERED, FAILED, NEITHER = Feedback.ANSWERED, Feedback.FAILED, Feedback.NEITHER
SMALL = ScheduleLimits(
    active=24, active_per_destination=8, connections=4, window=2, largest_window=3, recipients=3
)


def add(
    schedule: Schedule,
    to: str,
    of: str,
    *,
    origin: str = "",
    recipients: int = 1,
    now: float = 0,
    priority: int | None = None,
    due: float = 0,
    size: int = 1000,
) -> list[PutBack]:
    """Add a message *of* this id for some recipients at *to*."""
    parameters = MailParameters(mt_priority=priority)
    deliveries = [delivery(of, number, due=due) for number in range(recipients)]
    its = message(of, origin=origin, size=size, parameters=parameters)
    return schedule.add(to, its, deliveries, now)


def start_all(schedule: Schedule, now: float = 0) -> list[Job]:
    jobs = []
    while (job := schedule.next_job(now)) is not None:
        jobs.append(job)
    return jobs


def pause(schedule: Schedule, *destinations: str, now: float = 0) -> None:
    """Let the only transaction with each of *destinations* fail."""
    for name in destinations:
        add(schedule, name, f"to {name}", now=now)
        job = schedule.next_job(now)
        assert job is not None
        schedule.done(job, FAILED, now, attempt(Result.UNREACHED, error="refused"))


class ScheduleMachine(RuleBasedStateMachine):
    """The schedule against sets of what waits and what is in a job."""

    def __init__(self) -> None:
        super().__init__()
        self.schedule = Schedule(SMALL)
        self.now = 0.0
        self.waiting: dict[tuple[str, int], str] = {}  # a delivery, and its destination
        self.jobs: list[Job] = []
        self.failed: set[str] = set()  # destinations, since their last answer
        self.numbers = 0

    @property
    def busy(self) -> Counter[str]:
        return Counter(job.destination for job in self.jobs)

    def suspects(self) -> int:
        return sum(job.destination in self.failed for job in self.jobs)

    @rule(
        to=st.sampled_from(["a", "b", "c", "d", "e"]),
        origin=st.sampled_from("xyz"),
        recipients=st.integers(1, 10),
        priority=st.sampled_from([None, 3, -3]),
    )
    def claim(self, to: str, origin: str, recipients: int, priority: int | None) -> None:
        self.numbers += 1
        of, number = f"m{self.numbers}", min(recipients, self.schedule.room)
        paused = self.schedule.trouble(to, self.now)
        refused = add(
            self.schedule,
            to,
            of,
            origin=origin,
            recipients=number,
            now=self.now,
            priority=priority,
            due=self.now,
        )
        assert paused is None or len(refused) == number
        self.waiting |= {(of, it): to for it in range(number)}
        self.take_back(refused)

    def take_back(self, refused: list[PutBack]) -> None:
        for it in refused:
            assert it.due > self.now
            assert self.waiting.pop((it.delivery.message, it.delivery.number)) == it.destination

    @rule()
    def start(self) -> None:
        suspects = self.suspects()
        job = self.schedule.next_job(self.now)
        if job is None:
            self.check_that_nothing_can_start()
            return
        assert self.schedule.trouble(job.destination, self.now) is None
        assert 1 <= len(job.deliveries) <= SMALL.recipients
        if job.destination in self.failed:
            assert suspects < SMALL.connections / 2
        for it in job.deliveries:
            assert it.message == job.message.id
            assert self.waiting.pop((it.message, it.number)) == job.destination
        self.jobs.append(job)

    def check_that_nothing_can_start(self) -> None:
        if len(self.jobs) == SMALL.connections:
            return
        suspects_wait = self.suspects() >= SMALL.connections / 2
        for to in set(self.waiting.values()):
            assert self.busy[to] or (to in self.failed and suspects_wait)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), feedback=st.sampled_from(Feedback))
    def finish(self, data: st.DataObject, feedback: Feedback) -> None:
        job = self.jobs.pop(data.draw(st.integers(0, len(self.jobs) - 1)))
        paused = self.schedule.trouble(job.destination, self.now)
        self.take_back(self.schedule.done(job, feedback, self.now))
        if feedback is ANSWERED:
            self.failed.discard(job.destination)
        elif feedback is FAILED and paused is None:
            self.failed.add(job.destination)
        if self.schedule.trouble(job.destination, self.now):
            assert job.destination not in self.waiting.values()

    @rule(seconds=st.sampled_from([1.0, 30.0, 60.0, 4000.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def the_limits_hold(self) -> None:
        active = len(self.waiting) + sum(len(job.deliveries) for job in self.jobs)
        assert self.schedule.room == SMALL.active - active >= 0
        assert self.schedule.busy == len(self.jobs) <= SMALL.connections
        assert max(self.busy.values(), default=0) <= SMALL.largest_window
        waiting = Counter(self.waiting.values())
        assert max(waiting.values(), default=0) <= SMALL.active_per_destination

    @invariant()
    def a_paused_destination_is_excluded_until_the_wake(self) -> None:
        excluded, wake = self.schedule.excluded(self.now), self.schedule.next_wake(self.now)
        ends = [found[1] for to in "abcde" if (found := self.schedule.trouble(to, self.now))]
        paused = {(to, None) for to in "abcde" if self.schedule.trouble(to, self.now)}
        assert paused <= set(excluded)
        assert wake == min(ends, default=None)
        assert wake is None or self.now < wake <= self.now + SMALL.longest_pause

    def teardown(self) -> None:
        for it in self.schedule.close(self.now):
            assert it.due == self.now
            del self.waiting[it.delivery.message, it.delivery.number]
        assert not self.waiting
        for job in self.jobs:
            self.schedule.done(job, NEITHER, self.now)
        assert self.schedule.room == SMALL.active


TestScheduleMachine = ScheduleMachine.TestCase


def test_the_stats_of_a_destination_are_its_window_what_runs_and_its_pause() -> None:
    limits = ScheduleLimits(window=2, pause=60)
    schedule = Schedule(limits)
    fresh = DestinationStats(window=2, running=0, paused_until=None, trouble=None)
    assert schedule.stats("dead", 0) == fresh
    add(schedule, "dead", "m")
    job = schedule.next_job(0)
    assert job is not None
    assert schedule.stats("dead", 0) == evolve(fresh, running=1)
    because = Attempt(at=0.0, result=Result.UNREACHED)
    schedule.done(job, FAILED, 0, because)
    paused = DestinationStats(window=1, running=0, paused_until=60, trouble=because)
    assert schedule.stats("dead", 0) == paused
    assert schedule.stats("dead", 60) == evolve(paused, paused_until=None)
    shared = Schedule(limits, lambda limit, _: min(limit, 1))
    assert shared.stats("live", 0).window == 1


@pytest.mark.parametrize("messages", [10, 100, 900])
def test_the_single_message_of_an_origin_starts_before_the_second_of_a_giant_one(
    messages: int,
) -> None:
    schedule = Schedule()
    for number in range(messages):
        add(schedule, "live", f"m{number}", origin="giant")
    add(schedule, "live", "single", origin="other", due=99)
    started = [job.message.id for job in (schedule.next_job(0), schedule.next_job(0)) if job]
    assert "single" in started


def test_a_giant_origin_leaves_room_for_others_at_its_destination() -> None:
    schedule = Schedule(ScheduleLimits(active=1000, active_per_destination=100))
    refused = sum(len(add(schedule, "live", f"m{n}", origin="giant")) for n in range(500))
    assert refused == 425
    assert not add(schedule, "live", "single", origin="other")


def excluded_meanwhile(schedule: Schedule) -> list[list[tuple[str, str | None]]]:
    """Do all jobs; return what is excluded after the start of each."""
    excluded = []
    while (job := schedule.next_job(0)) is not None:
        excluded.append(list(schedule.excluded(0)))
        schedule.done(job, ANSWERED, 0)
    return excluded


def test_a_destination_that_was_full_is_excluded_until_it_is_half_empty() -> None:
    schedule = Schedule(ScheduleLimits(active_per_destination=16))
    for number in range(16):
        add(schedule, "host", f"m{number}", origin=str(number))
    assert excluded_meanwhile(schedule) == [[("host", None)]] * 7 + [[]] * 9


def test_an_origin_that_fills_half_of_its_destination_is_excluded_until_it_has_a_quarter() -> None:
    schedule = Schedule(ScheduleLimits(active_per_destination=16))
    add(schedule, "host", "other", origin="small")
    for number in range(8):
        add(schedule, "host", f"m{number}", origin="giant", due=1)
    giant = [("host", "giant")]
    assert excluded_meanwhile(schedule) == [giant, giant, giant, giant, [], [], [], [], []]


@pytest.mark.parametrize("most", [1, 2, 5, 100])
def test_what_is_claimed_of_a_giant_origin_fits_until_it_is_excluded(most: int) -> None:
    schedule = Schedule(ScheduleLimits(active_per_destination=most))
    while not schedule.excluded(0):
        for number in range(schedule.claimable):
            assert not add(schedule, "host", f"{schedule.room}.{number}", origin="giant")
    assert len(start_all(schedule)) > 0


def test_a_giant_destination_leaves_room_for_others() -> None:
    schedule = Schedule(ScheduleLimits(active=1000, active_per_destination=1000))
    for number in range(1000):
        add(schedule, "giant", f"m{number}", origin=str(number))
    assert schedule.room == 500
    assert not add(schedule, "other", "single")


@pytest.mark.parametrize("others", [1, 5, 20])
def test_destinations_take_turns(others: int) -> None:
    schedule = Schedule()
    for to in range(others):
        for number in range(100):
            add(schedule, f"d{to}", f"m{to}.{number}")
    for _ in range(3):
        schedule.next_job(0)
    add(schedule, "small", "single")
    jobs = [schedule.next_job(0) for _ in range(others + 1)]
    assert "small" in [job.destination for job in jobs if job]


def test_destinations_that_fail_and_hang_leave_half_of_the_connections() -> None:
    schedule = Schedule()
    failing = [f"d{number}" for number in range(200)]
    pause(schedule, *failing)
    for to in failing:
        add(schedule, to, f"again to {to}", now=61)
    assert len(start_all(schedule, 61)) == 50
    add(schedule, "live", "single", now=61)
    job = schedule.next_job(61)
    assert job is not None
    assert job.destination == "live"


def test_a_destination_that_failed_gets_its_turn_among_many_that_work() -> None:
    schedule = Schedule()
    pause(schedule, "failing")
    for to in range(50):
        add(schedule, f"d{to}", f"m{to}", now=61)
    add(schedule, "failing", "again", now=61)
    assert "failing" in [
        job.destination for job in (schedule.next_job(61), schedule.next_job(61)) if job
    ]


@pytest.mark.req("RFC5321-4.5.4.1-06")
def test_the_second_message_to_a_host_that_failed_is_put_back_without_a_job() -> None:
    schedule = Schedule()
    pause(schedule, "dead")
    [it] = add(schedule, "dead", "second", now=30)
    assert it.due == 60
    assert it.because is not None
    assert it.because.error == "refused"
    assert schedule.next_job(30) is None


@pytest.mark.req("RFC5321-4.5.4.1-02")
@pytest.mark.parametrize("later", [0, 1, 59])
def test_a_destination_that_has_just_failed_is_not_tried_again_at_once(later: float) -> None:
    schedule = Schedule()
    pause(schedule, "dead")
    assert add(schedule, "dead", "second", now=later)
    assert schedule.next_job(later) is None


@pytest.mark.req("RFC5321-4.5.4.1-08")
@pytest.mark.parametrize("command", ["MAIL FROM:<ann@example.org>", "RCPT TO:<bob@example.net>"])
def test_after_a_5yz_reply_the_next_message_to_the_same_host_starts_at_once(command: str) -> None:
    schedule = Schedule()
    add(schedule, "host", "first")
    job = schedule.next_job(0)
    assert job is not None
    refused = attempt(Result.REFUSED, Reply(550, "5.7.1", "no"), command=command)
    assert not schedule.done(job, feedback_of([refused]), 0, refused)
    assert not add(schedule, "host", "second")
    assert schedule.next_job(0) is not None


def test_when_a_destination_is_paused_all_that_waits_for_it_is_put_back() -> None:
    schedule = Schedule()
    for number in range(20):
        add(schedule, "dead", f"m{number}")
    jobs = start_all(schedule)
    refused = [it for job in jobs for it in schedule.done(job, FAILED, 0)]
    assert len(jobs) == 5
    assert len(refused) == 15
    assert len({it.due for it in refused}) == 15
    assert min(it.due for it in refused) == 60
    assert schedule.room == ScheduleLimits().active


def test_on_probation_a_destination_has_no_more_in_memory_than_one_transaction_takes() -> None:
    schedule = Schedule()
    pause(schedule, "dead")
    refused = [
        it for n in range(200) for it in add(schedule, "dead", f"m{n}", origin=str(n), now=61)
    ]
    assert len(refused) == 150
    assert schedule.excluded(61) == [("dead", None)]
    assert len(start_all(schedule, 61)) == 1


def test_what_a_destination_on_probation_has_no_room_for_is_put_back_because_of_its_failure() -> (
    None
):
    """So it expires in time, however much waits before it."""
    schedule = Schedule()
    pause(schedule, "dead")
    refused = [it for n in range(80) for it in add(schedule, "dead", f"m{n}", now=61)]
    assert refused
    assert {it.because and it.because.error for it in refused} == {"refused"}


@pytest.mark.parametrize(("seconds", "wait"), [(5, 5), (60, 60), (600, 60)])
def test_on_probation_what_has_no_room_waits_no_longer_than_a_pause(
    seconds: int, wait: int
) -> None:
    schedule = Schedule(ScheduleLimits(pause=seconds))
    pause(schedule, "dead")
    now = seconds + 1
    refused = [it for n in range(80) for it in add(schedule, "dead", f"m{n}", now=now)]
    assert min(it.due for it in refused) == pytest.approx(now + wait, abs=1)


def test_a_job_has_at_most_fifty_recipients_of_one_message() -> None:
    schedule = Schedule()
    add(schedule, "host", "mailing", recipients=120)
    add(schedule, "host", "other")
    jobs = start_all(schedule)
    assert sorted(len(job.deliveries) for job in jobs) == [1, 20, 50, 50]
    numbers = [it.number for job in jobs if job.message.id == "mailing" for it in job.deliveries]
    assert numbers == list(range(120))


@pytest.mark.req("RFC5321-4.5.4.1-10", "RFC5321-4.5.4.1-11")
def test_recipients_of_a_transaction_and_transactions_of_a_destination_can_be_limited() -> None:
    limits = ScheduleLimits(recipients=2, window=2, largest_window=2)
    schedule = Schedule(limits)
    add(schedule, "host", "mailing", recipients=5)
    first = start_all(schedule)
    assert [len(job.deliveries) for job in first] == [2, 2]
    schedule.done(first[0], ANSWERED, 0)
    assert [len(job.deliveries) for job in start_all(schedule)] == [1]


def test_deliveries_of_one_message_that_are_added_one_by_one_go_in_one_job() -> None:
    schedule = Schedule()
    for number in range(3):
        schedule.add("host", message("m"), [delivery("m", number)], 0)
    [job] = start_all(schedule)
    assert len(job.deliveries) == 3


def test_urgent_messages_go_first() -> None:
    schedule = Schedule()
    for priority in (None, -9, 4, 9):
        add(schedule, "host", f"m{priority}", priority=priority)
    assert [job.message.id for job in start_all(schedule)] == ["m9", "m4", "mNone", "m-9"]


def test_large_messages_cost_their_origin_turns() -> None:
    schedule = Schedule()
    for number in range(10):
        add(schedule, "host", f"l{number}", origin="large", size=1_000_000)
        add(schedule, "host", f"s{number}", origin="small")
    order = []
    for _ in range(10):
        job = schedule.next_job(0)
        assert job is not None
        order.append(job.message.origin)
        schedule.done(job, ANSWERED, 0)
    assert order.count("large") <= 3


def test_what_is_known_of_idle_destinations_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smtpproto.mta.schedule.REMEMBERED_DESTINATIONS", 100)
    schedule = Schedule()
    pause(schedule, *(f"d{number}" for number in range(300)))
    assert [to for to in range(300) if schedule.trouble(f"d{to}", 0)] == [*range(200, 300)]


def test_destinations_that_answer_are_not_remembered() -> None:
    schedule = Schedule()
    for number in range(100):
        add(schedule, f"d{number}", f"m{number}")
        job = schedule.next_job(0)
        assert job is not None
        schedule.done(job, ANSWERED, 0)
    assert not schedule._destinations


def test_the_number_of_excluded_lanes_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smtpproto.mta.schedule.EXCLUDED_LANES", 10)
    schedule = Schedule()
    pause(schedule, *(f"d{number}" for number in range(30)))
    assert len(schedule.excluded(0)) == 10
    assert schedule.excluded(61) == []


REFUSED_LATER = attempt(Result.REFUSED, Reply(450, "4.2.0", "greylisted"))
NO_SUCH_DOMAIN = attempt(Result.UNREACHED, Reply(550, "5.1.2", "no such domain"))


@pytest.mark.parametrize(
    ("attempts", "feedback"),
    [
        ([attempt(Result.RELAYED, Reply(250))], ANSWERED),
        ([attempt(Result.DELIVERED)], ANSWERED),
        ([REFUSED_LATER], ANSWERED),
        ([attempt(Result.REFUSED, Reply(550))], ANSWERED),
        ([attempt(Result.REFUSED, Reply(421))], FAILED),
        ([attempt(Result.UNREACHED, error="timed out")], FAILED),
        ([attempt(Result.UNREACHED, Reply(451, "4.4.3", "DNS"))], FAILED),
        ([attempt(Result.UNKNOWN)], FAILED),
        ([NO_SUCH_DOMAIN], NEITHER),
        ([attempt(Result.UNREACHED, Reply(554), host="mx.test")], FAILED),
        ([REFUSED_LATER, attempt(Result.UNKNOWN)], FAILED),
        ([NO_SUCH_DOMAIN, REFUSED_LATER], ANSWERED),
        ([], NEITHER),
    ],
)
def test_feedback_is_about_the_destination_not_about_recipients(
    attempts: list[Attempt], feedback: Feedback
) -> None:
    assert feedback_of(attempts) is feedback


def test_new_limits_hold_for_the_jobs_that_follow() -> None:
    schedule = Schedule(SMALL)
    for number in range(6):
        add(schedule, "a", f"a{number}")
        add(schedule, "b", f"b{number}")
    first = schedule.next_job(0)
    assert first is not None
    schedule.use(ScheduleLimits(connections=4, window=1, largest_window=1), 0)
    jobs = [first, *start_all(schedule)]
    assert sorted(job.destination for job in jobs) == ["a", "b"]
    schedule.use(SMALL, 0)
    for job in jobs:
        schedule.done(job, ANSWERED, 0)
    assert len(start_all(schedule)) == 4


# -- a limit that other processes share ----------------------------------------------------------


def test_no_more_jobs_than_the_share_of_the_limit_begin() -> None:
    shares = {"x.test": 2, "y.test": 1}
    schedule = Schedule(ScheduleLimits(window=3), lambda limit, name: min(limit, shares[name]))
    for number in range(4):
        add(schedule, "x.test", f"x{number}")
        add(schedule, "y.test", f"y{number}")
    assert Counter(job.destination for job in start_all(schedule)) == shares
    shares["x.test"] = 3
    assert start_all(schedule) == []
    schedule.look_at_shares(0)
    assert [job.destination for job in start_all(schedule)] == ["x.test"]


def test_a_destination_whose_limit_others_have_gets_nothing() -> None:
    share = 0
    schedule = Schedule(ScheduleLimits(), lambda limit, name: share)
    (back,) = add(schedule, "x.test", "a")
    assert back.destination == "x.test"
    assert schedule.is_shut("x.test")
    share = 1
    assert not schedule.is_shut("x.test")
    assert add(schedule, "x.test", "a") == []
    assert len(start_all(schedule)) == 1


def test_what_was_claimed_waits_for_a_share() -> None:
    share = 1
    schedule = Schedule(ScheduleLimits(), lambda limit, name: share)
    add(schedule, "x.test", "a")
    add(schedule, "x.test", "b")
    (job,) = start_all(schedule)
    share = 0
    schedule.done(job, ANSWERED, 0)
    assert start_all(schedule) == []
    assert [*schedule.excluded(0)] == [("x.test", None)]
    share = 1
    assert [*schedule.excluded(0)] == []
    schedule.look_at_shares(0)
    assert len(start_all(schedule)) == 1

"""The schedule when limits of this server slow down destinations."""

from __future__ import annotations

from smtpproto import Reply
from smtpproto.limits import ScheduleLimits
from smtpproto.mta.queue import Result
from smtpproto.mta.schedule import Feedback, Job, PutBack, Schedule

from ..support.queued import attempt
from .test_schedule import add, start_all

LIMITS = ScheduleLimits(active=200, active_per_destination=100, recipients=3)
ANSWERED, NEITHER = Feedback.ANSWERED, Feedback.NEITHER
RELAYED = attempt(Result.RELAYED)
LIMIT = Reply(450, "4.7.28", "The limit is reached")


def start(schedule: Schedule, now: float = 0) -> Job:
    job = schedule.next_job(now)
    assert job is not None
    return job


def slow_down(schedule: Schedule, until: float, now: float = 0, tried: int = 0) -> list[PutBack]:
    """Begin the next job, and let a limit allow the first *tried* of its recipients."""
    job = start(schedule, now)
    schedule.done(job, ANSWERED if tried else NEITHER, now, RELAYED if tried else None)
    because = attempt(Result.REFUSED, reply=LIMIT, at=now)
    return schedule.slow_down(job, job.deliveries[tried:], until, 1.0, because)


def test_deliveries_to_a_slow_destination_wait_in_memory_if_it_is_not_for_long() -> None:
    schedule = Schedule(LIMITS)
    add(schedule, "slow", "m1", recipients=3)
    add(schedule, "slow", "m2")
    add(schedule, "other", "m3")
    assert slow_down(schedule, until=60, tried=1) == []
    assert [job.destination for job in start_all(schedule)] == ["other"]
    assert schedule.next_wake(0) == 60
    assert start_all(schedule, 59.9) == []
    jobs = start_all(schedule, 60)
    assert {job.message.id: len(job.deliveries) for job in jobs} == {"m1": 2, "m2": 1}
    assert schedule.next_wake(60) is None
    assert schedule.room == 200 - 4


def test_they_return_to_the_store_with_the_reason_if_it_is_for_long() -> None:
    schedule = Schedule(LIMITS)
    add(schedule, "slow", "m1", recipients=3)
    add(schedule, "slow", "m2")
    refused = slow_down(schedule, until=61)
    assert sorted((it.message.id, it.due) for it in refused) == [
        ("m1", 62), ("m1", 63), ("m1", 64), ("m2", 61)
    ]  # fmt: skip
    assert all(it.because is not None and it.because.reply == LIMIT for it in refused)
    assert (schedule.room, schedule.next_wake(0)) == (200, 61)
    assert schedule.excluded(0) == [("slow", None)]
    assert [it.due >= 61 for it in add(schedule, "slow", "m3")] == [True]
    assert schedule.excluded(61) == []
    assert add(schedule, "slow", "m3", now=61) == []
    assert start_all(schedule, 61)


def test_a_slow_destination_gets_few_deliveries_until_a_job_is_not_limited() -> None:
    schedule = Schedule(LIMITS)
    add(schedule, "slow", "m1")
    slow_down(schedule, until=10)
    assert len(add(schedule, "slow", "m2", recipients=5)) == 3
    assert schedule.excluded(0) == [("slow", None)]
    job = start(schedule, 10)
    schedule.done(job, ANSWERED, 10, RELAYED)
    assert len(add(schedule, "slow", "m3", recipients=50, now=10)) == 0


def test_a_slow_destination_is_no_suspect_and_its_window_stays() -> None:
    schedule = Schedule(LIMITS)
    for number in range(9):
        add(schedule, "slow", f"m{number}")
    slow_down(schedule, until=10)
    assert len(start_all(schedule, 10)) == LIMITS.window
    assert schedule.trouble("slow", 0) is None


def test_a_clock_that_is_put_back_makes_nothing_wait_longer() -> None:
    for wait in (50, 500):
        schedule = Schedule(LIMITS)
        now = 1e6
        add(schedule, "slow", "m1")
        slow_down(schedule, until=now + wait, now=now)
        now -= 9e5
        assert start_all(schedule, now) == []
        wake = schedule.next_wake(now)
        assert wake is not None and wake <= now + wait
        add(schedule, "slow", "m2", now=now + wait)
        assert start_all(schedule, now + wait)


def test_all_that_waits_is_put_back_when_the_schedule_is_closed() -> None:
    schedule = Schedule(LIMITS)
    add(schedule, "slow", "m1")
    slow_down(schedule, until=50)
    assert [(it.due, it.because) for it in schedule.close(1)] == [(1, None)]
    assert schedule.next_wake(1) in (50, None)
    assert start_all(schedule, 50) == []

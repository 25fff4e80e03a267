"""What an operation of the schedule costs, counted in calls, whatever is in memory."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from smtpproto.limits import ScheduleLimits
from smtpproto.mta.schedule import Feedback, Job, Schedule

from ..support.queued import delivery, message


def calls(function: Callable[[], Any]) -> int:
    """Return how many functions *function* calls, those of C included."""
    number = 0

    def count(_: object, event: str, __: object) -> None:
        nonlocal number
        number += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        function()
    finally:
        sys.setprofile(before)
    return number


def filled(messages: int, *, destinations: int = 1, origins: int = 1) -> Schedule:
    limits = ScheduleLimits(active=10**6, active_per_destination=10**6)
    schedule = Schedule(limits)
    for number in range(messages):
        its = message(f"m{number}", origin=f"o{number % origins}")
        schedule.add(f"d{number % destinations}", its, [delivery(its.id)], 0)
    return schedule


def take_turns(schedule: Schedule) -> None:
    for number in range(20):
        its = message(f"n{number}", origin="o1")
        schedule.add("d1", its, [delivery(its.id)], 0)
        job = schedule.next_job(0)
        assert isinstance(job, Job)
        schedule.done(job, Feedback.ANSWERED, 0)
        schedule.excluded(0)


@pytest.mark.parametrize(
    "many",
    [{}, {"destinations": 500}, {"origins": 500}, {"destinations": 50, "origins": 50}],
    ids=str,
)
def test_twenty_turns_cost_the_same_with_five_hundred_messages_and_with_four_thousand(
    many: dict[str, int],
) -> None:
    few, lots = (filled(messages, **many) for messages in (500, 4000))
    take_turns(few)  # what is worked out once
    assert calls(lambda: take_turns(lots)) <= 1.1 * calls(lambda: take_turns(few))

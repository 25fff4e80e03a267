"""The window of a destination: how many transactions it may have at the same time."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from smtpproto.limits import ScheduleLimits
from smtpproto.mta.window import Feedback, Window

LIMITS = ScheduleLimits()
ANSWERED, FAILED, NEITHER = Feedback.ANSWERED, Feedback.FAILED, Feedback.NEITHER


def full_turn(window: Window, feedback: Feedback, now: float = 0) -> None:
    """Begin as many transactions as the window allows, then end one after the other."""
    number = window.size
    for _ in range(number):
        window.begin()
    for _ in range(number):
        window.end(feedback, now)


def paused(times: int) -> tuple[Window, float]:
    """A window whose first transaction, and each probe after it, has failed; and the time."""
    window, now = Window(LIMITS), 0.0
    for _ in range(times):
        now = window.paused_until(now) or now
        window.begin()
        window.end(FAILED, now)
    return window, now


def test_a_new_destination_has_five_transactions() -> None:
    window = Window(LIMITS)
    for _ in range(5):
        assert window.has_room(0)
        window.begin()
    assert not window.has_room(0)


def test_a_window_keeps_to_new_limits_and_shrinks_to_them() -> None:
    window = Window(LIMITS)
    window.use(ScheduleLimits(window=2, largest_window=3, pause=7))
    assert window.size == 3
    full_turn(window, FAILED)
    assert window.paused_until(0) == 7


@pytest.mark.parametrize("turns", range(4))
def test_a_window_grows_by_one_when_all_its_transactions_are_answered_while_it_is_full(
    turns: int,
) -> None:
    window = Window(LIMITS)
    for _ in range(turns):
        number = window.size
        for _ in range(number):
            window.begin()
        for _ in range(number):  # each that ends makes room for the next
            window.end(ANSWERED, 0)
            window.begin()
        for _ in range(number):
            window.end(NEITHER, 0)
    assert window.size == 5 + turns


def test_a_window_that_is_not_used_does_not_grow() -> None:
    window = Window(LIMITS)
    for _ in range(100):
        window.begin()
        window.end(ANSWERED, 0)
    assert window.size == 5
    assert window.is_new


def test_a_window_shrinks_by_one_when_as_many_failed_as_it_has_transactions() -> None:
    window = Window(LIMITS)
    for _ in range(5):  # never all in a row
        window.begin()
        window.begin()
        assert window.size == 5
        window.end(FAILED, 0)
        window.end(ANSWERED, 0)
    assert window.size == 4


def test_a_single_failure_of_several_transactions_does_not_pause_the_destination() -> None:
    window = Window(LIMITS)
    for _ in range(5):
        window.begin()
    window.end(FAILED, 0)
    assert window.paused_until(0) is None
    assert window.suspect


def test_a_destination_is_paused_when_all_open_transactions_have_failed() -> None:
    window = Window(LIMITS)
    full_turn(window, FAILED, 7)
    assert window.paused_until(7) == 67
    assert not window.has_room(66)
    assert window.has_room(67)


def test_the_only_transaction_that_fails_pauses_the_destination() -> None:
    window, _ = paused(1)
    assert window.paused_until(0) == 60


@pytest.mark.parametrize("times", range(1, 10))
def test_the_pause_doubles_from_a_minute_to_an_hour(times: int) -> None:
    window, now = paused(times)
    assert (window.paused_until(now) or 0) - now == min(60 * 2 ** (times - 1), 3600)


def test_the_pause_stays_the_longest_for_ever() -> None:
    window, now = paused(3000)
    assert (window.paused_until(now) or 0) - now == 3600


def test_after_a_pause_one_transaction_probes_the_destination() -> None:
    window, _ = paused(1)
    assert window.has_room(60)
    window.begin()
    assert not window.has_room(60)


def test_a_probe_that_is_answered_opens_the_first_window_again() -> None:
    window, _ = paused(4)
    window.begin()
    window.end(ANSWERED, 10_000)
    assert window.size == 5
    assert not window.suspect


def test_any_failure_on_probation_pauses_again_although_others_are_open_from_before() -> None:
    window = Window(ScheduleLimits(window=20))
    for _ in range(20):
        window.begin()
    while window.paused_until(0) is None:
        window.end(FAILED, 0)
    assert window.busy > 2
    window.end(FAILED, 60)
    assert window.paused_until(60) == 180


def test_a_probe_that_says_nothing_is_followed_by_another() -> None:
    window, _ = paused(1)
    window.begin()
    window.end(NEITHER, 60)
    assert window.has_room(60)
    assert window.on_probation


def test_transactions_that_fail_during_the_pause_do_not_prolong_it() -> None:
    window = Window(LIMITS)
    for _ in range(5):
        window.begin()
    for _ in range(5):  # 1/5 + 1/4 + 1/3 + 1/2 is more than 1
        window.end(FAILED, 0 if window.busy > 1 else 30)
    assert window.paused_until(30) == 60


def test_a_transaction_answered_during_the_pause_ends_it() -> None:
    window = Window(LIMITS)
    for _ in range(5):
        window.begin()
    for _ in range(4):
        window.end(FAILED, 0)
    window.end(ANSWERED, 1)
    assert window.paused_until(1) is None
    assert window.size == 5


def test_a_clock_that_is_put_back_does_not_prolong_a_pause() -> None:
    window = Window(LIMITS)
    window.begin()
    window.end(FAILED, 1_000_000)
    assert window.paused_until(0) == 60


EVENTS = st.lists(
    st.tuples(st.booleans(), st.sampled_from(Feedback), st.floats(0, 5000)), max_size=200
)


@given(EVENTS)
def test_a_window_is_never_exceeded_nor_beyond_its_bounds(
    events: list[tuple[bool, Feedback, float]],
) -> None:
    window, now = Window(LIMITS), 0.0
    for begins, feedback, seconds in events:
        now += seconds
        if begins and window.has_room(now):
            window.begin()
            assert window.busy <= window.size
        elif window.busy:
            window.end(feedback, now)
        assert 1 <= window.size <= LIMITS.largest_window
        until = window.paused_until(now)
        assert until is None or now < until <= now + LIMITS.longest_pause

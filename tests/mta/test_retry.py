"""The retry schedule: waits, expiry, warnings, and hints in replies."""

from __future__ import annotations

import math

import hypothesis.strategies as st
import pytest
from hypothesis import given

from smtpproto import ByMode, DeliverBy, MailParameters, Reply, ReversePath
from smtpproto.mta.retry import RetrySchedule, hint

from ..support.queued import message

DEFAULT = RetrySchedule()
ANN, NOBODY = ReversePath.parse("<ann@example.org>"), ReversePath.parse("<>")
DAY = 86400


@st.composite
def schedules(draw: st.DrawFn) -> RetrySchedule:
    steps = sorted(draw(st.lists(st.floats(1, 10_000), min_size=1, max_size=6)))
    return RetrySchedule(
        steps=tuple(steps),
        factor=draw(st.floats(1, 10)),
        longest=steps[-1] * draw(st.floats(1, 100)),
        jitter=draw(st.floats(0, 0.5)),
    )


CHANCE = st.floats(0, 1)


@given(schedules(), st.integers(1, 10_000), CHANCE)
def test_a_wait_is_between_the_first_step_and_the_longest_with_jitter_within_its_share(
    schedule: RetrySchedule, failures: int, chance: float
) -> None:
    middle, wait = schedule.wait(failures, 0.5), schedule.wait(failures, chance)
    assert schedule.steps[0] <= middle <= schedule.longest
    rounding = middle * 1e-9  # a share near 0 is less than floats can tell
    assert abs(wait - middle) <= middle * schedule.jitter + rounding
    assert wait > 0


@given(schedules(), st.integers(1, 200), CHANCE)
def test_waits_never_become_shorter(schedule: RetrySchedule, failures: int, chance: float) -> None:
    assert schedule.wait(failures, chance) <= schedule.wait(failures + 1, chance)


def test_the_default_waits_are_short_at_first_then_grow_by_half_to_four_hours() -> None:
    waits = [DEFAULT.wait(failures, 0.5) / 60 for failures in range(1, 10)]
    assert waits == [1, 5, 15, 30, 60, 90, 135, 202.5, 240]


def test_the_steps_of_a_constant_schedule_do_not_grow() -> None:
    assert RetrySchedule(steps=(60,), factor=1).wait(10**6, 0.5) == 60


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"steps": ()}, "at least one"),
        ({"steps": (0,)}, "more than 0"),
        ({"steps": (60, 30)}, "not become shorter"),
        ({"steps": (60,), "longest": 30}, "nor exceed longest"),
        ({"factor": 0.5}, "factor"),
        ({"jitter": 0.6}, "jitter"),
        ({"expiry": 0}, "expiry"),
        ({"steps": (math.nan,)}, "more than 0"),
        ({"steps": (60, math.inf), "longest": math.inf}, "more than 0"),
        ({"longest": math.inf}, "longest must be at most"),
        ({"expiry": math.inf}, "expiry must be at most"),
        ({"report_expiry": 1e300}, "report_expiry must be at most"),
        ({"warn_after": math.nan}, "warn_after must be at most"),
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused(values: dict[str, float], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        RetrySchedule(**values)  # type: ignore[arg-type]


@pytest.mark.req("RFC5321-4.5.4.1-04")
def test_by_default_a_message_is_tried_for_at_least_four_days() -> None:
    assert DEFAULT.expires(ANN, MailParameters(), 1000) - 1000 == 5 * DAY


@pytest.mark.req("RFC5321-4.5.4.1-12")
def test_a_message_with_the_null_sender_expires_sooner() -> None:
    assert DEFAULT.expires(NOBODY, MailParameters(), 1000) - 1000 == 2 * DAY


@pytest.mark.parametrize(
    ("by", "expiry"),
    [
        (DeliverBy(600, ByMode.RETURN), 600),
        (DeliverBy(10 * DAY, ByMode.RETURN), 5 * DAY),
        (DeliverBy(600, ByMode.NOTIFY), 5 * DAY),
    ],
)
def test_a_message_with_by_and_return_expires_at_its_time(by: DeliverBy, expiry: float) -> None:
    assert DEFAULT.expires(ANN, MailParameters(by=by), 1000) == 1000 + expiry


@pytest.mark.parametrize(
    ("by", "warns"),
    [
        (None, 4 * 3600),
        (DeliverBy(600, ByMode.NOTIFY), 600),
        (DeliverBy(-5, ByMode.NOTIFY), -5),
        (DeliverBy(600, ByMode.RETURN), 4 * 3600),
    ],
)
def test_the_sender_is_told_of_a_delay_after_four_hours_or_as_by_asks(
    by: DeliverBy | None, warns: float
) -> None:
    its = message(arrived=1000, parameters=MailParameters(by=by))
    assert DEFAULT.warns(its) == 1000 + warns


def test_the_time_that_a_message_is_held_for_its_sender_is_no_delay() -> None:
    held = message(arrived=1000, not_before=9000)
    assert DEFAULT.warns(held) == 9000 + 4 * 3600
    by = MailParameters(by=DeliverBy(600, ByMode.NOTIFY))
    assert DEFAULT.warns(message(arrived=1000, not_before=9000, parameters=by)) == 1600


def test_without_warn_after_only_by_asks_for_a_warning() -> None:
    quiet = RetrySchedule(warn_after=None)
    assert quiet.warns(message()) is None
    by = DeliverBy(600, ByMode.NOTIFY)
    assert quiet.warns(message(parameters=MailParameters(by=by))) == 600


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Greylisted, please try again in 300 seconds", 300),
        ("try again in 300s", 300),
        ("Greylisting in action, please come back in 00:04:59", 299),
        ("Greylisted for 5 minutes", 300),
        ("retry after 1 hour", 3600),
        ("come back after about 10 mins", 600),
        ("Please wait at least 2 minutes", 120),
        ("Too many messages; wait another 45 sec", 45),
        ("TRY AGAIN IN 5 MINUTES", 300),
        ("try again later", None),
        ("delivered in 5 messages", None),
        ("see http://example.org/wait/10s", None),
        ("in 99999999 seconds", None),
        ("try again in ٣ minutes", None),
    ],
)
def test_a_reply_may_say_when_to_try_again(text: str, seconds: float | None) -> None:
    assert hint(Reply(450, "4.2.0", text)) == seconds


@pytest.mark.parametrize("code", [250, 354, 550, 554])
def test_a_reply_that_is_not_4yz_gives_no_hint(code: int) -> None:
    assert hint(Reply(code, None, "try again in 300 seconds")) is None


@given(st.integers(0, 999_999), st.sampled_from(["seconds", "minutes", "hours"]))
def test_a_hint_is_heeded_within_bounds(number: int, unit: str) -> None:
    heeded = DEFAULT.heeds(Reply(450, None, f"try again in {number} {unit}"))
    assert heeded is not None
    assert DEFAULT.steps[0] <= heeded <= DEFAULT.longest


@given(st.text(st.characters(codec="ascii", categories=["L", "N", "P", "Zs"]), max_size=80))
def test_any_text_gives_a_hint_or_none(text: str) -> None:
    found = hint(Reply(450, None, f"x{text}"))
    assert found is None or found >= 0

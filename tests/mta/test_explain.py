"""The story of a message in words."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from smtpproto import Reply, ReversePath
from smtpproto.mta.explain import attempt_in_words, explain, next_step
from smtpproto.mta.queue import Attempt, Result, State
from smtpproto.mta.retry import RetrySchedule
from smtpproto.mta.settlement import Ended, Fate
from smtpproto.mta.store import Entry

from ..support.queued import attempt, delivery, message

NOON = 1_800_000_000.0  # 2027-01-15 08:00:00 UTC
HOUR, DAY = 3600, 86400
GREYLISTED = attempt(
    Result.REFUSED,
    Reply(450, "4.2.0", "Greylisted for 5 minutes"),
    at=NOON - 2 * HOUR,
    host="mx1.example.net",
    address="192.0.2.1",
    command="RCPT TO:<bob@example.net>",
)
DOWN = attempt(
    Result.UNREACHED, at=NOON - HOUR, host="mx2.example.net", error="connection refused", seconds=61
)
MESSAGE = message(
    "01h", arrived=NOON - 3 * HOUR, expires=NOON + 5 * DAY, origin="ann", authenticated=True
)
STORY = """\
Message 01h from ann@example.org, 1000 octets
  arrived 3 hours ago (2027-01-15 05:00:00 UTC)
  from ann

bob@example.net waits for its next attempt, in 30 minutes (2027-01-15 08:30:00 UTC)
  if it cannot be delivered it is returned to its sender in 5 days (2027-01-20 08:00:00 UTC)
  the sender is told of the delay in 1 hour (2027-01-15 09:00:00 UTC)
  attempts that ended:
    2027-01-15 06:00:00 UTC: mx1.example.net [192.0.2.1] refused it for now: 450 4.2.0 Greylisted \
for 5 minutes, in reply to RCPT TO:<bob@example.net>
    2027-01-15 07:00:00 UTC: mx2.example.net could not be reached (connection refused), after \
1 minute 1 second

carl@example.net was accepted by the next host 10 seconds ago (2027-01-15 07:59:50 UTC)"""


def test_the_story_tells_each_recipient_what_was_said_and_what_comes_next() -> None:
    entry = Entry(
        message=MESSAGE,
        deliveries=(delivery("01h", due=NOON + 1800, attempts=2, log=(GREYLISTED, DOWN)),),
        ended=(
            Ended(delivery=delivery("01h", 1, "carl@example.net"), fate=Fate.RELAYED, at=NOON - 10),
        ),
    )
    assert explain(entry, NOON) == STORY


@pytest.mark.parametrize(
    ("facts", "step"),
    [
        ({"state": State.HELD, "reason": "spam?"}, "is held until somebody releases it: spam?"),
        ({"state": State.HELD}, "is held until somebody releases it"),
        (
            {"state": State.LEASED, "attempts": 3},
            "is being delivered, in attempt 3, or waits for a connection",
        ),
        ({"due": NOON - 1}, "is due, and waits for a connection"),
        (
            {"due": NOON + 60, "attempts": 0},
            "waits for its first attempt, in 1 minute (2027-01-15 08:01:00 UTC)",
        ),
        (
            {"due": MESSAGE.expires},
            "waits for its last attempt, in 5 days (2027-01-20 08:00:00 UTC)",
        ),
    ],
)
def test_the_next_step_follows_from_the_state(facts: dict[str, Any], step: str) -> None:
    assert next_step(MESSAGE, delivery(**facts), NOON) == step


def test_a_message_that_is_not_released_yet_waits_for_its_time() -> None:
    its = message(not_before=NOON + 90, expires=NOON + DAY)
    assert next_step(its, delivery(due=NOON + 90, attempts=0), NOON) == (
        "waits for the time that its sender asked for, in 1 minute 30 seconds"
        " (2027-01-15 08:01:30 UTC)"
    )


def test_a_delivery_to_a_paused_destination_waits_for_the_end_of_the_pause() -> None:
    step = next_step(MESSAGE, delivery(due=NOON), NOON, lambda _: (DOWN, NOON + 240))
    assert step == (
        "waits, because its destination does not answer; next attempt in 4 minutes"
        " (2027-01-15 08:04:00 UTC)"
    )


@pytest.mark.parametrize(
    ("its", "words"),
    [
        (
            attempt(Result.RELAYED, Reply(250, "2.0.0", "queued as 4F2A"), host="mx.test"),
            "mx.test accepted it: 250 2.0.0 queued as 4F2A",
        ),
        (
            attempt(Result.REFUSED, Reply(550, "5.1.1", "no such user"), host="mx.test"),
            "mx.test refused it for good: 550 5.1.1 no such user",
        ),
        (
            attempt(Result.UNKNOWN, host="mx.test", error="timed out"),
            "mx.test may have accepted it: the connection was lost before the reply (timed out)",
        ),
        (
            attempt(Result.UNREACHED, Reply(451, "4.4.3", "The look-up of MX records failed")),
            "no host was found: 451 4.4.3 The look-up of MX records failed",
        ),
    ],
)
def test_an_attempt_is_told_on_one_line(its: Attempt, words: str) -> None:
    assert attempt_in_words(its) == words


@pytest.mark.parametrize("fate", Fate)
def test_each_end_has_words(fate: Fate) -> None:
    entry = Entry(message=MESSAGE, ended=(Ended(delivery=delivery(), fate=fate, at=NOON),))
    assert f"bob@example.net {'was' if fate is not Fate.FAILED else 'failed'} " in explain(
        entry, NOON
    )


@pytest.mark.parametrize(
    ("facts", "sender", "told"),
    [
        ({"warned": True}, "<ann@example.org>", "the sender was told of the delay"),
        ({}, "<ann@example.org>", "the sender is told of the delay in 1 hour"),
        ({"due": NOON + 7200}, "<ann@example.org>", "the sender is told of the delay in 2 hours"),
        ({}, "<>", None),
    ],
)
def test_the_story_tells_when_the_sender_learns_of_the_delay(
    facts: dict[str, Any], sender: str, told: str | None
) -> None:
    its = message(arrived=NOON - 3 * HOUR, expires=NOON + DAY, sender=ReversePath.parse(sender))
    story = explain(Entry(message=its, deliveries=(delivery(**facts),)), NOON)
    assert ("told of the delay" in story) is (told is not None)
    assert told is None or told in story
    assert ("it is dropped" if sender == "<>" else "it is returned to its sender") in story


def test_a_sender_that_is_not_told_of_delays_is_not_mentioned() -> None:
    entry = Entry(message=MESSAGE, deliveries=(delivery(),))
    assert "told" not in explain(entry, NOON, RetrySchedule(warn_after=None))


TEXT = st.text(max_size=20)
ATTEMPTS = st.builds(
    attempt,
    st.sampled_from(Result),
    st.none() | st.builds(Reply, st.integers(200, 599), st.none(), st.just("x\u00e9")),
    at=st.floats(0, 1e12),
    host=TEXT,
    address=TEXT,
    command=TEXT,
    error=TEXT,
    seconds=st.floats(0, 1e6),
)


@given(
    st.sampled_from(State),
    st.lists(ATTEMPTS, max_size=5),
    st.tuples(*[st.floats(-1e15, 1e15)] * 4),
    TEXT,
    st.integers(0, 5),
)
def test_any_delivery_has_a_story_of_printable_lines(
    state: State, log: list[Attempt], times: tuple[float, ...], text: str, attempts: int
) -> None:
    its = message(arrived=times[0], expires=times[1], origin=text)
    row = delivery(due=times[2], state=state, log=tuple(log), reason=text, attempts=attempts)
    story = explain(Entry(message=its, deliveries=(row,)), times[3])
    assert all(line.isprintable() for line in story.split("\n"))
    assert story.count("\n    ") == len(log)
    assert "bob@example.net" in story

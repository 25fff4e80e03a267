"""What becomes of a delivery after an attempt."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from smtpproto import ByMode, DeliverBy, MailParameters, Reply
from smtpproto.mta.judge import Judge
from smtpproto.mta.queue import Attempt, Delivery, Message, Result, State
from smtpproto.mta.retry import RetrySchedule
from smtpproto.mta.schedule import PutBack
from smtpproto.mta.settlement import Decision, Done, Fate, Later, Settlement

from ..support.queued import attempt, delivery, message
from .test_retry import schedules

JUDGE = Judge()
ROW = delivery()
LATER_REPLY = Reply(451, "4.3.0", "later")
GREYLISTED = Reply(450, "4.2.0", "try again in 10 minutes")


def decide(
    its: Attempt,
    now: float = 100,
    *,
    of: Message | None = None,
    row: Delivery = ROW,
    chance: float = 0.5,
) -> Decision:
    return JUDGE.decide(of or message(), row, its, now=now, chance=chance)


TRANSIENT = st.builds(
    attempt,
    st.sampled_from([Result.REFUSED, Result.UNREACHED, Result.UNKNOWN]),
    st.sampled_from([None, LATER_REPLY, GREYLISTED, Reply(421)]),
)


@given(schedules(), st.data())
def test_a_delivery_that_always_fails_is_tried_at_growing_times_and_expires(
    schedule: RetrySchedule, data: st.DataObject
) -> None:
    judge, its, now, waits, warned = Judge(schedule), message(), 0.0, list[float](), 0
    row = delivery(attempts=0)
    longest = max(schedule.longest * (1 + schedule.jitter), 900)
    while True:
        row = delivery(attempts=row.attempts + 1, log=row.log, warned=row.warned)
        failed = data.draw(TRANSIENT)
        decision = judge.decide(its, row, failed, now=now, chance=data.draw(st.floats(0, 1)))
        if not isinstance(decision, Later):
            break
        assert now < decision.due <= its.expires
        waits.append(decision.due - now)
        assert waits[-1] <= longest * 1.000001
        if decision.due < its.expires:
            assert waits[-1] >= schedule.steps[0] * (1 - schedule.jitter) * 0.999999
        warned += decision.warned
        row = Settlement(delivery=row, decision=decision, attempt=failed).delivery_after
        # Most of the five days pass at once, or the law takes long with short waits.
        now = max(decision.due, data.draw(st.sampled_from([decision.due, its.expires / 3])))
        if len(waits) > 50:
            now = its.expires
    assert decision == Done(Fate.EXPIRED)
    assert now <= its.expires + longest
    assert warned <= 1


@pytest.mark.parametrize("host", ["", "mx.test"])
@pytest.mark.parametrize("result", Result)
def test_each_result_with_each_reply_has_its_fate(result: Result, host: str) -> None:
    for reply in [None, *map(Reply, range(200, 600))]:
        decision = decide(attempt(result, reply, host=host))
        code = 0 if reply is None or reply.code in (530, 534, 535, 538) else reply.code
        match result:
            case Result.RELAYED:
                assert decision == Done(Fate.RELAYED)
            case Result.DELIVERED:
                assert decision == Done(Fate.DELIVERED)
            case Result.EXPANDED:
                assert decision == Done(Fate.EXPANDED)
            case Result.REFUSED if code >= 500:
                assert decision == Done(Fate.FAILED)
            case Result.UNREACHED if code >= 500 and (not host or code in (521, 556)):
                assert decision == Done(Fate.FAILED)
            case _:
                assert isinstance(decision, Later)


def test_a_login_that_is_refused_for_good_fails_no_message() -> None:
    refused = attempt(Result.UNREACHED, Reply(554, "5.7.8", "no"), command="AUTH PLAIN")
    assert isinstance(decide(refused), Later)


@pytest.mark.parametrize("result", [Result.REFUSED, Result.UNREACHED, Result.UNKNOWN])
def test_what_fails_for_now_at_its_expiry_has_expired(result: Result) -> None:
    its = message()
    assert decide(attempt(result, LATER_REPLY), its.expires) == Done(Fate.EXPIRED)
    assert isinstance(decide(attempt(result, LATER_REPLY), its.expires - 1), Later)


def test_the_last_attempt_is_at_the_expiry() -> None:
    its = message()
    decision = decide(attempt(Result.REFUSED, LATER_REPLY), its.expires - 1)
    assert isinstance(decision, Later)
    assert decision.due == its.expires


@pytest.mark.parametrize(("attempts", "wait"), [(0, 60), (1, 60), (2, 300), (9, 4 * 3600)])
def test_the_wait_follows_the_number_of_attempts(attempts: int, wait: float) -> None:
    decision = decide(attempt(Result.REFUSED, LATER_REPLY), row=delivery(attempts=attempts))
    assert decision == Later(due=100 + wait)


@pytest.mark.parametrize(("attempts", "wait"), [(1, 900), (2, 900), (4, 1800)])
def test_after_an_unknown_outcome_the_wait_is_at_least_a_quarter_of_an_hour(
    attempts: int, wait: float
) -> None:
    assert decide(attempt(Result.UNKNOWN), row=delivery(attempts=attempts)) == Later(due=100 + wait)


@given(st.floats(0, 1))
def test_a_hint_is_followed_once_and_never_too_early(chance: float) -> None:
    greylisted = attempt(Result.REFUSED, GREYLISTED)
    first = decide(greylisted, chance=chance)
    assert isinstance(first, Later)
    assert 600 <= first.due - 100 <= 660
    second = decide(greylisted, row=delivery(log=(greylisted,)))
    assert second == Later(due=160)


@pytest.mark.parametrize(
    ("by", "at"), [(None, 4 * 3600), (DeliverBy(600, ByMode.NOTIFY), 600)], ids=str
)
def test_the_sender_is_told_of_a_delay_once(by: DeliverBy | None, at: float) -> None:
    its = message(parameters=MailParameters(by=by))
    failed = attempt(Result.REFUSED, LATER_REPLY)
    for now, told, expected in [(at - 1, False, False), (at, False, True), (at, True, False)]:
        decision = decide(failed, now, of=its, row=delivery(warned=told))
        assert isinstance(decision, Later)
        assert decision.warned is expected


@pytest.mark.parametrize(
    ("by", "given_up"),
    [(None, False), (DeliverBy(600, ByMode.NOTIFY), False), (DeliverBy(600, ByMode.RETURN), True)],
    ids=str,
)
def test_a_message_with_by_and_return_is_not_tried_after_its_time(
    by: DeliverBy | None, given_up: bool
) -> None:
    parameters = MailParameters(by=by)
    expires = RetrySchedule().expires(message().sender, parameters, 0)
    its = message(parameters=parameters, expires=expires)
    assert JUDGE.gives_up(its, 600) is given_up
    assert not JUDGE.gives_up(its, 599)


def test_if_the_process_dies_the_delivery_is_due_as_after_a_failure() -> None:
    assert JUDGE.due_if_lost(delivery(attempts=0), 100) == 160
    assert JUDGE.due_if_lost(delivery(attempts=1), 100) == 400


# -- what the schedule puts back ------------------------------------------------------------------

REFUSED = attempt(Result.UNREACHED, at=50.0, host="mx.test", error="connection refused")


def put_back(because: Attempt | None, row: Delivery, due: float = 160) -> PutBack:
    return PutBack(destination="d", message=message(), delivery=row, due=due, because=because)


@pytest.mark.parametrize("because", [None, REFUSED])
def test_a_delivery_that_is_put_back_waits_and_nothing_is_counted(because: Attempt | None) -> None:
    row = delivery(attempts=3, state=State.LEASED)
    settlement = JUDGE.put_back(put_back(because, row), 100)
    after = settlement.delivery_after
    assert (after.state, after.due, after.attempts) == (State.WAITING, 160, 2)
    assert after.log == (() if because is None else (because,))


def test_the_same_trouble_is_in_the_log_once() -> None:
    settlement = JUDGE.put_back(put_back(REFUSED, delivery(log=(REFUSED,))), 100)
    assert settlement.delivery_after.log == (REFUSED,)


def test_the_sender_of_what_is_put_back_is_told_of_the_delay() -> None:
    settlement = JUDGE.put_back(put_back(REFUSED, delivery(), due=20_000), 4 * 3600)
    assert settlement.decision == Later(due=20_000, warned=True)


def test_what_is_put_back_after_its_expiry_has_expired_if_its_destination_is_paused() -> None:
    expires = message().expires
    paused, full = (put_back(it, delivery(), expires + 60) for it in (REFUSED, None))
    assert JUDGE.put_back(paused, expires).decision == Done(Fate.EXPIRED)
    assert JUDGE.put_back(full, expires).decision == Later(due=expires + 60, warned=True)


def test_what_is_put_back_is_due_at_its_expiry_at_the_latest() -> None:
    expires = message().expires
    settlement = JUDGE.put_back(put_back(REFUSED, delivery(), expires + 60), 100)
    assert settlement.decision == Later(due=expires)

"""Failures of one message are gathered, so that one report tells of all of them."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto import Reply, ReversePath
from smtpproto.limits import REPORT_RECIPIENTS
from smtpproto.mta.settlement import Decision, Done, Fate, Hold, Later, Settlement
from smtpproto.transfer.gathering import Gathering
from tests.support.hosts import Host
from tests.support.queued import delivery, message
from tests.transfer.relaying import Network
from tests.transfer.working import Working

FAILED, RELAYED = Done(Fate.FAILED), Done(Fate.RELAYED)
DECISIONS: list[Decision] = [
    FAILED, Done(Fate.EXPIRED), RELAYED, Done(Fate.DROPPED), Later(due=9), Hold("x"),
    Later(due=9, warned=True),
]  # fmt: skip
WAIT = (FAILED, Done(Fate.EXPIRED), Later(due=9, warned=True))
STEPS = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.integers(0, 3),  # deliveries that are claimed
        st.lists(st.sampled_from(DECISIONS), max_size=4),
        st.integers(0, 4),  # seconds that pass
    ),
    max_size=30,
)


def settlement(decision: Decision = FAILED, number: int = 0) -> Settlement:
    return Settlement(delivery=delivery(number=number), decision=decision)


@given(STEPS, st.sampled_from([0, 1000]))
def test_what_was_added_is_written_once_and_only_failures_wait_for_five_seconds_at_most(
    steps: list[tuple[str, int, list[Decision], int]], number: int
) -> None:
    gathering, now = Gathering(), 0
    since: dict[int, int] = {}
    added: list[Settlement] = []
    written: list[Settlement] = []
    for name, claimed, decisions, seconds in steps:
        now += seconds
        for _, overdue in gathering.overdue(now):
            written += overdue
        out = {id(it) for it in written}
        assert all(now - since[id(it)] < 5 for it in added if id(it) not in out)
        new = [settlement(it, number) for it in decisions]
        since |= {id(it): now for it in new}
        added += new
        gathering.claimed(message(name=name), claimed)
        ready = gathering.add(message(name=name), new, now)
        assert [it for it in new if it.decision not in WAIT] == [
            it for it in ready if it.decision not in WAIT
        ]
        written += ready
    written += [it for _, overdue in gathering.overdue(inf) for it in overdue]
    assert sorted(map(id, written)) == sorted(map(id, added))
    assert not gathering and gathering.pause(now) == inf


def test_failures_wait_while_other_deliveries_of_the_message_are_under_way() -> None:
    gathering, its = Gathering(), message()
    gathering.claimed(its, 3)
    first, second, third = settlement(), settlement(RELAYED), settlement()
    assert gathering.add(its, [first], 0) == []
    assert gathering.add(its, [second], 1) == [second]
    assert gathering.pause(1) == 4
    assert gathering.add(its, [third], 2) == [first, third]


def test_failures_of_the_null_sender_do_not_wait() -> None:
    gathering, its = Gathering(), message(sender=ReversePath(None))
    gathering.claimed(its, 3)
    assert len(gathering.add(its, [settlement()], 0)) == 1


def test_no_more_than_two_thousand_failures_wait() -> None:
    gathering = Gathering()
    for number in range(300):
        its = message(name=f"m{number}")
        gathering.claimed(its, 10)
        gathering.add(its, [settlement() for _ in range(9)], 0)
    released = [its.id for its, _ in gathering.overdue(0)]
    assert released == [f"m{number}" for number in range(78)]


# -- reports ---------------------------------------------------------------------------------


class Refusing(Host):
    """A host that knows nobody, and repeats the address."""

    def rcpt(self, session: Any, recipient: Any, parameters: Any) -> Reply | None:
        return Reply(550, "5.1.1", f"<{recipient}> is unknown")


@pytest.mark.parametrize(("number", "reports"), [(1, [1]), (50, [50]), (110, [50, 50, 10])])
def test_one_report_tells_of_up_to_as_many_recipients_as_it_may_have(
    number: int, reports: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert REPORT_RECIPIENTS == 500
    for module in ("gathering", "outbox"):
        monkeypatch.setattr(f"smtpproto.transfer.{module}.REPORT_RECIPIENTS", 50)
    working = Working(Network((Refusing(),)))
    addresses = [f"user{n}@example.net" for n in range(number)]
    entries = working.deliver(working.queued(*addresses), hours=1)
    told = [it.count(b"\r\nFinal-Recipient: ") for it in working.reports]
    assert sorted(told, reverse=True) == reports
    assert {it.fate for it in entries[0].ended} == {Fate.FAILED}
    assert all(b"".join(working.reports).count(f"; {it}\r".encode()) == 1 for it in addresses)


def test_a_stop_does_not_wait_for_more_failures() -> None:
    working = Working(Network((Refusing(),)))
    simulation = working.network.simulation

    async def scenario() -> None:
        await working.store.put([working.queued(*(f"u{n}@example.net" for n in range(200)))])
        working.agent.wake()
        await simulation.sleep(1)

    working.run(scenario)
    assert working.at(simulation.utc()) < 3
    assert working.agent._outbox._gathering.pause(0) == inf

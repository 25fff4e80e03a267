"""The laws of mail agents hold in an internet full of troubles, and wherever an agent dies."""

from __future__ import annotations

import os

import pytest

from smtpproto import Notify
from smtpproto.mta.route import Direct
from smtpproto.testing.internet import Internet
from smtpproto.testing.mail_host import Behaviour
from tests.internet.troubles import DOMAIN_NAMES, KINDS, Troubles, plan

ORDINARY = 300
MANY = 2000 if "CI" in os.environ else 10_000  # CI tries the same ones for each change
HOUR = 3600.0
MESSAGES = 3


def play(seed: int, messages: int = MESSAGES) -> Troubles:
    """Return an internet in which all is over; assert the laws."""
    troubles = Troubles(seed, messages)
    try:
        troubles.run()
        troubles.check()
    except BaseException as error:
        error.add_note(f"the seed is {seed}")
        raise
    return troubles


@pytest.mark.parametrize("first", range(0, ORDINARY, 60))
def test_the_laws_hold_in_an_internet_full_of_troubles(first: int) -> None:
    played = [play(seed) for seed in range(first, first + 60)]
    assert any(it.net.record.crashes for it in played)
    assert any(it.net.record.doubts for it in played)


def test_ordinary_seeds_have_each_kind_of_message_for_each_kind_of_domain() -> None:
    planned = [it for seed in range(ORDINARY) for it in plan(seed, MESSAGES)]
    domains = {recipient.partition("@")[2] for it in planned for recipient in it.recipients}
    assert domains == {*DOMAIN_NAMES}
    assert {it.kind for it in planned} == {*KINDS}


@pytest.mark.soak
@pytest.mark.parametrize("first", range(ORDINARY, MANY, 100))
def test_the_laws_hold_for_many_more_seeds(first: int) -> None:
    for seed in range(first, first + 100):
        play(seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(4))
def test_the_laws_hold_for_a_thousand_messages(seed: int) -> None:
    play(seed, 1000)


def test_a_seed_reproduces_a_run() -> None:
    first, again = play(11), play(11)
    assert first.net.record.arrivals == again.net.record.arrivals
    assert first.net.steps == again.net.steps


# -- a crash at each write -----------------------------------------------------------------------


def crash_at(write: int | None, seed: int) -> Internet:
    """Return a small internet after all was delivered, whose agent died at a write."""
    internet = Internet(seed)
    internet.domain("good.example", internet.mail_host("mx.good.example").name)
    grey = internet.mail_host("mx.grey.example", Behaviour(greylists=60))
    internet.domain("grey.example", grey.name)
    bad = internet.mail_host("mx.bad.example", Behaviour(unknown=["bob"]))
    internet.domain("bad.example", bad.name)
    mta = internet.mta("relay.example", {"*": Direct()})
    mta.queue.crash_at = write

    async def scene() -> None:
        to = ["bob@good.example", "bob@grey.example", "bob@bad.example"]
        await internet.submit(mta, "first", "ann@good.example", to)
        await internet.submit(mta, "second", "", to[:2])
        await internet.submit(mta, "third", "ann@grey.example", to[1:])
        await internet.until_delivered(days=6)

    internet.run(scene())
    internet.check()
    assert internet.is_calm
    return internet


def writes_of(seed: int) -> int:
    """Return how many writes there are without a crash."""
    return crash_at(None, seed).mtas["relay.example"].queue.writes


@pytest.mark.parametrize("seed", range(2))
def test_nothing_is_lost_at_whatever_write_the_process_dies(seed: int) -> None:
    writes, crashes = writes_of(seed), 0
    assert writes > 20
    for write in range(1, writes + 1):
        internet = crash_at(write, seed)
        crashes += internet.record.crashes["relay.example"]
        arrived = set(internet.record.delivered)
        assert arrived == {
            ("first", "bob@good.example"),
            ("first", "bob@grey.example"),
            ("second", "bob@good.example"),
            ("second", "bob@grey.example"),
            ("third", "bob@grey.example"),
        }
    assert crashes >= writes / 2


# -- what is fair --------------------------------------------------------------------------------


def test_a_dead_destination_with_many_messages_delays_no_other() -> None:
    internet = Internet(3)
    dead = internet.mail_host("mx.dead.example")
    dead.machine.faults.silent = True
    internet.domain("dead.example", dead.name)
    internet.domain("live.example", internet.mail_host("mx.live.example").name)
    mta = internet.mta("relay.example", {"*": Direct()})

    async def scene() -> None:
        for number in range(150):
            await internet.submit(mta, f"many{number}", "", ["bob@dead.example"])
        start = internet.now()
        await internet.submit(mta, "single", "", ["bob@live.example"])
        while not internet.record.arrivals:
            await internet.sleep(1)
        assert internet.now() - start < 10
        await internet.until_delivered(days=4)

    internet.run(scene())
    internet.check()


def test_a_slow_host_gets_more_connections_as_it_answers_but_no_more_than_a_window() -> None:
    internet = Internet(4)
    slow = internet.mail_host("mx.slow.example", Behaviour(slow_end=20))
    internet.domain("slow.example", slow.name)
    mta = internet.mta("relay.example", {"*": Direct()})

    async def scene() -> None:
        for number in range(300):
            await internet.submit(mta, f"m{number}", "", ["bob@slow.example"])
        await internet.until_delivered(days=1)

    internet.run(scene())
    internet.check()
    assert len(internet.record.arrivals) == 300
    assert 5 < slow.most_open[mta.machine.address] <= mta.config.limits.largest_window


def test_a_sender_is_told_of_a_delay_once_and_of_the_failure_once() -> None:
    internet = Internet(5)
    dead = internet.mail_host("mx.dead.example")
    dead.machine.faults.refuses = True
    internet.domain("dead.example", dead.name)
    internet.domain("live.example", internet.mail_host("mx.live.example").name)
    mta = internet.mta("relay.example", {"*": Direct()})
    always = frozenset({Notify.DELAY, Notify.FAILURE})

    async def scene() -> None:
        await internet.submit(mta, "one", "ann@live.example", ["bob@dead.example"], notify=always)
        await internet.until_delivered(days=6)

    internet.run(scene())
    internet.check()
    told = [arrival.at for arrival in internet.record.arrivals if arrival.is_report]
    after = [(at - internet.submissions[0].at) / HOUR for at in told]
    assert len(after) == 2
    assert 4 <= after[0] < 8
    assert 120 <= round(after[1], 2) < 121  # its client knows a moment after it was put

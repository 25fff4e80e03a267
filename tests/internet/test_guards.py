"""Guards in a simulated internet: what they refuse, delay and spread over time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smtpproto import Envelope, Session
from smtpproto.dns import Kind
from smtpproto.mta import Local, RetrySchedule, Route, SmartHost
from smtpproto.policy import Demand, Greylist, Limit, MemoryStates
from smtpproto.testing.internet import Internet
from smtpproto.testing.simulated_mta import SimulatedMTA
from smtpproto.transfer import Guards, Receiver, SendLimits

HOST, DOMAIN = "mx.example.org", "example.org"


def guarded(internet: Internet, guards: Guards) -> SimulatedMTA:
    """Add an MTA with guards, which takes mail for DOMAIN from strangers."""
    mailboxes = internet.mailboxes(HOST)
    mta = internet.mta(HOST, {DOMAIN: mailboxes}, guards=guards, relay_from=[])
    internet.domain(DOMAIN, HOST)
    return mta


def test_greylisting_between_two_agents_delays_once_and_delivers() -> None:
    internet = Internet(seed=7)
    guarded(internet, Guards(greylist=Greylist(delay=240)))
    relay = internet.mta("relay.example.net")
    times = list[float]()

    async def scene() -> None:
        for number in range(2):
            began = internet.utc()
            await internet.submit(relay, f"m{number}", "ann@example.net", [f"bob@{DOMAIN}"])
            await internet.sleep(3600)
            times.append(internet.record.arrivals[-1].at - began)
        await internet.until_delivered(days=1)

    internet.run(scene())
    internet.check()
    assert [arrival.key for arrival in internet.record.arrivals] == ["m0", "m1"]
    assert 240 <= times[0] < 300 and times[1] < 1


def test_a_spammer_on_a_list_is_refused_and_others_are_not() -> None:
    internet = Internet(seed=7)
    guarded(internet, Guards(lists=["bl.example"]))
    relays = [internet.mta("spam.example.net"), internet.mta("relay.example.net")]
    octets = relays[0].machine.address.split(".")
    for name in ("2.0.0.127", ".".join(reversed(octets))):
        internet.zone.records[f"{name}.bl.example"] = {Kind.A: ["127.0.0.2"]}

    async def scene() -> None:
        for relay in relays:
            key = relay.name.partition(".")[0]
            await internet.submit(relay, key, f"ann@{relay.name}", [f"bob@{DOMAIN}"])
        await internet.until_delivered(days=1)

    internet.run(scene())
    assert [it.key for it in internet.record.arrivals if not it.is_report] == ["relay"]
    [entry] = [it for it in relays[0].queue.entries if it.message.sender.mailbox is not None]
    last = entry.ended[0].delivery.last
    assert last is not None and str(last.reply).startswith("554 5.7.1 198.18.0.2 is listed by")


def sending(
    limits: Mapping[str, Any], *, seed: int = 7, machines: int = 1, messages: int = 30,
    crash_rate: float = 0.0, days: float = 2,
) -> Internet:  # fmt: skip
    """Let several machines with one store of states send messages to two hosts; return what
    happened."""
    internet = Internet(seed)
    guards = Guards(store=MemoryStates(), send=SendLimits(**limits))
    for name in ("a", "b"):
        internet.mail_host(f"mx.{name}.test")
        internet.domain(f"{name}.test", f"mx.{name}.test")
    mtas = [
        internet.mta(f"relay{number}.example.net", guards=guards, crash_rate=crash_rate)
        for number in range(machines)
    ]

    async def send(number: int) -> None:
        sender, domain = f"ann{number % 3}@example.net", "ab"[number % 2]
        recipients = [f"bob{number}.{it}@{domain}.test" for it in range(1 + number % 4)]
        await internet.submit(mtas[number % machines], f"m{number}", sender, recipients)

    async def scene() -> None:
        for number in range(messages):
            internet.start(send(number))
            await internet.sleep(1)
        await internet.until_delivered(days=days)

    internet.run(scene())
    internet.check()
    return internet


def exceeds(internet: Internet, limit: str, name: str, what: str) -> bool:
    """Return whether more recipients than the bucket allows got mail from or at *name*. An attempt
    takes tokens before its message arrives, at most a minute."""
    rate = Limit.parse(limit).rate
    assert rate is not None
    events = [
        (arrival.at, len(arrival.envelope.recipients))
        for arrival in internet.record.arrivals
        if name in (arrival.host if what == "destination" else str(arrival.envelope.sender))
    ]
    return any(
        sum(number for at, number in events if begin <= at <= end)
        > rate.burst + rate.count / rate.seconds * (end - begin + 60)
        for begin, _ in events
        for end, _ in events
        if begin <= end
    )


def arrived(internet: Internet) -> int:
    return sum(internet.record.delivered.values())


@pytest.mark.parametrize("limit", ["20/h burst 3", "2/m burst 1", "40/d burst 4"])
@pytest.mark.parametrize("machines", [1, 2])
def test_all_is_delivered_and_no_faster_than_the_destination_may_be_sent_to(
    limit: str, machines: int
) -> None:
    internet = sending({"destination": {"a.test": limit}}, machines=machines)
    assert arrived(internet) == 73
    assert not exceeds(internet, limit, "mx.a.test", "destination")
    others = [it.at for it in internet.record.arrivals if it.host == "mx.b.test"]
    assert max(others) - min(others) < 120
    attempts = {
        ended.delivery.attempts
        for mta in internet.mtas.values()
        for entry in mta.queue.entries
        for ended in entry.ended
    }
    assert attempts == {1}


@settings(max_examples=5)
@given(seed=st.integers(0, 10**6), what=st.sampled_from(["sender", "destination"]))
def test_limits_hold_for_any_order_of_events_on_several_machines_that_crash(
    seed: int, what: str
) -> None:
    limit, machines = "30/h burst 4", 3
    internet = sending(
        {what: limit}, seed=seed, machines=machines, messages=12, crash_rate=0.02, days=6
    )
    for name in ("mx.a.test", "mx.b.test", "ann0@example.net", "ann1@example.net"):
        if name.startswith("mx") is (what == "destination"):
            assert not exceeds(internet, limit, name, what)


def test_transactions_at_once_are_counted_over_all_machines() -> None:
    internet, busy = Internet(seed=7), [0]

    class Slow(Receiver):
        async def check(self, session: Session, envelope: Envelope, header: bytes) -> None:
            busy.append(busy[-1] + 1)
            await internet.sleep(30)
            busy.append(busy[-1] - 1)

    guards = Guards(store=MemoryStates(), send=SendLimits(destination="2 at once"))
    internet.mta("mx.a.test", {"*": internet.mailboxes("mx.a.test")}, receiver=Slow)
    internet.domain("a.test", "mx.a.test")
    mtas = [internet.mta(f"relay{it}.example.net", guards=guards) for it in range(3)]

    async def scene() -> None:
        for number in range(24):
            mta = mtas[number % 3]
            await internet.submit(mta, f"m{number}", "ann@example.net", ["bob@a.test"])
        await internet.until_delivered(days=1)

    internet.run(scene())
    internet.check()
    assert arrived(internet) == 24
    assert max(busy) == 2


def test_a_limited_message_that_expires_is_returned_with_the_reason() -> None:
    internet = Internet(seed=7)
    guards = Guards(send=SendLimits(sender="1/d"))
    boxes = internet.mailboxes("relay.example.net")
    routes: Mapping[str, Route] = {"example.net": boxes, "*": SmartHost("mx.a.test", 25)}
    internet.mail_host("mx.a.test")
    retry = RetrySchedule(expiry=6 * 3600, warn_after=3600)
    mta = internet.mta("relay.example.net", routes, guards=guards, retry=retry)

    async def scene() -> None:
        for number in range(2):
            await internet.submit(mta, f"m{number}", "ann@example.net", ["bob@a.test"])
        await internet.until_delivered(days=2)

    internet.run(scene())
    internet.check()
    reports = [it.content for it in internet.record.arrivals if it.is_report]
    assert [b"Action: delayed" in it for it in reports] == [True, False]
    assert b"The limit of sender ann@example.net is reached on this server" in reports[-1]
    [late] = [
        it for it in mta.queue.entries if any(end.fate.value == "expired" for end in it.ended)
    ]
    assert len(late.ended[0].delivery.log) == 1


@settings(max_examples=3)
@given(seed=st.integers(0, 10**6), most=st.integers(1, 4))
def test_at_once_are_never_more_and_those_of_a_crash_are_free_within_the_heartbeat(
    seed: int, most: int
) -> None:
    """An attempt takes longer than the heartbeat, and two of three machines crash in one."""
    internet, live, begun = Internet(seed), Counter[str](), list[float]()

    def mta(name: str) -> SimulatedMTA:
        async def deliver(*_: object) -> None:
            live[name] += 1
            begun.append(internet.utc())
            assert live.total() <= most
            try:
                await internet.sleep(100)
            finally:  # at a crash, too
                live[name] -= 1

        return internet.mta(name, {"*": Local(deliver)}, guards=guards)

    async def ask(number: float) -> int:
        demand = Demand({"sender:ann@b.test": Limit(at_once=most)}, id=number, heartbeat=1)
        return (await store.update(demand.keys, demand, internet)).number

    store = MemoryStates()
    guards = Guards(store=store, send=SendLimits(sender=f"{most} at once"))
    mtas = [mta(f"relay{number}.example.net") for number in range(3)]

    async def scene() -> None:
        for number in range(9):
            await internet.submit(mtas[number % 3], f"m{number}", "ann@b.test", ["bob@a.test"])
        await internet.sleep(60)
        assert live.total() == most
        for mta in mtas[:2]:
            mta.crash()
        await internet.sleep(61)
        free = most - live.total()
        assert [await ask(it / 2) for it in range(free + 1)] == [1] * free + [0]
        await internet.until_delivered(days=2)

    internet.run(scene())
    assert len(begun) >= 9

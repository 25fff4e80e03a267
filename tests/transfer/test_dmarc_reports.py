"""An MTA tells domains what it has found about their mail, over days of a simulated internet."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from smtpproto import Envelope, GrammarError, Reply
from smtpproto.dns import Kind, Status
from smtpproto.mta import MemoryQueue, Selection
from smtpproto.mta.route import Direct
from smtpproto.mta.settlement import Hold
from smtpproto.policy import AggregateReport, Inspection, MessageCheck
from smtpproto.ports import Runtime
from smtpproto.testing import Mood
from smtpproto.testing.internet import Arrival, Internet, SimulatedMTA
from smtpproto.transfer import DailyReports, MTAConfig
from smtpproto.transfer.receive import Check, Receiver
from smtpproto.transfer.running import running
from tests.policy.dmarc_zones import zone as dmarc_zone
from tests.policy.signing import KEYS, ed25519, verify, zone
from tests.policy.test_aggregate_report import message
from tests.support.runtimes import Run, on_all

HOST, OWN = "mx.ours.test", "ours.test"
WHO = DailyReports("Example", "dmarc@ours.test")
DAY, SPF = 86400, b"v=spf1 ip4:192.0.2.2 -all"


class World:
    """An MTA of ours.test, and domains of senders whose mail goes to a host of theirs."""

    def __init__(self, *, receiver: Any = Receiver, reporting: Any = WHO, **options: Any) -> None:
        self.internet = Internet(seed=7)
        self.internet.mail_host("mx.theirs.test")
        self.options: dict[str, Any] = {
            "routes": {OWN: self.internet.mailboxes(HOST), "*": Direct(tls="none")},
            "relay_from": [],
            "receiver": receiver,
            "inspect": Inspection(keys=KEYS),
            "sign": ed25519(OWN),
            "daily_reports": reporting,
            **options,
        }
        self.mta: SimulatedMTA = self.internet.mta(HOST, **self.options)
        self.internet.zone.records |= zone(OWN).records
        self.add("a.test")

    def add(self, domain: str, rua: str = "", policy: str = "none", spf: bytes = SPF) -> None:
        """Add a domain, whose senders may send from the client."""
        records = self.internet.zone.records
        self.internet.domain(domain, "mx.theirs.test")
        record = f"v=DMARC1; p={policy}; rua={rua or f'mailto:reports@{domain}'}"
        records[f"_dmarc.{domain}"] = {Kind.TXT: [record.encode()]}
        mx = records[domain]
        assert not isinstance(mx, str)
        records[domain] = {**mx, Kind.TXT: [spf]}

    async def submit(self, *senders: str) -> None:
        for sender in senders:
            key = f"k{len(self.internet.submissions)}"
            await self.internet.submit(self.mta, key, sender, [f"bob@{OWN}"])

    async def until(self, days: float) -> None:
        """Wait until some days after the first midnight."""
        midnight = (START // DAY + 1) * DAY
        await self.internet.sleep(midnight + days * DAY - self.internet.utc())

    def run(self, scenario: Callable[[], Coroutine[Any, Any, None]]) -> list[Arrival]:
        """Return what came to the other hosts."""

        async def main() -> None:
            await scenario()
            await self.internet.until_delivered(days=1)

        self.internet.run(main())
        self.internet.check()
        return [it for it in self.internet.record.arrivals if it.host != HOST]


START = Internet(1).utc()


def report(arrival: Arrival) -> AggregateReport:
    return AggregateReport.parse(arrival.content)


def counts(arrival: Arrival) -> dict[str, int]:
    """Return the messages of a report by their sender."""
    return {row.envelope_from: row.count for row in report(arrival).rows}


def test_each_day_has_its_report_at_a_time_of_its_own_after_midnight() -> None:
    world = World()

    async def two_days() -> None:
        await world.submit("ann@a.test", "al@a.test")
        await world.until(0.5)
        await world.submit("ann@a.test")
        await world.until(1.9)
        await world.submit("ann@a.test")  # of this day nothing is told before it has ended

    first, second = world.run(two_days)
    assert [report(it).domain for it in (first, second)] == ["a.test"] * 2
    assert [counts(it) for it in (first, second)] == [{"a.test": 2}, {"a.test": 1}]
    assert all(row.passed for it in (first, second) for row in report(it).rows)
    midnight = (START // DAY + 1) * DAY
    assert (report(first).begin, report(first).end) == (int(START), midnight - 1)
    assert (report(second).begin, report(second).end) == (midnight, midnight + DAY - 1)
    seconds = [first.at - midnight, second.at - midnight - DAY]
    assert all(0 < it < 4 * 3600 for it in seconds)
    assert abs(seconds[0] - seconds[1]) > 60


@pytest.mark.req("RFC9990-3.5.2-04")
def test_the_mail_with_a_report_passes_dmarc_and_cannot_be_answered() -> None:
    world = World()

    async def day() -> None:
        await world.submit("ann@a.test")
        await world.until(0.5)

    [arrival] = world.run(day)
    [check] = verify(arrival.content, world.internet.zone, now=int(arrival.at))
    assert check.passed
    assert check.domain == OWN
    assert b"\r\nFrom: <dmarc@ours.test>\r\n" in arrival.content
    assert arrival.envelope.sender.mailbox is None
    assert [str(it) for it in arrival.envelope.recipients] == ["reports@a.test"]
    assert (report(arrival).organization, report(arrival).email) == ("Example", "dmarc@ours.test")


def test_reports_about_reports_do_not_go_back_and_forth() -> None:
    world = World()
    world.internet.mta(
        "mx.b.test",
        {"b.test": world.internet.mailboxes("mx.b.test"), "*": Direct(tls="none")},
        relay_from=[],
        inspect=Inspection(keys=KEYS),
        sign=ed25519("b.test"),
        daily_reports=DailyReports("Other", "dmarc@b.test"),
    )
    for domain in ("b.test", OWN):
        world.add(domain)
        world.internet.zone.records |= zone(domain).records
    world.internet.domain("b.test", "mx.b.test")
    world.internet.domain(OWN, HOST)

    async def days() -> None:
        await world.submit("ann@b.test")
        await world.until(4)

    world.run(days)
    reports = [it for it in world.internet.record.arrivals if b"Report Domain" in it.content]
    assert [it.host for it in reports] == ["mx.b.test"]


class Deciding(Receiver):
    """Answers by the local part of the sender."""

    def inspected(self, session: Any, envelope: Envelope, found: MessageCheck) -> Check:
        answers: dict[str, Check] = {"hold": Hold("odd"), "refuse": Reply(550), "later": Reply(450)}
        return answers.get(envelope.sender.mailbox.local_part if envelope.sender.mailbox else "")


def test_what_was_done_with_a_message_is_told() -> None:
    world = World(receiver=Deciding)
    world.add("strict.test", policy="reject", spf=b"v=spf1 -all")
    senders = [f"{name}@strict.test" for name in ("hold", "refuse", "ann")]

    async def day() -> None:
        await world.submit(*senders, "refuse@a.test")
        await world.until(0.5)

    found = {it.domain: it for it in map(report, world.run(day))}
    rows = [(row.disposition, len(row.overrides)) for row in found["strict.test"].rows]
    assert sorted(rows) == [("none", 1), ("quarantine", 1), ("reject", 0)]
    assert [row.disposition for row in found["a.test"].rows] == ["none"]


def test_a_message_that_is_to_come_again_is_counted_once() -> None:
    world = World(receiver=Deciding)

    async def day() -> None:
        task = world.internet.submit(world.mta, "k", "later@a.test", [f"bob@{OWN}"])
        with pytest.raises(Exception, match="longer"):
            await world.internet.within(3600, task)
        await world.until(0.5)

    assert world.run(day) == []


def test_another_organization_is_asked_for_its_consent_until_the_dns_answers() -> None:
    world = World()
    world.add("b.test", rua="mailto:b@other.test,mailto:c@consents.test")
    zone_ = world.internet.zone
    zone_.records["b.test._report._dmarc.consents.test"] = {Kind.TXT: [b"v=DMARC1"]}
    for name in ("other.test", "consents.test"):
        world.internet.domain(name, "mx.theirs.test")

    async def day() -> None:
        await world.submit("ann@b.test")
        zone_.moods["b.test._report._dmarc.consents.test"] = Mood(Status.FAILED, times=2)
        await world.until(0.9)

    [arrival] = world.run(day)
    assert [str(it) for it in arrival.envelope.recipients] == ["c@consents.test"]


def test_many_reports_leave_at_the_rate_that_was_set() -> None:
    world = World(reporting=DailyReports("Example", "dmarc@ours.test", hourly=1))
    names = [f"d{number}.test" for number in range(24)]
    for name in names:
        world.add(name)

    async def day() -> None:
        await world.submit(*(f"ann@{name}" for name in names))
        await world.until(0.99)

    times = [it.at for it in world.run(day)]
    assert len(times) == 20  # hours of a day; the rest is left out
    assert max(b - a for a, b in zip(times, times[2:], strict=False)) <= 3 * 3600
    assert min(b - a for a, b in zip(times, times[2:], strict=False)) >= 3600


def test_rows_and_octets_are_bounded() -> None:
    world = World(reporting=DailyReports("E", "dmarc@ours.test", rows=100, octets=2000))
    senders = [f"ann@s{number}.a.test" for number in range(110)]

    async def day() -> None:
        await world.submit("ann@a.test", "ann@a.test", *senders)
        await world.until(0.5)

    for number in range(110):
        world.internet.zone.records[f"s{number}.a.test"] = {
            Kind.TXT: [SPF],
            Kind.A: ["192.0.2.77"],
        }
    [arrival] = world.run(day)
    assert len(arrival.content) < 4000  # with Received and signature
    assert 20 < len(report(arrival).rows) < 100
    assert report(arrival).rows[0].count == 2


@on_all
def test_what_was_counted_before_a_stop_is_in_the_queue_after_it(run: Run) -> None:
    store = MemoryQueue()
    options: Any = {"inspect": Inspection(keys=KEYS), "sign": ed25519(OWN), "daily_reports": WHO}
    config = MTAConfig(hostname=HOST, **options)
    records = dmarc_zone({"a.test": "v=DMARC1; p=none; rua=mailto:reports@a.test"})

    async def main(runtime: Runtime) -> bytes:
        async with running(runtime, config, store, records) as mail:
            assert mail.intake.count_check is not None
            await mail.intake.count_check(Envelope("ann@a.test", f"bob@{OWN}"), message(), None)
        await store.open(runtime)
        [entry] = await store.find(Selection())
        assert [str(it.recipient) for it in entry.deliveries] == ["reports@a.test"]
        content: Any = await store.content(entry.message)
        await store.close()
        return content if isinstance(content, bytes) else b"".join(content)

    assert [row.count for row in AggregateReport.parse(run(main)).rows] == [1]


def test_reports_stay_in_the_organization_as_inspect_finds_it() -> None:
    inspect = Inspection(keys=KEYS, organizational_domain=lambda domain: "org.test")
    world = World(inspect=inspect)
    world.add("b.test", rua="mailto:reports@a.test")  # a.test has not agreed

    async def day() -> None:
        await world.submit("ann@b.test")
        await world.until(0.5)

    assert [report(it).domain for it in world.run(day)] == ["b.test"]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"sign": None}, "daily_reports must be signed: sign needs a key for 'ours.test'"),
        ({"sign": ed25519("a.test")}, "daily_reports must be signed"),
    ],
)
def test_reports_that_could_not_be_made_or_would_not_pass_are_refused(
    options: dict[str, Any], error: str
) -> None:
    given: Any = {"inspect": Inspection(keys=KEYS), "sign": ed25519(OWN), "daily_reports": WHO}
    with pytest.raises(ValueError, match=re.escape(error)):
        MTAConfig(hostname=HOST, **given | options)


@pytest.mark.parametrize("contact", ["dmarc", "d@[192.0.2.1]", "d\u00fc@ours.test"])
def test_a_contact_is_an_address_that_all_can_write(contact: str) -> None:
    with pytest.raises(GrammarError):
        DailyReports("Example", contact)

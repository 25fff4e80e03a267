"""An MTA tells domains how TLS with their hosts worked, over days of a simulated internet."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import pytest
from attrs import define, field

from smtpproto import TimedOut, TLSFailed
from smtpproto.dns import TLSA, Kind, Status
from smtpproto.errors import QueueFull
from smtpproto.mta.queue import Result
from smtpproto.mta.route import Direct
from smtpproto.policy import Fetched, MTASTSMode, TLSReport, TLSResultType, read_tls_report
from smtpproto.ports import Runtime
from smtpproto.testing import Mood
from smtpproto.testing.internet import Arrival, Behaviour, Internet
from smtpproto.transfer import DailyReports, MTAConfig, TLSPolicies
from tests.policy.signing import ed25519, verify, zone
from tests.policy.test_mta_sts_cache import Server
from tests.support.certificates import CA, expired, server_context
from tests.support.hosts import Host
from tests.support.queued import delivery, message
from tests.transfer.relaying import CONTENT, Network
from tests.transfer.test_dmarc_reports import DAY, START
from tests.transfer.test_tls_policies import (
    CERTIFICATES,
    MX,
    NAMES,
    OK,
    ROUTE,
    UNKNOWN,
    WRONG,
    key_record,
    policy,
    tls,
)

WHO = DailyReports("Example", "tls@ours.test")
BROKEN = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # without a certificate
EXPIRED = server_context(expired(CA, NAMES[0]))
NO_TLS, NAME, OLD, NOT_TRUSTED, OTHER = (
    TLSResultType.STARTTLS_NOT_SUPPORTED,
    TLSResultType.CERTIFICATE_HOST_MISMATCH,
    TLSResultType.CERTIFICATE_EXPIRED,
    TLSResultType.CERTIFICATE_NOT_TRUSTED,
    TLSResultType.VALIDATION_FAILURE,
)
FAULTS = [(None, NO_TLS), (WRONG, NAME), (EXPIRED, OLD), (UNKNOWN, NOT_TRUSTED), (BROKEN, OTHER)]
IDS = ["no-tls", "name", "expired", "ca", "handshake"]
THEIRS = server_context(CA.issue_cert("mx.theirs.test"))
Counts = Mapping[str, tuple[int, int, list[str]]]


def site(
    context: ssl.SSLContext | None, server: Server | None = None, *records: TLSA, **more: Any
) -> Network:
    """Return a network with the host mx1.example.net, whose connections are counted."""
    network = Network(
        hosts=(Host(),),
        config=tls(context),
        policies=TLSPolicies(mta_sts=server, dane=CERTIFICATES if records else None),
        reporting=WHO,
        authentic=bool(records),
        **more,
    )
    if server is not None:
        network.zone.records["_mta-sts.example.net"] = {Kind.TXT: [b"v=STSv1; id=1"]}
    if records:
        network.zone.records[f"_25._tcp.{NAMES[0]}"] = {Kind.TLSA: records}
    return network


def send(network: Network, **more: Any) -> tuple[Result, Counts]:
    """Send a message; return what came of it, and what was counted."""
    [attempt] = network.attempt(**{"route": ROUTE} | more)
    return attempt.result, counted(network)


def counted(network: Network) -> Counts:
    """Return what was counted, by the type of the policy: successes, failures and their kinds."""
    reports = network.relay.reports
    network.simulation.run(reports.collect())
    found = reports._results.take()
    assert set(found) <= {"example.net"}
    return {
        it.policy.type: (it.successes, it.failed, [fault.result for fault in it.failures])
        for it in found.get("example.net", ())
    }


# -- what is counted -------------------------------------------------------------------------------


@pytest.mark.req("RFC8460-4.3-02")
def test_connections_are_counted_and_not_messages() -> None:
    network = site(OK[0])

    async def two_messages() -> None:
        for number in (1, 2):
            to = [delivery(number=number, to="bob@example.net")]
            await network.relay.attempt(ROUTE, message(size=len(CONTENT)), to, CONTENT)

    network.simulation.run(two_messages())
    assert counted(network) == {"no-policy-found": (1, 0, [])}


@pytest.mark.req("RFC8460-4.3-02")
@pytest.mark.parametrize(
    ("context", "expected"), [(None, NO_TLS), (BROKEN, OTHER)], ids=["no-tls", "handshake"]
)
def test_opportunistic_tls_that_fails_is_counted_once_and_delivered(
    context: ssl.SSLContext | None, expected: str
) -> None:
    found = send(site(context), route=Direct())
    assert found == (Result.RELAYED, {"no-policy-found": (0, 1, [expected])})


@pytest.mark.req("RFC8460-4.3-02")
@pytest.mark.parametrize(("context", "expected"), FAULTS, ids=IDS)
@pytest.mark.parametrize("mode", [MTASTSMode.ENFORCE, MTASTSMode.TESTING])
def test_each_failure_of_a_policy_is_counted_whether_it_is_enforced_or_tested(
    mode: MTASTSMode, context: ssl.SSLContext | None, expected: str
) -> None:
    network = site(context, Server(policy(*NAMES, mode=mode)))
    delivered = Result.RELAYED if mode is MTASTSMode.TESTING else Result.UNREACHED
    assert send(network) == (delivered, {"sts": (0, 1, [expected])})
    good = site(OK[0], Server(policy(*NAMES, mode=mode)))
    assert send(good) == (Result.RELAYED, {"sts": (1, 0, [])})


@pytest.mark.req("RFC8460-4.3-02")
@pytest.mark.parametrize("mode", [MTASTSMode.ENFORCE, MTASTSMode.TESTING])
def test_a_host_outside_of_the_policy_is_a_failure(mode: MTASTSMode) -> None:
    network = site(OK[0], Server(policy("mx.example.com", mode=mode)))
    assert send(network)[1] == {"sts": (0, 1, [OTHER])}
    assert network.hosts[0].connections == int(mode is MTASTSMode.TESTING)


@pytest.mark.req("RFC8460-4.3-02")
@pytest.mark.parametrize(
    ("server", "expected"),
    [
        (Server(status=404), TLSResultType.STS_POLICY_FETCH_ERROR),
        (Server(error=TimedOut("late")), TLSResultType.STS_POLICY_FETCH_ERROR),
        (Server(b"junk"), TLSResultType.STS_POLICY_INVALID),
        (Server(error=TLSFailed("expired")), TLSResultType.STS_WEBPKI_INVALID),
    ],
    ids=["404", "time", "junk", "tls"],
)
def test_a_policy_that_cannot_be_had_is_a_failure(server: Server, expected: str) -> None:
    assert send(site(OK[0], server)) == (Result.RELAYED, {"sts": (0, 1, [expected])})


@pytest.mark.req("RFC8460-4.3-02")
@pytest.mark.parametrize(
    ("record", "mood", "delivered", "expected"),
    [
        (key_record(MX[0]), None, Result.RELAYED, []),
        (key_record(MX[1]), None, Result.UNREACHED, [NOT_TRUSTED]),
        (TLSA(1, 1, 1, bytes(32)), None, Result.RELAYED, [TLSResultType.TLSA_INVALID]),
        (key_record(MX[0]), Status.BOGUS, Result.UNREACHED, [TLSResultType.DNSSEC_INVALID]),
    ],
    ids=["good", "other-key", "unusable", "bogus"],
)
def test_tlsa_records_are_counted_as_a_policy(
    record: TLSA, mood: Status | None, delivered: Result, expected: list[str]
) -> None:
    network = site(OK[0], None, record)
    if mood is not None:
        network.zone.moods[f"_25._tcp.{NAMES[0]}"] = Mood(mood)
    successes = int(not expected)
    assert send(network) == (delivered, {"tlsa": (successes, 1 - successes, expected)})


@pytest.mark.parametrize("more", [{"tls_optional": True}, {"route": Direct(tls="none")}])
def test_where_tls_is_not_wanted_nothing_is_counted(more: dict[str, Any]) -> None:
    assert send(site(None), **more) == (Result.RELAYED, {})


def test_a_host_that_cannot_be_reached_says_nothing_about_tls() -> None:
    network = site(OK[0])
    network.zone.records[NAMES[0]] = {Kind.A: ["192.0.2.99"]}
    assert send(network) == (Result.UNREACHED, {})


# -- what is sent ----------------------------------------------------------------------------------


@define
class Collector:
    """Takes what is posted. Implements Post."""

    fails: float = 0
    """How often."""
    got: list[tuple[str, str, TLSReport]] = field(factory=list)
    tries: list[float] = field(factory=list)

    async def post(
        self, host: str, path: str, body: bytes, media_type: str, runtime: Runtime
    ) -> Fetched:
        self.tries.append(runtime.utc())
        if len(self.tries) <= self.fails:
            if len(self.tries) % 2:
                raise TimedOut("late")
            return Fetched(status=503, media_type="", body=b"")
        assert media_type == "application/tlsrpt+gzip"
        self.got.append((host, path, read_tls_report(body)))
        return Fetched(status=201, media_type="", body=b"")


class World:
    """An MTA of ours.test, and the host mx.theirs.test of other domains."""

    def __init__(
        self, context: ssl.SSLContext | None = THEIRS, post: Collector | None = None, **options: Any
    ) -> None:
        self.internet = Internet(seed=3)
        self.internet.mail_host("mx.theirs.test", Behaviour(context=context))
        reporting = DailyReports("Example", "tls@ours.test", post=post)
        options = {"sign": ed25519("ours.test"), "daily_reports": reporting, **options}
        self.mta = self.internet.mta("mx.ours.test", {"*": Direct()}, **options)
        self.internet.zone.records |= zone("ours.test").records
        self.add("a.test")

    def add(self, domain: str, rua: str = "") -> None:
        self.internet.domain(domain, "mx.theirs.test")
        record = f"v=TLSRPTv1; rua={rua or f'mailto:reports@{domain}'}"
        self.internet.zone.records[f"_smtp._tls.{domain}"] = {Kind.TXT: [record.encode()]}

    async def submit(self, *domains: str) -> None:
        for domain in domains:
            key = f"k{len(self.internet.submissions)}"
            await self.internet.submit(self.mta, key, "ann@ours.test", [f"bob@{domain}"])

    async def until(self, days: float) -> None:
        """Wait until some days after the first midnight."""
        await self.internet.sleep((START // DAY + 1 + days) * DAY - self.internet.utc())

    def run(self, scenario: Callable[[], Coroutine[Any, Any, None]]) -> list[Arrival]:
        """Return the reports that arrived."""

        async def main() -> None:
            await scenario()
            await self.internet.until_delivered(days=1)

        self.internet.run(main())
        self.internet.check()
        arrivals = self.internet.record.arrivals
        return [it for it in arrivals if b"TLS-Report-Domain" in it.content]


@pytest.mark.req("RFC8460-4.1-01")
def test_each_day_has_its_report_at_a_time_of_its_own_after_midnight() -> None:
    world = World()
    world.internet.domain("silent.test", "mx.theirs.test")  # wants no reports

    async def two_days() -> None:
        await world.submit("a.test", "silent.test")
        await world.until(0.5)
        await world.submit("a.test")
        await world.internet.sleep(3600)
        await world.submit("a.test")
        await world.until(2)

    first, second = world.run(two_days)
    one, two = read_tls_report(first.content), read_tls_report(second.content)
    for report, successes in ((one, 1), (two, 2)):
        [result] = report.results
        assert (result.policy.domain, result.successes) == ("a.test", successes)
    midnight = (START // DAY + 1) * DAY
    assert (one.start, one.end) == (int(START), midnight - 1)
    assert (two.start, two.end) == (midnight, midnight + DAY - 1)
    assert one.id != two.id
    seconds = [first.at - midnight, second.at - midnight - DAY]
    assert all(0 < it < 4 * 3600 for it in seconds)
    assert abs(seconds[0] - seconds[1]) > 60


@pytest.mark.req("RFC8460-3-03", "RFC8460-3-04", "RFC8460-3-05")
def test_a_report_is_signed_and_arrives_without_tls_and_is_not_reported() -> None:
    world = World(context=None)

    async def days() -> None:
        await world.submit("a.test")
        await world.until(3)

    [arrival] = world.run(days)
    [result] = read_tls_report(arrival.content).results
    assert [(it.result, it.host, it.receiving_ip) for it in result.failures] == [
        (NO_TLS, "mx.theirs.test", "198.18.0.1")
    ]
    [check] = verify(arrival.content, world.internet.zone, now=int(arrival.at))
    assert check.passed
    assert check.domain == "ours.test"
    assert check.signature is not None
    assert check.signature.body_octets is None
    assert arrival.envelope.sender.mailbox is None


@pytest.mark.req("RFC8460-5.4-01")
def test_a_report_goes_to_each_address_and_by_https() -> None:
    collector = Collector()
    world = World(post=collector)
    bad = "https://192.0.2.1/,https://c.test:8080/,https://localhost/,https://u@c.test/"
    world.add("b.test", f"mailto:r@b.test,https://c.test/v1?x=y,mailto:s@a.test,{bad}")

    async def day() -> None:
        await world.submit("b.test")
        await world.until(0.5)

    arrivals = world.run(day)
    assert {str(it.envelope.recipients[0]) for it in arrivals} == {"r@b.test", "s@a.test"}
    [(host, path, report)] = collector.got
    assert (host, path) == ("c.test", "/v1?x=y")
    assert [read_tls_report(it.content) for it in arrivals] == [report] * 2
    assert len(collector.tries) == 1


@pytest.mark.req("RFC8460-5.5-01")
@pytest.mark.parametrize("fails", [3, 1000])
def test_a_report_is_tried_again_for_a_day_with_growing_pauses(fails: int) -> None:
    collector = Collector(fails)
    world = World(post=collector)
    world.add("b.test", "https://c.test/")
    world.internet.zone.moods["_smtp._tls.b.test"] = Mood(Status.FAILED, times=2)

    async def days() -> None:
        await world.submit("b.test")
        await world.until(3)

    world.run(days)
    pauses = [b - a for a, b in zip(collector.tries, collector.tries[1:], strict=False)]
    assert pauses == sorted(pauses)
    assert len(collector.tries) == 4  # after two that the DNS has failed
    assert len(collector.got) == int(fails == 3)
    assert sum(pauses) < DAY


def test_a_report_that_the_queue_cannot_take_is_tried_again() -> None:
    world = World()

    async def day() -> None:
        await world.submit("a.test")
        await world.until(0)
        put, failures = world.mta.queue.put, [QueueFull("full")] * 2

        async def failing(messages: Any) -> None:
            if failures:
                raise failures.pop()
            await put(messages)

        world.mta.queue.put = failing  # type: ignore[method-assign]
        await world.until(0.9)
        assert not failures

    assert len(world.run(day)) == 1


def test_reports_must_be_signed() -> None:
    for sign in (None, ed25519("a.test")):
        with pytest.raises(ValueError, match=re.escape("daily_reports must be signed: sign needs")):
            MTAConfig(hostname="mx.ours.test", daily_reports=WHO, sign=sign)

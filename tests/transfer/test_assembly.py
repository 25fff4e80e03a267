"""The MTA as a whole, in the simulation: from the client through the queue to the next host."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from attrs import fields

from smtpproto import (
    ClientConfig,
    Envelope,
    Mailbox,
    MailParameters,
    Notify,
    PlainPasswords,
    RcptParameters,
    Reply,
    ServerConfig,
    Session,
)
from smtpproto.adapters.https import HTTPSFetch
from smtpproto.client import open_client
from smtpproto.dns import Kind
from smtpproto.dns_cache import DNSCacheLimits
from smtpproto.errors import GrammarError
from smtpproto.filters import Milter
from smtpproto.mta import (
    SRS,
    Delivery,
    Direct,
    Local,
    MemoryQueue,
    Message,
    ReportOptions,
    RetrySchedule,
    Route,
    ScheduleLimits,
    Selection,
    Self,
    SmartHost,
)
from smtpproto.policy import Inspection, KeptPolicy, MemoryStates, MTASTSPolicy
from smtpproto.ports import Runtime
from smtpproto.testing.simulation import EPOCH
from smtpproto.testing.zone import Zone
from smtpproto.transfer import DailyReports, Guards, MTAConfig, Receiver, TLSPolicies
from smtpproto.transfer.assembly import RunningMTA, assemble
from smtpproto.transfer.running import running
from tests.policy.signing import ed25519
from tests.policy.test_mta_sts_cache import Server
from tests.support.hosts import Host, Hosts

ANN, BOB = "ann@example.com", "bob@example.org"
CONTENT = b"Subject: hello\r\n\r\nhello\r\n"
OURS, THEIRS = "192.0.2.1", "192.0.2.2"


class Site:
    """An MTA on the host OURS, and *hop* on the host THEIRS."""

    def __init__(
        self, routes: Mapping[str, Route] | None = None, hop: Host | None = None, **options: Any
    ) -> None:
        self.simulation, self.hop = Hosts(), hop or Host()
        self.simulation.listen(25, self.hop, ServerConfig(extensions={"DSN": ""}), THEIRS)
        routes = routes or {"*": SmartHost(THEIRS, 25, tls="none")}
        self.config = MTAConfig(hostname="mx.example.org", routes=routes, **options)
        self.store = MemoryQueue()

    def run(self, scenario: Callable[[RunningMTA], Awaitable[Any]]) -> Any:
        """Run *scenario* with the MTA; return what it returns."""

        async def main() -> Any:
            async with running(self.simulation, self.config, self.store, Zone({})) as mail:
                return await scenario(mail)

        return self.simulation.run(main())[0]

    async def submit(self, mail: RunningMTA, envelope: Envelope, **options: Any) -> Any:
        """Send a message to the MTA as a user who has logged in."""
        config = ServerConfig(
            hostname="mx.example.org",
            authenticator=PlainPasswords({"ann": "secret"}),
            auth_in_clear=True,
            submission=True,
            **options,
        )
        self.simulation.listen(587, Receiver(mail.intake), config, OURS)
        login = ClientConfig(login=("ann", "secret"), login_in_clear=True, tls="none")
        async with await open_client(self.simulation, OURS, 587, login) as client:
            return await client.send(CONTENT, envelope)


@pytest.mark.req("RFC4865-4.2-02")
@pytest.mark.parametrize(
    "parameters",
    [
        MailParameters(hold_for=7200),
        MailParameters(hold_until=datetime.fromtimestamp(EPOCH + 7200, UTC)),
    ],
)
def test_a_message_for_the_future_is_not_released_before_its_time(
    parameters: MailParameters,
) -> None:
    site = Site()
    offer = {"FUTURERELEASE": "86400 2027-01-01T00:00:00Z"}

    async def scenario(mail: RunningMTA) -> list[int]:
        outcome = await site.submit(mail, Envelope(ANN, BOB, parameters), extensions=offer)
        assert outcome.accepted
        await site.simulation.sleep(60)  # it is not due by itself, nor if it is to be tried now
        await site.store.retry(Selection(), site.simulation.utc())
        mail.agent.wake()
        counts = []
        for moment in (7190, 7210):
            await site.simulation.sleep(moment - site.simulation.now())
            counts.append(len(site.hop.received))
        return counts

    assert site.run(scenario) == [0, 1]


def test_users_and_the_program_itself_are_told_of_success_if_they_ask() -> None:
    told: list[Any] = []
    routes: dict[str, Route] = {
        "example.com": Local(lambda *_: None),
        "*": SmartHost(THEIRS, 25, tls="none"),
    }
    site = Site(routes, on_event=told.append)
    site.simulation.listen(25, site.hop, ServerConfig(), THEIRS)  # without DSN
    asks = Envelope(ANN, BOB, rcpt_parameters=RcptParameters(notify={Notify.SUCCESS}))

    async def scenario(mail: RunningMTA) -> int:
        await site.submit(mail, asks)
        await mail.send(CONTENT, asks)
        await site.simulation.sleep(60)
        return (await site.store.stats()).messages

    assert site.run(scenario) == 0
    assert len([it for it in told if getattr(it, "about", "")]) == 2


def test_mail_for_the_postmaster_is_delivered_where_the_options_say() -> None:
    got: list[str] = []

    def deliver(message: Message, deliveries: tuple[Delivery, ...], content: object) -> None:
        got.extend(str(it.recipient) for it in deliveries)

    site = Site({"example.com": Local(deliver)}, postmaster=ANN)

    async def scenario(mail: RunningMTA) -> None:
        site.simulation.listen(25, Receiver(mail.intake), ServerConfig(), OURS)
        async with await open_client(site.simulation, OURS, 25, ClientConfig()) as client:
            await client.send(CONTENT, Envelope(BOB, ["Postmaster"]))
        await site.simulation.sleep(10)

    site.run(scenario)
    assert got == [ANN]


class Slow(Host):
    """Needs 20 seconds for each message."""

    simulation: Hosts

    async def message(self, session: Session, envelope: Envelope, body: bytes) -> Reply | None:  # type: ignore[override]
        await self.simulation.sleep(20)
        return super().message(session, envelope, body)


@pytest.mark.parametrize(("grace", "delivered"), [(30, True), (5, False)])
def test_a_delivery_that_runs_when_the_mta_stops_has_its_grace(
    grace: float, delivered: bool
) -> None:
    hop = Slow()
    site = Site(hop=hop, grace=grace)
    hop.simulation = site.simulation

    async def scenario(mail: RunningMTA) -> None:
        await mail.send(CONTENT, Envelope(ANN, BOB))
        await site.simulation.sleep(2)

    site.run(scenario)
    assert site.simulation.now() < 2 + grace + 25

    async def left() -> int:
        await site.store.open(site.simulation)
        return (await site.store.stats()).messages

    assert site.simulation.run(left()) == [0 if delivered else 1]


def test_what_could_not_be_delivered_before_the_stop_is_delivered_after_the_start() -> None:
    site = Site(hop=Host(refuse_mail=Reply(451, "4.3.0", "Later"), times=1))

    async def send(mail: RunningMTA) -> str:
        name = await mail.send(CONTENT, Envelope(ANN, BOB))
        await site.simulation.sleep(2)
        return name

    name = site.run(send)
    assert site.hop.received == []

    async def wait(mail: RunningMTA) -> str | None:
        await site.simulation.sleep(600)
        return await mail.explain(name)

    story = site.run(wait)
    assert len(site.hop.received) == 1
    assert "451 4.3.0 Later" in story and "was accepted by the next host" in story


def test_explain_knows_which_destination_is_paused() -> None:
    site = Site({"*": SmartHost("192.0.2.99", 25)})

    async def scenario(mail: RunningMTA) -> str | None:
        name = await mail.send(CONTENT, Envelope(ANN, BOB))
        await site.simulation.sleep(90)
        return await mail.explain(name)

    assert "could not be reached" in site.run(scenario)


@pytest.mark.parametrize("message", [b"hello\r\n\r\n", b" folded\r\n\r\n"])
def test_a_message_without_a_header_section_is_refused(message: bytes) -> None:
    site = Site()

    async def scenario(mail: RunningMTA) -> int:
        with pytest.raises(GrammarError, match="not a header field"):
            await mail.send(message, Envelope(ANN, BOB))
        return (await site.store.stats()).messages

    assert site.run(scenario) == 0


@pytest.mark.parametrize("required", [False, True])
def test_the_header_of_what_the_program_sends_says_whether_tls_may_be_left_out(
    required: bool,
) -> None:
    site = Site()

    async def scenario(mail: RunningMTA) -> list[bool]:
        envelope = Envelope(ANN, BOB, MailParameters(requiretls=required))
        for field in (b"TLS-Required: No\r\n", b""):
            await mail.send(b"From: <ann@example.com>\r\n" + field + CONTENT, envelope)
        return [entry.message.tls_optional for entry in await site.store.find(Selection())]

    assert sorted(site.run(scenario)) == [False, not required]


def test_a_message_in_pieces_is_stored_as_it_will_be_sent() -> None:
    site = Site()

    async def pieces() -> Any:
        yield b"Subject: x\n"
        yield b"\n" + b"x" * 100 + b"\n"

    async def scenario(mail: RunningMTA) -> bytes:
        await mail.send(pieces(), Envelope(ANN, BOB))
        await site.simulation.sleep(5)
        return site.hop.received[0][1]

    body = site.run(scenario)
    assert body.endswith(b"Subject: x\r\n\r\n" + b"x" * 100 + b"\r\n")
    assert body.startswith(b"Date: Thu, 01 Jan 2026 00:00:00 +0000\r\nMessage-ID: <")


def test_the_postmaster_may_be_given_as_text_or_as_a_mailbox() -> None:
    by_text = MTAConfig(hostname="mx.example.org", postmaster=ANN)
    assert by_text.postmaster == Mailbox.parse(ANN)
    assert MTAConfig(hostname="x.test", postmaster=Mailbox.parse(ANN)).postmaster == ANN
    with pytest.raises(GrammarError):
        MTAConfig(hostname="x.test", postmaster="ann")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"routes": {"*": "mx.test"}}, r"the route of '\*'"),
        ({"routes": {"*": SmartHost("x.test")}, "by_sender": {"@": SmartHost("x")}}, "address"),
        ({"routes": {"*": Direct(tls="never")}}, "not a value of tls"),
        ({"by_sender": {"example.org": SmartHost("a b")}}, "leave out the blanks"),
        ({"relay_from": "192.0.2.1/24"}, "host bits"),
        ({"max_hops": 0}, "max_hops"),
        ({"grace": -1}, "grace"),
        ({"relay_for": ["b.test"], "routes": {"a.test": Direct()}}, "has 'b.test', which has no r"),
        ({"relay_for": [".b.test"], "routes": {"b.test": Direct()}}, "has '.b.test', which has no"),
        ({"hostname": "a b"}, "a b"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], error: str) -> None:
    with pytest.raises((TypeError, ValueError, GrammarError), match=error):
        MTAConfig(**{"hostname": "mx.example.org"} | options)


@pytest.mark.parametrize(
    "options",
    [
        {"routes": {".test": Direct()}},
        {"routes": {}, "by_sender": {"a.test": Direct()}},
        {"routes": {}, "aliases": {"info@b.test": ANN, "info@x.b.test": ANN}},
        {"routes": {}, "aliases": lambda address: None},
    ],
)
def test_domains_to_relay_for_have_a_route_that_may_be_of_senders_or_aliases(
    options: dict[str, Any],
) -> None:
    MTAConfig(hostname="mx.example.org", relay_for=["b.test", "x.b.test"], **options)


def parts(mail: RunningMTA) -> list[Any]:
    """Return all that the options of *mail* decide."""
    intake, agent, relay = mail.intake, mail.agent, mail.relay
    known = intake.recipients
    return [
        (intake.relaying, intake.schedule, intake.max_hops),
        (known.routes, known.relay_for, known.postmaster, known.aliases, known.srs),
        (intake.inspect, intake.signer, intake.sealer, intake.resolver, intake.filters),
        (agent.routes, agent._judge, agent._claimer.judge),
        (agent._outbox.reporter, agent._outbox.signer),
        (agent._schedule._limits, relay.itself, relay.resolver, mail.config.grace),
        (mail._dmarc_reports._inspect,),
        (relay._demands._options, relay._srs),
        (mail.guarding.guards, mail.guarding._lists.lists),
    ]


def test_all_options_but_few_can_be_changed_while_the_mta_runs() -> None:
    site, resolver = Site(), Zone({})
    new = MTAConfig(
        hostname="mx.example.org",
        routes={"*": SmartHost("192.0.2.9")},
        by_sender={"example.com": SmartHost("192.0.2.8")},
        resolver=resolver,
        postmaster=ANN,
        aliases={"info@example.org": ANN},
        srs=SRS("example.org", secrets=["secret"]),
        relay_from=["192.0.2.0/24"],
        relay_for=["example.net"],
        retry=RetrySchedule(steps=(7,)),
        limits=ScheduleLimits(active=70),
        reports=ReportOptions(name="Mailer"),
        dns_cache=DNSCacheLimits(answers=70),
        max_hops=7,
        itself=Self(names=["mail.example.org"]),
        inspect=Inspection(refuse_spf=True),
        sign=ed25519(),
        seal=ed25519(),
        filters=[Milter("/run/milter")],
        tls_policies=TLSPolicies(mta_sts=HTTPSFetch()),
        daily_reports=DailyReports("Example", "dmarc@example.org"),
        guards=Guards(connections="5/m", lists=["bl.example"]),
        grace=7,
    )
    for option in fields(MTAConfig):
        name = option.name
        same = getattr(new, name) == getattr(site.config, name)
        assert same is (name in ("hostname", "on_event")), f"{name}: try another value"

    async def scenario(mail: RunningMTA) -> None:
        mail.reload(new, resolver)
        await site.simulation.sleep(1)
        assert parts(mail) == parts(assemble(site.simulation, new, MemoryQueue(), resolver))

    site.run(scenario)


def test_another_store_of_guards_is_refused_while_the_mta_runs() -> None:
    site = Site()

    async def scenario(mail: RunningMTA) -> None:
        other = MTAConfig(hostname="mx.example.org", guards=Guards(store=MemoryStates()))
        with pytest.raises(ValueError, match="the store of guards cannot change"):
            mail.reload(other, Zone({}))

    site.run(scenario)


def test_another_host_name_is_refused_while_the_mta_runs_and_changes_nothing() -> None:
    site = Site()

    async def scenario(mail: RunningMTA) -> None:
        before = parts(mail)
        with pytest.raises(ValueError, match="hostname cannot change while the MTA runs"):
            mail.reload(MTAConfig(hostname="mx2.example.org", max_hops=7), Zone({}))
        await site.simulation.sleep(1)
        assert parts(mail) == before

    site.run(scenario)


class KeptPolicies:
    """Implements MTASTSStore in memory."""

    def __init__(self, *kept: KeptPolicy) -> None:
        self.kept = {it.domain: it for it in kept}

    async def load(self, runtime: Runtime) -> Iterable[KeptPolicy]:
        return self.kept.values()

    async def save(self, kept: KeptPolicy, runtime: Runtime) -> None:
        self.kept[kept.domain] = kept


@pytest.mark.req("RFC8461-3.3-04")
def test_policies_that_a_store_has_kept_are_renewed_while_the_mta_runs() -> None:
    server = Server()
    policy = MTASTSPolicy.parse(server.body)
    kept = KeptPolicy(domain="example.net", policy=policy, id="1", fetched_at=float(EPOCH))
    store, site = KeptPolicies(kept), Site()
    policies = TLSPolicies(mta_sts=server, mta_sts_store=store)
    config = MTAConfig(hostname="mx.example.org", tls_policies=policies)
    zone = Zone({"_mta-sts.example.net": {Kind.TXT: [b"v=STSv1; id=1"]}})

    async def main() -> None:
        async with running(site.simulation, config, site.store, zone):
            await site.simulation.sleep(3 * 86400 + 700)

    site.simulation.run(main())
    assert len(server.asked) == 3
    assert store.kept["example.net"].fetched_at >= EPOCH + 3 * 86400


@pytest.mark.parametrize("connections", [1, 0])
def test_a_process_without_connections_only_fills_the_queue(connections: int) -> None:
    site = Site(limits=ScheduleLimits(connections=connections))

    async def scenario(mail: RunningMTA) -> int:
        await mail.send(CONTENT, Envelope(ANN, BOB))
        await site.simulation.sleep(60)
        return (await mail.store.stats()).messages

    assert site.run(scenario) == (0 if connections else 1)

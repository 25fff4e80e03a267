"""Servers are found by SRV records, by the table of providers and by MX records."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from smtpproto import ConnectFailed, GrammarError, TLSMode, TLSVerify
from smtpproto.adapters import asyncio as on_asyncio
from smtpproto.adapters import blocking
from smtpproto.adapters import trio as on_trio
from smtpproto.discovery import Discovery, FoundBy, LoginKind, Trust, discover_servers
from smtpproto.dns import MX, SRV, Answer, Kind, Status
from smtpproto.testing.zone import Mood, Zone
from tests.discovery.test_service_records import srv

ADDRESS = "ann@example.org"
SUBMISSION, SUBMISSIONS = "_submission._tcp.example.org", "_submissions._tcp.example.org"


def zone_with(*, authentic: bool = False, **records: list[Any]) -> Zone:
    """Return the DNS of example.org with SRV records of the services, and MX records as ``mx``."""
    found: dict[str, Any] = {
        f"_{name}._tcp.example.org": {Kind.SRV: them} for name, them in records.items()
    }
    found["example.org"] = {Kind.MX: records.get("mx", [])}
    return Zone(found, authentic=authentic)


def discover(zone: Any, address: str = ADDRESS) -> Discovery:
    """Return what is found."""
    return blocking.run(discover_servers(address, zone, blocking.Runtime()))


def places(found: Discovery) -> list[tuple[str, int, TLSMode]]:
    """Return where the servers are."""
    return [(it.host, it.port, it.tls) for it in found.servers]


@pytest.mark.req("RFC6186-4-01", "RFC8314-5.1-02")
def test_both_services_of_the_domain_of_the_address_are_asked_for() -> None:
    zone = zone_with(submission=[srv("mail.example.org")])
    found = discover(zone, " Ann@EXAMPLE.org".strip())
    assert places(found) == [("mail.example.org", 587, TLSMode.REQUIRED)]
    assert zone.asked == [(SUBMISSIONS, Kind.SRV), (SUBMISSION, Kind.SRV)]
    assert found.best.found_by is FoundBy.SRV
    assert found.best.service == "submission"


@pytest.mark.req("RFC6186-3.4-01", "RFC6186-4-02")
def test_the_priority_decides_then_implicit_tls_comes_first() -> None:
    zone = zone_with(
        submission=[srv("a.example.org", priority=1), srv("b.example.org", priority=2)],
        submissions=[
            srv("c.example.org", priority=2, port=465),
            srv("d.example.org", priority=1, port=465),
        ],
    )
    assert [it.host[0] for it in discover(zone).servers] == ["d", "a", "c", "b"]


@pytest.mark.req("RFC6186-3.4-02")
def test_a_service_with_the_root_as_its_host_is_not_offered() -> None:
    zone = zone_with(submissions=[srv("", port=0)], submission=[srv("mail.example.org")])
    found = discover(zone)
    assert [it.service for it in found.servers] == ["submission"]
    assert str(found.steps[0]) == f"SRV records of {SUBMISSIONS}: the domain does not offer this"


def test_a_domain_that_offers_neither_service_is_not_looked_up_further() -> None:
    none = [srv("", port=0)]
    zone = zone_with(submissions=none, submission=none, mx=[MX(1, "aspmx.l.google.com")])
    found = discover(zone)
    assert found.servers == ()
    assert len(zone.asked) == 2
    with pytest.raises(ConnectFailed, match="does not offer this") as caught:
        found.best.options  # noqa: B018
    assert caught.value.phase == "discover" and "host and port" in caught.value.check


@pytest.mark.parametrize(
    "record",
    [
        srv("mail.example.org", port=0),
        srv("bad name.example.org"),
        srv("192.0.2.1.x y"),
        srv("-"),
    ],
)
def test_a_record_without_a_usable_host_and_port_is_left_out(record: SRV) -> None:
    found = discover(zone_with(submission=[record, srv("mail.example.org")]))
    assert places(found) == [("mail.example.org", 587, TLSMode.REQUIRED)]


def test_the_servers_of_a_domain_are_bounded() -> None:
    many = [srv(f"h{number}.example.org") for number in range(100)]
    assert len(discover(zone_with(submission=many)).servers) == 10


# -- trust -----------------------------------------------------------------------------------


@pytest.mark.req("RFC6186-6-01", "RFC8314-5.1-03")
@pytest.mark.parametrize(
    ("host", "authentic", "trust"),
    [
        ("mail.example.net", True, Trust.DNSSEC),
        ("mail.example.org", False, Trust.SAME_DOMAIN),
        ("example.org", False, Trust.SAME_DOMAIN),
        ("mail.example.net", False, Trust.UNCONFIRMED),
        ("notexample.org", False, Trust.UNCONFIRMED),
    ],
)
def test_a_server_elsewhere_is_believed_only_with_dnssec(
    host: str, authentic: bool, trust: Trust
) -> None:
    found = discover(zone_with(submission=[srv(host)], authentic=authentic))
    assert found.best.trust is trust


@pytest.mark.req("RFC7817-3-01", "RFC7817-3-04")
def test_the_domain_of_the_address_is_always_a_name_of_the_server() -> None:
    [server] = discover(zone_with(submission=[srv("mail.example.net")])).servers
    assert server.names == ("example.org", "_submission.example.org")
    assert server.options["server_name"] == "example.org"
    assert server.options["verify"] == TLSVerify.by_name(*server.names)
    confirmed = server.confirmed()
    assert confirmed.names == ("mail.example.net", "example.org", "_submission.example.org")
    assert confirmed.options["server_name"] == "mail.example.net"
    assert confirmed.trust is Trust.CONFIRMED


def test_servers_that_need_no_confirmation_come_first() -> None:
    zone = zone_with(
        submission=[srv("other.example.net", priority=0), srv("mail.example.org", priority=9)]
    )
    assert [it.host for it in discover(zone).servers] == ["mail.example.org", "other.example.net"]


# -- providers -------------------------------------------------------------------------------


def test_the_table_of_providers_answers_without_srv_records() -> None:
    found = discover(Zone(), "ann@gmail.com")
    assert places(found) == [
        ("smtp.gmail.com", 465, TLSMode.IMPLICIT),
        ("smtp.gmail.com", 587, TLSMode.REQUIRED),
    ]
    best = found.best
    assert (best.found_by, best.trust) == (FoundBy.PROVIDER, Trust.PROVIDER)
    assert best.names == ("smtp.gmail.com", "gmail.com")
    assert LoginKind.APP_PASSWORD in best.logins and "2-Step" in best.advice


def test_the_table_of_providers_answers_while_the_dns_does_not() -> None:
    zone = Zone()
    zone.moods["_submission._tcp.posteo.de"] = Mood(Status.FAILED)
    found = discover(zone, "posteo.de")
    assert found.best.host == "posteo.de"
    assert "failed (the zone's mood: failed)" in str(found)


def test_srv_records_cannot_make_a_provider_send_its_users_elsewhere() -> None:
    forged = Zone({"_submissions._tcp.gmail.com": {Kind.SRV: [srv("mail.evil.example", port=465)]}})
    found = discover(forged, "ann@gmail.com")
    assert [it.host for it in found.servers] == ["smtp.gmail.com"] * 2 + ["mail.evil.example"]
    assert found.servers[-1].names == ("gmail.com", "_submissions.gmail.com")


def test_a_server_of_a_provider_brings_its_advice_to_other_domains() -> None:
    [server] = discover(zone_with(submissions=[srv("smtp.fastmail.com", port=465)])).servers
    assert server.trust is Trust.UNCONFIRMED
    assert server.logins == (LoginKind.APP_PASSWORD,)
    assert "login: application password (make an" in str(server)


@pytest.mark.parametrize(("authentic", "trust"), [(True, Trust.DNSSEC), (False, Trust.UNCONFIRMED)])
def test_mx_records_may_name_a_provider(authentic: bool, trust: Trust) -> None:
    mx = [MX(20, "backup.example.net"), MX(10, "example-org.mail.protection.outlook.com")]
    found = discover(zone_with(mx=mx, authentic=authentic))
    assert places(found) == [("smtp.office365.com", 587, TLSMode.REQUIRED)]
    assert (found.best.found_by, found.best.trust) == (FoundBy.MX, trust)
    assert found.best.provider is not None and found.best.provider.name == "Microsoft 365"


def test_a_domain_with_a_server_of_its_own_is_not_guessed() -> None:
    found = discover(zone_with(mx=[MX(10, "mx.example.org")]))
    assert found.servers == ()
    assert [str(it) for it in found.steps] == [
        f"SRV records of {SUBMISSIONS}: no such name",
        f"SRV records of {SUBMISSION}: no such name",
        "table of providers: the domain is not in it",
        "MX records of example.org: no provider of the table",
    ]


# -- addresses -------------------------------------------------------------------------------


@pytest.mark.req("RFC6186-4-03")
def test_the_whole_address_is_the_first_user_name() -> None:
    found = discover(zone_with(submission=[srv("mail.example.org")]))
    assert found.user_names == (ADDRESS, "ann")
    assert discover(Zone(), "ann@web.de").user_names == ("ann", "ann@web.de")
    assert discover(Zone(), "web.de").user_names == ()


@pytest.mark.parametrize("address", ["ann@[192.0.2.1]", "ann@", "a b", "", "ann@example..org"])
def test_what_has_no_domain_is_refused(address: str) -> None:
    zone = Zone()
    with pytest.raises(GrammarError):
        discover(zone, address)
    assert zone.asked == []


def test_arguments_of_a_wrong_type_are_refused() -> None:
    with pytest.raises(TypeError, match="resolver"):
        discover(None)
    with pytest.raises(TypeError, match="address"):
        discover(Zone(), b"ann@example.org")  # type: ignore[arg-type]


def test_names_are_asked_for_with_a_labels() -> None:
    zone = Zone()
    assert discover(zone, "ann@Laden.bücher.example").domain == "laden.xn--bcher-kva.example"
    assert all(name.isascii() for name, _ in zone.asked)


RECORDS = st.one_of(
    st.builds(
        srv,
        st.sampled_from(["", "a.example.org", "b.example.net", "x y", "smtp.gmail.com", "A.test"]),
        priority=st.integers(0, 2),
        weight=st.integers(0, 3),
        port=st.sampled_from([0, 25, 465, 587, 65535]),
    ),
    st.builds(MX, st.integers(0, 3), st.sampled_from(["", "aspmx.l.google.com", "mx.test"])),
    st.just("192.0.2.1"),
)
ANSWERS = st.builds(
    Answer,
    status=st.sampled_from(Status),
    records=st.lists(RECORDS, max_size=4).map(tuple),
    authentic=st.booleans(),
)


@given(st.data(), st.sampled_from(["example.org", "gmail.com", "web.de"]))
def test_whatever_the_dns_answers_each_server_can_be_used_and_is_sorted(
    data: st.DataObject, domain: str
) -> None:
    class Storm:
        async def lookup(self, name: str, kind: Kind) -> Answer:
            return data.draw(ANSWERS)

    found = discover(Storm(), f"ann@{domain}")
    assert str(found)
    doubtful = [it.trust is Trust.UNCONFIRMED for it in found.servers]
    assert doubtful == sorted(doubtful)
    assert len({(it.host, it.port) for it in found.servers}) == len(found.servers)
    for server in found.servers:
        assert domain in server.names
        assert (server.host in server.names) >= (server.trust is not Trust.UNCONFIRMED)
        assert server.tls in (TLSMode.IMPLICIT, TLSMode.REQUIRED)
        assert server.options["verify"].enabled


@pytest.mark.parametrize("name", ["asyncio", "trio", "blocking"])
def test_each_runtime_finds_the_same(name: str) -> None:
    zone = zone_with(submission=[srv("mail.example.org"), srv("m2.example.org", priority=1)])
    runtimes: dict[str, Any] = {
        "asyncio": (on_asyncio.Runtime, asyncio.run),
        "trio": (on_trio.Runtime, lambda it: trio.run(_awaited, it)),
        "blocking": (blocking.Runtime, blocking.run),
    }
    make, run = runtimes[name]
    assert run(discover_servers(ADDRESS, zone, make())) == discover(zone)


async def _awaited(coroutine: Any) -> Any:
    return await coroutine

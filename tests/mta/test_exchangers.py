"""The hosts for a domain: MX records and what they mean (RFC 5321 5.1, RFC 7505)."""

from __future__ import annotations

import random
from collections.abc import Sequence

import hypothesis.strategies as st
import pytest
from hypothesis import assume, given

from smtpproto.adapters.blocking import run
from smtpproto.dns import MX, Answer, Kind, Status
from smtpproto.errors import NoRoute
from smtpproto.limits import HOST_ADDRESSES, MX_FAILURES
from smtpproto.mta.bounce import Reporter
from smtpproto.mta.exchangers import Exchanger, Self, exchangers
from smtpproto.mta.judge import Judge
from smtpproto.mta.queue import Result
from smtpproto.mta.settlement import Done, Fate, Later, Settlement
from smtpproto.testing import Mood, Zone
from smtpproto.testing.zone import Records

from ..support.queued import attempt, delivery, message

US = Self(names=["mx.us.test"], addresses=["192.0.2.99", "2001:db8::99"])
MIXED = {Kind.A: ["192.0.2.1", "192.0.2.2"], Kind.AAAA: ["2001:db8::1"]}


class Recorder(Zone):
    """A zone that remembers its answers."""

    def __init__(self, records: dict[str, Records]) -> None:
        super().__init__(records)
        self.answers = list[Answer]()

    async def lookup(self, name: str, kind: Kind) -> Answer:
        answer = await super().lookup(name, kind)
        self.answers.append(answer)
        return answer


def address(number: int) -> Records:
    return {Kind.A: [f"192.0.2.{number}"]}


def hosts(
    zone: Zone, domain: str = "example.org", seed: int = 0, itself: Self = US
) -> list[Exchanger]:
    """All hosts for *domain*, in the order to try them. Raises NoRoute."""
    dice = random.Random(seed)

    def shuffle(records: Sequence[MX]) -> Sequence[MX]:
        return dice.sample(records, len(records))

    async def collect() -> list[Exchanger]:
        return [host async for host in exchangers(domain, zone, itself, shuffle)]

    return run(collect())


def names(zone: Zone, domain: str = "example.org", seed: int = 0) -> list[str]:
    return [host.name for host in hosts(zone, domain, seed)]


def failure(zone: Zone, domain: str = "example.org") -> str:
    """The reply with which the route to *domain* fails."""
    with pytest.raises(NoRoute) as caught:
        hosts(zone, domain)
    assert caught.value.reply is not None
    return str(caught.value.reply)


def zone_of(*records: MX, without: str = "") -> Zone:
    """A zone where each target has an address, except *without*."""
    table: dict[str, Records] = {"example.org": {Kind.MX: records, Kind.A: ["192.0.2.77"]}}
    for number, record in enumerate(records):
        if record.exchange not in ("", without):
            table[record.exchange] = address(number + 1)
    return Zone(table)


# -- laws ----------------------------------------------------------------------------------------

# What the DNS says of the target of an MX record: its own entry, and the types whose look-up fails.
SHAPES: dict[str, tuple[Records | None, list[Kind]]] = {
    "fine": ({Kind.A: ["192.0.2.1"]}, []),
    "IPv6": ({Kind.AAAA: ["2001:db8::1"]}, []),
    "alias": ("fine.test", []),
    "AAAA fails": ({Kind.A: ["192.0.2.1"]}, [Kind.AAAA]),
    "A fails": ({Kind.AAAA: ["2001:db8::1"]}, [Kind.A]),
    "link-local": ({Kind.AAAA: ["fe80::1"], Kind.A: ["169.254.0.1"]}, []),
    "only AAAA fails": ({}, [Kind.AAAA]),
    "failed": (None, [Kind.A, Kind.AAAA]),
    "alias in a loop": ("loop.test", []),
    "no address": ({}, []),
    "no name": (None, []),
    "alias of no name": ("gone.test", []),
    "us": ({Kind.A: ["192.0.2.99"]}, []),
    "loopback": ({Kind.AAAA: ["::1"]}, []),
    "loopback beside others": ({Kind.A: ["192.0.2.1", "127.0.0.1"]}, [Kind.AAAA]),
    "unspecified": ({Kind.A: ["0.0.0.0"]}, []),
    "alias of us": ("us.test", []),
}
FINE = {"fine", "IPv6", "alias", "AAAA fails", "A fails", "link-local"}
OURS = {"us", "loopback", "loopback beside others", "unspecified", "alias of us"}
FAILED = {"AAAA fails", "A fails", "only AAAA fails", "failed", "alias in a loop"}
RECORDS = st.lists(st.tuples(st.integers(0, 4), st.sampled_from([*SHAPES])), min_size=1, max_size=8)


def zone_with(records: list[tuple[int, str]]) -> Zone:
    table: dict[str, Records] = {
        "fine.test": MIXED, "us.test": {Kind.A: ["192.0.2.99"]}, "loop.test": "loop.test"
    }  # fmt: skip
    targets = [MX(preference, f"h{n}.test") for n, (preference, _) in enumerate(records)]
    zone = Zone(table | {"example.org": {Kind.MX: targets}})
    for target, (_, shape) in zip(targets, records, strict=True):
        entry, failing = SHAPES[shape]
        if entry is not None:
            zone.records[target.exchange] = entry
        zone.moods |= {(target.exchange, kind): Mood(Status.FAILED) for kind in failing}
    return zone


@pytest.mark.req("RFC5321-5.1-13", "RFC5321-5.1-16", "RFC5321-5.1-08", "RFC5321-5.1-21")
@given(RECORDS, st.integers())
def test_hosts_are_those_preferred_to_us_that_have_an_address_by_preference(
    records: list[tuple[int, str]], seed: int
) -> None:
    assume(sum(shape in FAILED for _, shape in records) < MX_FAILURES)
    zone = zone_with(records)
    ours = min((preference for preference, shape in records if shape in OURS), default=99)
    preferred = [(p, f"h{n}.test", shape) for n, (p, shape) in enumerate(records) if p < ours]
    expected = sorted((p, name) for p, name, shape in preferred if shape in FINE)
    try:
        found = hosts(zone, seed=seed)
    except NoRoute as error:
        assert not expected
        assert error.reply is not None
        failed = any(shape in FAILED for _, _, shape in preferred)
        assert error.reply.transient is failed
    else:
        assert sorted((host.preference, host.name) for host in found) == expected
        assert [host.preference for host in found] == sorted(host.preference for host in found)
    assert {name for name, kind in zone.asked if kind is not Kind.MX} <= {
        f"h{n}.test" for n in range(len(records))
    }


NAMES = st.sampled_from(["a.test", "b.test", "c.test", "mx.us.test", "gone.test", ""])
ADDRESSES = st.sampled_from(["192.0.2.1", "192.0.2.99", "127.0.0.1", "0.0.0.0"])
ENTRIES = st.one_of(
    NAMES.filter(bool),
    st.fixed_dictionaries(
        {},
        optional={
            Kind.MX: st.lists(st.builds(MX, st.integers(0, 3), NAMES), max_size=6),
            Kind.A: st.lists(ADDRESSES, max_size=3),
            Kind.AAAA: st.lists(st.sampled_from(["2001:db8::1", "::1", "fe80::1"]), max_size=2),
        },
    ),
)
TABLES = st.dictionaries(NAMES.filter(bool), ENTRIES, max_size=5)
PLACES = st.tuples(NAMES, st.sampled_from([Kind.MX, Kind.A, Kind.AAAA]))
MOODS = st.dictionaries(PLACES, st.sampled_from([Status.FAILED, Status.BOGUS]), max_size=4)


@pytest.mark.req("RFC5321-5.1-05")
@given(TABLES, MOODS, st.integers())
def test_whatever_a_zone_says_only_what_it_denies_is_an_error_for_good(
    table: dict[str, Records], moods: dict[tuple[str, Kind], Status], seed: int
) -> None:
    zone = Recorder(table)
    zone.moods |= {place: Mood(status) for place, status in moods.items()}
    try:
        found = hosts(zone, "a.test", seed)
    except NoRoute as error:
        assert error.reply is not None
        failed = not all(answer.known for answer in zone.answers)
        loops = str(error.reply.enhanced) == "5.4.6"
        assert error.reply.transient is (failed and not loops)
        assert error.reply.permanent or error.reply.code == 451
    else:
        assert len({host.name for host in found}) == len(found)
        assert [host.preference for host in found] == sorted(host.preference for host in found)
        assert all(host.addresses and not US.has(host) for host in found)


@pytest.mark.req("RFC5321-5.1-14")
@given(st.integers(0, 10**6))
def test_the_seed_permutes_hosts_of_equal_preference_and_no_others(seed: int) -> None:
    zone = zone_of(
        *(MX(preference, f"{preference}{x}.test") for preference in (1, 2) for x in "abc")
    )
    found = names(zone, seed=seed)
    assert sorted(found[:3]) == ["1a.test", "1b.test", "1c.test"]
    assert sorted(found[3:]) == ["2a.test", "2b.test", "2c.test"]


@pytest.mark.req("RFC5321-5.1-14")
def test_each_order_of_hosts_of_equal_preference_occurs() -> None:
    zone = zone_of(MX(5, "a.test"), MX(5, "b.test"), MX(5, "c.test"))
    assert len({tuple(names(zone, seed=seed)) for seed in range(100)}) == 6


# -- MX records ----------------------------------------------------------------------------------


@pytest.mark.req("RFC5321-5.1-13")
def test_lower_preferences_come_first() -> None:
    assert names(zone_of(MX(20, "b.test"), MX(10, "a.test"), MX(30, "c.test"))) == [
        "a.test",
        "b.test",
        "c.test",
    ]


@pytest.mark.req("RFC5321-5.1-01")
@pytest.mark.parametrize("records", [[MX(1, "a.test")], []], ids=["MX", "no MX"])
def test_mx_records_are_asked_for_before_any_address(records: list[MX]) -> None:
    zone = zone_of(*records)
    hosts(zone)
    assert zone.asked[0] == ("example.org", Kind.MX)
    assert len(zone.asked) == 3


def test_no_more_is_looked_up_than_is_asked_for() -> None:
    zone = zone_of(MX(1, "a.test"), MX(2, "b.test"))

    async def first() -> Exchanger:
        return await anext(exchangers("example.org", zone, US, list))

    assert run(first()).name == "a.test"
    assert {name for name, _ in zone.asked} == {"example.org", "a.test"}


def test_a_host_that_is_named_twice_is_tried_once_at_its_best_preference() -> None:
    zone = zone_of(MX(10, "a.test"), MX(5, "b.test"), MX(1, "a.test"))
    assert [(host.name, host.preference) for host in hosts(zone)] == [("a.test", 1), ("b.test", 5)]


def test_at_most_fifty_hosts_of_a_domain_are_looked_up() -> None:
    zone = zone_of(*(MX(number, f"h{number}.test") for number in range(200)))
    assert names(zone) == [f"h{number}.test" for number in range(50)]


@pytest.mark.req("RFC5321-5.1-16")
def test_this_server_is_found_among_a_thousand_hosts() -> None:
    many = [MX(7, f"h{number}.test") for number in range(999)]
    zone = zone_of(MX(5, "a.test"), *many, MX(7, "mx.us.test"))
    assert names(zone) == ["a.test"]
    assert len(zone.asked) == 3


@pytest.mark.parametrize("domain", ["stra\u00dfe.test", "\u200d.test"])
def test_a_domain_without_a_labels_is_an_error_for_good_and_is_not_asked_for(domain: str) -> None:
    zone = Zone({"strasse.test": MIXED})
    assert failure(zone, domain).startswith("550 5.1.2 ")
    assert zone.asked == []


@pytest.mark.req("RFC5321-5.1-06")
@pytest.mark.parametrize("kinds", [MIXED, {Kind.A: ["192.0.2.1"]}, {Kind.AAAA: ["2001:db8::1"]}])
def test_a_domain_without_mx_records_is_its_own_host(kinds: Records) -> None:
    [host] = hosts(Zone({"example.org": kinds}))
    assert (host.name, host.preference) == ("example.org", 0)
    assert host.addresses


@pytest.mark.req("RFC5321-5.1-20")
def test_a_domain_with_neither_mx_nor_address_is_an_error_for_good() -> None:
    zone = Zone({"example.org": {Kind.TXT: [b"x"]}})
    assert failure(zone) == "550 5.1.2 The domain example.org has no address"


@pytest.mark.req("RFC5321-5.1-04", "RFC5321-2.3.5-04")
def test_a_domain_that_does_not_exist_is_an_error_for_good_and_no_address_is_asked_for() -> None:
    zone = Zone()
    assert failure(zone) == "550 5.1.2 The domain example.org does not exist"
    assert zone.asked == [("example.org", Kind.MX)]


@pytest.mark.req("RFC5321-5.1-07")
def test_mx_records_of_which_none_has_an_address_are_an_error_for_good() -> None:
    zone = zone_of(MX(1, "a.test"), without="a.test")
    assert failure(zone) == "550 5.4.4 No mail exchanger of example.org has an address"
    assert ("example.org", Kind.A) not in zone.asked


@pytest.mark.req("RFC7505-3-01")
def test_a_null_mx_is_an_error_for_good_and_no_address_is_asked_for() -> None:
    zone = zone_of(MX(0, ""))
    assert failure(zone) == "556 5.1.10 The domain example.org takes no mail: it has a null MX"
    assert zone.asked == [("example.org", Kind.MX)]


def test_a_null_mx_beside_others_is_ignored() -> None:
    assert names(zone_of(MX(0, ""), MX(5, "a.test"))) == ["a.test"]


@pytest.mark.req("RFC5321-5.1-03")
def test_an_alias_is_followed_and_the_mx_records_of_its_target_count() -> None:
    zone = zone_of(MX(1, "a.test"))
    zone.records["alias.test"] = "example.org"
    assert names(zone, "alias.test") == ["a.test"]


@pytest.mark.req("RFC5321-5.1-03")
def test_an_alias_of_a_name_without_mx_records_leads_to_that_name() -> None:
    zone = Zone({"alias.test": "example.org", "example.org": MIXED})
    assert names(zone, "alias.test") == ["example.org"]


@pytest.mark.req("RFC5321-5.1-03")
def test_an_alias_of_a_name_that_does_not_exist_is_an_error_for_good() -> None:
    assert failure(Zone({"alias.test": "gone.test"}), "alias.test").startswith("550 5.1.2")


@pytest.mark.req("RFC5321-5.1-03")
def test_aliases_in_a_loop_are_an_error() -> None:
    assert failure(Zone({"a.test": "b.test", "b.test": "a.test"}), "a.test").startswith("451 4.4.3")


@pytest.mark.req("RFC5321-5.1-09")
def test_a_target_of_an_mx_record_without_an_address_is_passed_over() -> None:
    zone = zone_of(MX(1, "a.test"), MX(2, "b.test"), without="a.test")
    assert names(zone) == ["b.test"]


@pytest.mark.req("RFC5321-5.1-09")
def test_the_target_of_an_mx_record_may_be_an_alias() -> None:
    zone = zone_of(MX(1, "a.test"))
    zone.records |= {"a.test": "b.test", "b.test": address(9)}
    [host] = hosts(zone)
    assert (host.name, host.addresses) == ("a.test", ("192.0.2.9",))


@pytest.mark.req("RFC5321-5.1-19")
def test_a_name_without_dots_is_looked_up_as_it_is() -> None:
    zone = Zone()
    failure(zone, "host")
    assert zone.asked == [("host", Kind.MX)]


# -- addresses -----------------------------------------------------------------------------------


@pytest.mark.req("RFC5321-5.1-15", "RFC5321-5.2-01")
@given(
    st.lists(st.sampled_from([f"192.0.2.{n}" for n in range(9)]), unique=True, min_size=1),
    st.lists(st.sampled_from([f"2001:db8::{n}" for n in range(9)]), unique=True),
)
def test_addresses_stay_in_the_order_of_the_answer_with_both_families_in_turn(
    four: list[str], six: list[str]
) -> None:
    [host] = hosts(Zone({"example.org": {Kind.A: four, Kind.AAAA: six}}))
    assert [it for it in host.addresses if ":" not in it] == four
    assert [it for it in host.addresses if ":" in it] == six
    both = host.addresses[: 2 * min(len(four), len(six))]
    assert [":" in it for it in both] == [True, False] * (len(both) // 2)


@pytest.mark.parametrize("kind", [Kind.A, Kind.AAAA])
def test_one_family_whose_look_up_fails_leaves_the_other(kind: Kind) -> None:
    zone = Zone({"example.org": MIXED})
    zone.moods["example.org", kind] = Mood(Status.FAILED)
    [host] = hosts(zone)
    assert host.addresses
    assert all((":" in it) is (kind is Kind.A) for it in host.addresses)


@pytest.mark.parametrize(
    ("domain", "found"),
    [("[192.0.2.1]", "192.0.2.1"), ("[IPv6:2001:db8::1]", "2001:db8::1")],
)
def test_an_address_literal_is_its_own_host_and_nothing_is_looked_up(
    domain: str, found: str
) -> None:
    zone = Zone()
    [host] = hosts(zone, domain)
    assert (host.name, host.addresses, zone.asked) == (domain, (found,), [])


def test_a_literal_of_an_unknown_kind_is_an_error_for_good() -> None:
    assert failure(Zone(), "[x25:123]").startswith("550 5.1.2")


# -- failures of the DNS -------------------------------------------------------------------------


@pytest.mark.req("RFC5321-5.1-05")
@pytest.mark.parametrize("status", [Status.FAILED, Status.BOGUS])
@pytest.mark.parametrize("where", ["example.org", "a.test", ("a.test", Kind.A)])
def test_a_failure_of_the_dns_is_temporary_and_the_message_is_tried_again(
    status: Status, where: str | tuple[str, Kind]
) -> None:
    zone = zone_of(MX(1, "a.test"))
    zone.moods[where] = Mood(status)
    with pytest.raises(NoRoute) as caught:
        hosts(zone)
    assert caught.value.reply is not None
    assert str(caught.value.reply).startswith("451 4.4.3")
    unreached = attempt(Result.UNREACHED, caught.value.reply)
    decision = Judge().decide(message(), delivery(), unreached, now=100, chance=0.5)
    assert isinstance(decision, Later)


def test_a_failed_host_that_is_preferred_to_us_makes_a_loop_temporary() -> None:
    zone = zone_of(MX(1, "a.test"), MX(2, "mx.us.test"))
    zone.moods["a.test"] = Mood(Status.FAILED)
    assert failure(zone).startswith("451 4.4.3")


def test_after_five_hosts_whose_look_up_fails_no_more_are_looked_up() -> None:
    zone = zone_of(*(MX(number, f"h{number}.test") for number in range(20)))
    for number in range(1, 20):
        zone.moods[f"h{number}.test"] = Mood(Status.FAILED)
    assert names(zone) == ["h0.test"]
    assert len({name for name, _ in zone.asked}) == 1 + 1 + MX_FAILURES
    zone.moods["h0.test"] = Mood(Status.FAILED)
    assert failure(zone).startswith("451 4.4.3")


def test_a_host_with_very_many_addresses_keeps_the_first_of_both_families() -> None:
    many = [f"192.0.2.{number}" for number in range(200)]
    zone = Zone({"example.org": {Kind.A: many, Kind.AAAA: ["2001:db8::1"]}})
    [host] = hosts(zone)
    assert host.addresses == ("2001:db8::1", *many[: HOST_ADDRESSES - 1])


def test_what_a_resolver_says_is_escaped() -> None:
    zone = Zone({"evil\x1b[31m.test": {}})
    assert "\x1b" not in failure(zone, "evil\x1b[31m.test")


# -- this server ---------------------------------------------------------------------------------


@pytest.mark.req("RFC5321-5.1-16", "RFC5321-5.1-23")
@pytest.mark.parametrize("own", ["mx.us.test", "other-name.test"])
def test_hosts_that_are_not_preferred_to_this_server_are_left_out(own: str) -> None:
    zone = zone_of(
        *(MX(20, own), MX(20, "equal.test"), MX(30, "behind.test")),
        *(MX(10, "b.test"), MX(5, "a.test")),
    )
    zone.records[own] = {Kind.A: ["192.0.2.99"]}
    assert names(zone) == ["a.test", "b.test"]
    assert "behind.test" not in {name for name, _ in zone.asked}


@pytest.mark.parametrize(
    "own",
    [
        *("192.0.2.99", "127.0.0.1", "127.9.9.9", "0.0.0.0"),
        *("2001:db8::99", "2001:0DB8::0099", "::1", "::", "::ffff:127.0.0.1", "::ffff:192.0.2.99"),
    ],
)
@pytest.mark.req("RFC5321-5.1-17")
def test_a_domain_whose_best_host_is_this_server_loops_and_the_sender_is_told(own: str) -> None:
    zone = zone_of(MX(1, "a.test"), MX(2, "b.test"))
    zone.records["a.test"] = {Kind.AAAA if ":" in own else Kind.A: [own]}
    with pytest.raises(NoRoute) as caught:
        hosts(zone)
    loops = "550 5.4.6 Mail for example.org loops back to this server"
    assert str(caught.value.reply) == loops
    its, row, failed = message(), delivery(), attempt(Result.UNREACHED, caught.value.reply)
    decision = Judge().decide(its, row, failed, now=100, chance=0.5)
    assert decision == Done(Fate.FAILED)
    settled = Settlement(delivery=row, decision=decision, attempt=failed)
    report = Reporter(hostname="mx.us.test").report(its, [settled], b"", now=100, report_id="r")
    assert report is not None
    assert isinstance(report.content, bytes)
    assert b"\r\nAction: failed\r\nStatus: 5.4.6\r\n" in report.content


def test_this_server_is_found_among_the_hosts_by_its_name_without_a_look_up() -> None:
    zone = zone_of(MX(1, "a.test"), MX(1, "mx.us.test"))
    zone.moods["mx.us.test"] = Mood(Status.FAILED)
    assert " 5.4.6 " in failure(zone)
    assert zone.asked == [("example.org", Kind.MX)]


@pytest.mark.parametrize("domain", ["[127.0.0.1]", "[IPv6:::1]", "[192.0.2.99]"])
def test_a_literal_of_this_server_loops(domain: str) -> None:
    assert " 5.4.6 " in failure(Zone(), domain)


def test_the_loopback_can_be_another_server() -> None:
    zone = zone_of(MX(1, "a.test"))
    zone.records["a.test"] = {Kind.A: ["127.0.0.1"]}
    assert [host.name for host in hosts(zone, itself=Self(loopback=False))] == ["a.test"]


def test_names_of_this_server_are_compared_as_a_labels_in_any_case() -> None:
    assert Self(names=["MX.Müller.example"]).names == {"mx.xn--mller-kva.example"}

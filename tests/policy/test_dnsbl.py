"""Lists in the DNS (RFC 5782): names, codes, and lists that are left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto.dns import Kind, Status
from smtpproto.errors import GrammarError
from smtpproto.policy import DNSList, DNSLists, Listing
from smtpproto.testing import Mood, Simulation, Zone

ZONE = "bl.example"
ADDRESS = "192.0.2.99"
IS_LIST: dict[str, Any] = {f"2.0.0.127.{ZONE}": {Kind.A: ["127.0.0.2"]}}
IPV6_TEST = "2.0.0.0.0.0.f.7.f.f.f.f." + "0." * 19 + f"0.{ZONE}"


def listing(*codes: str) -> dict[str, Any]:
    return {**IS_LIST, f"99.2.0.192.{ZONE}": {Kind.A: [*codes]}}


class Asking:
    def __init__(self, *lists: DNSList, records: Mapping[str, Any]) -> None:
        self.simulation = Simulation(0)
        self.zone = Zone(records, self.simulation)
        self.lists = DNSLists(lists, timeout=5)

    def found(self, address: str = ADDRESS, *domains: str, after: float = 0) -> Sequence[Listing]:
        async def ask() -> Sequence[Listing]:
            await self.simulation.sleep(after)
            return await self.lists.look_up(address, domains, self.zone, self.simulation)

        found: Sequence[Listing] = self.simulation.run(ask())[0]
        return found

    @property
    def asked(self) -> list[str]:
        """What was asked for since the last time."""
        names, self.zone.asked = [name for name, _ in self.zone.asked], []
        return names


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("192.0.2.99", "99.2.0.192.bl.example"),
        ("::ffff:192.0.2.99", "99.2.0.192.bl.example"),
        (
            "2001:db8:1:2:3:4:567:89ab%eth0",
            "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.bl.example",
        ),
    ],
)
def test_addresses_are_asked_for_from_their_last_octet_or_digit(address: str, name: str) -> None:
    asking = Asking(DNSList("BL.example."), records=IS_LIST)
    assert asking.found(address) == []
    assert asking.asked[-1] == name
    asking.zone.records[name] = {Kind.A: ["127.0.0.4"]}
    [listing] = asking.found(address)
    assert (listing.name, listing.answers) == (name, ("127.0.0.4",))


@pytest.mark.parametrize("address", ["", "/run/socket", "192.0.2"])
def test_nothing_is_said_of_what_is_no_address(address: str) -> None:
    asking = Asking(DNSList(ZONE), records=IS_LIST)
    assert asking.found(address) == []
    assert asking.asked == []


def test_domains_are_asked_for_as_they_are_and_only_where_they_are_listed() -> None:
    domains = DNSList("dbl.example", domains=True)
    listed = {Kind.A: ["127.0.1.2"]}
    records = {**IS_LIST, "test.dbl.example": listed, "spam.test.dbl.example": listed}
    asking = Asking(DNSList(ZONE), domains, records=records)
    found = asking.found(ADDRESS, "spam.test", "other.test", "x" * 250)
    assert [(it.list, it.what) for it in found] == [(domains, "spam.test")]
    asked = ["test", "invalid", "spam.test", "other.test"]
    assert [it for it in asking.asked if it.endswith("dbl.example")] == [
        f"{name}.dbl.example" for name in asked
    ]


@pytest.mark.parametrize(
    ("options", "codes", "counts"),
    [
        ({}, ["127.0.0.2"], True),
        ({}, ["127.9.9.9"], True),
        ({"codes": "127.0.0.2"}, ["127.0.0.2"], True),
        ({"codes": ["127.0.0.2", "127.0.0.4/30"]}, ["127.0.0.3", "127.0.0.7"], True),
        ({"codes": ["127.0.0.2", "127.0.0.4/30"]}, ["127.0.0.3", "127.0.0.8"], False),
        ({"mask": 6}, ["127.0.0.9", "127.0.0.12"], True),
        ({"mask": 6}, ["127.0.0.9"], False),
    ],
)
def test_the_codes_that_count_are_given_as_networks_or_as_bits(
    options: dict[str, Any], codes: list[str], counts: bool
) -> None:
    asking = Asking(DNSList(ZONE, **options), records=listing(*codes))
    assert bool(asking.found()) is counts


@given(st.integers(0, 255), st.integers(0, 255))
def test_a_mask_means_its_bits_of_the_last_octet(code: int, mask: int) -> None:
    assert DNSList(ZONE, mask=mask).counts(f"127.1.2.{code}") is (not mask or bool(code & mask))


@pytest.mark.parametrize(
    ("records", "why"),
    [
        ({}, "does not list"),
        ({f"99.2.0.192.{ZONE}": {Kind.A: ["127.0.0.2"]}}, "does not list"),
        ({f"1.0.0.127.{ZONE}": {Kind.A: ["127.0.0.2"]}}, "lists 127.0.0.1"),
        ({f"2.0.0.127.{ZONE}": {Kind.A: ["127.255.255.254"]}}, "refuses this resolver"),
        ({f"1.0.0.127.{ZONE}": {Kind.A: ["203.0.113.5"]}}, "no code of a list"),
    ],
)
def test_a_list_that_fails_its_test_is_left_out_for_an_hour(
    records: dict[str, Any], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    is_list = IS_LIST if "does not list" not in why else {}
    asking = Asking(DNSList(ZONE), records=listing("127.0.0.2") | is_list | records)
    if not is_list:
        del asking.zone.records[f"2.0.0.127.{ZONE}"]
    assert asking.found() == [] and asking.asked
    assert asking.found(after=3599) == [] and not asking.asked
    assert len(caplog.messages) == 1 and why in caplog.text
    asking.zone.records.pop(f"1.0.0.127.{ZONE}", None)
    asking.zone.records.update(IS_LIST)
    assert len(asking.found(after=1)) == 1


def test_a_list_with_only_the_test_entry_of_ipv6_is_believed() -> None:
    records = {IPV6_TEST: {Kind.A: ["127.0.0.2"]}, f"99.2.0.192.{ZONE}": {Kind.A: ["127.0.0.2"]}}
    assert len(Asking(DNSList(ZONE), records=records).found()) == 1


def test_a_list_that_begins_to_answer_everything_is_noticed_within_an_hour() -> None:
    asking = Asking(DNSList(ZONE), records=listing("127.0.0.2"))
    assert len(asking.found()) == 1
    asking.zone.records[f"1.0.0.127.{ZONE}"] = {Kind.A: ["127.0.0.2"]}
    assert asking.found(after=3600) == []


@pytest.mark.parametrize("answer", ["127.255.255.255", "203.0.113.5"])
def test_an_answer_that_is_no_code_does_not_count_and_the_list_rests(answer: str) -> None:
    asking = Asking(DNSList(ZONE), records=listing(answer))
    assert asking.found() == [] and asking.asked
    assert asking.found(after=299) == [] and not asking.asked
    asking.zone.records.update(listing("127.0.0.2"))
    assert len(asking.found(after=1)) == 1


@pytest.mark.parametrize("mood", [Mood(Status.FAILED), Mood(Status.BOGUS), Mood(delay=6)])
@pytest.mark.parametrize("name", ["2.0.0.127", "1.0.0.127", "99.2.0.192"])
def test_a_list_that_does_not_answer_rests_and_the_others_count(name: str, mood: Mood) -> None:
    good = {f"{name}.good.example": {Kind.A: ["127.0.0.2"]} for name in ("2.0.0.127", "99.2.0.192")}
    records = {**listing("127.0.0.2"), **good}
    asking = Asking(DNSList(ZONE), DNSList("good.example"), records=records)
    asking.zone.moods[f"{name}.{ZONE}"] = mood
    began = asking.simulation.now()
    assert [it.list.zone for it in asking.found()] == ["good.example"]
    assert asking.simulation.now() - began <= 5
    assert ZONE in str(asking.asked)
    assert [it.list.zone for it in asking.found(after=200)] == ["good.example"]
    assert f"99.2.0.192.{ZONE}" not in asking.asked
    asking.zone.moods.clear()
    assert len(asking.found(after=100)) == 2


@pytest.mark.parametrize(
    ("zone", "options", "error"),
    [
        ("a b", {}, GrammarError),
        (ZONE, {"codes": "127.0.0.1/24"}, ValueError),
        (ZONE, {"codes": "many"}, ValueError),
        (ZONE, {"weight": "2"}, TypeError),
    ],
)
def test_wrong_options_are_refused(
    zone: str, options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        DNSList(zone, **options)

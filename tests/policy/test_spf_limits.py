"""What a check of SPF may ask (RFC 7208 4.6.4)."""

from __future__ import annotations

import pytest

from smtpproto.policy.spf import SPFCheck, SPFRequest, check_spf
from smtpproto.policy.spf_record import SPFResult
from smtpproto.ports import CallAborted
from smtpproto.testing import Mood, Simulation, Zone
from smtpproto.testing.zone import Records

from .spf_zones import (
    CLIENT,
    ELSEWHERE,
    HERE,
    NOW,
    REVERSE,
    check,
    hosts,
    pointers,
    result,
    txt,
    zone,
)

NONE, NEUTRAL, PASS, FAIL, SOFTFAIL, TEMPERROR, PERMERROR = SPFResult

PLACES = {"example_org": {**HERE, **hosts("example.org")}, "other_org": txt("v=spf1 -all")}


def repeated(count: int, term: str) -> Zone:
    """A record with *term*, which does not match, so many times."""
    places = {
        **PLACES,
        "example_org": {**ELSEWHERE, **hosts("example.org")},
        REVERSE: pointers("x.org"),
    }
    return zone(f"v=spf1 {f'{term} ' * count}+all", **places)


@pytest.mark.req("RFC7208-4.6.4-01")
@pytest.mark.parametrize("term", ["a", "mx", "ptr", "exists:%{v}.org", "include:other.org"])
def test_ten_terms_may_ask_the_dns_and_eleven_are_an_error(term: str) -> None:
    assert check(repeated(10, term), voids=99).result is PASS
    found = check(repeated(11, term), voids=99)
    assert (found.result, found.trace.asking) == (PERMERROR, 11)
    assert "more than 10 terms" in found.reason


@pytest.mark.req("RFC7208-4.6.4-01")
@pytest.mark.parametrize("number", [10, 11])
def test_redirect_is_one_of_the_ten(number: int) -> None:
    places: dict[str, Records] = {
        f"r{it}_org": txt(f"v=spf1 redirect=r{it + 1}.org") for it in range(number)
    }
    places[f"r{number - 1}_org"] = txt("v=spf1 -all")
    assert result("v=spf1 redirect=r0.org", **places) is (FAIL if number == 10 else PERMERROR)


@pytest.mark.req("RFC7208-4.6.4-05")
def test_the_terms_of_all_records_count_together() -> None:
    other = txt("v=spf1 a a a a -all")
    places = {"example_org": ELSEWHERE, "other_org": {**other, **ELSEWHERE}}
    assert result("v=spf1 include:other.org include:other.org +all", **places) is PASS
    assert result("v=spf1 include:other.org include:other.org a +all", **places) is PERMERROR


@pytest.mark.req("RFC7208-4.6.4-06")
def test_terms_that_need_no_look_up_and_the_explanation_do_not_count() -> None:
    terms = "ip4:192.0.2.2 ip6:::1 " * 20 + "a " * 10
    names = zone(f"v=spf1 {terms} -all exp=exp.org", example_org=ELSEWHERE, exp_org=txt("%{p}"))
    assert check(names).explanation == "unknown"


@pytest.mark.req("RFC7208-4.6.4-02")
@pytest.mark.parametrize(("number", "expected"), [(10, PASS), (11, PERMERROR)])
def test_mx_may_lead_to_ten_hosts(number: int, expected: SPFResult) -> None:
    machines = [f"mx{it}.org" for it in range(number)]
    places = {f"mx{it}_org": HERE if it == 9 else ELSEWHERE for it in range(number)}
    names = zone("v=spf1 mx -all", example_org=hosts(*machines), **places)
    assert check(names).result is expected
    assert len(names.asked) == (12 if number == 10 else 2)


@pytest.mark.req("RFC7208-4.6.4-04")
@pytest.mark.parametrize("term", ["a:x{}.org", "mx:x{}.org", "exists:x{}.org"])
def test_two_terms_may_find_nothing_and_three_are_an_error(term: str) -> None:
    terms = [term.format(number) for number in range(3)]
    assert result(f"v=spf1 {' '.join(terms[:2])} +all") is PASS
    names = zone(f"v=spf1 {' '.join(terms)} +all", x1_org=txt("not what was asked for"))
    found = check(names)
    assert (found.result, found.trace.void) == (PERMERROR, 3)
    assert check(names, voids=3).result is PASS


@pytest.mark.req("RFC7208-4.6.4-06")
def test_the_explanation_may_find_nothing() -> None:
    assert result("v=spf1 a:x.org a:y.org -all exp=z.org") is FAIL


def test_hosts_of_mx_without_an_address_are_one_term() -> None:
    names = zone("v=spf1 mx +all", example_org=hosts("a.org", "b.org", "c.org", "d.org"))
    found = check(names, "2001:db8::1")
    assert (found.result, found.trace.void) == (PASS, 0)


@pytest.mark.req("RFC7208-4.6.4-07")
def test_a_check_that_takes_too_long_is_given_up() -> None:
    simulation = Simulation(1)
    names = Zone({"example.org": txt("v=spf1 -all")}, simulation)
    names.moods["example.org"] = Mood(delay=60)
    request = SPFRequest(client=CLIENT, helo="x.test", sender="ann@Example.org", now=NOW)
    found: list[SPFCheck] = []

    async def check_in_time() -> None:
        try:
            found.append(await simulation.within(20, check_spf(request, names)))
        except CallAborted as error:
            found.append(SPFCheck.given_up(request, str(error)))

    simulation.start(check_in_time())
    simulation.run()
    [given_up] = found
    assert (given_up.result, given_up.sender) == (TEMPERROR, "ann@example.org")
    assert given_up.reason == "took longer than 20 seconds, and was cancelled"
    assert str(given_up).startswith("temperror: took longer")

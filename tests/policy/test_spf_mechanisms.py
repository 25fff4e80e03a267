"""What the mechanisms of SPF match (RFC 7208 5)."""

from __future__ import annotations

import pytest

from smtpproto.dns import Kind, Status
from smtpproto.policy.spf_record import SPFResult
from smtpproto.testing import Mood
from smtpproto.testing.zone import Records

from .spf_zones import (
    CLIENT,
    ELSEWHERE,
    HERE,
    REVERSE,
    address,
    asked,
    check,
    hosts,
    pointers,
    result,
    txt,
    zone,
)

NONE, NEUTRAL, PASS, FAIL, SOFTFAIL, TEMPERROR, PERMERROR = SPFResult


# -- mechanisms ------------------------------------------------------------------------------------

A_TERMS = [
    ("a", CLIENT, PASS), ("a:here.example.org", CLIENT, PASS),
    ("a:there.example.org", CLIENT, NEUTRAL),
    ("a:there.example.org/0", CLIENT, PASS), ("a:near.example.org/25", CLIENT, PASS),
    ("a:near.example.org/26", CLIENT, NEUTRAL), ("a:near.example.org//0", CLIENT, NEUTRAL),
    ("a:near.example.org/32//0", "2001:db8::9", PASS), ("a", "2001:db8::1", PASS),
    ("a//64", "2001:db8::9", PASS), ("a/0", "2001:db8::9", NEUTRAL),
    ("a//127", "2001:db8::2", NEUTRAL),
]  # fmt: skip
NEAR = address("192.0.2.127", "2001:db8::ff")


@pytest.mark.req("RFC7208-5-02", "RFC7208-5.3-01", "RFC7208-5.4-01")
@pytest.mark.parametrize("mechanism", ["a", "mx"])
@pytest.mark.parametrize(("term", "client", "expected"), A_TERMS)
def test_a_and_mx_match_the_networks_of_addresses_of_the_family_of_the_client(
    term: str, client: str, expected: SPFResult, mechanism: str
) -> None:
    machines: dict[str, Records] = {
        "here": HERE,
        "near": NEAR,
        "there": ELSEWHERE,
        "away": ELSEWHERE,
    }
    if mechanism == "a":
        places = {f"{name}_example_org": it for name, it in machines.items()}
        places["example_org"] = HERE
    else:
        places = {f"{name}_example_org": hosts(f"{name}-1.test") for name in machines}
        places["example_org"] = hosts("away-1.test", "here-1.test")
        places |= {f"{name}__1_test": it for name, it in machines.items()}
    names = zone(f"v=spf1 {mechanism}{term[1:]}", **places)
    assert check(names, client).result is expected
    family = Kind.AAAA if ":" in client else Kind.A
    assert {kind for _, kind in names.asked} <= {Kind.TXT, Kind.MX, family}


def test_addresses_that_are_none_are_passed_over() -> None:
    odd = {Kind.A: ["", "junk", "2001:db8::1", "192.0.2.1.", CLIENT]}
    assert result("v=spf1 a -all", example_org=odd) is PASS
    assert result("v=spf1 a -all", example_org={Kind.A: ["junk"]}) is FAIL


@pytest.mark.req("RFC7208-5-02")
def test_an_ipv4_mapped_address_is_an_ipv4_address() -> None:
    found = check(zone("v=spf1 a ip4:192.0.2.1 -all"), f"::ffff:{CLIENT}")
    assert (found.result, str(found.client)) == (PASS, CLIENT)


@pytest.mark.req("RFC7208-5.4-02")
def test_mx_does_not_fall_back_to_the_address_of_the_domain() -> None:
    names = zone("v=spf1 mx -all", example_org=HERE)
    assert check(names).result is FAIL
    assert {kind for _, kind in names.asked} == {Kind.TXT, Kind.MX}


def test_a_null_mx_has_no_hosts() -> None:
    names = zone("v=spf1 mx -all", example_org=hosts(""))
    assert check(names).result is FAIL
    assert len(names.asked) == 2


@pytest.mark.req("RFC7208-5.6-01")
@pytest.mark.parametrize(
    ("term", "client", "expected"),
    [
        ("ip4:192.0.2.1", CLIENT, PASS), ("ip4:192.0.2.0/31", CLIENT, PASS),
        ("ip4:192.0.2.2", CLIENT, NEUTRAL),
        ("ip4:192.0.2.3/31", CLIENT, NEUTRAL), ("ip4:0.0.0.0/0", CLIENT, PASS),
        ("ip6:::/0", CLIENT, NEUTRAL),
        ("ip6:::ffff:192.0.2.1", CLIENT, NEUTRAL), ("ip4:0.0.0.0/0", "::1", NEUTRAL),
        ("ip6:2001:DB8::/32", "2001:db8:ffff::1", PASS),
        ("ip6:2001:db8::/33", "2001:db8:ffff::1", NEUTRAL),
        ("ip4:0.0.0.1", "::1", NEUTRAL), ("ip6:::c000:201", CLIENT, NEUTRAL),
        ("ip6:::1", "::1", PASS), ("ip6:::/0", "::1", PASS),
    ],
)  # fmt: skip
def test_ip4_and_ip6_match_networks(term: str, client: str, expected: SPFResult) -> None:
    assert result(f"v=spf1 {term}", client) is expected


@pytest.mark.req("RFC7208-5.7-01")
@pytest.mark.parametrize("client", [CLIENT, "2001:db8::1"])
def test_exists_matches_any_ipv4_address_whatever_the_client(client: str) -> None:
    assert result("v=spf1 exists:x.org", client, x_org=address("127.0.0.2")) is PASS
    assert result("v=spf1 exists:x.org", client, x_org=address("2001:db8::1")) is NEUTRAL
    assert result("v=spf1 exists:gone.org", client) is NEUTRAL


@pytest.mark.req("RFC7208-5.2-01")
@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (txt("v=spf1 +all"), SOFTFAIL), (txt("v=spf1 -all"), FAIL), (txt("v=spf1 ~all"), FAIL),
        (txt("v=spf1 ?all"), FAIL), (txt("v=spf1"), FAIL), (txt("v=spf1 moo"), PERMERROR),
        (txt("x"), PERMERROR), (None, PERMERROR), ("failing", TEMPERROR),
    ],
)  # fmt: skip
def test_include_matches_if_the_other_record_passes(
    other: Records | None, expected: SPFResult
) -> None:
    names = zone("v=spf1 ~include:other.org -all")
    if other == "failing":
        names.moods["other.org"] = Mood(Status.FAILED)
    elif other is not None:
        names.records["other.org"] = other
    assert check(names).result is expected


@pytest.mark.req("RFC7208-5-01")
@pytest.mark.parametrize("term", ["a", "mx", "exists:example.org", "a:x.org", "mx:x.org"])
def test_a_failed_look_up_of_a_mechanism_is_a_temporary_error(term: str) -> None:
    names = zone(f"v=spf1 {term} +all", x_org=hosts("y.org"))
    for name in ("example.org", "x.org", "y.org"):
        names.moods[name, Kind.A] = names.moods[name, Kind.MX] = Mood(Status.FAILED)
    found = check(names)
    assert found.result is TEMPERROR
    assert found.trace.result == "temperror"


@pytest.mark.req("RFC7208-4.8-01")
@pytest.mark.parametrize("term", ["a", "mx", "exists", "ptr"])
@pytest.mark.parametrize("spec", ["x..org", f"{'x' * 64}.org", "%{h}.org", "a\\.x.org"])
def test_a_target_that_is_not_a_name_does_not_match(term: str, spec: str) -> None:
    names = zone(f"v=spf1 {term}:{spec} -all")
    assert check(names, helo="a..b").result is FAIL
    assert asked(names, "x.org") == []


# -- ptr -------------------------------------------------------------------------------------------


@pytest.mark.req("RFC7208-5.5-01")
@pytest.mark.parametrize(
    ("term", "expected"),
    [("ptr", PASS), ("ptr:example.org", PASS), ("ptr:mx.example.org", PASS),
     ("ptr:Example.ORG", PASS),
     ("ptr:ample.org", NEUTRAL), ("ptr:forged.org", NEUTRAL), ("ptr:x.mx.example.org", NEUTRAL)],
)  # fmt: skip
def test_ptr_matches_names_of_the_client_that_have_its_address(
    term: str, expected: SPFResult
) -> None:
    names = {REVERSE: pointers("forged.org", "mx.example.org"), "forged_org": ELSEWHERE}
    assert result(f"v=spf1 {term}", **names, mx_example_org=HERE) is expected


@pytest.mark.req("RFC7208-5.5-01")
def test_the_names_of_an_ipv6_client_are_found_by_its_nibbles() -> None:
    reverse = "1" + "_0" * 23 + "_8_b_d_0_1_0_0_2_ip6_arpa"
    names = {reverse: pointers("mx.example.org"), "mx_example_org": HERE}
    assert result("v=spf1 ptr -all", "2001:db8::1", **names) is PASS


@pytest.mark.req("RFC7208-5.5-02")
def test_a_failed_look_up_of_ptr_is_passed_over() -> None:
    names = zone(
        "v=spf1 ptr ~all",
        **{REVERSE: pointers("bad.example.org", "mx.example.org")},
        mx_example_org=HERE,
    )
    names.moods["bad.example.org"] = Mood(Status.FAILED)
    assert check(names).result is PASS
    names.moods["1.2.0.192.in-addr.arpa"] = Mood(Status.FAILED)
    assert check(names).result is SOFTFAIL


@pytest.mark.req("RFC7208-4.6.4-03")
@pytest.mark.parametrize(("before", "expected"), [(9, PASS), (10, NEUTRAL)])
def test_of_the_names_of_a_client_the_first_ten_are_considered(
    before: int, expected: SPFResult
) -> None:
    own = pointers(*[f"x{number}.example.org" for number in range(before)], "mx.example.org")
    names = zone("v=spf1 ptr ptr exists:%{p}.y.org", **{REVERSE: own}, mx_example_org=HERE)
    assert check(names).result is expected
    assert len([name for name, kind in names.asked if kind is Kind.PTR]) == 1
    assert len({name for name, _ in asked(names, ".example.org")}) == 10


@pytest.mark.req("RFC7208-7.3-08")
@pytest.mark.parametrize(
    ("own", "expected"),
    [
        (["a.net", "b.example.org", "example.org"], "example.org"),
        (["a.net", "b.example.org"], "b.example.org"),
        (["a.net", "other.net"], "a.net"),
        (["forged.example.org", "a.net"], "a.net"),
        (["forged.example.org"], "unknown"),
        ([], "unknown"),
    ],
)
def test_the_macro_p_prefers_the_domain_and_names_below_it(own: list[str], expected: str) -> None:
    names = zone(
        "v=spf1 -all exp=exp.example.org",
        **{REVERSE: pointers(*own)},
        exp_example_org=txt("%{p}"),
        example_org=HERE, a_net=HERE, other_net=HERE, b_example_org=HERE,
        forged_example_org=ELSEWHERE,
    )  # fmt: skip
    assert check(names).explanation == expected

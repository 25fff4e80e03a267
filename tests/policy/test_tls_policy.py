"""Which demand for TLS wins: the whole table."""

from __future__ import annotations

import itertools

import pytest
from attrs import evolve

from smtpproto.dns import TLSA
from smtpproto.policy import (
    DANEFinding,
    DANEStatus,
    MTASTSMode,
    MTASTSPolicy,
    TLSDemand,
    TLSFacts,
    TLSLevel,
    TLSSource,
    tls_demand,
)
from smtpproto.policy.tls_policy import RULES

HOST = "mx.example.org"
LEVELS = [None, TLSLevel.NONE, TLSLevel.ENCRYPTED, TLSLevel.VERIFIED]
ASKED = {"": (False, False), "require": (True, False), "no": (False, True)}
POLICIES = {
    "-": None,
    "none": MTASTSPolicy(mode=MTASTSMode.NONE),
    "testing": MTASTSPolicy(mode=MTASTSMode.TESTING, mx=("other.example",)),
    "names": MTASTSPolicy(mode=MTASTSMode.ENFORCE, mx=(HOST,)),
    "excludes": MTASTSPolicy(mode=MTASTSMode.ENFORCE, mx=("other.example",)),
}
FOUND = {
    status: DANEFinding(
        status=status,
        reason="that is so",
        records=(TLSA(3, 1, 1, bytes(32)),) if status is DANEStatus.USABLE else (),
    )
    for status in DANEStatus
}

# What the sender asks, the route, DNSSEC for the MX, DANE, MTA-STS -> level, who demands it.
# * is anything.
TABLE = """
            require  *          *      failed    *         refused        DANE
            require  *          *      usable    *         dane           REQUIRETLS
            require  *          *      *         names     verified       REQUIRETLS
            require  *          *      *         excludes  refused        MTA-STS
            require  *          yes    *         *         verified       REQUIRETLS
            require  *          no     *         *         refused        REQUIRETLS
            *        verified   *      *         *         verified       route
            *        none       *      *         *         none           route
            no       encrypted  *      *         *         encrypted      route
            no       *          *      *         *         opportunistic  TLS-Required:No
            *        *          *      failed    *         refused        DANE
            *        *          *      usable    *         dane           DANE
            *        *          *      *         excludes  refused        MTA-STS
            *        *          *      *         names     verified       MTA-STS
            *        *          *      unusable  *         encrypted      DANE
            *        encrypted  *      *         *         encrypted      route
            *        *          *      *         *         opportunistic  route
"""
LINES = [line.split() for line in TABLE.strip().splitlines()]
ALL = [
    *itertools.product(ASKED, LEVELS, [False, True], DANEStatus, POLICIES),
]


def facts(
    asked: str, route: TLSLevel | None, authentic: bool, dane: DANEStatus, policy: str
) -> TLSFacts:
    requires, optional = ASKED[asked]
    return TLSFacts(
        host=HOST,
        route=route,
        requires_tls=requires,
        tls_optional=optional,
        authentic=authentic,
        dane=FOUND[dane],
        policy=POLICIES[policy],
    )


def expected(*case: object) -> tuple[str, str]:
    asked, route, authentic, dane, policy = case
    words = [
        asked,
        "" if route is None else route.value,  # type: ignore[attr-defined]
        "yes" if authentic else "no",
        dane.value,  # type: ignore[attr-defined]
        policy,
    ]
    for *wanted, level, source in LINES:
        if all(want in ("*", word) for want, word in zip(wanted, words, strict=True)):
            return level, source
    raise AssertionError(words)


@pytest.mark.req(
    "RFC8461-2-01", "RFC8461-5-01", "RFC8461-5-03", "RFC7672-2.2-02", "RFC8689-4.2.2-01"
)
def test_each_combination_is_judged_as_the_table_says() -> None:
    for case in ALL:
        demand = tls_demand(facts(*case))
        found = demand.level.value, demand.source.value.replace(" ", "")
        assert found == expected(*case), case
        assert demand.reason
        assert demand.lasting == (found == ("refused", "REQUIRETLS")), case


def test_each_rule_decides_something() -> None:
    used = {next(rule for rule in RULES if rule.fits(facts(*case))).reason for case in ALL}
    assert used == {rule.reason for rule in RULES}


def _demand(**given: object) -> TLSDemand:
    return tls_demand(TLSFacts(host=HOST, **given))  # type: ignore[arg-type]


@pytest.mark.req("RFC8461-5-03")
@pytest.mark.parametrize("mode", [MTASTSMode.TESTING, MTASTSMode.NONE])
def test_a_policy_that_is_not_enforced_changes_nothing(mode: MTASTSMode) -> None:
    policy = MTASTSPolicy(mode=mode, mx=("other.example",))
    for case in ALL:
        without = facts(*case[:4], "-")
        assert tls_demand(evolve(without, policy=policy)) == tls_demand(without)


def test_a_demand_of_dane_tells_what_was_found() -> None:
    found = _demand(dane=FOUND[DANEStatus.FAILED])
    assert (found.source, found.level) == (TLSSource.DANE, TLSLevel.REFUSED)
    assert "that is so" in found.reason

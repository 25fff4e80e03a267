"""The SPF records of a domain, examined: each fault is found, and told with what to do."""

from __future__ import annotations

import pytest

from smtpproto.adapters.blocking import run
from smtpproto.dns import Kind, Status
from smtpproto.policy.spf_examination import SPFExamination, SPFFaultKind, examine_spf
from smtpproto.testing import Mood, Zone
from smtpproto.testing.zone import Records

from .spf_zones import address, hosts, txt, zone

HERE = address("192.0.2.1")


def examine(names: Zone, domain: str = "example.org") -> SPFExamination:
    return run(examine_spf(domain, names))


FAULTS: list[tuple[SPFFaultKind, bool, str, str, dict[str, Records]]] = [
    (SPFFaultKind.SYNTAX, True, "ipv4:192.0.2.1 -all", "ipv4:192.0.2.1", {}),
    (SPFFaultKind.SYNTAX, True, "ip4:192.0.2.300 -all", "ip4:192.0.2.300", {}),
    (SPFFaultKind.TOO_MANY_TERMS, True, "a " * 11 + "-all", "", {"example_org": HERE}),
    (SPFFaultKind.TOO_MANY_VOIDS, True, "a:x.org a:y.org mx -all", "", {}),
    (SPFFaultKind.VOID, False, "a:x.org -all", "a:x.org", {}),
    (SPFFaultKind.VOID, False, "mx -all", "mx", {}),
    (SPFFaultKind.TOO_MANY_EXCHANGERS, True, "mx -all", "mx",
     {"example_org": hosts(*"abcdefghijk")}),
    (SPFFaultKind.LOOP, True, "include:example.org -all", "include:example.org", {}),
    (SPFFaultKind.LOOP, True, "redirect=x.org", "include:example.org",
     {"x_org": txt("v=spf1 include:example.org -all")}),
    (SPFFaultKind.NO_RECORD, True, "include:x.org -all", "include:x.org", {}),
    (SPFFaultKind.NO_RECORD, True, "redirect=x.org", "redirect=x.org", {"x_org": HERE}),
    (SPFFaultKind.SEVERAL_RECORDS, True, "include:x.org -all", "",
     {"x_org": txt("v=spf1", "v=spf1")}),
    (SPFFaultKind.ALL_PASS, False, "+all", "+all", {}),
    (SPFFaultKind.ALL_PASS, False, "ip4:0.0.0.0/1 -all", "ip4:0.0.0.0/1", {}),
    (SPFFaultKind.ALL_PASS, False, "ip6:::/0 -all", "ip6:::/0", {}),
    (SPFFaultKind.NO_ALL, False, "a", "", {"example_org": HERE}),
    (SPFFaultKind.NO_ALL, False, "redirect=x.org", "", {"x_org": txt("v=spf1 include:y.org"),
                                                       "y_org": txt("v=spf1 ip4:192.0.2.1")}),
    (SPFFaultKind.VOID, False, "exists:x.org -all", "exists:x.org", {}),
    (SPFFaultKind.AFTER_ALL, False, "-all a", "a", {}),
    (SPFFaultKind.AFTER_ALL, False, "redirect=x.org -all", "redirect=x.org", {}),
    (SPFFaultKind.PTR, False, "ptr -all", "ptr", {}),
    (SPFFaultKind.UNKNOWN_MODIFIER, False, "redirct=x.org -all", "redirct=x.org", {}),
    (SPFFaultKind.EXPLANATION, False, "-all exp=x.org", "exp=x.org", {}),
    (SPFFaultKind.EXPLANATION, False, "-all exp=x.org", "exp=x.org", {"x_org": txt("100%")}),
    (SPFFaultKind.LONG, False, "ip4:192.0.2.1 " * 40 + "-all", "", {}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "breaks", "terms", "term", "others"), FAULTS,
    ids=[f"{case[0].value}-{number}" for number, case in enumerate(FAULTS)],
)  # fmt: skip
def test_each_fault_is_found_with_its_term(
    kind: SPFFaultKind, breaks: bool, terms: str, term: str, others: dict[str, Records]
) -> None:
    found = examine(zone(f"v=spf1 {terms}", **others))
    [fault] = [it for it in found.faults if it.kind is kind]
    assert (fault.term, fault.breaks) == (term, breaks)
    assert {it.kind for it in found.faults} - {kind} <= {SPFFaultKind.VOID}
    assert found.usable is not breaks


def test_a_good_record_has_no_faults() -> None:
    names = zone(
        "v=spf1 a mx include:%{d2}.net exists:%{ir}.list.org ip4:192.0.2.0/24 -all exp=exp.org",
        example_org={**HERE, **hosts("mx.example.org")},
        example_org_net=txt("v=spf1 ip6:2001:db8::/32"),
        exp_org=txt("%{i} may not send"),
    )
    found = examine(names)
    assert found.faults == () and found.usable
    assert (found.trace.asking, found.trace.void) == (4, 0)
    assert ("192.0.2.list.org", Kind.A) not in names.asked


def test_a_record_in_ipv6_only_is_not_void() -> None:
    assert examine(zone("v=spf1 a -all", example_org=address("2001:db8::1"))).faults == ()


@pytest.mark.parametrize("domain", ["gone.org", "org", "a..org"])
def test_a_domain_without_a_record_is_told_to_publish_one(domain: str) -> None:
    [fault] = examine(Zone(), domain).faults
    assert fault.kind is SPFFaultKind.NO_RECORD and not fault.breaks
    assert "publish" in str(fault)


@pytest.mark.parametrize("term", ["a:x.org", "mx:x.org", "exists:x.org", "include:x.org"])
def test_a_failed_look_up_is_told_once(term: str) -> None:
    names = zone(f"v=spf1 {term} -all")
    names.moods["x.org"] = Mood(Status.FAILED)
    [fault] = examine(names).faults
    assert fault.kind is SPFFaultKind.FAILED and fault.breaks


def test_the_faults_of_included_records_name_their_domain() -> None:
    names = zone("v=spf1 include:x.org -all", x_org=txt("v=spf1 a:y.org"))
    [fault] = examine(names).faults
    assert str(fault) == "x.org: a:y.org: y.org has no address: remove this term"


def test_a_misspelt_mechanism_is_corrected() -> None:
    [fault] = examine(zone("v=spf1 incldue:x.org -all")).faults
    assert str(fault) == (
        "example.org: incldue:x.org: there is no mechanism 'incldue' (at octet 7); "
        "did you mean include?"
    )


def test_included_records_need_no_all() -> None:
    names = zone(
        "v=spf1 include:x.org -all", x_org=txt("v=spf1 redirect=y.org"), y_org=txt("v=spf1")
    )
    assert examine(names).faults == ()


def test_a_tree_that_is_too_large_is_left_out() -> None:
    names = Zone(
        {
            f"x{it}.org": txt(f"v=spf1 include:x{it + 1}.org include:x{it + 1}.org -all")
            for it in range(60)
        }
    )
    found = examine(names, "x0.org")
    assert "more than 40 terms ask the DNS" in str(found)
    assert len(names.asked) <= 41


def test_the_number_of_faults_is_bounded() -> None:
    found = examine(zone("v=spf1 " + " ".join(f"x{it}=" for it in range(1000)) + " -all"))
    assert len(found.faults) == 100


def test_an_examination_is_drawn_with_its_counts_and_faults() -> None:
    assert (
        str(examine(zone("v=spf1 a:x.org ?all")))
        == """\
1 of 10 terms ask the DNS, 1 of them in vain
example.org
├── a:x.org
│   ├── A x.org: no such name
│   └── AAAA x.org: no such name
└── ?all
example.org: a:x.org: x.org has no address: remove this term"""
    )

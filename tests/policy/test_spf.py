"""Checks of SPF: who is checked, against which record, and the trace (RFC 7208 4)."""

from __future__ import annotations

import asyncio

import pytest
import trio

from smtpproto import GrammarError, Mailbox, ReversePath
from smtpproto.adapters.blocking import run
from smtpproto.dns import Kind, Status
from smtpproto.policy.spf import SPFCheck, SPFRequest, check_helo, check_spf
from smtpproto.policy.spf_record import SPFResult
from smtpproto.testing import Mood, Zone

from .spf_zones import CLIENT, ELSEWHERE, HERE, NOW, check, hosts, result, txt, zone

NONE, NEUTRAL, PASS, FAIL, SOFTFAIL, TEMPERROR, PERMERROR = SPFResult
Sender = str | Mailbox | ReversePath | None


def request(helo: str, sender: Sender) -> SPFRequest:
    return SPFRequest(client=CLIENT, helo=helo, sender=sender, now=NOW)


def checked(helo: str, sender: Sender, names: Zone) -> SPFCheck:
    return run(check_spf(request(helo, sender), names))


# -- who is checked --------------------------------------------------------------------------------


@pytest.mark.req("RFC7208-2.4-01")
@pytest.mark.parametrize("sender", [None, "", ReversePath()])
def test_the_null_sender_is_checked_as_postmaster_at_the_name_in_helo(
    sender: Sender,
) -> None:
    names = zone("v=spf1 -all exp=%{l}.exp.example.org", postmaster_exp_example_org=txt("%{s}"))
    found = checked("example.org", sender, names)
    assert (found.sender, found.identity) == ("postmaster@example.org", "mailfrom")
    assert (found.result, found.explanation) == (FAIL, "postmaster@example.org")


@pytest.mark.req("RFC7208-2.3-01")
def test_the_name_in_helo_can_be_checked_alone() -> None:
    found = run(check_helo(request("Example.org", "ann@example.net"), zone("v=spf1 -all")))
    assert (found.result, found.identity, found.domain) == (FAIL, "helo", "example.org")


@pytest.mark.req("RFC7208-4.3-03")
def test_a_sender_without_local_part_has_postmaster_as_local_part() -> None:
    assert check(zone("v=spf1"), sender="@example.org").sender == "postmaster@example.org"


@pytest.mark.parametrize(
    "sender",
    ["ann@example.org", Mailbox("ann", "example.org"), ReversePath.parse(b"<ann@example.org>")],
)
def test_a_sender_may_be_text_or_a_value_of_the_grammar(
    sender: Sender,
) -> None:
    found = checked("x.test", sender, zone("v=spf1 +all"))
    assert (found.result, found.sender) == (PASS, "ann@example.org")


def test_a_check_runs_under_asyncio_and_trio_alike() -> None:
    names = zone("v=spf1 mx -all", example_org=hosts("mx.example.org"), mx_example_org=HERE)
    about = request("x.test", "ann@example.org")
    assert asyncio.run(check_spf(about, names)) == trio.run(check_spf, about, names)


@pytest.mark.parametrize("client", ["", "localhost", "192.0.2.256", "/tmp/socket"])
def test_a_client_without_an_ip_address_cannot_be_checked(client: str) -> None:
    with pytest.raises(GrammarError, match="not an IP address"):
        check(zone("v=spf1"), client)


@pytest.mark.req("RFC7208-4.3-01")
@pytest.mark.parametrize(
    "domain",
    ["org", "a..example.org", f"{'a' * 64}.example.org", ".example.org", "a." * 127 + "org",
     "[1.2.3.4]", "gone.example.org", "xn--a\u00f6.example.org", "\u00e4\u00df.example",
     "ban\u212a.example"],
)  # fmt: skip
def test_a_malformed_or_unknown_domain_has_no_result(domain: str) -> None:
    found = check(zone("v=spf1 -all", bank_example=txt("v=spf1 +all")), sender=f"ann@{domain}")
    assert found.result is NONE and not found.explanation
    assert "has no SPF record" in found.reason or "is not a domain name" in found.reason


@pytest.mark.req("RFC7208-4.3-02")
def test_a_u_label_is_looked_up_as_its_a_label() -> None:
    names = Zone(
        {"müller.example": txt("v=spf1 -all exp=exp.%{d}"), "exp.müller.example": txt("%{o}")}
    )
    found = check(names, sender="ann@Müller.example")
    assert (found.result, found.domain) == (FAIL, "xn--mller-kva.example")
    assert found.explanation == "xn--mller-kva.example"


# -- the record ------------------------------------------------------------------------------------


@pytest.mark.req("RFC7208-3.1-01")
def test_only_txt_records_of_the_domain_itself_are_looked_up() -> None:
    names = zone("v=spf1 -all")
    assert check(names).result is FAIL
    assert names.asked == [("example.org", Kind.TXT)]


@pytest.mark.req("RFC7208-4.4-01")
@pytest.mark.parametrize("status", [Status.FAILED, Status.BOGUS])
def test_a_failed_look_up_of_the_record_is_a_temporary_error(status: Status) -> None:
    names = zone("v=spf1 -all")
    names.moods["example.org"] = Mood(status)
    assert check(names).result is TEMPERROR


@pytest.mark.req("RFC7208-4.5-01", "RFC7208-4.5-02", "RFC7208-4.5-03")
@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([], NONE),
        (["v=spf10 -all", "v=DKIM1", "\xff", ""], NONE),
        (["v=spf10 +all", "v=spf1 -all", "x"], FAIL),
        (["v=spf1 -all", "V=SPF1 -all"], PERMERROR),
        (["v=spf1", "v=spf1 -all"], PERMERROR),
    ],
)
def test_there_must_be_exactly_one_record_of_this_version(
    records: list[str], expected: SPFResult
) -> None:
    assert check(Zone({"example.org": txt(*records)})).result is expected


@pytest.mark.req("RFC7208-4.6-01")
def test_a_fault_after_a_match_is_found_before_any_term_is_evaluated() -> None:
    names = zone("v=spf1 a +all moo", example_org=HERE)
    found = check(names)
    assert found.result is PERMERROR
    assert found.reason == ("the record of example.org: there is no mechanism 'moo' (at octet 14)")
    assert len(names.asked) == 1


@pytest.mark.req("RFC7208-4.6.2-01", "RFC7208-4.6.2-02", "RFC7208-5.1-01")
@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ("ip4:192.0.2.1 -all", PASS), ("+ip4:192.0.2.1 -all", PASS),
        ("?ip4:192.0.2.1 -all", NEUTRAL),
        ("~ip4:192.0.2.1 -all", SOFTFAIL), ("-ip4:192.0.2.1 +all", FAIL), ("all", PASS),
        ("ip4:192.0.2.2 ~all -all", SOFTFAIL), ("~all +ip4:192.0.2.1", SOFTFAIL),
        ("-all a:nowhere.example.org", FAIL), ("-all redirect=nowhere.example.org", FAIL),
        ("redirect=nowhere.example.org ?all", NEUTRAL),
    ],
)  # fmt: skip
def test_the_first_directive_that_matches_decides(terms: str, expected: SPFResult) -> None:
    names = zone(f"v=spf1 {terms}")
    assert check(names).result is expected
    assert len(names.asked) == 1


@pytest.mark.req("RFC7208-4.7-01")
def test_a_record_without_a_match_is_neutral() -> None:
    assert result("v=spf1 ip4:192.0.2.2") is NEUTRAL
    assert result("v=spf1") is NEUTRAL


@pytest.mark.req("RFC7208-6-02")
@pytest.mark.parametrize(
    "terms", ["x=y -all", "-all x=y x=y", "x= y.z=%{c} -all x=", "default=pass -all"]
)
def test_unknown_modifiers_are_ignored_wherever_they_stand(terms: str) -> None:
    assert result(f"v=spf1 {terms}") is FAIL


# -- the reply -------------------------------------------------------------------------------------


@pytest.mark.req("RFC7208-8.4-01", "RFC7208-8.6-01", "RFC7208-8.7-01")
def test_a_refusal_has_the_codes_of_its_reason_and_names_who_explains_it() -> None:
    names = zone("v=spf1 -all exp=exp.org", exp_org=txt("See https://%{d}/"))
    assert str(check(names).refusal) == (
        "550 5.7.23 192.0.2.1 may not send mail for example.org, says its SPF record / "
        "The domain example.org explains: See https://example.org/"
    )
    assert str(check(zone("v=spf1 moo")).refusal) == (
        "550 5.7.24 SPF cannot be checked: the record of example.org: "
        "there is no mechanism 'moo' (at octet 7)"
    )
    names.moods["example.org"] = Mood(Status.FAILED)
    assert str(check(names).refusal) == (
        "451 4.7.24 SPF could not be checked: the look-up of TXT example.org: "
        "the zone's mood: failed"
    )


@pytest.mark.parametrize("record", ["v=spf1 +all", "v=spf1 ~all", "v=spf1 ?all", "x"])
def test_other_results_are_no_reason_to_refuse(record: str) -> None:
    assert check(zone(record)).refusal is None


def test_a_refusal_is_in_ascii_without_control_characters() -> None:
    names = Zone({"a\r\nb.org": txt("v=spf1 -all"), "c\x1b.org": txt("v=spf1 moo")})
    for domain in ("a\r\nb.org", "c\x1b.org"):
        refusal = check(names, sender=f"ann@{domain}").refusal
        assert refusal is not None and refusal.text.isascii() and refusal.text.isprintable()


# -- the trace -------------------------------------------------------------------------------------

TREE = """\
fail: -all of example.org matches 192.0.2.1
4 of 10 terms ask the DNS, 1 of them in vain
example.org = fail
├── a:gone.org  (no match)
│   └── A gone.org: no such name
├── include:other.org  (no match)
│   └── other.org = softfail
│       ├── ip4:198.51.100.0/24  (no match)
│       └── ~all  (match)
├── mx  (no match)
│   ├── MX example.org: mx.example.org
│   └── A mx.example.org: 198.51.100.1
├── exists:%{l}.org  (no match, 'a..b.org' is not a name)
├── -all  (match)
└── exp=exp.org  (exp.org has 0 TXT records, not one)
    └── TXT exp.org: no such name"""


def test_the_trace_is_drawn_as_a_tree() -> None:
    names = zone(
        "v=spf1 a:gone.org include:other.org mx exists:%{l}.org -all exp=exp.org",
        other_org=txt("v=spf1 ip4:198.51.100.0/24 ~all"),
        example_org=hosts("mx.example.org"),
        mx_example_org=ELSEWHERE,
    )
    assert str(check(names, sender="a..b@example.org")) == TREE


def test_the_trace_of_an_error_shows_where_it_happened() -> None:
    names = zone("v=spf1 include:other.org -all", other_org=txt("v=spf1 mx:x.org"))
    names.moods["x.org"] = Mood(Status.FAILED)
    assert (
        str(check(names))
        == """\
temperror: the look-up of MX x.org: the zone's mood: failed
2 of 10 terms ask the DNS, 0 of them in vain
example.org = temperror
└── include:other.org
    └── other.org = temperror
        └── mx:x.org
            └── MX x.org: failed"""
    )


def test_the_mechanism_is_the_directive_of_the_domain_itself() -> None:
    names = zone("v=spf1 mx:x.org include:other.org", other_org=txt("v=spf1 ip4:192.0.2.0/24"))
    assert check(names).mechanism == "include:other.org"
    assert check(zone("v=spf1")).mechanism == ""

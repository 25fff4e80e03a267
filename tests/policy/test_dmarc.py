"""Checks of DMARC: the tree walk, alignment, and what is asked of a receiver."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto import GrammarError
from smtpproto.dns import Answer, Kind, Status
from smtpproto.policy import (
    DKIMCheck,
    DKIMResult,
    DMARCPolicy,
    DMARCResult,
    SPFCheck,
    SPFResult,
    author_domains,
)
from smtpproto.policy.dmarc_walk import walked_names
from smtpproto.testing import Mood

from .dmarc_zones import asked, check, dkim, failing, spf, zone

NONE, QUARANTINE, REJECT = DMARCPolicy
PASS, FAIL, NO_RECORD = DMARCResult.PASS, DMARCResult.FAIL, DMARCResult.NONE
TEMPERROR, PERMERROR = DMARCResult.TEMPERROR, DMARCResult.PERMERROR
R = "v=DMARC1; p=reject"


# -- the walk --------------------------------------------------------------------------------------


@pytest.mark.req("RFC9989-4.10-01")
def test_the_walk_of_the_rfc() -> None:
    found = zone({})
    assert check("a.b.c.d.e.f.g.h.i.j.mail.example.com", found).result is NO_RECORD
    assert asked(found) == [
        "a.b.c.d.e.f.g.h.i.j.mail.example.com",
        "g.h.i.j.mail.example.com", "h.i.j.mail.example.com", "i.j.mail.example.com",
        "j.mail.example.com", "mail.example.com", "example.com", "com",
    ]  # fmt: skip


@pytest.mark.req("RFC9989-4.10-01")
@given(st.integers(1, 127))
def test_a_walk_asks_eight_times_at_most_and_ends_with_one_label(labels: int) -> None:
    names = walked_names(".".join(["a"] * labels))
    counts = [name.count(".") + 1 for name in names]
    assert counts == [labels, *range(min(labels - 1, 7), 0, -1)]
    assert len(names) <= 8


@pytest.mark.req("RFC9989-4.10-02")
@pytest.mark.parametrize("psd", ["y", "n"])
def test_a_record_with_psd_ends_the_walk(psd: str) -> None:
    found = zone({"b.example": f"{R}; psd={psd}", "example": R})
    result = check("x.a.b.example", found)
    assert asked(found) == ["x.a.b.example", "a.b.example", "b.example"]
    assert result.organizational_domain == ("a.b.example" if psd == "y" else "b.example")
    assert result.policy_domain == "b.example"


@pytest.mark.req("RFC9989-4.10-03")
def test_several_records_at_a_name_count_as_none() -> None:
    found = zone({"a.example": [R, "v=DMARC1; p=none"], "example": [R, "v=spf1 -all"]})
    result = check("a.example", found)
    assert result.policy_domain == "example"
    assert "(2 records: none counts)" in str(result)
    assert check("a.example", zone({"a.example": [R, R]})).result is NO_RECORD


@pytest.mark.req("RFC9989-4.10.2-01")
@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ({"mail.example.com": R, "example.com": R}, "example.com"),
        ({"mail.example.com": f"{R}; psd=n", "example.com": R}, "mail.example.com"),
        ({"com": f"{R}; psd=y"}, "example.com"),
        ({"example.com": f"{R}; psd=y"}, "mail.example.com"),
        ({"a.mail.example.com": f"{R}; psd=y"}, "a.mail.example.com"),
        ({"a.mail.example.com": R, "com": R}, "com"),
        ({"a.mail.example.com": R}, "a.mail.example.com"),
        ({"a.mail.example.com": f"{R}; psd=n", "com": R}, "a.mail.example.com"),
    ],
)
def test_the_organizational_domain(records: dict[str, str | list[str]], expected: str) -> None:
    # A domain with another identity in it makes the whole walk matter.
    result = check("a.mail.example.com", zone(records), spf("b.other.test"))
    assert result.organizational_domain == expected


@pytest.mark.req("RFC9989-4.10.2-01")
@pytest.mark.parametrize(
    ("author", "records", "sender", "signer", "organization", "aligned"),
    [
        (
            "example.com", {"example.com": R, "signing.example.com": R},
            "example.com", "signing.example.com", "example.com", (True, True),
        ),
        (
            "a.b.c.d.e.f.g.h.i.j.k.example.com", {"example.com": R, "signing.example.com": R},
            "example.com", "signing.example.com", "example.com", (True, True),
        ),
        (
            "giant.bank.example", {"bank.example": f"{R}; psd=y", "giant.bank.example": R},
            "mail.giant.bank.example", "mail.mega.bank.example", "giant.bank.example",
            (True, False),
        ),
    ],
)  # fmt: skip
def test_the_examples_of_the_rfc(
    author: str,
    records: dict[str, str | list[str]],
    sender: str,
    signer: str,
    organization: str,
    aligned: tuple[bool, bool],
) -> None:
    result = check(author, zone(records), spf(sender), [dkim(signer)])
    assert (result.result, result.organizational_domain) == (PASS, organization)
    assert (result.is_aligned("spf"), result.is_aligned("dkim")) == aligned
    assert result.policy_domain == organization


# -- the record that applies -----------------------------------------------------------------------


@pytest.mark.req("RFC9989-4.10.1-01")
@pytest.mark.parametrize(
    ("records", "policy_domain"),
    [
        ({"x.a.test": R, "a.test": R, "test": f"{R}; psd=y"}, "x.a.test"),
        ({"a.test": R, "test": f"{R}; psd=y"}, "a.test"),
        ({"test": f"{R}; psd=y"}, "test"),
        ({"y.x.a.test": R}, ""),
        ({"b.x.a.test": R, "b.test": R}, ""),
    ],
)
def test_the_record_of_the_author_then_of_the_organization_then_of_the_suffix(
    records: dict[str, str | list[str]], policy_domain: str
) -> None:
    result = check("x.a.test", zone(records))
    assert result.policy_domain == policy_domain
    assert result.result is (FAIL if policy_domain else NO_RECORD)


@pytest.mark.req("RFC9989-4.10.1-01")
def test_a_record_between_author_and_organization_does_not_apply() -> None:
    result = check("y.x.a.test", zone({"x.a.test": "v=DMARC1; p=none", "a.test": R}))
    assert (result.policy_domain, result.policy) == ("a.test", REJECT)


@pytest.mark.req("RFC9989-4.10.1-03")
def test_without_a_record_dmarc_does_not_apply() -> None:
    result = check("a.test", zone({}), spf("a.test"), [dkim("a.test")])
    assert (result.result, result.disposition, result.record) == (NO_RECORD, NONE, None)


@pytest.mark.req("RFC9989-4.10.1-02")
def test_a_record_with_a_malformed_policy_applies_as_none_or_not_at_all() -> None:
    assert check("a.test", zone({"a.test": "v=DMARC1; p=x"}), spf("a.test")).result is NO_RECORD
    found = zone({"a.test": "v=DMARC1; p=x; rua=mailto:a@a.test"})
    result = check("a.test", found)
    assert (result.result, result.disposition) == (FAIL, NONE)


# -- policies --------------------------------------------------------------------------------------

POLICIES = "v=DMARC1; p=none; sp=quarantine; np=reject"


@pytest.mark.req("RFC9989-4.7-06", "RFC9989-4.7-07", "RFC9989-3.2.13-01")
def test_the_policy_by_whether_the_author_exists() -> None:
    found = zone({"a.test": POLICIES}, "a.test", "x.a.test", "y.z.a.test")
    assert check("a.test", found).disposition is NONE
    assert not [name for name, kind in found.asked if kind is Kind.A]
    assert check("x.a.test", found).disposition is QUARANTINE
    assert check("z.a.test", found).disposition is QUARANTINE  # there is a name below it
    assert check("w.a.test", found).disposition is REJECT


def test_existence_is_asked_only_if_it_matters() -> None:
    for record in (R, "v=DMARC1; p=none; sp=reject", "v=DMARC1; p=reject; np=reject"):
        found = zone({"a.test": record})
        assert check("x.a.test", found).disposition is REJECT
        assert not [name for name, kind in found.asked if kind is Kind.A]
    found = zone({"a.test": POLICIES})
    assert check("x.a.test", found, spf("x.a.test")).result is PASS
    assert not [name for name, kind in found.asked if kind is Kind.A]


@pytest.mark.req("RFC9989-4.7-08")
@pytest.mark.parametrize(
    ("policy", "weaker"), [("reject", QUARANTINE), ("quarantine", NONE), ("none", NONE)]
)
def test_a_domain_that_tests_asks_for_the_next_weaker_policy(
    policy: str, weaker: DMARCPolicy
) -> None:
    result = check("x.a.test", zone({"a.test": f"v=DMARC1; p=none; sp={policy}; t=y"}))
    assert (result.policy, result.disposition) == (DMARCPolicy(policy), weaker)


# -- alignment -------------------------------------------------------------------------------------


@pytest.mark.req("RFC9989-4.4-01")
@pytest.mark.parametrize(
    ("identifier", "strict", "relaxed"),
    [
        ("news.example.com", True, True),
        ("NEWS.Example.COM", True, True),
        ("foo.example.com", False, True),
        ("example.com", False, True),
        ("a.news.example.com", False, True),
        ("foo.example.net", False, False),
        ("myexample.com", False, False),
        ("com", False, False),
        ("own.example.com", False, False),
        ("x.own.example.com", False, False),
    ],
)
def test_alignment(identifier: str, strict: bool, relaxed: bool) -> None:
    records: dict[str, str | list[str]] = {
        "example.com": R, "com": f"{R}; psd=y", "own.example.com": f"{R}; psd=n",
    }  # fmt: skip
    others = [dkim("x.test"), dkim(identifier)] if "." in identifier else []
    for tags, expected in [("", relaxed), ("; aspf=s; adkim=s", strict)]:
        found = zone({**records, "example.com": f"{R}{tags}"})
        by_spf = check("news.example.com", found, spf(identifier))
        by_dkim = check("news.example.com", found, None, others)
        assert by_spf.result is by_dkim.result is (PASS if expected else FAIL)
        assert by_spf.is_aligned("spf") is by_dkim.is_aligned("dkim") is expected
        assert by_spf.disposition is (NONE if expected else REJECT)
    # Each method has its own mode.
    found = zone({**records, "example.com": f"{R}; aspf=s"})
    assert (check("news.example.com", found, spf(identifier)).result is PASS) is strict
    signed = check("news.example.com", found, None, others)
    assert (signed.result is PASS) is relaxed


@pytest.mark.req("RFC9989-4.4.1-01")
def test_one_aligned_signature_of_several_is_enough() -> None:
    signatures = [dkim("x.test"), dkim("a.test", DKIMResult.FAIL), dkim("mail.a.test")]
    result = check("a.test", zone({"a.test": R}), spf("x.test"), signatures)
    assert (result.result, result.is_aligned("spf"), result.is_aligned("dkim")) == (
        PASS, False, True,
    )  # fmt: skip


@pytest.mark.req("RFC9989-4.4.2-01")
def test_the_name_in_helo_does_not_count() -> None:
    found = zone({"a.test": R})
    assert check("a.test", found, spf("a.test", identity="helo")).result is FAIL
    assert check("a.test", found, spf("a.test")).result is PASS


@pytest.mark.req("RFC9989-5.3.5-01")
@pytest.mark.parametrize("result", [it for it in SPFResult if it is not SPFResult.TEMPERROR])
def test_only_a_pass_of_spf_counts(result: SPFResult) -> None:
    found = check("a.test", zone({"a.test": R}), spf("a.test", result))
    assert found.result is (PASS if result is SPFResult.PASS else FAIL)


@pytest.mark.req("RFC9989-5.3.5-01")
@pytest.mark.parametrize("result", [it for it in DKIMResult if it is not DKIMResult.TEMPERROR])
def test_only_a_pass_of_dkim_counts(result: DKIMResult) -> None:
    found = check("a.test", zone({"a.test": R}), None, [dkim("a.test", result)])
    assert found.result is (PASS if result is DKIMResult.PASS else FAIL)


# -- failures of the DNS ---------------------------------------------------------------------------


@pytest.mark.req("RFC9989-5.3.6-01")
@pytest.mark.parametrize("status", [Status.FAILED, Status.BOGUS])
@pytest.mark.parametrize("name", ["_dmarc.x.a.test", "_dmarc.a.test", "_dmarc.test", "x.a.test"])
def test_a_failed_look_up_is_temperror_and_never_the_policy(name: str, status: Status) -> None:
    found = zone({"a.test": POLICIES})
    found.moods[name] = Mood(status)
    result = check("x.a.test", found, spf("other.test"))
    assert (result.result, result.disposition) == (TEMPERROR, NONE)
    assert f"no answer of the DNS for {name}: {status.value}" in result.reason


@pytest.mark.req("RFC9989-5.3.6-01")
@pytest.mark.parametrize("name", ["a.test", "mail.a.test"])
def test_a_temporary_error_of_an_aligned_domain_is_one_of_dmarc(name: str) -> None:
    found = zone({"a.test": R})
    assert check("a.test", found, spf(name, SPFResult.TEMPERROR)).result is TEMPERROR
    signature = dkim(name, DKIMResult.TEMPERROR)
    assert check("a.test", found, None, [signature]).result is TEMPERROR
    assert check("a.test", found, spf("a.test"), [signature]).result is PASS


def test_a_stranger_cannot_turn_a_failure_into_a_temporary_error() -> None:
    names = ["_dmarc.evil.test", "evil.test", "_dmarc.x.evil.test"]
    found = failing({"a.test": R, "test": "v=DMARC1; psd=y"}, *names)
    signatures = [dkim("evil.test"), dkim("x.evil.test", DKIMResult.TEMPERROR)]
    result = check("a.test", found, spf("evil.test"), signatures)
    assert (result.result, result.disposition) == (FAIL, REJECT)
    assert {name for name, _ in found.asked} == {"_dmarc.a.test", "_dmarc.test"}


def test_a_pass_does_not_wait_for_what_cannot_change_it() -> None:
    found = failing({"a.test": R}, "_dmarc.test", "_dmarc.mail.a.test")
    assert check("a.test", found, spf("a.test"), [dkim("mail.a.test")]).result is PASS
    assert check("a.test", found, spf("x.a.test")).result is TEMPERROR
    found = failing({"a.test": R}, "_dmarc.mail.a.test")
    signatures = [dkim("mail.a.test"), dkim("a.test")]
    assert check("a.test", found, None, signatures).result is PASS
    assert check("a.test", found, None, signatures[:1]).result is TEMPERROR


def test_only_the_record_of_the_author_is_asked_for_if_it_decides() -> None:
    for record, sender in [(R, spf("a.test")), (f"{R}; aspf=s", spf("b.a.test")), (R, None)]:
        found = zone({"a.test": record})
        check("a.test", found, sender)
        assert asked(found) == ["a.test"]


# -- authors ---------------------------------------------------------------------------------------


@pytest.mark.req("RFC9989-5.3.1-01")
@pytest.mark.parametrize("author", ["bücher.test", "BÜCHER.test", "xn--bcher-kva.TEST"])
@pytest.mark.parametrize("other", ["bücher.test", "xn--bcher-kva.test", "mail.Bücher.test"])
def test_names_are_compared_as_a_labels(author: str, other: str) -> None:
    found = zone({"xn--bcher-kva.test": R})
    result = check(author, found, spf(other))
    assert (result.result, result.author) == (PASS, "xn--bcher-kva.test")
    assert check(author, found, None, [dkim(other)]).result is PASS


@pytest.mark.req("RFC9989-5.3.1-02")
def test_without_an_author_or_with_many_there_is_no_check() -> None:
    found = zone({"a.test": R})
    for authors in ([], [f"{it}.test" for it in range(5)]):
        result = check(authors, found, spf("a.test"))
        assert (result.result, result.disposition) == (PERMERROR, NONE)
    assert found.asked == []


def test_of_several_authors_the_worst_result_counts() -> None:
    records: dict[str, str | list[str]] = {
        "good.test": R, "bad.test": R, "soft.test": "v=DMARC1; p=quarantine",
    }  # fmt: skip
    found = zone(records)
    for authors, expected in [
        (["good.test"], (PASS, NONE)),
        (["good.test", "GOOD.test"], (PASS, NONE)),
        (["good.test", "bad.test"], (FAIL, REJECT)),
        (["bad.test", "soft.test", "good.test"], (FAIL, REJECT)),
        (["soft.test", "good.test"], (FAIL, QUARANTINE)),
        (["good.test", "none.test"], (NO_RECORD, NONE)),
    ]:
        for order in (authors, authors[::-1]):
            result = check(order, found, spf("good.test"))
            assert (result.result, result.disposition) == expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b"From: a@B.test\r\n", ("b.test",)),
        (b"Subject: x\r\nFROM : \"x@y.test\" <a@b\xc3\xbc.test>\r\n\r\nFrom: c@d.test\r\n",
         ("xn--b-eha.test",)),
        (b"From: a@b.test,\r\n c@d.test, e@b.test\r\n", ("b.test", "d.test")),
        (b"From: a@[192.0.2.1]\r\n", ()),
    ],
)  # fmt: skip
def test_the_domains_of_the_authors(header: bytes, expected: tuple[str, ...]) -> None:
    assert author_domains(header) == expected


@pytest.mark.parametrize(
    "header",
    [b"", b"Subject: x\r\n", b"From: a@b.test\r\nFrom: c@d.test\r\n", b"From: a b c\r\n",
     b"From: \r\n", b"From: a@b.test\r\nno field\r\n", b"\r\nFrom: a@b.test\r\n",
     b"From:" + b" a@b.test,\r\n" * 1000 + b" a@b.test\r\n"],
)  # fmt: skip
def test_a_header_without_one_author_field_raises(header: bytes) -> None:
    with pytest.raises(GrammarError):
        author_domains(header)


# -- laws ------------------------------------------------------------------------------------------

NAMES = ["test", "a.test", "b.a.test", "c.b.a.test", "d.a.test", "e.test", "x.e.test"]
RECORDS = [
    R, f"{R}; psd=y", f"{R}; psd=n", f"{R}; adkim=s; aspf=s", "v=DMARC1; p=none; np=reject",
    "v=DMARC1; p=x", "v=spf1", "v=DMARC1; sp=quarantine; t=y", "\xff",
]  # fmt: skip
names = st.sampled_from(NAMES)
answers = st.one_of(
    st.sampled_from(RECORDS).map(
        lambda text: Answer(status=Status.FOUND, records=(text.encode("latin-1"),))
    ),
    st.binary(max_size=30).map(lambda it: Answer(status=Status.FOUND, records=(it, b"v=DMARC1;"))),
    st.sampled_from(Status).map(lambda it: Answer(status=it)),
)
signatures = st.lists(
    st.builds(dkim, st.sampled_from(NAMES[1:]), st.sampled_from(DKIMResult)), max_size=3
)
senders = st.none() | st.builds(spf, names, st.sampled_from(SPFResult))


class Oracle:
    """Answers as it was told, and counts."""

    def __init__(self, table: dict[str, Answer]) -> None:
        self.table, self.asked = table, list[str]()

    async def lookup(self, name: str, kind: Kind) -> Answer:
        assert name not in self.asked
        self.asked.append(name)
        return self.table.get(name.removeprefix("_dmarc."), Answer(status=Status.NO_NAME))


@given(names, senders, signatures, st.dictionaries(names, answers))
def test_whatever_the_dns_answers_a_check_ends_and_passes_only_what_is_related(
    author: str, sender: SPFCheck | None, signed: list[DKIMCheck], table: dict[str, Answer]
) -> None:
    oracle = Oracle(table)
    result = check(author, oracle, sender, signed)  # type: ignore[arg-type]
    passed = [it.domain for it in signed if it.passed]
    if sender is not None and sender.result is SPFResult.PASS:
        passed.append(sender.domain)
    assert (result.result is PASS) <= any(it.aligned and it.passed for it in result.domains)
    assert {it.domain for it in result.domains if it.passed} <= set(passed)
    assert (result.disposition is not NONE) <= (result.result is FAIL)
    assert (result.result is TEMPERROR) <= any(not it.known for it in table.values()) or any(
        not it.passed for it in result.domains
    )
    for it in result.domains:
        if it.aligned and it.domain != author:  # they share an organization
            assert it.domain.endswith(result.organizational_domain)
            assert author.endswith(result.organizational_domain)
    assert str(result).startswith(result.result.value)
    assert len(oracle.asked) <= 8 * (len(signed) + 2) + 1

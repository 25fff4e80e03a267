"""DMARC with a list of public suffixes, as in RFC 7489."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto.policy import AggregateCounts, DMARCPolicy, DMARCResult, MessageCheck, write_report

from .dmarc_zones import asked, check, dkim, failing, spf, zone

pytest.importorskip("publicsuffixlist")

from smtpproto.adapters.publicsuffixlist import public_suffixes

VECTORS = (
    Path(os.environ.get("SMTPPROTO_VECTORS", Path(__file__).parents[3] / "shared/vectors"))
    / "psl/test_psl.txt"
)
SUFFIXES = public_suffixes()
R = "v=DMARC1; p=reject"


@pytest.mark.skipif(not VECTORS.is_file(), reason=f"there is no {VECTORS}")
def test_the_public_test_data_is_answered_as_it_wants() -> None:
    cases = re.findall(
        r"^checkPublicSuffix\('([^']+)', '?([^')]+)'?\)", VECTORS.read_text("utf-8"), re.MULTILINE
    )
    assert len(cases) > 60
    for domain, expected in cases:
        if not domain.startswith("."):  # it has an empty label, so no mail can come from it
            itself = domain if expected == "null" else expected
            assert SUFFIXES(domain).lower() == itself.lower()


def test_a_list_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "list.dat"
    path.write_text("// a comment\ntest\n*.city.test\n!big.city.test\n", encoding="utf-8")
    suffixes = public_suffixes(path)
    names = ["a.b.test", "x.a.b.city.test", "a.big.city.test", "b.city.test", "test"]
    expected = ["b.test", "a.b.city.test", "big.city.test", "b.city.test", "test"]
    assert [suffixes(it) for it in names] == expected
    with pytest.raises(OSError, match=r"none\.dat"):
        public_suffixes(tmp_path / "none.dat")


def test_only_the_author_and_its_organization_are_asked_for_a_record() -> None:
    for author, names in [
        ("a.b.example.co.uk", ["a.b.example.co.uk", "example.co.uk"]),
        ("example.co.uk", ["example.co.uk"]),
        ("co.uk", ["co.uk"]),
    ]:
        found = zone({"uk": R, "b.example.co.uk": R})
        result = check(author, found, spf(author), (), SUFFIXES)
        assert (result.result, asked(found)) == (DMARCResult.NONE, names)


def test_names_of_an_organization_are_aligned_whatever_their_records_say() -> None:
    found = failing({"example.co.uk": f"{R}; sp=none; psd=y"}, "_dmarc.b.example.co.uk")
    result = check("a.example.co.uk", found, spf("b.example.co.uk"), (), SUFFIXES)
    assert (result.result, result.organizational_domain) == (DMARCResult.PASS, "example.co.uk")
    result = check("a.example.co.uk", found, spf("other.co.uk"), [dkim("co.uk")], SUFFIXES)
    assert (result.result, result.policy) == (DMARCResult.FAIL, DMARCPolicy.NONE)


def test_a_report_says_how_the_record_was_found() -> None:
    found = zone({"example.com": f"{R}; rua=mailto:a@example.com"})
    counts = AggregateCounts()
    for suffixes in (SUFFIXES, None):
        sender = spf("example.com")
        counts.add(
            MessageCheck(dmarc=check("example.com", found, sender, (), suffixes), spf=sender)
        )
    made = counts.reports(organization="x", email="x@x.test", begin=0, end=1, unique="1")
    assert [it.discovery_method for it in made] == ["psl", "treewalk"]
    assert b"<discovery_method>psl</discovery_method>" in write_report(made[0])


NAMES = ["example.co.uk", "a.example.co.uk", "b.example.co.uk", "c.b.example.co.uk", "x.co.uk"]


@given(
    st.sampled_from(NAMES[:3]),
    st.sampled_from(["r", "s"]),
    st.sampled_from(["", "; sp=none", "; sp=quarantine"]),
    st.sampled_from(NAMES),
    st.lists(st.sampled_from(NAMES), max_size=2),
)
def test_results_agree_with_those_of_another_library(
    author: str, mode: str, policy: str, sender: str, signers: list[str]
) -> None:
    oracle = pytest.importorskip("dmarc")
    record = f"{R}; aspf={mode}; adkim={mode}{policy}"
    ours = check(author, zone({"example.co.uk": record}), spf(sender), map(dkim, signers), SUFFIXES)

    class Suffixes:
        def get_public_suffix(self, domain: str) -> str:
            return SUFFIXES(domain)

    theirs: Any = oracle.DMARC(Suffixes())
    published = theirs.parse_record(
        record, author, None if author == "example.co.uk" else "example.co.uk"
    )
    expected = theirs.get_result(
        published,
        auth_results=oracle.AuthResults(
            spf=oracle.SPFAuthResult(sender, oracle.SPFResult.PASS),
            dkim=[oracle.DKIMAuthResult(it, oracle.DKIMResult.PASS) for it in signers],
        ),
    )
    assert (ours.result is DMARCResult.PASS) is (expected.result is oracle.DMARCResult.PASS)
    assert ours.disposition.value == expected.disposition.value
    assert ours.is_aligned("spf") is (expected.spf is oracle.DMARCResult.PASS)
    assert ours.is_aligned("dkim") is (expected.dkim is oracle.DMARCResult.PASS)

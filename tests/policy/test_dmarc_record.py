"""The records of DMARC."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto import GrammarError
from smtpproto.policy import DMARCPolicy, DMARCRecord

NONE, QUARANTINE, REJECT = DMARCPolicy
READ = DMARCRecord.parse

policies = st.sampled_from(DMARCPolicy)
uris = st.sampled_from(
    ["mailto:a@b.test", "https://x.test/r?a=1", "MAILTO:%22a%20b%22@b.test", "x:y"]
)
records = st.builds(
    DMARCRecord,
    policy=policies,
    subdomain_policy=st.none() | policies,
    nonexistent_policy=st.none() | policies,
    strict_dkim=st.booleans(),
    strict_spf=st.booleans(),
    aggregate_uris=st.lists(uris, max_size=3).map(tuple),
    failure_uris=st.lists(uris, min_size=1, max_size=3).map(tuple),
    failure_options=st.permutations(["0", "1", "d", "s"]).map(lambda it: tuple(it[:2])),
    public_suffix=st.sampled_from([True, False, None]),
    testing=st.booleans(),
)


@given(records)
def test_a_written_record_is_read_as_it_was_without_faults(record: DMARCRecord) -> None:
    read = READ(record.format().encode())
    assert read == record
    assert read.faults == ()


@pytest.mark.req("RFC9989-4.7-01")
@pytest.mark.parametrize(
    "text",
    ["", "p=reject", "p=reject; v=DMARC1", "v=DMARC2; p=reject", "v=dmarc1; p=reject",
     "v=DMARC11; p=reject", "v=DMARC1 p=reject", "v = spf1", "v=spf1 -all", "\xffv=DMARC1"],
)  # fmt: skip
def test_what_does_not_begin_with_the_version_is_not_a_record(text: str) -> None:
    with pytest.raises(GrammarError, match="begins with v=DMARC1"):
        READ(text.encode("latin-1"))


@pytest.mark.req("RFC9989-4.7-01")
@pytest.mark.parametrize(
    "text", ["v=DMARC1;p=reject", "v=DMARC1; p=reject;", "V = DMARC1 ;\tP = Reject ; ;"]
)
def test_blanks_and_the_case_of_names_and_values_do_not_matter(text: str) -> None:
    assert READ(text.encode()) == DMARCRecord(policy=REJECT)


@pytest.mark.req("RFC9989-4.7-02")
@pytest.mark.parametrize("tag", ["x=y", "pct=0", "rf=afrf", "ri=1", "q=none", "X=p=none"])
def test_unknown_and_removed_tags_are_ignored_and_told(tag: str) -> None:
    record = READ(f"v=DMARC1; {tag}; p=reject; sp=none".encode())
    assert record == DMARCRecord(policy=REJECT, subdomain_policy=NONE)
    assert len(record.faults) == 1


@pytest.mark.req("RFC9989-4.7-03")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("adkim=x; p=reject", {}),
        ("aspf=strict; p=reject", {}),
        ("psd=yes; p=reject", {}),
        ("t=1; p=reject", {}),
        ("adkim; p=reject", {}),
        ("0; p=reject; 1=2", {}),
        ("=; p=reject", {}),
        ("p=reject; p=none", {}),
        ("v=DMARC1; p=reject", {}),
        ("p=reject; adkim=s; adkim=r", {"strict_dkim": True}),
        ("p=reject; ruf=mailto:a@b.test; fo=1:x", {"failure_options": ("1",)}),
        ("p=reject; ruf=mailto:a@b.test; fo=x", {}),
        ("p=reject; rua=a@b.test", {}),
        ("p=reject; rua=mailto:b.test,mailto:a@b.test", {"aggregate_uris": ("mailto:a@b.test",)}),
        ("p=reject; rua=,", {}),
        ("p=reject; \xff\xfe\x00=\x07", {}),
    ],
)  # fmt: skip
def test_a_malformed_tag_counts_as_if_it_were_not_there(
    text: str, expected: dict[str, Any]
) -> None:
    record = READ(f"v=DMARC1; {text}".encode("latin-1"))
    if "ruf" in text:
        expected = {"failure_uris": ("mailto:a@b.test",), **expected}
    assert record == DMARCRecord(policy=REJECT, **expected)
    assert record.faults
    assert all(it.isprintable() for it in record.faults)


@pytest.mark.req("RFC9989-4.7-04")
def test_failure_options_mean_nothing_without_an_address() -> None:
    record = READ(b"v=DMARC1; p=none; fo=1:d")
    assert record.failure_options == ("0",)
    assert record.faults == ("fo= means nothing without ruf=",)


@pytest.mark.req("RFC9989-4.7-05")
@pytest.mark.parametrize("scheme", ["https://x.test/", "ftp:x", "x-y+z.1:q"])
def test_addresses_of_other_schemes_are_read_beside_mailto(scheme: str) -> None:
    record = READ(f"v=DMARC1; p=none; rua={scheme} , mailto:a@b.test".encode())
    assert record.aggregate_uris == (scheme, "mailto:a@b.test")


def test_a_size_behind_an_address_is_cut_off_and_told() -> None:
    record = READ(b"v=DMARC1; p=none; rua=mailto:a@b.test!10m")
    assert record.aggregate_uris == ("mailto:a@b.test",)
    assert record.faults == ("!10m in rua= means nothing since RFC 9989: remove it",)


def test_a_missing_policy_is_none_and_is_told() -> None:
    record = READ(b"v=DMARC1")
    assert record == DMARCRecord()
    assert record.usable
    assert record.faults == (
        "there is no p=, so it is none: write p=none, p=quarantine or p=reject",
    )


@pytest.mark.req("RFC9989-4.10.1-02")
@pytest.mark.parametrize("wrong", ["p=rejct", "p=reject; sp=x", "p=reject; np=", "p="])
def test_with_a_malformed_policy_a_record_is_none_if_it_has_an_address(wrong: str) -> None:
    record = READ(f"v=DMARC1; {wrong}; rua=x,mailto:a@b.test; adkim=s".encode())
    assert record.usable
    assert record == DMARCRecord(aggregate_uris=("mailto:a@b.test",), strict_dkim=True)
    assert not READ(f"v=DMARC1; {wrong}; rua=x".encode()).usable
    assert not READ(f"v=DMARC1; {wrong}".encode()).usable


@given(st.binary(max_size=200), st.booleans())
def test_no_record_raises_but_for_its_version(octets: bytes, begins: bool) -> None:
    try:
        record = READ((b"v=DMARC1;" if begins else b"") + octets)
    except GrammarError:
        assert not begins
    else:
        assert READ(record.format().encode()).policy is record.policy


def test_a_hostile_record_is_bounded() -> None:
    record = READ(b"v=DMARC1;" + b"x;" * 100_000)
    assert len(record.faults) == 20
    record = READ(b"v=DMARC1; rua=" + b"mailto:a@b.test," * 4000)
    assert len(record.aggregate_uris) == 20


@pytest.mark.req("RFC9989-4.7-06", "RFC9989-4.7-07")
@pytest.mark.parametrize(
    ("text", "own", "sub", "missing"),
    [
        ("p=reject", REJECT, REJECT, REJECT),
        ("p=reject; sp=none", REJECT, NONE, NONE),
        ("p=none; np=reject", NONE, NONE, REJECT),
        ("p=none; sp=quarantine; np=reject", NONE, QUARANTINE, REJECT),
        ("sp=reject", NONE, REJECT, REJECT),
    ],
)
def test_the_policy_by_the_author(
    text: str, own: DMARCPolicy, sub: DMARCPolicy, missing: DMARCPolicy
) -> None:
    record = READ(f"v=DMARC1; {text}".encode())
    assert record.policy_for(subdomain=False) is own
    assert record.policy_for(subdomain=False, exists=False) is own
    assert record.policy_for(subdomain=True) is sub
    assert record.policy_for(subdomain=True, exists=False) is missing

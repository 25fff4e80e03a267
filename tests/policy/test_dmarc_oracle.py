"""Ours against the package dmarc, which evaluates a record that was found."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto.policy import DKIMResult, DMARCResult, SPFResult

from .dmarc_zones import check, dkim, spf, zone

oracle = pytest.importorskip("dmarc")

# The oracle takes for aligned what is above or below, so names beside the author's are left out.
NAMES = ["a.test", "x.a.test", "y.x.a.test", "b.test"]
DOMAINS = {"test": "v=DMARC1; p=none; psd=y"}
policies = st.sampled_from(["none", "quarantine", "reject"])
tags = st.fixed_dictionaries(
    {"p": policies},
    optional={
        "sp": policies,
        "adkim": st.sampled_from("rs"),
        "aspf": st.sampled_from("rs"),
        "t": st.sampled_from("yn"),
        "x": st.just("1"),
    },
)


@given(
    st.sampled_from(["a.test", "x.a.test"]),
    tags,
    st.sampled_from(NAMES),
    st.sampled_from([it for it in SPFResult if it is not SPFResult.TEMPERROR]),
    st.lists(
        st.tuples(
            st.sampled_from(NAMES),
            st.sampled_from([DKIMResult.PASS, DKIMResult.FAIL, DKIMResult.NEUTRAL]),
        ),
        max_size=2,
    ),
)
def test_results_and_dispositions_agree(
    author: str,
    record_tags: dict[str, str],
    sender: str,
    result: SPFResult,
    signatures: list[tuple[str, DKIMResult]],
) -> None:
    record = "; ".join(["v=DMARC1", *(f"{tag}={value}" for tag, value in record_tags.items())])
    ours = check(
        author,
        zone({**DOMAINS, "a.test": record}, "x.a.test"),
        spf(sender, result),
        [dkim(name, its) for name, its in signatures],
    )
    theirs = oracle.DMARC()
    policy = theirs.parse_record(record, author, "a.test" if author != "a.test" else None)
    expected = theirs.get_result(
        policy,
        auth_results=oracle.AuthResults(
            spf=oracle.SPFAuthResult(sender, oracle.SPFResult(result.value)),
            dkim=[oracle.DKIMAuthResult(d, oracle.DKIMResult(its.value)) for d, its in signatures],
        ),
        allow_policy_test_mode=True,
    )
    assert (ours.result is DMARCResult.PASS) is (expected.result is oracle.DMARCResult.PASS)
    assert ours.disposition.value == expected.disposition.value
    assert ours.is_aligned("spf") is (expected.spf is oracle.DMARCResult.PASS)
    assert ours.is_aligned("dkim") is (expected.dkim is oracle.DMARCResult.PASS)

"""Key records."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto import GrammarError
from smtpproto.dns import Kind
from smtpproto.policy import DKIMKey, DKIMResult
from smtpproto.testing.zone import Zone
from tests.policy.signing import ed25519_key, sign, verify_one

WORDS = st.text("abc-1", min_size=1, max_size=5)
RECORDS = st.builds(
    DKIMKey,
    public_key=st.binary(max_size=300),
    key_type=WORDS,
    hashes=st.lists(WORDS, max_size=2).map(tuple),
    services=st.lists(WORDS | st.just("*"), min_size=1, max_size=2).map(tuple),
    flags=st.lists(WORDS, max_size=3).map(tuple),
)


@given(RECORDS)
def test_a_record_that_was_written_is_read_as_it_was(key: DKIMKey) -> None:
    assert DKIMKey.parse(key.format().encode()) == key


@given(st.binary(max_size=60) | st.text("vpk=;DKIM1 yYQ\t:").map(str.encode))
def test_nothing_but_a_grammar_error_is_raised(record: bytes) -> None:
    with contextlib.suppress(GrammarError):
        DKIMKey.parse(record)


@pytest.mark.req("RFC6376-3.6.1-01")
def test_the_version_may_be_missing_but_no_other_one_is_read() -> None:
    assert DKIMKey.parse(b"p=YQ==") == DKIMKey.parse(b"v=DKIM1; p=YQ==")
    for record in (b"v=DKIM2; p=YQ==", b"v=dkim1; p=YQ==", b"p=YQ==; v=DKIM1"):
        with pytest.raises(GrammarError, match="v=DKIM1"):
            DKIMKey.parse(record)


@pytest.mark.parametrize("record", [b"v=DKIM1", b"p=Y", b"p=YQ==x", b"p=\xc3\xa4", b"v=spf1 -all"])
def test_a_record_without_a_readable_key_is_refused(record: bytes) -> None:
    with pytest.raises(GrammarError):
        DKIMKey.parse(record)


@pytest.mark.req("RFC6376-3.2-03", "RFC6376-3.6.1-05")
def test_unknown_tags_and_flags_mean_nothing() -> None:
    key = DKIMKey.parse(b"p=YQ==; t=y:x : s; n=words; g=*; zz=1")
    assert key.testing and key.strict and key == DKIMKey(public_key=b"a", flags=("y", "x", "s"))


def changed(old: str, new: str) -> DKIMResult:
    """Return the status for a message whose key record was changed."""
    record = re.sub(old, new, ed25519_key().record(), count=1).encode()
    records = Zone({"e._domainkey.example.org": {Kind.TXT: [record]}})
    return verify_one(sign(), records).result


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("p=.*", "p=", marks=pytest.mark.req("RFC6376-6.1.2-05")),
        pytest.param("k=ed25519", "k=rsa", marks=pytest.mark.req("RFC6376-6.1.2-06")),
        pytest.param("k=ed25519", "k=ed448", marks=pytest.mark.req("RFC6376-3.6.1-03")),
        pytest.param("k=", "h=sha1; k=", marks=pytest.mark.req("RFC6376-6.1.2-04")),
        pytest.param("k=", "s=tlsrpt; k=", marks=pytest.mark.req("RFC6376-3.6.1-04")),
        pytest.param("p=.*", "p=YWJj", marks=pytest.mark.req("RFC6376-6.1.2-03")),
        pytest.param(".*", "v=spf1 -all", marks=pytest.mark.req("RFC6376-6.1.2-03")),
    ],
)
def test_a_key_that_is_not_for_the_signature_is_an_error(old: str, new: str) -> None:
    assert changed(old, new) is DKIMResult.PERMERROR


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(
            "k=", "h=sha1 : sha256 : other; k=", marks=pytest.mark.req("RFC6376-3.6.1-02")
        ),
        pytest.param("k=", "s=other:email; k=", marks=pytest.mark.req("RFC6376-3.6.1-04")),
        ("k=", "n=hi; k="),
        ("v=DKIM1; ", ""),
    ],
)
def test_a_key_that_is_for_the_signature_verifies_it(old: str, new: str) -> None:
    assert changed(old, new) is DKIMResult.PASS


@pytest.mark.req("RFC8463-4-01")
def test_an_ed25519_key_is_32_octets_without_a_wrapping() -> None:
    assert len(DKIMKey.parse(ed25519_key().record().encode()).public_key) == 32

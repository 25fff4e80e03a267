"""TLSVerify and fingerprints, as values."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto import TLSVerify
from smtpproto.tls.verify import has_fingerprint


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=3))
def test_fingerprints_may_have_colons_and_either_case(octets: list[bytes]) -> None:
    plain = [one.hex() for one in octets]
    colons = [one.hex(":").upper() for one in octets]
    assert TLSVerify.by_fingerprint(*plain) == TLSVerify.by_fingerprint(*colons)
    assert TLSVerify.by_fingerprint(*plain).fingerprints == tuple(octets)


@pytest.mark.parametrize(
    "text",
    ["", "ab" * 31, "ab" * 33, "ab" * 31 + "a", "xy" * 32, ":" + "ab" * 32, "ab::" * 32, "é" * 64],
)
def test_text_that_is_not_a_sha256_fingerprint_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="SHA-256"):
        TLSVerify.by_fingerprint(text)


def test_a_value_verifies_in_exactly_one_way() -> None:
    with pytest.raises(ValueError, match="at least one"):
        TLSVerify.by_fingerprint()
    with pytest.raises(ValueError, match="only one of"):
        TLSVerify(ca="ca.pem", enabled=False)
    with pytest.raises(ValueError, match="only one of"):
        TLSVerify(ca="ca.pem", fingerprints=(b"x" * 32,))
    with pytest.raises(ValueError, match="PEM"):
        TLSVerify.by_ca(b"\x30\x82")


@pytest.mark.parametrize("nothing", ["", b"", None])
def test_an_empty_ca_is_refused(nothing: Any) -> None:
    """It could come from a variable that is not set. OpenSSL would use the system's CAs."""
    with pytest.raises(ValueError, match="PEM"):
        TLSVerify.by_ca(nothing)


@given(st.binary(), st.lists(st.binary(min_size=32, max_size=32)))
def test_has_fingerprint_compares_the_hash_of_the_whole_certificate(
    der: bytes, others: list[bytes]
) -> None:
    own = hashlib.sha256(der).digest()
    assert has_fingerprint(der, (*others, own))
    assert has_fingerprint(der, tuple(others)) == (own in others)
    assert not has_fingerprint(None, (*others, own, hashlib.sha256().digest()))

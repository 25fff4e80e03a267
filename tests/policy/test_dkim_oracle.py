"""dkimpy verifies what we sign, and we verify what it signs."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smtpproto.dns import Kind
from smtpproto.policy import ARCResult, ARCSealer, ARCVerifier, Canonicalization
from smtpproto.testing.zone import Zone
from tests.policy.signing import (
    KEYS,
    NOW,
    ed25519,
    ed25519_key,
    rsa,
    rsa_key,
    run,
    sign,
    verify_one,
    zone,
)
from tests.policy.test_dkim_verify import messages

dkim = pytest.importorskip("dkim")
FORMS = st.sampled_from(Canonicalization)
MESSAGES = messages().map(lambda it: it + b"\r\n")  # as all messages end that were sent
pytestmark = pytest.mark.peer("dkimpy")


def record(name: bytes, timeout: float = 0) -> str:
    selector, _, domain = name.partition(b".")
    assert domain == b"_domainkey.example.org."
    return (rsa_key() if selector == b"r" else ed25519_key()).record()


@given(MESSAGES, FORMS, FORMS, st.booleans())
def test_dkimpy_verifies_what_we_sign(
    message: bytes,
    header_form: Canonicalization,
    body_form: Canonicalization,
    is_rsa: bool,
) -> None:
    key = rsa() if is_rsa else ed25519()
    signed = sign(message, key, header_form=header_form, body_form=body_form, now=1.7e9)
    assert dkim.verify(signed, dnsfunc=record)
    assert not dkim.verify(signed.replace(b"ann@", b"eve@"), dnsfunc=record)


@given(
    MESSAGES,
    FORMS,
    FORMS,
    st.booleans(),
    st.booleans(),
    st.sampled_from([None, b"ann@sub.example.org"]),
)
def test_we_verify_what_dkimpy_signs(
    message: bytes,
    header_form: Canonicalization,
    body_form: Canonicalization,
    length: bool,
    is_rsa: bool,
    identity: bytes | None,
) -> None:
    key: Any = ed25519_key()._key
    field = dkim.sign(
        message,
        b"r" if is_rsa else b"e",
        b"example.org",
        rsa_key().pem() if is_rsa else base64.b64encode(key.private_bytes_raw()),
        signature_algorithm=b"rsa-sha256" if is_rsa else b"ed25519-sha256",
        identity=identity,
        canonicalize=(header_form.value.encode(), body_form.value.encode()),
        length=length,
    )
    result = verify_one(field + message, zone(), now=NOW)
    assert result.passed, (result.reason, field)
    assert result.signed_octets == result.body_octets


@given(MESSAGES, st.integers(1, 3))
def test_dkimpy_verifies_the_chains_that_we_seal(message: bytes, number: int) -> None:
    keys = {"r._domainkey.example.org": {Kind.TXT: [rsa_key().record().encode()]}}
    for _ in range(number):
        verifier, sealing = ARCVerifier(), ARCSealer(rsa()).start()
        verifier.feed(message)
        sealing.feed(message)
        check = run(verifier.check(Zone(keys), KEYS, now=1.7e9))
        results = "mx.example.org; none"
        message = run(sealing.finish(check, results, now=1.7e9)) + message
    verdict, _, reason = dkim.arc_verify(message, dnsfunc=record)
    assert verdict == b"pass", reason


@settings(max_examples=10)  # dkimpy signs slowly
@given(MESSAGES)
def test_we_verify_the_chains_that_dkimpy_seals(message: bytes) -> None:
    results = b"Authentication-Results: mx.example.org; arc=none\r\n"
    fields = dkim.arc_sign(
        results + message, b"r", b"example.org", rsa_key().pem(), b"mx.example.org"
    )
    verifier = ARCVerifier()
    verifier.feed(b"".join(fields) + results + message)
    check = run(verifier.check(zone(), KEYS, now=NOW))
    assert check.result is ARCResult.PASS, check.reason

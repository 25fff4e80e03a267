"""Verifying signatures."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto import GrammarError
from smtpproto.dns import Answer, Kind, Status
from smtpproto.policy import (
    Canonicalization,
    DKIMResult,
    DKIMVerifier,
    author_domains,
    canonical,
    verify_dkim,
)
from smtpproto.policy.dkim_signature import DKIMSignature, complete, signed_octets
from smtpproto.policy.header_section import HeaderSection
from smtpproto.policy.signature_check import BodyHashes
from smtpproto.testing.zone import Mood, Zone
from tests.policy.signing import (
    HEADER,
    KEYS,
    MESSAGE,
    NOW,
    ed25519,
    ed25519_key,
    rsa,
    run,
    sign,
    verify,
    verify_one,
    zone,
)

FORMS = st.sampled_from(Canonicalization)
WORD = st.text("ab \t", min_size=1, max_size=12).filter(lambda it: it.strip())
BODIES = st.lists(st.text("ab. \t", max_size=20), max_size=8).map("\r\n".join).map(str.encode)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    names = st.sampled_from(["To", "Cc", "Subject", "Received", "X-A", "Date", "List-Id"])
    fields = [f"{name}: {draw(WORD)}" for name in draw(st.lists(names, max_size=6))]
    fields.insert(draw(st.integers(0, len(fields))), "From: ann@example.org")
    return ("\r\n".join(fields) + "\r\n\r\n").encode() + draw(BODIES)


@pytest.mark.req("RFC6376-3.4-01")
@given(messages(), FORMS, FORMS, st.lists(st.integers(0, 400), max_size=4))
def test_what_was_signed_passes_in_slices_of_any_size(
    message: bytes, header_form: Canonicalization, body_form: Canonicalization, cuts: list[int]
) -> None:
    signed = sign(message, header_form=header_form, body_form=body_form)
    places = [0, *sorted(cuts), len(signed)]
    [result] = verify(signed[a:b] for a, b in itertools.pairwise(places))
    assert (result.result, result.domain) == (DKIMResult.PASS, "example.org")
    assert result.signed.count("from") == 1 and result.unsigned_copies == ()


# In the simple form each octet counts.
SIMPLE: Any = {"header_form": Canonicalization.SIMPLE, "body_form": Canonicalization.SIMPLE}
EXACT = sign(b"From: ann@example.org\r\nSubject: x\r\n\r\nHello\r\nBob\r\n", **SIMPLE)
FROM = EXACT.index(b"\r\nFrom:") + 2


@pytest.mark.req("RFC6376-6.1.3-02", "RFC6376-6.1.3-03", "RFC6376-3.7-01")
@given(st.integers(FROM, len(EXACT) - 1), st.integers(1, 255))
def test_any_changed_octet_that_was_signed_is_found(at: int, change: int) -> None:
    changed = bytearray(EXACT)
    changed[at] ^= change
    result = verify_one(bytes(changed))
    assert not result.passed


@given(st.integers(16, FROM - 3), st.integers(1, 127))
def test_any_changed_octet_of_the_signature_is_found(at: int, change: int) -> None:
    changed = bytearray(EXACT)
    changed[at] ^= change
    start = EXACT.index(b" b=")
    if at > start and bytes(changed[start:FROM]).translate(None, b" \r\n\t;") == bytes(
        EXACT[start:FROM]
    ).translate(None, b" \r\n\t;"):
        return  # the value of b= is the same
    assert not any(it.passed for it in verify(bytes(changed)))


@given(
    st.binary(max_size=80)
    | st.text("DKIM-Signature: abhdsv=;\r\nFrom@", max_size=200).map(str.encode)
)
def test_nothing_is_raised_for_any_content(content: bytes) -> None:
    for message in (content, b"From: a@b.example\r\nDKIM-Signature: " + content, sign() + content):
        assert all(it.reason.isprintable() for it in verify(message))


@given(st.binary(max_size=60) | st.text("v=DKIM1; kpt=ed25519s:yYQ").map(str.encode), st.data())
def test_nothing_is_raised_for_any_key_record(record: bytes, data: st.DataObject) -> None:
    good = ed25519_key().record().encode()
    at = data.draw(st.integers(0, len(good)))
    for records in ([record], [good[:at] + record], [record, good]):
        [result] = verify(sign(), Zone({"e._domainkey.example.org": {Kind.TXT: records}}))
        assert result.reason.isprintable()
        assert result.passed or good not in records


def test_a_long_key_record_is_read() -> None:
    record = f"{ed25519_key().record()}; n={'x' * 5000}".encode()
    records = {"e._domainkey.example.org": {Kind.TXT: [record]}}
    assert verify_one(sign(), Zone(records)).passed


@given(st.sampled_from(Status), st.booleans())
def test_nothing_is_raised_for_any_answer_of_the_dns(status: Status, empty: bool) -> None:
    class Odd:
        async def lookup(self, name: str, kind: Kind) -> Answer:
            return Answer(status=status, records=() if empty else ("text",), detail="\x1b\r\n")

    [result] = verify(sign(), Odd())
    known = status not in (Status.FAILED, Status.BOGUS)
    assert result.result is (DKIMResult.PERMERROR if known else DKIMResult.TEMPERROR)
    assert result.reason.isprintable()


# -- statuses, each with its reason ----------------------------------------------------------------


def resigned(old: str, new: str, message: bytes = MESSAGE) -> bytes:
    """Return *message* with a signature in which *old* was replaced before it was signed."""
    field = re.sub(rb" b=\r\n .*", b" b=", sign(message)[: -len(message)], flags=re.DOTALL)
    unsigned = re.sub(old, new, field.replace(b"\r\n ", b"").decode(), count=1).encode()
    assert unsigned != field
    names = re.findall(b"h=([^;]*);", unsigned)[0].lower().split(b":")
    header = HeaderSection(message.partition(b"\r\n\r\n")[0])
    chosen = [field for _, field in header.select(names)]
    octets = signed_octets(chosen, unsigned, Canonicalization.RELAXED)
    return complete(unsigned, ed25519_key().sign(octets)) + b"\r\n" + message


def test_a_message_without_signature_has_the_one_result_none() -> None:
    result = verify_one(MESSAGE)
    assert (result.result, result.reason) == (DKIMResult.NONE, "there is no signature")
    assert result.domain == "" and result.signed_octets == 0 and not result.testing


@pytest.mark.parametrize(
    ("old", "new", "status", "reason"),
    [
        pytest.param(
            "ed25519-sha256", "rsa-sha1", DKIMResult.POLICY, "rsa-sha1 must not be used",
            marks=pytest.mark.req("RFC8301-3.1-01"),
        ),
        pytest.param(
            "ed25519-sha256", "rsa-sha512", DKIMResult.NEUTRAL, "not a known algorithm: a=rsa-sh",
            marks=pytest.mark.req("RFC6376-3.3.4-01"),
        ),
        pytest.param(
            "h=From:From:", "h=", DKIMResult.PERMERROR, "the From field is not signed",
            marks=pytest.mark.req("RFC6376-6.1.1-06"),
        ),
        pytest.param(
            " t=", " i=@example.com; t=", DKIMResult.PERMERROR, "i= is not within that of d=",
            marks=pytest.mark.req("RFC6376-6.1.1-05"),
        ),
        pytest.param(
            "v=1", "v=2", DKIMResult.NEUTRAL, "not version 1 of DKIM: v='2'",
            marks=pytest.mark.req("RFC6376-6.1.1-02"),
        ),
        (" t=", " t=x", DKIMResult.NEUTRAL, "the tag t= is malformed"),
        (" t=", " x=1800000001; t=", DKIMResult.PASS, "the signature is right"),
        pytest.param(
            r" t=\d+", " x=1799999000; t=1", DKIMResult.POLICY, "the signature has expired",
            marks=pytest.mark.req("RFC6376-3.5-10"),
        ),
        ("s=e;", "s=none;", DKIMResult.PERMERROR, "there is no key at"),
        ("s=e", "s=r", DKIMResult.PERMERROR, "the key is not one for ed25519-sha256: k=rsa"),
        ("bh=", "bh=x", DKIMResult.NEUTRAL, "the tag bh= is malformed"),
        pytest.param(
            " t=", " l=1000; t=", DKIMResult.PERMERROR, "fewer than l= says",
            marks=pytest.mark.req("RFC6376-3.5-06"),
        ),
        pytest.param(
            " t=", " z=From:eve@example.com|Subject:x; t=", DKIMResult.PASS, "is right",
            marks=pytest.mark.req("RFC6376-3.5-11"),
        ),
        pytest.param(
            "h=From:From:Sender:Reply-To:Subject", "h=fROM:subjecT", DKIMResult.PASS, "is right",
            marks=pytest.mark.req("RFC6376-6.1.3-01"),
        ),
    ],
)  # fmt: skip
def test_the_status_of_a_signature_with(
    old: str, new: str, status: DKIMResult, reason: str
) -> None:
    result = verify_one(resigned(old, new))
    assert reason in result.reason
    assert result.result is status


@pytest.mark.req("RFC6376-3.5-12")
def test_unknown_tags_are_signed() -> None:
    signed = resigned(" t=", " unknown=a; t=")
    assert verify_one(signed).passed
    for new in (b"", b" unknown=b;"):
        assert verify_one(signed.replace(b" unknown=a;", new)).result is DKIMResult.FAIL


@pytest.mark.req("RFC6376-6.1.3-02", "RFC6376-6.1.3-03")
def test_a_changed_body_or_field_fails() -> None:
    signed = sign()
    for old, new, reason in (
        (b"Bob,", b"Rob,", "the body was changed"),
        (b"noon?", b"dusk?", "a signed header field was changed"),
        (b"Ann <", b"Eve <", "a signed header field was changed"),
    ):
        result = verify_one(signed.replace(old, new))
        assert result.result is DKIMResult.FAIL and reason in result.reason


@pytest.mark.req("RFC6376-3.4.2-01", "RFC6376-3.4.4-01")
def test_the_relaxed_form_survives_changes_of_blanks_folds_and_names() -> None:
    signed = sign()
    for old, new in (
        (b"Subject:  Lunch", b"SUBJECT:Lunch"),
        (b"to: bob@example.net,\r\n carol", b"To:\r\n\tbob@example.net, carol"),
        (b"Bob,\r\n", b"Bob,  \t\r\n"),
        (b"Ann\r\n\r\n\r\n", b"Ann\r\n"),
        (b"X-Nothing", b"X-Nothing"),
    ):
        assert verify_one(signed.replace(old, new)).passed
    assert verify_one(b"Received: from x\r\n" + signed).passed


@pytest.mark.req("RFC6376-3.4.1-01", "RFC6376-3.4.3-01")
def test_the_simple_form_survives_only_empty_lines_at_the_end() -> None:
    assert verify_one(EXACT + b"\r\n\r\n").passed
    for old, new in ((b"Subject: x", b"subject: x"), (b"Hello", b"Hello "), (b": x", b":  x")):
        assert verify_one(EXACT.replace(old, new)).result is DKIMResult.FAIL


@pytest.mark.req("RFC6376-6.1.2-01")
def test_a_dns_that_does_not_answer_is_a_temporary_error() -> None:
    records = zone()
    records.moods["e._domainkey.example.org"] = Mood(Status.FAILED)
    result = verify_one(sign(), records)
    assert result.result is DKIMResult.TEMPERROR
    assert "no answer of the DNS for the key at e._domainkey.example.org: failed" in result.reason


@pytest.mark.req("RFC6376-6.1.2-02")
def test_a_name_without_a_key_is_a_permanent_error() -> None:
    assert verify_one(sign(), Zone()).result is DKIMResult.PERMERROR


def test_results_can_be_asked_for_again_after_a_temporary_error() -> None:
    records = zone()
    records.moods["e._domainkey.example.org"] = Mood(Status.FAILED, times=1)
    verifier = DKIMVerifier()
    verifier.feed(sign())
    statuses = [run(verifier.results(records, KEYS, now=NOW))[0].result for _ in range(3)]
    assert statuses == [DKIMResult.TEMPERROR, DKIMResult.PASS, DKIMResult.PASS]


def test_aliases_of_keys_are_followed() -> None:
    records = zone("example.net").records
    names = {"e._domainkey.example.org": "e._domainkey.example.net", **records}
    assert verify_one(sign(), Zone(names)).passed


def test_of_several_records_one_that_is_a_key_is_used() -> None:
    good = ed25519_key().record().encode()
    records = {"e._domainkey.example.org": {Kind.TXT: [b"v=spf1 -all", good]}}
    assert verify_one(sign(), Zone(records)).passed


# -- several signatures ----------------------------------------------------------------------------


@pytest.mark.req("RFC6376-4.2-01", "RFC6376-6.1-01")
def test_each_signature_has_its_own_result() -> None:
    signed = sign(MESSAGE, rsa(), ed25519())
    broken = b"DKIM-Signature: v=1\r\n" + signed.replace(b"b=\r\n ", b"b=AAAA", 1)
    assert [it.result for it in verify(broken)] == [
        DKIMResult.NEUTRAL,
        DKIMResult.FAIL,
        DKIMResult.PASS,
    ]


def test_each_key_is_asked_for_once_and_only_if_the_body_fits() -> None:
    records, signed = zone(), sign(MESSAGE, rsa(), ed25519(), ed25519())
    verify(signed, records)
    names = [f"{it}._domainkey.example.org" for it in "re"]
    assert records.asked == [(name, Kind.TXT) for name in names]
    records.asked.clear()
    verify(signed + b"x", records)
    assert records.asked == []


def test_the_signatures_that_are_verified_are_bounded() -> None:
    field = sign()[: -len(MESSAGE)]
    results = verify(field * 50 + MESSAGE, signatures=3)
    assert [it.result for it in results] == [DKIMResult.PASS] * 3 + [DKIMResult.POLICY]
    assert results[-1].reason == "47 more signatures were not verified"
    assert len(verify(field * 50 + MESSAGE)) == 11


# -- what is accepted ------------------------------------------------------------------------------


def with_length(length: int, body: bytes) -> bytes:
    """Return a message of which *length* octets of the body are signed, with *body*."""
    short = HEADER + b"\r\n" + body[:length]
    signed = resigned(r" t=", f" l={length}; t=", short)
    return signed[: -len(short)] + HEADER + b"\r\n" + body


def test_a_signature_over_a_part_of_the_body_is_accepted_only_if_that_is_allowed() -> None:
    message = with_length(7, b"Hello\r\nBuy this\r\n")
    result = verify_one(message)
    assert result.result is DKIMResult.POLICY
    assert result.reason == "only 7 of the 17 octets of the body are signed (l=)"
    allowed = verify_one(message, partial_body=True)
    assert allowed.passed and (allowed.signed_octets, allowed.body_octets) == (7, 17)
    assert verify_one(with_length(7, b"Hello\r\n")).passed


@pytest.mark.req("RFC6376-3.7-01")
def test_only_as_many_octets_as_the_signature_says_are_hashed() -> None:
    assert verify_one(with_length(7, b"Hello\r\nx"), partial_body=True).passed
    changed = with_length(7, b"Hello\r\n").replace(b"Hello", b"Hallo")
    assert verify_one(changed, partial_body=True).result is DKIMResult.FAIL


@pytest.mark.req("RFC6376-8.15-01")
def test_a_second_from_field_is_never_accepted() -> None:
    for message in (b"From: eve@example.com\r\n" + sign(), sign(oversigned=[]).replace(
        b"\r\nTo:", b"\r\nfrom: eve@example.com\r\nTo:"
    )):  # fmt: skip
        result = verify_one(message)
        assert result.result is DKIMResult.PERMERROR
        assert result.reason == "the message has 2 From fields, not one"


def test_an_added_field_is_told_and_refused_if_that_is_asked_for() -> None:
    message = b"Subject: Win\r\n" + sign(oversigned=["From"])
    result = verify_one(message)
    assert result.passed and result.unsigned_copies == ("subject",)
    refused = verify_one(message, unsigned_copies=False)
    assert refused.result is DKIMResult.POLICY
    assert refused.reason == "there is a second field that is not signed: subject"


@pytest.mark.req("RFC6376-5.4-03")
def test_a_field_cannot_be_added_to_those_that_are_oversigned() -> None:
    for field in (
        b"Subject: Win\r\n",
        b"Cc: eve@example.com\r\n",
        b"Reply-To: eve@example.com\r\n",
    ):
        assert verify_one(field + sign()).result is DKIMResult.FAIL


@pytest.mark.req("RFC6376-5.4.2-01")
def test_fields_of_one_name_are_signed_from_the_bottom() -> None:
    message = b"From: ann@example.org\r\nX-A: 1\r\nX-A: 2\r\n\r\n"
    signed = resigned(r"h=", "h=X-A:", message)
    assert verify_one(signed.replace(b"X-A: 1", b"X-A: 3")).passed
    assert verify_one(b"X-A: 0\r\n" + signed).passed
    assert verify_one(signed.replace(b"X-A: 2", b"X-A: 3")).result is DKIMResult.FAIL


@pytest.mark.req("RFC6376-3.6.1-06")
def test_a_key_in_testing_mode_is_told_and_counts_as_none_if_that_is_asked_for() -> None:
    testing = zone(flags="t=y; ")
    assert verify_one(sign(), testing).passed and verify_one(sign(), testing).testing
    assert verify_one(sign(), testing, testing_keys=False).result is DKIMResult.NONE


@pytest.mark.req("RFC6376-3.6.1-07", "RFC6376-6.1.1-04")
def test_a_strict_key_is_only_for_its_own_domain() -> None:
    strict = zone(flags="t=s; ")
    assert verify_one(sign(), strict).passed
    assert verify_one(sign(MESSAGE, ed25519(identity="ann@example.org")), strict).passed
    result = verify_one(sign(MESSAGE, ed25519(identity="@a.example.org")), strict)
    assert result.result is DKIMResult.PERMERROR and "(t=s)" in result.reason


def test_expired_signatures_are_told_by_the_time_that_is_passed_in() -> None:
    signed = sign(lifetime=60)
    statuses = [verify_one(signed, now=NOW + after).result for after in (0, 359, 361)]
    assert statuses == [DKIMResult.PASS, DKIMResult.PASS, DKIMResult.POLICY]
    assert verify_one(signed, now=NOW + 61, clock_skew=0).expired


@pytest.mark.req("RFC8301-3.2-03", "RFC8301-3.2-04")
@pytest.mark.parametrize(
    ("bits", "status"),
    [(1023, DKIMResult.POLICY), (1024, DKIMResult.PASS), (4096, DKIMResult.PASS)],
)
def test_rsa_keys_of_these_sizes(bits: int, status: DKIMResult, monkeypatch: Any) -> None:
    signed = sign(MESSAGE, rsa())

    class Sized:
        def __init__(self, inner: Any) -> None:
            self.verify, self.bits = inner.verify, bits

    class Keys:
        def read(self, algorithm: Any, octets: bytes) -> Any:
            return Sized(KEYS.read(algorithm, octets))

    monkeypatch.setattr("tests.policy.signing.KEYS", Keys())
    assert verify_one(signed).result is status
    for limits in ({"least_bits": 1023}, {"most_bits": 4095}):
        with pytest.raises(ValueError, match="bits"):
            verify_one(signed, **limits)


@pytest.mark.req("RFC8616-5-01", "RFC8616-5-03")
def test_an_internationalized_message_may_be_signed_with_u_labels() -> None:
    message = "From: jürgen@bücher.example\r\nSubject: Grüße\r\n\r\n".encode()
    key = zone().records["e._domainkey.example.org"]
    records = Zone({"e._domainkey.xn--bcher-kva.example": key})
    signer = ed25519("bücher.example", identity="jürgen@bücher.example")
    assert verify_one(sign(message, signer), records).passed
    with_u_labels = resigned("d=example.org", "d=bücher.example", b"From: a@example.org\r\n\r\n")
    result = verify_one(with_u_labels, records)
    assert result.passed and result.domain == "xn--bcher-kva.example"
    # The name is hashed as it is written.
    changed = with_u_labels.replace("bücher".encode(), b"xn--bcher-kva")
    assert verify_one(changed, records).result is DKIMResult.FAIL


def test_a_line_that_is_not_a_field_is_a_permanent_error() -> None:
    result = verify_one(b"oops\x1b\r\n" + sign())
    assert result.result is DKIMResult.PERMERROR
    assert result.reason == r"a line is not a header field: 'oops\\x1b'"


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\n\r", b"\r\r\n", b"\r\n\r"])
def test_a_header_section_that_readers_cut_differently_is_a_permanent_error(end: bytes) -> None:
    message = b"X: y" + end + b"From: bank@example.net\r\n" + MESSAGE
    assert verify_one(b"X: y" + end + b"Z: z\r\n" + sign()).result is DKIMResult.PERMERROR
    with pytest.raises(GrammarError):
        author_domains(message)
    with pytest.raises(GrammarError):
        sign(message)


def test_a_header_section_has_a_limit() -> None:
    with pytest.raises(GrammarError, match="a header section of more than"):
        verify(b"X: x\r\n" * 200_000)


def test_a_body_is_hashed_once_for_each_form_whatever_the_signatures_say() -> None:
    hashes = BodyHashes()
    value = b"v=1; a=rsa-sha256; d=a.test; s=s; h=from; b=YQ==; bh=YQ==; c=%b/%b; l=%d"
    used = {
        hashes.require(DKIMSignature.parse(value % (form, form, limit)))
        for form in (b"simple", b"relaxed")
        for limit in range(10)
    }
    assert len(used) == 2


def test_a_field_is_relaxed_once_whatever_the_number_of_signatures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    message = b"Subject: a\v b\r\nFrom: ann@example.org\r\n\r\n"  # a VT needs more care
    bodies: list[bytes] = []
    words = canonical._words

    def counted(body: bytes) -> list[bytes]:
        bodies.append(body)
        return words(body)

    monkeypatch.setattr(canonical, "_words", counted)
    signed = sign(
        message, ed25519(), ed25519(identity="@example.org"), ed25519(identity="@a.example.org")
    )
    bodies.clear()
    assert [it.passed for it in verify(signed)] == [True] * 3
    assert bodies.count(b" a\v b") == bodies.count(b" ann@example.org") == 1


def test_a_stored_message_is_verified_whatever_its_line_ends() -> None:
    stored = sign().replace(b"\r\n", b"\n")
    [result] = run(verify_dkim(stored, zone(), KEYS, now=NOW))
    assert result.passed

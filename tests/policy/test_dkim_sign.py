"""Signing messages."""

from __future__ import annotations

import io
import itertools
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto import GrammarError
from smtpproto.policy import DKIM, Algorithm, Canonicalization, DKIMSignature, DKIMSigner
from tests.policy.signing import (
    BODY,
    HEADER,
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


def signature_of(signed: bytes) -> DKIMSignature:
    return DKIMSignature.parse(signed.partition(b":")[2].partition(b"\r\nReceived")[0])


@pytest.mark.req("RFC6376-3.5-07")
def test_a_signature_says_who_signed_what_when_and_how() -> None:
    signature = signature_of(sign(lifetime=3600))
    assert signature.algorithm == "ed25519-sha256"
    assert (signature.domain, signature.selector, signature.identity) == ("example.org", "e", "")
    assert (signature.timestamp, signature.expires) == (NOW, NOW + 3600)
    assert signature.body_form is signature.header_form is Canonicalization.RELAXED


@pytest.mark.req("RFC6376-5.4-02", "RFC6376-3.5-04")
def test_fields_are_signed_as_often_as_they_are_there_and_the_important_ones_once_more() -> None:
    names = signature_of(sign()).headers
    assert names == (
        "From", "From", "Sender", "Reply-To", "Subject", "Subject", "Date", "Message-ID",
        "Message-ID", "To", "To", "Cc", "MIME-Version", "Content-Type",
        "Content-Transfer-Encoding", "List-Unsubscribe", "List-Unsubscribe-Post",
    )  # fmt: skip
    assert "Received" not in names


@pytest.mark.req("RFC6376-5.4-01")
def test_the_from_field_is_signed_whatever_is_asked_for() -> None:
    assert "From" in signature_of(sign(signed=["Subject"], oversigned=[])).headers


@pytest.mark.req("RFC6376-3.4-01", "RFC6376-3.5-06")
@given(st.sampled_from(Canonicalization), st.sampled_from(Canonicalization))
def test_no_length_of_the_body_is_written(
    header_form: Canonicalization, body_form: Canonicalization
) -> None:
    signed = sign(header_form=header_form, body_form=body_form)
    assert signature_of(signed).body_octets is None
    assert verify_one(signed).passed


@pytest.mark.req("RFC6376-3.3-01", "RFC8301-3.1-02", "RFC8463-3-02")
def test_keys_of_both_kinds_sign_at_once() -> None:
    results = verify(sign(MESSAGE, rsa(), ed25519()))
    assert [it.passed for it in results] == [True, True]
    assert [it.signature and it.signature.algorithm for it in results] == [
        "rsa-sha256",
        "ed25519-sha256",
    ]


@given(st.lists(st.integers(0, len(MESSAGE)), max_size=6))
def test_slices_of_any_size_give_the_same_signature(cuts: list[int]) -> None:
    signing = DKIMSigner(ed25519()).start()
    places = [0, *sorted(cuts), len(MESSAGE)]
    for start, end in itertools.pairwise(places):
        signing.feed(MESSAGE[start:end])
    assert run(signing.finish(now=NOW)) + MESSAGE == sign()


@pytest.mark.req("RFC6376-5.3-01")
def test_a_file_is_signed_as_it_will_be_sent_and_set_back(tmp_path: Path) -> None:
    signer = DKIMSigner(ed25519())
    lines = MESSAGE.replace(b"\r\n", b"\n")
    (tmp_path / "m.eml").write_bytes(b"skipped\n" + lines)
    with (tmp_path / "m.eml").open("rb") as file:
        file.readline()
        assert run(signer.sign(file, now=NOW)) + MESSAGE == sign()
        assert file.read() == lines
    assert run(signer.sign(lines, now=NOW)) + MESSAGE == sign()
    assert run(signer.sign(io.BytesIO(lines), now=NOW)) + MESSAGE == sign()
    assert run(signer.sign([lines[:9], lines[9:]], now=NOW)) + MESSAGE == sign()


@pytest.mark.parametrize("source", ["text", EmailMessage(), Path("message.eml")])
def test_what_is_not_octets_is_refused(source: Any) -> None:
    with pytest.raises(TypeError, match="a message cannot be"):
        run(DKIMSigner(ed25519()).sign(source, now=NOW))


# -- keys by domain --------------------------------------------------------------------------------


def signers(sender: str, *keys: DKIM) -> list[str]:
    """Return the ``d=`` of the signatures of a message from *sender*."""
    message = b"From: %s\r\n\r\n" % sender.encode()
    fields = run(DKIMSigner(keys).sign(message, now=NOW))
    values = fields.split(b"DKIM-Signature:")[1:]
    return [DKIMSignature.parse(it[:-2]).domain for it in values]


def test_the_keys_of_the_longest_domain_that_fits_are_used() -> None:
    keys = [
        ed25519("example.org"),
        ed25519("News.Example.org"),
        ed25519("example.com", subdomains=False),
    ]
    for sender, domains in {
        "ann@example.org": ["example.org"],
        "Ann <ann@EXAMPLE.org>": ["example.org"],
        "ann@a.example.org": ["example.org"],
        "ann@news.example.org": ["news.example.org"],
        "ann@a.news.example.org": ["news.example.org"],
        "ann@notexample.org": [],
        "ann@example.com": ["example.com"],
        "ann@a.example.com": [],
        "ann@[192.0.2.1]": [],
        "ann@example.org, bob@example.com, carol@example.net": ["example.org", "example.com"],
    }.items():
        assert signers(sender, *keys) == domains, sender


def test_u_labels_are_signed_for_as_a_labels() -> None:
    assert signers("jürgen@bücher.example", ed25519("Bücher.example")) == ["xn--bcher-kva.example"]


@pytest.mark.req("RFC6376-3.5-05")
def test_an_identity_is_within_the_domain() -> None:
    key = ed25519(identity="ann;smith@a.example.org")
    assert verify_one(sign(MESSAGE, key)).passed
    for identity in ("ann", "@example.com", "@notexample.org", "@org"):
        with pytest.raises(GrammarError):
            ed25519(identity=identity)


def test_a_domain_that_signs_has_two_labels() -> None:
    with pytest.raises(GrammarError, match="two labels or more: 'localhost'"):
        ed25519("localhost")


@pytest.mark.parametrize("names", [["a b"], ["a;b"], ["ä"], [""], ["a:b"]])
def test_what_is_not_the_name_of_a_field_cannot_be_signed(names: list[str]) -> None:
    with pytest.raises(GrammarError, match="not the name of a field"):
        DKIMSigner(ed25519(), signed=names)
    with pytest.raises(TypeError, match="iterable of str"):
        DKIMSigner(ed25519(), signed="From")


# -- messages that cannot be signed ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"Subject: x\r\n\r\n", "0 From fields"),
        (b"\r\nFrom: a@example.org\r\n", "0 From fields"),
        (b"", "0 From fields"),
        (b"From: a@example.org\r\nfrom: b@example.org\r\n\r\n", "2 From fields"),
        (b"From: nobody\r\n\r\n", "not an address"),
        (b"From: a:;\r\n\r\n", "no address"),
        (b"From: a@example.org\r\nno field\r\n\r\n", "a line is not a header field: 'no field'"),
        (b"From: \xff@example.org\r\n\r\n", "neither ASCII nor UTF-8"),
    ],
)
def test_a_message_without_one_readable_from_field_is_not_signed(
    message: bytes, reason: str
) -> None:
    with pytest.raises(GrammarError, match=reason):
        sign(message)


def test_a_header_section_has_a_limit() -> None:
    with pytest.raises(GrammarError, match="a header section of more than"):
        sign(b"X: " + b"x" * (1 << 20) + b"\r\n\r\n")


# -- keys elsewhere --------------------------------------------------------------------------------


class Module:
    """A hardware security module."""

    algorithm = Algorithm.ED25519_SHA256

    async def sign(self, octets: bytes) -> bytes:
        return ed25519_key().sign(octets)


class BrokenModule(Module):
    async def sign(self, octets: bytes) -> bytes:
        raise OSError("no module")


def test_a_key_may_sign_by_await() -> None:
    key = DKIM("example.org", selector="e", key=Module())
    assert sign(MESSAGE, key) == sign()


def test_what_a_key_raises_is_raised() -> None:
    with pytest.raises(OSError, match="no module"):
        sign(MESSAGE, DKIM("example.org", selector="e", key=BrokenModule()))


@pytest.mark.parametrize("key", [b"-----BEGIN PRIVATE KEY-----", "s1.pem", None])
def test_what_is_not_a_key_is_refused_and_not_shown(key: Any) -> None:
    with pytest.raises(TypeError, match=r"key cannot be .*; pass PrivateKey.load") as caught:
        DKIM("example.org", selector="s1", key=key)
    assert "BEGIN" not in str(caught.value) and 's1.pem")), or' in str(caught.value)


def test_a_key_is_not_printed() -> None:
    assert "key" not in repr(ed25519())


@pytest.mark.req("RFC6376-5.6-01")
def test_a_message_that_was_signed_can_be_signed_again() -> None:
    once = sign()
    twice = sign(once, rsa())
    assert twice.startswith(b"DKIM-Signature: v=1; a=rsa-sha256;") and twice.endswith(once)
    assert [it.passed for it in verify(twice)] == [True, True]


@pytest.mark.req("RFC6376-3.5-08")
def test_a_signature_stands_before_the_message() -> None:
    signed = sign()
    assert signed.endswith(b"\r\n" + HEADER + b"\r\n" + BODY)
    assert signed.startswith(b"DKIM-Signature: ")
    assert verify_one(signed, zone()).passed

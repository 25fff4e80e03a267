"""DKIM-Signature fields, read and written."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from smtpproto import GrammarError
from smtpproto.policy import Canonicalization, DKIMSignature
from smtpproto.policy.dkim_signature import signed_octets

TEXT = "v=1; a=rsa-sha256; d=example.org; s=r; h=From:To; bh=YQ==; b=Yg=="
LABEL = st.text("abz09", min_size=1, max_size=9) | st.just("a-b")
DOMAIN = st.builds("{}.{}".format, LABEL, LABEL)
TIME = st.integers(0, 999_999_999_998)


@st.composite
def signatures(draw: st.DrawFn) -> DKIMSignature:
    domain = draw(DOMAIN | st.just("bücher.example"))
    timestamp = draw(st.none() | TIME)
    local_part = draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=10))
    names = st.text("aZ-!9<=~", min_size=1, max_size=20)
    return DKIMSignature(
        algorithm=draw(st.sampled_from(["rsa-sha256", "ed25519-sha256", "x-y"])),
        domain=domain,
        selector=draw(LABEL),
        headers=tuple(draw(st.lists(names, min_size=1, max_size=30))),
        body_hash=draw(st.binary(min_size=1, max_size=32)),
        signature=draw(st.binary(max_size=256)),
        header_form=draw(st.sampled_from(Canonicalization)),
        body_form=draw(st.sampled_from(Canonicalization)),
        identity=draw(st.sampled_from(["", f"{local_part}@{domain}", f"@a.{domain}"])),
        body_octets=draw(st.none() | st.integers(0, 10**75)),
        timestamp=timestamp,
        expires=None if timestamp is None else draw(st.none() | st.just(timestamp + 1)),
    )


def value_of(field: bytes) -> bytes:
    return field.partition(b":")[2]


@given(signatures())
def test_a_field_that_was_written_is_read_as_it_was(signature: DKIMSignature) -> None:
    field = evolve(signature, signature=signature.signature or b"x").format()
    assert evolve(DKIMSignature.parse(value_of(field)), signature=signature.signature) == signature


@given(signatures())
def test_a_field_is_folded(signature: DKIMSignature) -> None:
    lines = signature.format().split(b"\r\n")
    assert all(line.startswith(b" ") for line in lines[1:])
    longest = max(
        map(len, [*signature.headers, signature.identity * 12, signature.domain, " " * 76])
    )
    assert max(len(line.decode()) for line in lines) <= longest + 10


@given(signatures(), st.sampled_from(Canonicalization))
def test_the_signature_itself_is_not_signed(
    signature: DKIMSignature, form: Canonicalization
) -> None:
    unsigned = evolve(signature, signature=b"").format()
    for octets in (b"", b"x", b"y" * 256):
        field = evolve(signature, signature=octets).format()
        assert signed_octets([], field, form) == signed_octets([], unsigned, form)


@pytest.mark.req("RFC6376-3.7-02")
@pytest.mark.parametrize(
    ("field", "signed"),
    [
        (b"DKIM-Signature: b=abc\r\n d; a=x", b"dkim-signature:b=; a=x"),
        (b"DKIM-Signature: a=x; b = \r\n abc ; bh=b=x;", b"dkim-signature:a=x; b =; bh=b=x;"),
        (b"DKIM-Signature: bh=x;b=abc;", b"dkim-signature:bh=x;b=;"),
        (b"DKIM-Signature: a=x;\r\n\tb=ab=", b"dkim-signature:a=x; b="),
    ],
)
def test_only_the_value_of_the_tag_b_is_removed(field: bytes, signed: bytes) -> None:
    assert signed_octets([], field, Canonicalization.RELAXED) == signed


def parse(old: str = "", new: str = "") -> DKIMSignature:
    assert old in TEXT
    return DKIMSignature.parse(TEXT.replace(old, new, 1).encode())


def test_what_is_left_out_has_the_defaults_of_the_rfc() -> None:
    signature = parse()
    assert signature == DKIMSignature(
        algorithm="rsa-sha256",
        domain="example.org",
        selector="r",
        headers=("From", "To"),
        body_hash=b"a",
        signature=b"b",
        header_form=Canonicalization.SIMPLE,
        body_form=Canonicalization.SIMPLE,
    )
    assert signature.identity_domain == "example.org"
    assert signature.key_name == "r._domainkey.example.org"


@pytest.mark.req("RFC6376-6.1.1-03")
@pytest.mark.parametrize("tag", ["v", "a", "d", "s", "h", "bh", "b"])
def test_a_missing_tag_is_an_error(tag: str) -> None:
    parts = [part for part in TEXT.split("; ") if part.partition("=")[0] != tag]
    with pytest.raises(GrammarError, match=f"the tag {tag}= is missing"):
        DKIMSignature.parse("; ".join(parts).encode())


@pytest.mark.req("RFC6376-6.1.1-01")
@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("v=1", "v=2", marks=pytest.mark.req("RFC6376-3.5-01")),
        pytest.param("v=1", "v=01", marks=pytest.mark.req("RFC6376-3.5-01")),
        ("rsa-sha256", "rsa"),
        ("d=example.org", "d=org"),
        ("d=example.org", "d=example..org"),
        ("d=example.org", "d=-.org"),
        ("s=r", "s="),
        ("s=r", "s=a b"),
        pytest.param("h=From:To", "h=", marks=pytest.mark.req("RFC6376-3.5-03")),
        pytest.param("h=From:To", "h=From::To", marks=pytest.mark.req("RFC6376-3.5-03")),
        ("h=From:To", "h=Fr om"),
        ("bh=YQ==", "bh="),
        ("bh=YQ==", "bh=YQ"),
        ("b=Yg==", "b=Yg==Yg=="),
        ("b=Yg==", "b=*"),
        ("s=r", "s=r; c=nofws"),
        ("s=r", "s=r; c=relaxed/relaxed/relaxed"),
        ("s=r", "s=r; c=simple/"),
        ("s=r", "s=r; l=-1"),
        ("s=r", "s=r; l=" + "1" * 77),
        ("s=r", "s=r; t=1234567890123"),
        ("s=r", "s=r; t=٣"),
        pytest.param("s=r", "s=r; t=9; x=9", marks=pytest.mark.req("RFC6376-3.5-07")),
        ("s=r", "s=r; i=ann"),
        ("s=r", "s=r; i=a=b@example.org"),
        ("s=r", "s=r; i==FF@example.org"),
        pytest.param("s=r", "s=r; q=http", marks=pytest.mark.req("RFC6376-3.5-09")),
    ],
)
def test_a_malformed_tag_is_an_error(old: str, new: str) -> None:
    with pytest.raises(GrammarError):
        parse(old, new)


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        ("s=r; c=relaxed", {"header_form": Canonicalization.RELAXED}),
        ("s=r; c=simple/relaxed", {"body_form": Canonicalization.RELAXED}),
        pytest.param("s=r; q=x/y : dns/txt", {}, marks=pytest.mark.req("RFC6376-3.5-09")),
        ("s=r; i=J=6Fe=40x@example.org", {"identity": "Joe@x@example.org"}),
        ("s=r; i=j\r\n oe@a.example.org", {"identity": "joe@a.example.org"}),
        ("s=r; z=From:x|To:y", {}),
        pytest.param(
            "s=r; i=@example.org; x=1;\r\n t=\r\n\t0",
            {"identity": "@example.org", "timestamp": 0, "expires": 1},
        ),
        pytest.param("s=r; unknown=x", {}, marks=pytest.mark.req("RFC6376-3.2-03")),
        ("s=r_1.x", {"selector": "r_1.x"}),
    ],
)
def test_optional_tags_are_read(new: str, expected: dict[str, Any]) -> None:
    assert parse("s=r", new) == evolve(parse(), **expected)


@pytest.mark.req("RFC6376-3.5-02")
def test_blanks_in_hashes_and_signatures_mean_nothing() -> None:
    assert parse("b=Yg==", "b= Y g\r\n =\t=\r\n ") == parse()
    assert parse("bh=YQ==", "bh=\r\n\tYQ\r\n ==") == parse()


@pytest.mark.req("RFC8616-5-02")
def test_u_labels_are_looked_up_as_a_labels() -> None:
    signature = parse("example.org; s=r", "Bücher.example; s=ü; i=jürgen@bücher.example")
    assert signature.domain == "Bücher.example"
    assert signature.domain_name == signature.identity_domain == "xn--bcher-kva.example"
    assert signature.key_name == "xn--tda._domainkey.xn--bcher-kva.example"


@given(st.binary(max_size=60) | st.text("abhdsvi=;@:1 \r\n\té", max_size=80).map(str.encode))
def test_nothing_but_a_grammar_error_is_raised(value: bytes) -> None:
    with contextlib.suppress(GrammarError):
        DKIMSignature.parse(value)


@given(st.integers(0, len(TEXT) - 1), st.sampled_from([b"", b";", b"=", b"\xff", b"@", b"\r\n "]))
def test_a_damaged_field_is_read_or_refused(at: int, octets: bytes) -> None:
    with contextlib.suppress(GrammarError):
        DKIMSignature.parse(TEXT[:at].encode() + octets + TEXT[at + 1 :].encode())

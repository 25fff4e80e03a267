"""The canonical forms of header fields and bodies."""

from __future__ import annotations

import gc
import itertools
import re
import weakref
from base64 import b64decode
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto.policy.canonical import (
    BodyHash,
    Canonicalization,
    RelaxedBody,
    SimpleBody,
    canonical_fields,
)

SIMPLE, RELAXED = Canonicalization.SIMPLE, Canonicalization.RELAXED
FORMS = list(Canonicalization)
# What matters is blanks and line ends, also where they are not those of a message.
BODIES = st.lists(
    # The last two are halves of surrogate pairs where text is taken for UTF-16.
    st.sampled_from(
        [b" ", b"\t", b"\r\n", b"\r\n", b"\r", b"\n", b"a", b"bc", b"  ", b".", b"\xd8", b"\xdc"]
    ),
    max_size=30,
).map(b"".join)
FIELDS = st.builds(
    lambda name, blank, parts: name + blank + b":" + b"".join(parts),
    st.sampled_from([b"Subject", b"X-A"]),
    st.sampled_from([b"", b" ", b"\t "]),
    st.lists(
        st.sampled_from([b" ", b"\t", b"\r\n ", b"\r\n\t", b"a", b"B", b":", b"\v", b"\xc3\xa4"])
    ),
)


def canonical(body: bytes, form: Canonicalization, *cuts: int) -> bytes:
    """Return the canonical *body*, which is fed in slices that end at *cuts*."""
    written: list[bytes] = []
    canonicalizer = (RelaxedBody if form is RELAXED else SimpleBody)(written.append)
    places = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    for start, end in itertools.pairwise(places):
        canonicalizer.feed(body[start:end])
    canonicalizer.finish()
    return b"".join(written)


def by_the_text(body: bytes, form: Canonicalization) -> bytes:
    """The same, word for word after RFC 6376 3.4.3 and 3.4.4."""
    if form is RELAXED:
        body = re.sub(rb"[ \t]+(?=\r\n|\Z)", b"", body)
        body = re.sub(rb"[ \t]+", b" ", body)
        body = re.sub(rb"(\r\n)+\Z", b"", body)
        return body + b"\r\n" if body else b""
    return re.sub(rb"(\r\n)*\Z", b"", body, count=1) + b"\r\n"


@pytest.mark.req("RFC6376-3.4.3-01", "RFC6376-3.4.4-01")
@given(BODIES, st.sampled_from(FORMS), st.lists(st.integers(0, 60), max_size=5))
def test_a_body_in_slices_has_the_form_that_the_rfc_describes(
    body: bytes, form: Canonicalization, cuts: list[int]
) -> None:
    assert canonical(body, form, *cuts) == by_the_text(body, form)


@given(BODIES, st.sampled_from(FORMS))
def test_a_canonical_body_is_its_own_form(body: bytes, form: Canonicalization) -> None:
    once = canonical(body, form)
    assert canonical(once, form) == once


@given(FIELDS, st.sampled_from(FORMS))
def test_a_canonical_field_is_its_own_form(field: bytes, form: Canonicalization) -> None:
    once = canonical_fields([field], form)
    assert canonical_fields([once], form) == once


@pytest.mark.req("RFC6376-3.4.2-01")
@given(FIELDS)
def test_a_relaxed_field_has_the_form_that_the_rfc_describes(field: bytes) -> None:
    name, _, body = field.partition(b":")
    body = re.sub(rb"[ \t]+", b" ", body.replace(b"\r\n", b"")).strip(b" ")
    expected = name.strip(b" \t").lower() + b":" + body
    assert canonical_fields([field], RELAXED) == expected


def test_the_examples_of_the_rfc() -> None:
    fields, body = [b"A: X", b"B : Y\t\r\n\tZ  "], b" C \r\nD \t E\r\n\r\n\r\n"
    assert canonical_fields(fields, RELAXED) == b"a:X\r\nb:Y Z"
    assert canonical(body, RELAXED) == b" C\r\nD E\r\n"
    assert canonical_fields(fields, SIMPLE) == b"\r\n".join(fields)
    assert canonical(body, SIMPLE) == b" C \r\nD \t E\r\n"


def test_each_field_is_relaxed_once() -> None:
    known: dict[bytes, bytes] = {}
    fields = [b"A: x  y", b"B: z"]
    once = canonical_fields(fields, RELAXED, known)
    assert once == canonical_fields(fields, RELAXED) == b"\r\n".join(known[it] for it in fields)
    known[fields[0]] = b"kept"
    assert canonical_fields(fields, RELAXED, known) == b"kept\r\nb:z"
    assert canonical_fields(fields, SIMPLE, known) == b"\r\n".join(fields)


@pytest.mark.req("RFC6376-3.4.3-01")
def test_an_empty_body_is_an_empty_line_in_the_simple_form() -> None:
    assert canonical(b"", SIMPLE) == canonical(b"\r\n\r\n", SIMPLE) == b"\r\n"
    digest = "frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY="
    assert sha256(canonical(b"", SIMPLE)).digest() == b64decode(digest)


@pytest.mark.req("RFC6376-3.4.4-01")
def test_an_empty_body_is_empty_in_the_relaxed_form() -> None:
    assert canonical(b"", RELAXED) == canonical(b"\r\n \r\n", RELAXED) == b""
    digest = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
    assert sha256(b"").digest() == b64decode(digest)


@pytest.mark.req("RFC6376-3.4.4-02")
def test_a_line_of_blanks_becomes_an_empty_line() -> None:
    assert canonical(b"a\r\n \t\r\nb \r\n", RELAXED) == b"a\r\n\r\nb\r\n"


def test_a_line_end_is_added_to_a_last_line_without_one() -> None:
    assert [canonical(b"a", form) for form in FORMS] == [b"a\r\n"] * 2


@given(BODIES, st.sampled_from(FORMS), st.lists(st.integers(0, 20)), st.integers(1, 20))
def test_limited_hashes_are_those_of_the_first_octets(
    body: bytes, form: Canonicalization, limits: list[int], size: int
) -> None:
    whole = canonical(body, form)
    body_hash = BodyHash(form)
    for limit in limits:
        body_hash.limit(limit)
    for at in range(0, len(body), size):
        body_hash.feed(body[at : at + size])
    assert body_hash.finish() == sha256(whole).digest()
    for it in (None, *limits):
        assert body_hash.digest(it) == sha256(whole[:it]).digest()
    assert body_hash.octets == len(whole)


def test_a_long_run_of_empty_lines_takes_no_memory_until_it_is_needed() -> None:
    written: list[int] = []
    body = SimpleBody(lambda data: written.append(len(data)))
    for _ in range(1000):
        body.feed(b"\r\n" * 1000)
    assert written == []
    body.feed(b"x")
    assert sum(written) == 2_000_001 and max(written) < 10_000


@pytest.mark.parametrize("form", FORMS)
def test_a_long_run_of_blanks_becomes_one(form: Canonicalization) -> None:
    data = b"a" + b" \t" * 50_000 + b"b"
    assert len(canonical(data, form, 7, 999)) == (5 if form is RELAXED else len(data) + 2)


@pytest.mark.parametrize("form", FORMS)
def test_a_body_hash_is_freed_without_the_garbage_collector(form: Canonicalization) -> None:
    body_hash = BodyHash(form)
    body_hash.feed(b"Hello\r\n")
    body_hash.finish()
    reference = weakref.ref(body_hash)
    gc.disable()
    try:
        del body_hash
        assert reference() is None
    finally:
        gc.enable()

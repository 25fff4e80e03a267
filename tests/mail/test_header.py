"""The header section: its fields, where it ends, and what cannot be sent in it."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto import GrammarError
from smtpproto.adapters.blocking import run
from smtpproto.mail.header import MAX_HEADER, HeaderField, HeaderScanner, header_fields
from smtpproto.mail.preparation import prepare
from tests.support.envelopes import TO_BOB


def scanned(*slices: bytes) -> HeaderScanner:
    header = HeaderScanner()
    for part in slices:
        header.feed(part)
    return header


@pytest.mark.parametrize("end", [b"\r\n", b"\n", b"\r"])
def test_fields_end_at_the_first_empty_line_whatever_the_line_ends(end: bytes) -> None:
    octets = end.join([b"To: a@b.test,", b"\tc@d.test", b"Subject : x", b"", b"Cc: e@f.test", b""])
    to, subject = header_fields(octets)
    assert (to.name, to.text) == ("To", " a@b.test,\tc@d.test")
    assert subject == HeaderField("Subject", b" x")


def test_a_line_that_is_not_a_field_is_an_error_with_its_number() -> None:
    with pytest.raises(GrammarError, match="line 2 of the message is not a header field: 'oops'"):
        header_fields(b"To: a@b.test\r\noops\r\n\r\n")


def test_a_field_that_is_not_utf_8_is_refused_by_name() -> None:
    """RFC 6532 3.1."""
    with pytest.raises(GrammarError, match="the field Subject is neither ASCII nor UTF-8"):
        prepare(b"From: a@b.test\r\nTo: a@b.test\r\nSubject: Gr\xfc\xdfe\r\n\r\n")


@given(st.lists(st.binary(max_size=6)), st.binary())
def test_any_split_finds_the_same_end_and_the_same_ascii(pieces: list[bytes], rest: bytes) -> None:
    octets = b"A: x\r\n" + b"".join(pieces) + rest
    try:
        whole = scanned(octets)
    except GrammarError:
        with pytest.raises(GrammarError):
            scanned(b"A: x\r\n", *pieces, rest)
        return
    split = scanned(b"A: x\r\n", *pieces, rest)
    assert (split.ended, split.is_ascii) == (whole.ended, whole.is_ascii)


def test_each_header_line_is_checked_once_however_small_the_slices(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = 0
    take_line = HeaderScanner._take_line

    def count(header: HeaderScanner, line: bytes) -> None:
        nonlocal lines
        lines += 1
        take_line(header, line)

    monkeypatch.setattr(HeaderScanner, "_take_line", count)
    octets = b"X: y\r\n" * 1000 + b"\r\n"
    scanned(*(octets[at : at + 1] for at in range(len(octets))))
    assert lines == 1001


@pytest.mark.parametrize("form", [bytes, io.BytesIO])
def test_recipients_beyond_64_kib_of_header_are_read(form: type) -> None:
    everybody = [f"recipient{number}@example.org" for number in range(3200)]
    octets = b"From: ann@example.org\nTo: " + ",\n ".join(everybody).encode() + b"\n\nbody\n"
    _, envelope = prepare(form(octets))
    assert [str(path) for path in envelope.recipients] == everybody


def test_a_header_section_too_large_to_hold_is_refused_not_cut() -> None:
    field = b"From: a@b.test\nTo: " + b"a@b.test,\n " * (MAX_HEADER // 8) + b"a@b.test\n\n"
    with pytest.raises(GrammarError, match="a header section of more than 1048576 octets"):
        prepare(io.BytesIO(field))


def test_a_header_section_of_any_size_may_end_without_a_body() -> None:
    _, envelope = prepare(b"From: a@b.test\nTo: c@d.test")
    assert str(envelope.recipients[0]) == "c@d.test"


def test_a_last_field_without_line_end_counts_as_header() -> None:
    content, _ = prepare("Subject: x\r\nX: ü".encode(), TO_BOB)
    assert content.utf8_header


def test_pieces_with_a_header_section_too_large_to_hold_are_refused() -> None:
    content, _ = prepare(iter([b"X: y\r\n" * 1000] * 200), TO_BOB)

    async def read() -> None:
        async for _ in content.async_slices():
            pass

    with pytest.raises(GrammarError, match="a header section of more than 1048576 octets"):
        run(read())

"""Preparation of content: damaged headers, long lines, SMTPUTF8, text in binary content."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from contextlib import aclosing
from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import smtpproto
from smtpproto import (
    Body,
    Client,
    Envelope,
    Extensions,
    GrammarError,
    Leniencies,
    MailParameters,
    NotOffered,
    SMTPError,
    Tolerance,
    plan,
)
from smtpproto.adapters.blocking import run
from smtpproto.mail.preparation import Content, Source, prepare
from smtpproto.wire.dots import DotWriter, has_bare, to_crlf
from tests.support.dialogue import play
from tests.support.envelopes import TO_BOB
from tests.support.lenient_server import SOURCE_FORMS

FITS = b"Subject: x\r\n\r\n" + "\u00e4".encode() * 499 + b"\r\n"  # 998 octets and CRLF
TOO_LONG = b"Subject: x\r\n\r\n" + "\u00e4".encode() * 499 + b"x\r\n"

SOURCES: list[Callable[[bytes], Source]] = [lambda octets: octets, io.BytesIO]

OPENED = """
    S: 220 mx.example.org ESMTP
    C: EHLO [127.0.0.1]
    S: 250-mx.example.org
    S: 250 8BITMIME
"""

TRANSACTION = """
    C: MAIL FROM:<ann@example.org> BODY=8BITMIME
    S: 250 OK
    C: RCPT TO:<bob@example.org>
    S: 250 OK
    C: DATA
    S: 354 Go on
"""
END = """
    C: .
    S: 250 OK
    C: QUIT
    S: 221 bye
"""


def deliver(content: bytes, source: Source, leniencies: Leniencies) -> None:
    """Send *source* with a client that must send *content*."""
    lines = "\n".join(f"C: {line}" for line in content.decode().splitlines())

    async def talk(client: Client) -> None:
        await client.send(source, TO_BOB)

    play(f"{OPENED}{TRANSACTION}{lines}{END}", talk, leniencies=leniencies)


@pytest.mark.req("RFC5322-2.1.1-01", "RFC6152-3-08/client")
@pytest.mark.parametrize("source", SOURCES)
def test_a_line_of_more_than_998_octets_is_not_sent(source: Callable[[bytes], Source]) -> None:
    """The limit is in octets, because servers count these. The session goes on."""
    deliver(FITS, source(FITS), Leniencies())

    async def talk(client: Client) -> None:
        with pytest.raises(GrammarError, match="998"):
            await client.send(source(TOO_LONG), TO_BOB)

    play(f"{OPENED}C: QUIT\nS: 221 bye", talk)


@pytest.mark.req("RFC5322-2.1.1-01")
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("before", [0, 1, 64, 65, 66, 200])
def test_a_long_line_anywhere_in_a_large_message_is_found(
    source: Callable[[bytes], Source], before: int
) -> None:
    """*before* is the number of lines of about a kilobyte before it."""
    line = b"x" * 998 + b"\r\n"
    content = b"Subject: x\r\n\r\n" + line * before
    assert prepare(source(content + line * 100), TO_BOB)[0].size == len(content) + 100_000
    with pytest.raises(GrammarError, match="998"):
        prepare(source(content + b"x" + line + line * 100), TO_BOB)


def test_long_lines_are_sent_if_a_leniency_allows_them() -> None:
    deliver(TOO_LONG, TOO_LONG, Leniencies(long_lines=Tolerance.ACCEPT))


def test_content_without_a_line_end_is_not_kept_in_memory() -> None:
    """It is in pieces, so that its header section, which never ends, was not measured."""

    async def main() -> None:
        pieces = iter([b"\x80" * 50_000] * 40)
        content = Content(pieces, binary=True)
        async with aclosing(content.async_slices()) as slices:
            assert max([len(part) async for part in slices]) < 200_000

    run(main())


@pytest.mark.req("RFC6531-3.2-06")
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_header_in_pieces_that_is_not_ascii_needs_smtputf8(size: int) -> None:
    """The error is raised before the first slice; the body may have any octets."""

    async def main(text: str, *, asked: bool = False) -> bytes:
        octets = text.encode()
        pieces = iter([octets[at : at + size] for at in range(0, len(octets), size)])
        content = Content(pieces, utf8_header=asked)
        async with aclosing(content.async_slices()) as slices:
            return b"".join([part async for part in slices])

    for fine in ("Subject: u\r\n\r\n\u00fc\r\n", "\u00fc\r\nSubject: u\r\n", "", "Subject: u\r\n"):
        assert run(main(fine)) == fine.encode()
    for bad in ("Subject: \u00fc\r\n\r\nx\r\n", "A: b\r\nSubject: u\r\n \u00fc\r\n"):
        with pytest.raises(GrammarError, match="smtputf8"):
            run(main(bad))
        assert run(main(bad, asked=True)) == bad.encode()


@pytest.mark.req("RFC3030-3-08")
def test_text_in_binary_content_has_crlf_line_ends() -> None:
    """Text under BODY=BINARYMIME is canonical, too (RFC 3030 3)."""
    offered = Extensions({"CHUNKING": "", "BINARYMIME": "", "SIZE": ""})
    message = EmailMessage()
    message["From"], message["To"] = "ann@example.org", "bob@example.org"
    message.set_content("one\ntwo\n")
    message.add_attachment(bytes(range(256)), maintype="application", subtype="octet-stream")
    envelope = Envelope("ann@example.org", "bob@example.org", MailParameters(body=Body.BINARY_MIME))
    planned = plan(message, envelope, offered)
    sent = planned.content.source
    assert isinstance(sent, bytes)
    assert b"one\r\ntwo\r\n" in sent
    assert b"\n" not in sent.replace(b"\r\n", b"")
    (transaction,) = planned.transactions
    assert transaction.mail.parameters.size == planned.content.size == len(sent)
    with pytest.raises(NotOffered):
        plan(message, envelope, Extensions({"CHUNKING": ""}))


@pytest.mark.parametrize("to", [b'"', b"a@[", b"=?utf-8?q?=0a?= <a@b.c>", b"(" * 3000, b"<", b"a@"])
def test_a_damaged_to_field_raises_only_smtp_error(to: bytes) -> None:
    with contextlib.suppress(SMTPError):
        prepare(b"From: a@b.test\r\nTo: " + to + b"\r\n\r\n")


# -- lines that are not checked again ------------------------------------------------------------

TEXT = st.lists(
    st.sampled_from([b"x", b".", b"\r", b"\n", b"\r\n", b"\r\n.", b"..", b"", b"y" * 40])
).map(b"".join)


@pytest.mark.parametrize("form", SOURCE_FORMS)
@given(pieces=st.lists(TEXT, max_size=6), cut=st.integers(2, 9))
def test_slices_of_content_are_whole_lines_so_that_dots_are_stuffed_as_with_all_checks(
    form: str, pieces: list[bytes], cut: int
) -> None:
    """``send`` believes this of its own slices, and ``encode(lines=True)`` does not look again."""

    async def main(content: Content) -> list[bytes]:
        return [part async for part in content.async_slices()]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("smtpproto.mail.preparation.CHUNK", cut)
        content, _ = prepare(SOURCE_FORMS[form](pieces), TO_BOB)
        slices = run(main(content))
    text = b"".join(slices)
    lines = to_crlf(b"".join(pieces))
    assert not has_bare(text) and text in (lines, lines + b"\r\n")
    assert content.size in (None, len(text))
    assert not any(part.endswith(b"\r") or part.startswith(b"\n") for part in slices)
    believing, checking = DotWriter(), DotWriter()
    for part in slices:
        assert believing.encode(part, lines=True) == checking.encode(part)
    assert believing.finish() == checking.finish()


def test_only_the_content_of_send_is_believed_to_have_lines() -> None:
    """The machine's other callers, and all other readers of content, check each slice."""
    library = Path(smtpproto.__file__).parent
    calls = [
        path.name
        for path in library.rglob("*.py")
        for _ in range(path.read_text().count(", lines=True"))
    ]
    assert calls == ["submit.py"]

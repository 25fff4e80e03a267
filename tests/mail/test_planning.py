"""The plan of a message: MAIL and its content, by what the server offers."""

from __future__ import annotations

import io
from collections.abc import Iterator
from email import policy
from email.message import EmailMessage
from email.mime.text import MIMEText

import pytest

from smtpproto import Body, Envelope, Extensions, plan
from smtpproto.mail.planning import BDAT_SIZE
from tests.support.envelopes import TO_BOB
from tests.support.lenient_server import ALL_EXTENSIONS, SOURCE_FORMS, LenientServer, converse
from tests.support.planning import UTF8, command_lines, mail_line, refusal, with_parameters


@pytest.mark.req(
    "RFC6531-3.4-01", "RFC6531-3.4-02", "RFC6531-3.6-01", "RFC6531-3.2-12/client", "RFC6152-3-07"
)
@pytest.mark.parametrize("form", ["octets", "file"])
@pytest.mark.parametrize(
    ("envelope", "body", "line"),
    [
        (TO_BOB, b"hello\r\n", "<ann@example.org>"),
        (TO_BOB, "Subject: x\n\nhellø\n".encode(), "<ann@example.org> BODY=8BITMIME"),
        (TO_BOB, "Subject: ø\n\nhello\n".encode(), "<ann@example.org> BODY=8BITMIME SMTPUTF8"),
        (
            TO_BOB,
            "Subject: ø\n\n".encode() + b"hello\n" * 30_000,
            "<ann@example.org> BODY=8BITMIME SMTPUTF8",
        ),
        (Envelope("ann@example.org", "bøb@example.org"), b"hello\n", "<ann@example.org> SMTPUTF8"),
        (Envelope("ånn@example.org", "bob@example.org"), b"hello\n", "<ånn@example.org> SMTPUTF8"),
        (Envelope("ann@example.org", "bob@bücher.example"), b"x\n", "<ann@example.org> SMTPUTF8"),
        (Envelope("", "bob@xn--bcher-kva.example"), b"hello\n", "<>"),
        (with_parameters(smtputf8=True), b"hello\n", "<ann@example.org> SMTPUTF8"),
    ],
)
def test_smtputf8_is_requested_only_if_needed(
    envelope: Envelope, body: bytes, line: str, form: str
) -> None:
    assert mail_line(UTF8, envelope, SOURCE_FORMS[form]([body])) == line


@pytest.mark.req("RFC6531-3.2-05", "RFC6531-3.2-12/client")
def test_a_message_that_needs_smtputf8_is_not_sent_without_it() -> None:
    eight_bit = {"8BITMIME": ""}
    for address in ("bøb@example.org", "bob@bücher.example"):
        for envelope in (
            Envelope("ann@example.org", address),
            Envelope("", ["ann@example.org", address]),
            Envelope(address, "ann@example.org"),
        ):
            assert "SMTPUTF8" in refusal(eight_bit, envelope)
    assert "SMTPUTF8" in refusal(eight_bit, body="Subject: ø\n\nhello\n".encode())
    ascii_only = Envelope("ann@example.org", "bob@xn--bcher-kva.example")
    assert command_lines(eight_bit, ascii_only) == command_lines(UTF8, ascii_only)


@pytest.mark.req("RFC1870-4-01", "RFC1870-5-01/client", "RFC5321-4.5.3.1.7-03", "RFC1870-6-02")
def test_size_is_the_number_of_octets_that_will_be_sent() -> None:
    assert mail_line({}) == "<ann@example.org>"
    assert mail_line({"SIZE": ""}) == "<ann@example.org> SIZE=7"
    assert mail_line({"SIZE": ""}, body=b".hello\n.\nyou") == "<ann@example.org> SIZE=16"
    assert mail_line({"SIZE": ""}, body=iter([b"hello\n"])) == "<ann@example.org>"
    guess = with_parameters(size=9)
    assert mail_line({"SIZE": ""}, guess, iter([b"hello\n"])) == "<ann@example.org> SIZE=9"
    assert mail_line({"SIZE": ""}, guess, b"hello\n") == "<ann@example.org> SIZE=7"


@pytest.mark.req("RFC1870-7-01")
def test_a_message_above_the_size_limit_is_not_sent() -> None:
    assert mail_line({"SIZE": "7"}) == "<ann@example.org> SIZE=7"
    assert "7 octets; the server accepts at most 6" in refusal({"SIZE": "6"})
    assert mail_line({"SIZE": "0"}) == "<ann@example.org> SIZE=7"  # no fixed maximum


@pytest.mark.req("RFC6152-3-07", "RFC6152-3-05")
def test_eight_bit_content_needs_8bitmime() -> None:
    body = "Subject: x\n\nhellø\n".encode()
    for offered in ({}, {"SIZE": ""}, {"BINARYMIME": "", "CHUNKING": ""}):
        assert "8BITMIME" in refusal(offered, body=body)
    assert mail_line({"8BITMIME": ""}, body=body) == "<ann@example.org> BODY=8BITMIME"
    assert mail_line({"8BITMIME": ""}) == "<ann@example.org>"
    # content in pieces could have octets above 127, so it is declared
    assert mail_line({"8BITMIME": ""}, body=iter([b"x"])) == "<ann@example.org> BODY=8BITMIME"


def eight_bit_message(kind: str) -> EmailMessage | MIMEText:
    if kind == "old":
        old = MIMEText("hellø\n", "plain", "utf-8", policy=policy.SMTP)
        old.replace_header("Content-Transfer-Encoding", "8bit")
        old.set_payload("hellø\n".encode())
        return old
    message = EmailMessage()
    message["Subject"] = "Hellø"
    message.set_content("hellø\n", cte="8bit")
    if kind == "multipart":
        message.add_alternative("<p>hellø</p>\n", "html", cte="8bit")
    return message


@pytest.mark.req("RFC6531-3.2-06")
@pytest.mark.parametrize("kind", ["plain", "multipart"])
def test_an_email_object_is_written_in_ascii_without_8bitmime(kind: str) -> None:
    message = eight_bit_message(kind)
    planned = plan(message, TO_BOB, Extensions({"SIZE": ""}))
    assert isinstance(planned.content.source, bytes) and planned.content.source.isascii()
    assert mail_line({}, body=message) == "<ann@example.org>"
    wide = plan(message, TO_BOB, Extensions({"8BITMIME": ""}))
    assert isinstance(wide.content.source, bytes) and "hellø".encode() in wide.content.source
    assert mail_line({"8BITMIME": ""}, body=message) == "<ann@example.org> BODY=8BITMIME"


BINARY = with_parameters(body=Body.BINARY_MIME)


@pytest.mark.req("RFC3030-3-09", "RFC3030-3-10", "RFC3030-3-07")
def test_binary_content_is_sent_unchanged_by_bdat_or_not_at_all() -> None:
    body = bytes(range(256)) + b"\n\r.\r\n.\r\n\n"
    for missing in ({}, {"CHUNKING": ""}, {"BINARYMIME": ""}, {"8BITMIME": "", "CHUNKING": ""}):
        assert "BINARYMIME" in refusal(missing, BINARY, body)
    stream = LenientServer(Extensions({"CHUNKING": "", "BINARYMIME": "", "PIPELINING": ""}))
    converse(stream, lambda client: client.send(body, BINARY))
    assert stream.contents == [body]
    assert stream.commands == [
        "MAIL FROM:<ann@example.org> BODY=BINARYMIME",
        "RCPT TO:<bob@example.org>",
        f"BDAT {len(body)} LAST",
    ]
    offered = {"CHUNKING": "", "BINARYMIME": ""}
    for ascii_body in (b"", b"hello\r\n", b"\0", b"bare\nLF"):
        assert mail_line(offered, BINARY, ascii_body) == "<ann@example.org> BODY=BINARYMIME"


def text(size: int) -> bytes:
    """Return *size* octets in lines of 64; the last line has no end."""
    whole = (size - 1) // 64
    return (b"x" * 62 + b"\r\n") * whole + b"x" * (size - 64 * whole)


@pytest.mark.req("RFC3030-2-03", "RFC3030-2-04", "RFC3030-2-07", "RFC3030-2-17", "RFC3030-2-21")
def test_bdat_is_used_for_several_chunks_unknown_sizes_and_without_pipelining() -> None:
    """That is for content of several chunks or of unknown size, and without PIPELINING."""
    chunking, pipelining = {"CHUNKING": ""}, {"CHUNKING": "", "PIPELINING": ""}
    assert command_lines({}, body=b"")[2:] == command_lines(pipelining)[2:] == ["DATA"]
    for body in (b"a\n", text(BDAT_SIZE + 1), iter([b"a\n"])):
        assert command_lines({}, body=body)[2:] == ["DATA"]
    assert command_lines(chunking, body=b"")[2:] == ["BDAT 0 LAST"]
    assert command_lines(chunking, body=b"a\n")[2:] == ["BDAT 3 LAST"]
    assert command_lines(pipelining, body=text(BDAT_SIZE - 2))[2:] == ["DATA"]
    for size, rest in (
        (BDAT_SIZE - 1, 1),
        (BDAT_SIZE, 2),
        (2 * BDAT_SIZE - 2, BDAT_SIZE),
        (2 * BDAT_SIZE - 1, 1),
    ):
        chunks = [f"BDAT {BDAT_SIZE}"] * ((size + 2 - rest) // BDAT_SIZE)
        assert command_lines(pipelining, body=text(size))[2:] == [*chunks, f"BDAT {rest} LAST"]
    stream = LenientServer(Extensions(pipelining))
    converse(stream, lambda client: client.send(iter([b".a\n", b".\r", b"\nb"]), TO_BOB))
    assert stream.commands[2:] == ["BDAT 10 LAST"]
    assert stream.contents == [b".a\r\n.\r\nb\r\n"]


def test_a_plan_measures_a_file_and_keeps_its_position() -> None:
    file = io.BytesIO(b"skipped\nhello\n")
    file.seek(8)
    assert plan(file, TO_BOB, Extensions({"SIZE": ""})).content.size == 7
    assert file.tell() == 8


def unreadable() -> Iterator[bytes]:
    raise AssertionError("the plan has read the content")
    yield b""


def test_a_plan_does_not_read_content_that_can_be_read_only_once() -> None:
    assert plan(unreadable(), TO_BOB, Extensions(ALL_EXTENSIONS)).chunked

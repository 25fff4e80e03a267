"""The codes of the library's own replies are in the registry, docs/rfc/codes.csv."""

from __future__ import annotations

import ast
import csv
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from smtpproto.events import Connected, Rejected, is_question
from smtpproto.grammar.command_line import NOT_IMPLEMENTED
from smtpproto.grammar.reply import Reply
from smtpproto.protocol import server_replies
from smtpproto.protocol.server import ServerProtocol
from smtpproto.protocol.verbs import vocabulary

ROOT = Path(__file__).parents[1]
OUTSIDE = {"cli", "testing"}  # programs, and strategies that make random replies
NO_RFC = {"XCLIENT", "XFORWARD"}


def rows(kind: str) -> list[dict[str, str]]:
    with (ROOT / "docs/rfc/codes.csv").open(newline="", encoding="utf-8") as lines:
        every = [row for row in csv.DictReader(lines) if row["kind"] == kind]
    return [row for row in every if kind != "reply" or row["code"].isdecimal()]


def literals() -> Iterator[tuple[str, int, str | None]]:
    """Yield each ``Reply(code, enhanced, ...)`` in the library's source, with its place."""
    for file in sorted((ROOT / "smtpproto").rglob("*.py")):
        source = file.read_bytes()
        if OUTSIDE & set(file.relative_to(ROOT).parts) or b"Reply(" not in source:
            continue
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                if node.func.id != "Reply":
                    continue
                first, *others = [
                    arg.value if isinstance(arg, ast.Constant) else ... for arg in node.args
                ] or [...]
                if isinstance(first, int):
                    enhanced = others[0] if others else None
                    assert enhanced is None or isinstance(enhanced, str)
                    yield f"{file.name}:{node.lineno}", first, enhanced


LITERALS = [pytest.param(code, enhanced, id=place) for place, code, enhanced in literals()]
BY_COMMAND = {(row["command"], int(row["code"])) for row in rows("reply")}
CODES = {code for _, code in BY_COMMAND}
ENHANCED = {row["code"].removeprefix("X."): row["associated"] for row in rows("enhanced")}
TOGETHER = {
    (int(row["code"]), enhanced) for row in rows("reply") for enhanced in row["associated"].split()
}


def test_the_replies_in_the_source_are_found() -> None:
    assert len(LITERALS) > 60


@pytest.mark.req("RFC5321-4.2-03", "RFC3463-3-01", "RFC5248-3-01")
@pytest.mark.parametrize(("code", "enhanced"), LITERALS)
def test_each_reply_has_registered_codes_that_belong_together(
    code: int, enhanced: str | None
) -> None:
    assert code in CODES
    if enhanced is None:
        return
    known = ENHANCED[enhanced[2:]]
    named = str(code) in re.findall(r"\b[245][0-9][0-9]\b", known)
    assert named or known in ("", "any") or (code, enhanced) in TOGETHER


@pytest.mark.req("RFC5321-4.3.1-05")
@pytest.mark.parametrize("verb", sorted({*vocabulary().verbs, "LHLO"} - NO_RFC))
def test_the_accepting_codes_of_each_command_are_registered_for_it(verb: str) -> None:
    row = vocabulary(lmtp=verb == "LHLO").verbs[verb]
    assert row.default_reply.code in row.accepted_codes or row.default_reply is NOT_IMPLEMENTED
    assert {(verb, code) for code in row.accepted_codes} <= BY_COMMAND


# The lines of one session. The machine itself refuses most of them, each for a different reason.
REFUSED = [
    b"MAIL FROM:<>", b"EHLO", b"EHLO a b", b"EHLO client.example", b"HELO", b"FOO", b"SEND",
    b"x" * 600, b"RCPT TO:<a@b.example>", b"DATA", b"BDAT 0", b"EXPN a", b"STARTTLS", b"VRFY",
    b"AUTH FOO", b"AUTH", b"AUTH PLAIN !", b"QUIT x", b"RSET x", b"MAIL FROM:x",
    b"MAIL FROM:<> FOO", b"MAIL FROM:<> SIZE=x", b"MAIL FROM:<> SIZE=99999999999",
    b"MAIL FROM:<\xc3\xa9@b.example>", b"MAIL FROM:<> BODY=BINARYMIME", b"MAIL FROM:<>",
    b"MAIL FROM:<>", b"AUTH PLAIN", b"RCPT TO:<\xc3\xa9@b.example>", b"RCPT TO:<a>",
    b"RCPT TO:<a@b.example> FOO", *[b"RCPT TO:<a@b.example>"] * 101, b"DATA x", b"BDAT x",
]  # fmt: skip


@pytest.mark.req("RFC5321-4.3.1-05")
def test_the_codes_of_refusals_are_registered_for_their_command() -> None:
    server = ServerProtocol(hostname="mx.example.org", mechanisms=("PLAIN",), secure=True)
    assert isinstance(server.next_event(), Connected)
    server.answer()
    refusals = 0
    for line in REFUSED:
        server.receive(line + b"\r\n")
        event = server.next_event()
        if is_question(event):
            server.answer()
        elif isinstance(event, Rejected):
            verb, code = line.split()[0].decode(), event.reply.code
            assert {(verb, code), ("ANY", code)} & BY_COMMAND, line
            refusals += 1
    assert refusals > 25


@pytest.mark.req("RFC5321-4.2-14")
def test_default_texts_are_those_of_the_examples_in_the_rfcs() -> None:
    """RFC 5321 4.2.3, 4.3.2 and D; RFC 1870 6.1; RFC 3207 4; RFC 4954 4."""
    verbs = vocabulary().verbs
    assert {verbs[verb].default_reply.text for verb in ("RSET", "NOOP")} == {"OK"}
    assert verbs["DATA"].default_reply.text == "Start mail input; end with <CRLF>.<CRLF>"
    assert verbs["QUIT"].default_reply.text == "Service closing transmission channel"
    assert verbs["STARTTLS"].default_reply.text == "Ready to start TLS"
    assert verbs["AUTH"].default_reply.text == "Authentication successful"
    cannot = "Cannot VRFY user, but will accept message and attempt delivery"
    assert verbs["VRFY"].default_reply == Reply(252, "2.5.0", cannot)
    assert NOT_IMPLEMENTED.text == "Command not implemented"
    assert server_replies.TOO_BIG.text == "Message size exceeds fixed maximum message size"
    assert server_replies.NEED_TLS.text == "Must issue a STARTTLS command first"
    assert server_replies.NEED_AUTH.text == "Authentication required"
    assert server_replies.TOO_MANY_RECIPIENTS.text == "Too many recipients"
    assert server_replies.SHUTTING_DOWN.text.endswith("closing transmission channel")

"""The form of a command reads what the cursor parser reads, and nothing else."""

from __future__ import annotations

import re
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto.errors import GrammarError
from smtpproto.grammar.command import Command
from smtpproto.grammar.command_line import parse_command
from smtpproto.grammar.forms import FORMS
from smtpproto.testing import strategies
from tests.support.near_legal import command_line

WITH_FORM = [
    b"EHLO client.example",
    b"ehlo a",
    b"HELO client.example",
    b"LHLO client.example",
    b"MAIL FROM:<>",
    b"mail from:<ann@client.example>",
    b"MAIL FROM:<ann@client.example> SIZE=1562",
    b"MAIL FROM:<ann@client.example> size=007 body=8bitmime",
    b"MAIL FROM:<> BODY=7BIT SIZE=" + b"9" * 20,
    b"MAIL FROM:<ann@client.example> BODY=8BITMIME",
    b"RCPT TO:<bob@example.org>",
    b"rcpt to:<" + b"a" * 64 + b"@" + b"b.c" * 63 + b">",
    b"DATA",
    b"data",
    b"RSET",
    b"NOOP",
    b"QUIT",
    b"STARTTLS",
    b"BDAT 86",
    b"BDAT 0 LAST",
    b"bdat 86 last",
]
WITHOUT_FORM = [
    b"EHLO [192.0.2.1]",
    b"EHLO",
    b"MAIL FROM:<ann@client.example> SIZE=1 SIZE=2",
    b"MAIL FROM:<ann@client.example> BODY=7BIT BODY=7BIT",
    b"MAIL FROM:<ann@client.example> BODY=BINARYMIME",
    b"MAIL FROM:<ann@client.example> SIZE=1 RET=HDRS",
    b"MAIL FROM: <ann@client.example>",
    b"RCPT TO:<postmaster>",
    b'RCPT TO:<"bob"@example.org>',
    b"RCPT TO:<" + b"a" * 65 + b"@example.org>",
    b"RCPT TO:<bob@example.org> NOTIFY=NEVER",
    "RCPT TO:<b\u00f6b@example.org>".encode(),
    b"NOOP text",
    b"QUIT ",
    b"STARTTLS now",
    b"DATA\r",
    b"BDAT 0",
    b"BDAT 00 LAST",
    b"BDAT " + b"9" * 21,
]


def form_of(line: bytes) -> Command | None:
    """Return the command whose form is the whole of *line* and CRLF, or None."""
    for form in FORMS.values():
        if (
            match := form.line.match(b"NOOP\r\n" + line + b"\r\nDATA\r\n", len("NOOP**"))
        ) is not None:
            assert match.end() == len("NOOP**") + len(line) + 2
            return form.make(match)
    return None


def check(line: bytes) -> Command | None:
    """Check the law for *line*; return the command of its form."""
    found = form_of(line)
    if found is not None:
        read = parse_command(line)  # strictly
        assert found == read and type(found) is type(read)
        assert repr(found) == repr(read)
        assert (bytes(found), str(found)) == (bytes(read), str(read))
    return found


@pytest.mark.parametrize("line", WITH_FORM)
def test_a_common_line_has_a_form_that_reads_the_same(line: bytes) -> None:
    assert check(line) is not None


@pytest.mark.parametrize("line", WITHOUT_FORM)
def test_other_lines_are_left_to_the_parser(line: bytes) -> None:
    assert form_of(line) is None


@given(
    st.sampled_from([*FORMS.values()]).flatmap(
        lambda form: st.from_regex(re.compile(form.line.pattern))
    )
)
def test_what_a_form_matches_is_read_by_the_parser_to_the_same_command(line: bytes) -> None:
    check(line.partition(b"\r\n")[0])


@given(strategies.commands())
def test_a_command_that_was_written_is_read_by_its_form_or_not_at_all(command: Command) -> None:
    found = check(bytes(command))
    assert found is None or found == command


def test_forms_read_near_legal_lines_as_the_parser_does() -> None:
    dice = Random(11)
    seen = {check(command_line(dice)) is not None for _ in range(10_000)}
    assert seen == {True, False}


@given(st.sampled_from(WITH_FORM + WITHOUT_FORM), st.integers(0, 300), st.binary(max_size=2))
def test_no_form_matches_a_changed_line_that_the_parser_refuses(
    line: bytes, at: int, octets: bytes
) -> None:
    changed = line[:at] + octets + line[at + 1 :]
    try:
        parse_command(changed)
    except GrammarError:
        assert form_of(changed) is None
    else:
        check(changed)

"""Pipelined commands (RFC 2920) on a server, and input split anywhere."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smtpproto.events import (
    BodyChunk,
    BodyEnd,
    ServerEvent,
    is_question,
)
from smtpproto.grammar.command import Quit, Rcpt
from smtpproto.grammar.envelope import Envelope
from smtpproto.grammar.extension_command import Bdat
from smtpproto.grammar.reply import Reply
from smtpproto.protocol.phases import Phase
from tests.support.pieces import single_octets

from .machines import (
    EHLO_LINE,
    ENVELOPE_LINES,
    MAIL_LINE,
    RCPT_LINE,
    TO_DATA,
    ServerDriver,
    challenge_auth,
    codes_of,
    cut,
    greeted_server,
    lines_of,
    merge_content,
    ready_server,
)

STREAM = st.lists(
    st.sampled_from([
        EHLO_LINE, b"HELO a.example\r\n", MAIL_LINE, RCPT_LINE,
        b"DATA\r\n", b"x\r\n", b"..\r\n", b".\r\n", b"\n", b"\r", b"RSET\r\n", b"NOOP\r\n",
        b"FOO\r\n",
        b"AUTH PLAIN\r\n", b"AAAA\r\n", b"*\r\n", b"STARTTLS\r\n", b"x" * 600 + b"\r\n",
        b"QUIT\r\n", b"VRFY a\r\n", b"MAIL FROM:<> SIZE=99999999999\r\n",
        b"BDAT 3\r\nabc", b"BDAT 3 LAST\r\n\r\n.", b"BDAT 0 LAST\r\n", b"BDAT 2 FIRST\r\nab",
    ]), max_size=15,
).map(b"".join)  # fmt: skip

CUTS = st.lists(st.integers(0, 300), max_size=6)


def history(parts: list[bytes]) -> tuple[list[ServerEvent], bytes]:
    """Return the events and the octets sent when *parts* are fed one by one."""
    server = greeted_server(mechanisms=("PLAIN",), auth_in_clear=True, starttls=True)
    server.application = challenge_auth
    sent = server.feed(*parts)
    return merge_content(server.events), sent


def server_that_accepts(good: list[bool]) -> tuple[ServerDriver, bytes]:
    """Return a server that accepts recipients by their item in *good*, and RCPT for all."""

    def application(question: object) -> Reply | None:
        refused = isinstance(question, Rcpt) and not good[int(str(question.path)[0])]
        return Reply(550, "5.1.1", "Unknown") if refused else None

    lines = b"".join(b"RCPT TO:<%d@b.example>\r\n" % number for number in range(len(good)))
    return ready_server(application=application), lines


@pytest.mark.req("RFC2920-3.2-01", "RFC2920-3.2-02", "RFC2920-3.2-09")
def test_replies_to_a_pipelined_group_are_in_order_and_sent_together() -> None:
    server = ready_server()
    server.machine.receive(
        b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nRCPT TO:<e@f.example>\r\n"
    )
    for code in (250, 550, 251):
        server.machine.next_event()
        server.machine.answer(Reply(code))
    assert codes_of(lines_of(server.machine.data_to_send())) == [250, 550, 251]
    assert server.machine.envelope == Envelope("a@b.example", ["e@f.example"])


@pytest.mark.req("RFC2920-3.2-01", "RFC2920-3.2-09")
@pytest.mark.parametrize(
    ("line", "code"),
    [
        (EHLO_LINE, 250), (b"HELO a.example\r\n", 250), (b"RSET\r\n", 250), (MAIL_LINE, 503),
        (RCPT_LINE, 250), (b"RCPT TO:<>\r\n", 501), (b"VRFY a\r\n", 252), (b"EXPN a\r\n", 502),
        (b"HELP\r\n", 214), (b"NOOP\r\n", 250), (b"DATA\r\n", 503), (b"FOO\r\n", 500),
        (b"TURN\r\n", 502), (b"AUTH PLAIN\r\n", 502), (b"STARTTLS\r\n", 502),
        (b"x" * 20000 + b"\r\n", 500), (b"BDAT 3 LAST\r\n\r\n.", 503), (b"BDAT 1 A\r\n.", 501),
    ],
    ids=lambda value: repr(value)[:20],
)  # fmt: skip
def test_no_command_loses_input_or_gets_its_reply_out_of_turn(line: bytes, code: int) -> None:
    """Whether it is accepted or not. HELP is the command after it."""
    whole = MAIL_LINE + line + b"HELP\r\nFOO\r\nNOOP\r\n"
    for parts in ([whole], single_octets(whole)):
        assert ready_server().codes(*parts) == [250, code, 214, 500, 250]
    server = ready_server()
    server.ask(MAIL_LINE + line)
    server.machine.receive(b"HELP\r\nFOO\r\n")  # while the application decides
    server.machine.answer()
    assert server.codes(b"NOOP\r\n") == [250, code, 214, 500, 250]


@pytest.mark.req("RFC2920-3.2-08")
@given(STREAM, CUTS)
@example(EHLO_LINE + TO_DATA + b"x\r\n.\r\nNOOP\r\n", [3, 40, 100])
def test_events_and_replies_do_not_depend_on_how_input_is_split(
    data: bytes, cuts: list[int]
) -> None:
    """Input after STARTTLS is the exception, so there is none here."""
    head, found, _ = data.partition(b"STARTTLS\r\n")
    data = head + found
    whole = history([data])
    assert history(cut(data, cuts)) == whole
    assert history(single_octets(data)) == whole


@pytest.mark.req("RFC5321-4.2-01", "RFC5321-4.1.1.4-08")
@given(STREAM)
@example(EHLO_LINE + MAIL_LINE + RCPT_LINE * 2 + b"DATA\r\nx\n\r\n.\r\n")
@example(EHLO_LINE + MAIL_LINE + RCPT_LINE * 2 + b"DATA\r\nx\r\n.\r\n")
@example(EHLO_LINE + MAIL_LINE + RCPT_LINE * 2 + b"BDAT 3\r\nabcBDAT 3 LAST\r\nabc")
@example(EHLO_LINE + MAIL_LINE + RCPT_LINE + b"BDAT 3\r\nabcBDAT 2 FIRST\r\nabBDAT 0 LAST\r\n")
@example(EHLO_LINE + b"BDAT 3 LAST\r\nabcMAIL FROM:<>\r\nBDAT 3\r\nabc")
def test_every_command_content_and_rejection_has_one_reply(data: bytes) -> None:
    """There are as many replies as commands, ends of content and rejections. The reply to BDAT is
    that to the end of its octets."""
    events, sent = history([data])
    counted = [event for event in events if not isinstance(event, BodyChunk | Bdat)]
    assert len(codes_of(lines_of(sent))) == len(counted)


@pytest.mark.req("RFC5321-3.8-01", "RFC5321-4.1.1.10-02")
@given(STREAM)
def test_only_quit_and_421_close_the_connection(data: bytes) -> None:
    data = data.partition(b"STARTTLS\r\n")[0]  # octets after it are an attack
    server = ready_server(application=challenge_auth, mechanisms=("PLAIN",), auth_in_clear=True)
    codes = server.codes(data)
    quits = isinstance(server.events[-1], Quit) if server.events else False
    assert (server.machine.phase is Phase.CLOSED) == quits == (codes[-1:] == [221])
    assert 421 not in codes


@pytest.mark.req("RFC5321-3.8-01", "RFC5321-4.1.1.10-02")
@pytest.mark.parametrize(
    ("before", "refused"),
    [
        (b"", EHLO_LINE),
        (EHLO_LINE, MAIL_LINE),
        (EHLO_LINE + MAIL_LINE, RCPT_LINE),
        (EHLO_LINE + ENVELOPE_LINES, b"DATA\r\n"),
        (EHLO_LINE + TO_DATA, b".\r\n"),
        (EHLO_LINE, b"VRFY bob\r\n"),
        (EHLO_LINE, b"HELP\r\n"),
    ],
    ids=["EHLO", "MAIL", "RCPT", "DATA", "message", "VRFY", "HELP"],
)
def test_no_refusal_but_421_closes_the_connection(before: bytes, refused: bytes) -> None:
    for code in (*range(400, 421), *range(422, 600)):
        server = greeted_server()
        server.feed(before)
        assert is_question(server.ask(refused))
        server.machine.answer(Reply(code, None, "No"))
        assert server.codes(b"NOOP\r\nQUIT\r\n") == [code, 250, 221]


@pytest.mark.req("RFC2920-3.2-03")
@given(st.lists(st.booleans(), max_size=5))
def test_data_is_accepted_if_one_recipient_of_the_group_was(good: list[bool]) -> None:
    """DATA has 354 if at least one recipient was accepted, and 503 if not."""
    server, rcpts = server_that_accepts(good)
    replies = server.codes(MAIL_LINE + rcpts + b"DATA\r\n")
    assert replies == [
        250,
        *[250 if accepted else 550 for accepted in good],
        354 if any(good) else 503,
    ]


@pytest.mark.req("RFC2920-3.2-04")
@pytest.mark.parametrize("content", [b"DATA\r\n.\r\n", b"BDAT 0 LAST\r\n", b"DATA\r\nx\r\n.\r\n"])
@pytest.mark.parametrize("good", [[], [False], [False, False]])
def test_a_message_without_recipients_is_never_reported(content: bytes, good: list[bool]) -> None:
    server, rcpts = server_that_accepts(good)
    server.feed(MAIL_LINE + rcpts + content)
    assert not any(isinstance(event, BodyEnd) for event in server.events)
    assert server.codes(b"RSET\r\n" + MAIL_LINE) == [250, 250]

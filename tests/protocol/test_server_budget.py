"""What a client may do without getting a message accepted: errors, refusals, junk, discarding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from smtpproto.events import BodyEnd, ChunkEnd
from smtpproto.grammar.command import Data, Ehlo, Expn, Help, Mail, Rcpt, Vrfy
from smtpproto.grammar.extension_command import Auth, Bdat, Etrn, StartTLS
from smtpproto.grammar.reply import Reply
from smtpproto.limits import Limits
from smtpproto.protocol.phases import Phase
from tests.protocol.machines import (
    ENVELOPE_LINES,
    MAIL_LINE,
    RCPT_LINE,
    TO_DATA,
    ServerDriver,
    accept,
    bdat,
    bdat_last,
    ready_server,
    reply_to,
    server_with_recipient,
)

OPTIONS: dict[str, Any] = {
    "extensions": {"EXPN": "", "ETRN": "", "BINARYMIME": ""},
    "starttls": True,
}
MESSAGE = TO_DATA + b"hello\r\n.\r\n"
NO = Reply(550, "5.7.1", "No")
NOT_NOW = Reply(451, "4.3.0", "Not now")
ERRORS = {
    "unknown verb": b"FOO\r\n",
    "syntax error": b"MAIL FROM:x\r\n",
    "too long": b"NOOP " + b"x" * 600 + b"\r\n",
    "far too long": b"x" * 20000 + b"\r\n",
    "unknown parameter": b"MAIL FROM:<> FOO=BAR\r\n",
    "too big": b"MAIL FROM:<> SIZE=99999999999\r\n",
    "retired verb": b"TURN\r\n",
    "bad mechanism": b"AUTH FOO\r\n",
    "bad chunk": b"BDAT 1 X\r\n.",
}
JUNK = {
    "NOOP": b"NOOP\r\n",
    "RSET": b"RSET\r\n",
    "VRFY": b"VRFY ann\r\n",
    "EXPN": b"EXPN list\r\n",
    "HELP": b"HELP\r\n",
    "ETRN": b"ETRN example.org\r\n",
    "EHLO": b"EHLO again.example\r\n",
    "HELO": b"HELO again.example\r\n",
    "out of order": b"DATA\r\n",
    "MAIL and RSET": b"MAIL FROM:<>\r\nRSET\r\n",
}


def commands_until_closed(server: ServerDriver, data: bytes, most: int = 10_000) -> int:
    """Feed *data* until the machine closes; return how many times it was answered otherwise."""
    for count in range(most):
        if b"\r\n421 " in b"\r\n" + server.feed(data):
            assert server.machine.phase is Phase.CLOSED
            return count
    raise AssertionError("never closed")


@pytest.mark.parametrize("data", ERRORS.values(), ids=ERRORS)
def test_the_error_after_the_limit_is_answered_with_421(data: bytes) -> None:
    server = ready_server(limits=Limits(errors=5), mechanisms=("PLAIN",), secure=True)
    assert commands_until_closed(server, data) == 5


@pytest.mark.parametrize("reply", [NO, NOT_NOW], ids=["5yz", "4yz"])
@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (Ehlo, b"EHLO x.example\r\n"),
        (Mail, MAIL_LINE),
        (Data, TO_DATA + b"RSET\r\n"),
        (Bdat, ENVELOPE_LINES + bdat(b"hello") + b"RSET\r\n"),
        (ChunkEnd, ENVELOPE_LINES + bdat(b"hello") + b"RSET\r\n"),
        (Vrfy, b"VRFY ann\r\n"),
        (Expn, b"EXPN list\r\n"),
        (Help, b"HELP\r\n"),
        (Etrn, b"ETRN example.org\r\n"),
        (StartTLS, b"STARTTLS\r\n"),
    ],
)
def test_refusals_of_the_application_are_errors(kind: type, data: bytes, reply: Reply) -> None:
    limits = Limits(errors=5, junk_commands=1000)
    server = ready_server(application=reply_to(kind, reply), limits=limits, **OPTIONS)
    assert commands_until_closed(server, data) == 5


def test_a_temporarily_refused_login_is_an_error_and_a_failed_login_is_not() -> None:
    options: dict[str, Any] = {"mechanisms": ("PLAIN",), "secure": True}
    data = b"AUTH PLAIN AGFubgBzZWNyZXQ=\r\n"
    server = ready_server(
        application=reply_to(Auth, Reply(454, "4.7.0", "Later")), limits=Limits(errors=5), **options
    )
    assert commands_until_closed(server, data) == 5
    server = ready_server(
        application=reply_to(Auth, Reply(535, "5.7.8", "Wrong")),
        limits=Limits(errors=5, failed_logins=9),
        **options,
    )
    assert commands_until_closed(server, data) == 8  # the ninth is followed by 421


@pytest.mark.parametrize("content", [b"hello\r\n", b"bare\n\r\n"], ids=["by application", "by us"])
def test_a_refused_message_is_an_error_whose_reply_the_client_still_receives(
    content: bytes,
) -> None:
    server = ready_server(application=reply_to(BodyEnd, NO), limits=Limits(errors=3))
    for _ in range(3):
        assert server.codes(TO_DATA)[-1] == 354
        assert server.codes(content + b".\r\n") in ([550], [554])
    server.feed(TO_DATA)
    assert server.codes(content + b".\r\n") in ([550, 421], [554, 421])
    assert server.machine.phase is Phase.CLOSED


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_the_refused_recipient_after_the_limit_is_answered_with_421(limit: int) -> None:
    limits = Limits(refused_recipients=limit)
    server = ready_server(MAIL_LINE, application=reply_to(Rcpt, NO), limits=limits)
    assert commands_until_closed(server, RCPT_LINE) == limit


def test_badly_written_and_untimely_recipients_are_refused_recipients() -> None:
    for data in (b"RCPT TO:x\r\n", b"RCPT TO:<a@b.example> FOO\r\n", RCPT_LINE):
        server = ready_server(limits=Limits(errors=3, junk_commands=3, refused_recipients=7))
        assert commands_until_closed(server, data) == 7


@pytest.mark.parametrize(
    ("limits", "count"),
    [(Limits(), 1000), (Limits(recipients=3000), 3000), (Limits(errors=3), 1000)],
)
def test_all_recipients_of_a_transaction_may_be_refused(limits: Limits, count: int) -> None:
    server = ready_server(MAIL_LINE, application=reply_to(Rcpt, NO), limits=limits)
    assert commands_until_closed(server, RCPT_LINE) == count


def test_a_mailing_list_with_hundreds_of_refused_recipients_in_each_message_is_served() -> None:
    application = reply_to(Rcpt, NO, after=100)
    for _ in range(3):
        server = ready_server(application=accept)
        server.feed(MAIL_LINE, RCPT_LINE)
        server.application = application
        assert server.codes(RCPT_LINE * 999)[-1] == 550
        assert server.codes(b"DATA\r\nhello\r\n.\r\n") == [354, 250]


def test_a_client_may_pipeline_a_whole_transaction_after_a_refused_mail() -> None:
    server = ready_server(application=reply_to(Mail, NO), limits=Limits(errors=3))
    assert server.codes(MAIL_LINE + RCPT_LINE * 1000 + b"DATA\r\n") == [550] + [503] * 1001


@pytest.mark.parametrize("data", JUNK.values(), ids=JUNK)
@pytest.mark.parametrize("limit", [5, 6, 7])
def test_the_junk_command_after_the_limit_is_answered_with_421(data: bytes, limit: int) -> None:
    server = ready_server(limits=Limits(junk_commands=limit), **OPTIONS)  # EHLO is the first
    assert commands_until_closed(server, data) == limit - 1


def test_an_endless_row_of_empty_chunks_is_junk() -> None:
    server = server_with_recipient(limits=Limits(junk_commands=5))
    assert commands_until_closed(server, bdat(b"")) == 4
    server = server_with_recipient(limits=Limits(junk_commands=5))
    assert server.codes(bdat(b"x") * 100 + bdat_last(b"")) == [250] * 101


def test_the_commands_of_messages_are_no_junk() -> None:
    server = ready_server(limits=Limits(errors=3, junk_commands=3, refused_recipients=1))
    for _ in range(20):
        assert server.codes(MESSAGE)[-1] == 250


@pytest.mark.parametrize(
    "data", [b"FOO\r\n" * 3, b"NOOP\r\n" * 3, MAIL_LINE + b"RCPT TO:x\r\nRSET\r\n"]
)
@pytest.mark.parametrize("lmtp", [False, True])
def test_an_accepted_message_begins_the_count_anew(data: bytes, lmtp: bool) -> None:
    limits = Limits(errors=3, junk_commands=4, refused_recipients=1)
    server = ready_server(limits=limits, lmtp=lmtp)
    for _ in range(20):
        assert server.codes(data + MESSAGE)[-1] == 250


def test_a_refused_message_does_not_begin_the_count_anew() -> None:
    limits = Limits(junk_commands=10)
    server = ready_server(application=reply_to(BodyEnd, NO), limits=limits)
    assert commands_until_closed(server, b"NOOP\r\n" + MESSAGE) == 9


def test_in_lmtp_one_accepted_recipient_begins_the_count_anew() -> None:
    server = ready_server(
        application=reply_to(BodyEnd, NO, after=1), lmtp=True, limits=Limits(errors=3)
    )
    data = ENVELOPE_LINES + RCPT_LINE + b"DATA\r\nhello\r\n.\r\n"
    assert server.codes(b"FOO\r\n" * 3 + data)[-2:] == [250, 550]
    assert server.codes(b"FOO\r\n" * 2) == [500, 500]


@pytest.mark.parametrize("accepted_first", [0, 1, 500])
@pytest.mark.parametrize("end", [b"DATA\r\nhello\r\n.\r\n", bdat_last(b"hello")])
def test_in_lmtp_a_message_is_one_error_at_most_however_many_recipients_refuse_it(
    accepted_first: int, end: bytes
) -> None:
    application = reply_to(BodyEnd, NOT_NOW, after=accepted_first)
    server = ready_server(application=application, lmtp=True, limits=Limits(errors=3))
    replies = server.codes(MAIL_LINE + RCPT_LINE * 1000 + end)
    assert replies[-1000:] == [250] * accepted_first + [451] * (1000 - accepted_first)
    errors_left = 3 - (accepted_first == 0)
    assert server.codes(b"FOO\r\n" * 4) == [500] * errors_left + [421]


def test_in_lmtp_each_message_that_no_recipient_accepts_is_an_error() -> None:
    server = ready_server(application=reply_to(BodyEnd, NO), lmtp=True, limits=Limits(errors=3))
    data = ENVELOPE_LINES + RCPT_LINE + b"DATA\r\nhello\r\n.\r\n"
    assert [server.codes(data)[4:] for _ in range(4)] == [[550, 550]] * 3 + [[550, 550, 421]]


# -- refused content -------------------------------------------------------------------------------


def _refused_chunk(size: int, limits: Limits) -> ServerDriver:
    """Return a server that was sent *size* octets of a refused chunk of a megabyte."""
    server = ready_server(limits=limits)
    server.feed(b"BDAT 1000000\r\n", b"x" * size)
    return server


def _refused_data(size: int, limits: Limits) -> ServerDriver:
    """Return a server that was sent *size* octets of content with a bare LF."""
    server = server_with_recipient(limits=limits)
    server.feed(b"DATA\r\n", b"\n" + b"x" * (size - 1))
    return server


@pytest.mark.parametrize(("make", "code"), [(_refused_chunk, 503), (_refused_data, 554)])
@pytest.mark.parametrize(("size", "closed"), [(99_999, False), (100_000, False), (100_001, True)])
def test_refused_content_is_read_up_to_its_limit_then_the_refusal_and_421_are_sent(
    make: Callable[[int, Limits], ServerDriver], code: int, size: int, closed: bool
) -> None:
    server = make(size, Limits(discarded_content=100_000))
    assert (server.machine.phase is Phase.CLOSED) == closed
    if not closed:
        server.feed(b"x")
        server.feed(b"x")
    assert server.machine.phase is Phase.CLOSED
    assert [event.reply.code for event in server.rejected] == [code]


@pytest.mark.parametrize(("make", "code"), [(_refused_chunk, 503), (_refused_data, 554)])
def test_the_refusal_is_sent_before_421(
    make: Callable[[int, Limits], ServerDriver], code: int
) -> None:
    server = make(100_000, Limits(discarded_content=100_000))
    assert server.codes(b"x" * 5, b"NOOP\r\n") == [code, 421]


def test_in_lmtp_each_recipient_gets_the_refusal_before_421() -> None:
    server = ready_server(ENVELOPE_LINES + RCPT_LINE, lmtp=True, limits=Limits(discarded_content=9))
    assert server.codes(b"DATA\r\n\n" + b"x" * 99) == [354, 554, 554, 421]


def test_a_message_beyond_the_size_limit_is_not_read_to_its_end() -> None:
    limits = Limits(message_size=65536, discarded_content=200_000)
    server = server_with_recipient(limits=limits)
    server.feed(b"DATA\r\n")
    sent, replies = 0, [0]
    while server.machine.phase is not Phase.CLOSED:
        replies = server.codes(b"x" * 1000)
        sent += 1000
    assert replies == [552, 421] and 265_000 <= sent <= 270_000


def test_the_limit_holds_for_all_refused_chunks_together() -> None:
    server = ready_server(limits=Limits(discarded_content=100))
    assert server.codes(bdat(b"x" * 40) * 3) == [503, 503, 503, 421]
    server = ready_server(limits=Limits(discarded_content=100))
    assert server.codes((bdat(b"x" * 80) + MESSAGE) * 9).count(421) == 0


def test_accepted_content_is_not_counted() -> None:
    server = server_with_recipient(limits=Limits(discarded_content=0))
    assert server.codes(bdat(b"x" * 99), bdat_last(b"x" * 99)) == [250, 250]

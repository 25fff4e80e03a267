"""LMTP (RFC 2033) on a server."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto.errors import LocalProtocolError
from smtpproto.events import BodyEnd, ChunkEnd, Question
from smtpproto.grammar.address import ForwardPath
from smtpproto.grammar.command import Data, Ehlo, Rcpt
from smtpproto.grammar.extension_command import Bdat, Lhlo
from smtpproto.grammar.reply import Reply
from smtpproto.limits import Limits
from smtpproto.protocol.phases import Phase
from smtpproto.protocol.server import ServerProtocol

from .machines import (
    ENVELOPE_LINES,
    LHLO,
    MAIL_LINE,
    RCPT,
    RCPT_CARL,
    RCPT_LINE,
    ServerDriver,
    codes_of,
    lines_of,
    ready_server,
    reply_to,
)

THREE_RECIPIENTS = ENVELOPE_LINES + b"RCPT TO:<carl@example.org>\r\n" + RCPT_LINE
THREE_TO_DATA = THREE_RECIPIENTS + b"DATA\r\n"
PATHS = (RCPT.path, RCPT_CARL.path, RCPT.path)


def lmtp(*data: bytes, **options: Any) -> ServerDriver:
    return ready_server(*data, lmtp=True, **options)


class PerRecipient:
    """Answers BodyEnd with *replies*, then accepts; *owed* are the recipients asked about."""

    def __init__(self, *replies: Reply | None) -> None:
        self.replies = iter(replies)
        self.machine: ServerProtocol | None = None
        self.owed: list[ForwardPath] = []

    def __call__(self, question: Question) -> Reply | None:
        if not isinstance(question, BodyEnd) or self.machine is None:
            return None
        self.owed.append(self.machine.owed[0])
        return next(self.replies, None)


def server_with_replies(
    *replies: Reply | None, data: bytes = THREE_TO_DATA
) -> tuple[ServerDriver, PerRecipient]:
    application = PerRecipient(*replies)
    server = lmtp(data, application=application)
    application.machine = server.machine
    return server, application


@pytest.mark.req("RFC2033-4.1-01", "RFC2033-5-02", "RFC2033-5-03")
def test_lhlo_offers_like_ehlo() -> None:
    server = ServerDriver(lmtp=True)
    lines = server.lines(b"lhlo client.example\r\n")[1:]
    assert server.events[-1] == LHLO
    assert lines[0] == "250-mx.example.org greets you"
    keywords = [line[4:] for line in lines[1:]]
    assert {"PIPELINING", "ENHANCEDSTATUSCODES", "8BITMIME"} <= set(keywords)
    assert keywords == server.machine.terms.offered.lines()
    assert server.machine.terms.negotiated == server.machine.terms.offered
    assert server.machine.phase is Phase.READY
    server.feed(MAIL_LINE + RCPT_LINE)
    assert server.codes(b"LHLO client.example\r\n", b"DATA\r\n") == [250, 503]
    for keyword in ("PIPELINING", "ENHANCEDSTATUSCODES"):
        with pytest.raises(ValueError, match="RFC 2033 5"):
            ServerDriver(lmtp=True, extensions={keyword: None})


@pytest.mark.req("RFC2033-4.1-02")
@pytest.mark.parametrize(
    "before", [b"", b"LHLO a.example\r\n", b"LHLO a.example\r\n" + MAIL_LINE + RCPT_LINE]
)
@pytest.mark.parametrize("line", [b"EHLO a.example\r\n", b"HELO a.example\r\n", b"ehlo\r\n"])
def test_ehlo_and_helo_are_refused_with_500(before: bytes, line: bytes) -> None:
    server = ServerDriver(lmtp=True)
    server.feed(before or b"NOOP\r\n")
    phase, envelope = server.machine.phase, server.machine.envelope
    assert server.codes(line) == [500]
    assert server.machine.phase is phase
    assert server.machine.envelope == envelope
    hellos = [event for event in server.events if isinstance(event, Ehlo)]
    assert all(isinstance(event, Lhlo) for event in hellos)


@pytest.mark.req("RFC2033-4.1-03")
def test_an_smtp_server_refuses_lhlo_with_500() -> None:
    server = ServerDriver()
    assert server.codes(b"LHLO client.example\r\n")[1:] == [500]
    assert server.machine.phase is Phase.START
    assert server.codes(b"EHLO client.example\r\n", b"LHLO client.example\r\n") == [250, 500]


def test_mail_before_lhlo_is_refused_with_503() -> None:
    server = ServerDriver(lmtp=True)
    assert server.codes(MAIL_LINE, RCPT_LINE, b"DATA\r\n", b"NOOP\r\n")[1:] == [503, 503, 503, 250]


@pytest.mark.parametrize(("line", "code"), [(b"LHLO\r\n", 501), (b"LHLO a\0b\r\n", 501)])
def test_a_bad_lhlo_changes_nothing(line: bytes, code: int) -> None:
    server = ServerDriver(lmtp=True)
    assert server.lines(line)[1].startswith(f"{code} ")
    assert server.machine.phase is Phase.START


@pytest.mark.req("RFC2033-4.2-02")
def test_content_has_one_reply_for_each_recipient_in_order() -> None:
    full = Reply(452, "4.2.2", "Over quota")
    server, application = server_with_replies(None, full, Reply(250, "2.0.0", "Twice"))
    assert server.lines(b"text\r\n.\r\n") == [
        "250 2.0.0 Message accepted",
        "452 4.2.2 Over quota",
        "250 2.0.0 Twice",
    ]
    assert application.owed == list(PATHS), "a duplicate has a reply of its own"
    assert server.events[-1] == BodyEnd(6)
    assert server.machine.owed == ()
    assert server.machine.phase is Phase.READY
    assert server.codes(b"DATA\r\n", MAIL_LINE, b"DATA\r\n") == [503, 250, 503], (
        "the transaction is over"
    )


@pytest.mark.req("RFC2033-4.2-02", "RFC2033-5-09")
@given(st.lists(st.booleans(), min_size=1, max_size=8), st.booleans(), st.data())
def test_refused_recipients_have_no_reply_after_the_content(
    good: list[bool], chunks: bool, data: st.DataObject
) -> None:
    replies = [
        data.draw(st.sampled_from([None, Reply(550, None, "No"), Reply(452, None, "a\nb")]))
        for _ in range(sum(good))
    ]
    server, application = server_with_replies(*replies, data=MAIL_LINE)
    server.application = lambda question: (
        Reply(550, "5.1.1", "Unknown")
        if isinstance(question, Rcpt) and "no" in str(question.path)
        else application(question)
    )
    for number, is_good in enumerate(good):
        server.feed(b"RCPT TO:<%s%d@b.example>\r\n" % (b"yes" if is_good else b"no", number))
    content = b"BDAT 4 LAST\r\ntext" if chunks else b"DATA\r\ntext\r\n.\r\n"
    if not any(good):
        assert server.codes(content if chunks else b"DATA\r\n") == ([] if chunks else [503])
        return
    lines = server.lines(content)[0 if chunks else 1 :]
    assert codes_of(lines) == [250 if reply is None else reply.code for reply in replies]
    assert all(line[4:].startswith(f"{line[0]}.0.0 ") for line in lines), (
        "each has an enhanced code"
    )
    assert [str(path) for path in application.owed] == [
        f"yes{number}@b.example" for number, is_good in enumerate(good) if is_good
    ]


@pytest.mark.req("RFC2033-4.2-01")
def test_data_without_recipients_is_refused_with_503() -> None:
    server = lmtp(application=reply_to(Rcpt, Reply(550, "5.1.1", "Unknown")))
    assert server.codes(MAIL_LINE, b"DATA\r\n", RCPT_LINE, RCPT_LINE, b"DATA\r\n") == [
        250,
        503,
        550,
        550,
        503,
    ]
    assert not any(isinstance(event, Data) for event in server.events)
    assert server.machine.phase is Phase.MAIL


@pytest.mark.req("RFC2033-4.2-03")
def test_each_reply_is_sent_as_soon_as_the_application_answers() -> None:
    server = lmtp(THREE_TO_DATA)
    machine = server.machine
    machine.receive(b"text\r\n.\r\n")
    machine.next_event()
    assert isinstance(machine.next_event(), BodyEnd)
    for left in (2, 1, 0):
        assert machine.data_to_send() == b""
        with pytest.raises(LocalProtocolError):
            machine.next_event()
        machine.answer()
        assert lines_of(machine.data_to_send()) == ["250 2.0.0 Message accepted"]
        assert len(machine.owed) == left
        assert isinstance(machine.question, BodyEnd) is (left > 0)


def test_only_250_accepts_content_for_a_recipient() -> None:
    server = lmtp(THREE_TO_DATA)
    machine = server.machine
    machine.receive(b".\r\n")
    assert isinstance(machine.next_event(), BodyEnd)
    for code in (251, 354, 220):
        with pytest.raises(LocalProtocolError):
            machine.answer(Reply(code, None, ""))
    assert len(machine.owed) == 3
    assert machine.data_to_send() == b""


@pytest.mark.parametrize("before", [0, 1, 2])
def test_421_to_a_recipient_ends_the_replies_and_the_session(before: int) -> None:
    server, _ = server_with_replies(*[None] * before, Reply(421, "4.3.2", "Bye"))
    assert server.codes(b"text\r\n.\r\nNOOP\r\n") == [250] * before + [421]
    assert server.machine.owed == ()
    assert server.machine.phase is Phase.CLOSED
    assert server.machine.next_event() is None


@pytest.mark.req("RFC2033-4.2-02")
@pytest.mark.parametrize(
    ("content", "reply"),
    [
        (b"x" * 65537 + b"\r\n", "552 5.3.4 Message size exceeds fixed maximum message size"),
        (b"a\nb\r\n", "554 5.6.0 CR or LF alone in message content"),
    ],
)
def test_content_refused_by_the_machine_has_one_reply_for_each_recipient(
    content: bytes, reply: str
) -> None:
    server = lmtp(THREE_TO_DATA, limits=Limits(message_size=65536))
    assert server.lines(content + b".\r\n") == [reply] * 3
    assert len(server.rejected) == 1
    assert not any(isinstance(event, BodyEnd) for event in server.events)
    assert server.codes(b"DATA\r\n") == [503]


@pytest.mark.req("RFC2033-4.3-01", "RFC2033-4.3-02")
def test_only_the_last_chunk_has_one_reply_for_each_recipient() -> None:
    full = Reply(452, "4.2.2", "Over quota")
    server, application = server_with_replies(None, full, None, data=THREE_RECIPIENTS)
    assert server.codes(b"BDAT 4\r\ntext") == [250]
    assert server.codes(b"BDAT 0\r\n") == [250]
    assert server.codes(b"BDAT 2 LAST\r\n\r\n") == [250, 452, 250]
    assert application.owed == list(PATHS)


@pytest.mark.req("RFC2033-4.3-01")
@pytest.mark.parametrize("before", [MAIL_LINE, MAIL_LINE + b"RCPT TO:<\xc3\xa9@b.example>\r\n"])
def test_the_last_chunk_without_recipients_has_no_reply(before: bytes) -> None:
    server = lmtp(before)
    assert server.lines(b"BDAT 6 LAST\r\nQUIT\r\n") == []
    assert [rejected.reply.code for rejected in server.rejected] == [503]
    assert server.codes(b"BDAT 6\r\nQUIT\r\n", b"NOOP\r\n") == [503, 250], "any other chunk has one"


@pytest.mark.req("RFC2033-4.3-01", "RFC2033-4.3-02")
@pytest.mark.parametrize("kind", [Bdat, ChunkEnd])
def test_the_last_chunk_after_a_refused_one_has_one_reply_for_each_recipient(kind: type) -> None:
    """They were in flight, so the client expects one reply for each recipient to the last."""
    server = lmtp(THREE_RECIPIENTS, application=reply_to(kind, Reply(452, "4.3.1", "Disk full")))
    data = b"BDAT 4\r\nQUIT" * 2 + b"BDAT 4 LAST\r\nQUIT"
    assert server.codes(data, b"NOOP\r\n") == [452, 503, 503, 503, 503, 250]
    assert server.codes(b"BDAT 4 LAST\r\nQUIT") == [503], (
        "the rule applies to that transaction only"
    )
    for again in (b"RSET\r\n", MAIL_LINE, b"LHLO a.example\r\n"):
        server = lmtp(
            THREE_RECIPIENTS, application=reply_to(kind, Reply(452, "4.3.1", "Disk full"))
        )
        assert server.codes(b"BDAT 4\r\nQUIT", again) == [452, 250]
        assert len(server.codes(b"BDAT 4 LAST\r\nQUIT")) == (0 if again == MAIL_LINE else 1)
    server = lmtp(MAIL_LINE)
    assert server.codes(data, b"NOOP\r\n") == [503, 503, 250], (
        "without recipients the last chunk has no reply"
    )


def test_a_refused_last_chunk_has_one_reply_for_each_recipient() -> None:
    full = Reply(452, "4.3.1", "Disk full")
    for kind, line, replies in (
        (Bdat, b"BDAT 4\r\ntext", 1),
        (ChunkEnd, b"BDAT 4\r\ntext", 1),
        (Bdat, b"BDAT 4 LAST\r\ntext", 3),
        (BodyEnd, b"BDAT 4 LAST\r\ntext", 3),
    ):
        server = lmtp(THREE_RECIPIENTS, application=reply_to(kind, full))
        assert server.lines(line) == ["452 4.3.1 Disk full"] * replies
        assert server.machine.phase is Phase.READY
        assert server.codes(b"NOOP\r\n") == [250]
    server = lmtp(THREE_RECIPIENTS, limits=Limits(message_size=65536))
    assert server.codes(b"BDAT 65537 LAST\r\n" + b"x" * 65537) == [552] * 3

"""LMTP (RFC 2033) on both machines."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smtpproto.errors import LocalProtocolError, RemoteProtocolError
from smtpproto.events import Answer, BodyEnd, ChunkEnd, Disconnected, Question, Rejected, Step, asks
from smtpproto.grammar.address import ForwardPath
from smtpproto.grammar.command import Data, Ehlo, Helo, Rcpt, Rset
from smtpproto.grammar.domain import Domain
from smtpproto.grammar.extension_command import Bdat, Lhlo
from smtpproto.grammar.reply import Reply
from smtpproto.limits import Limits
from smtpproto.protocol.client import ClientProtocol
from smtpproto.protocol.phases import Phase
from smtpproto.protocol.server import ServerProtocol

from .machines import (
    EHLO,
    ENVELOPE_LINES,
    HOST,
    LHLO,
    MAIL,
    MAIL_LINE,
    RCPT,
    RCPT_CARL,
    RCPT_LINE,
    ServerDriver,
    assert_refused,
    codes_of,
    exchange,
    lines_of,
    ready_client,
    ready_server,
    receive,
    reply_to,
)

OK = b"250 2.0.0 ok\r\n"
THREE_RECIPIENTS = ENVELOPE_LINES + b"RCPT TO:<carl@example.org>\r\n" + RCPT_LINE
THREE_TO_DATA = THREE_RECIPIENTS + b"DATA\r\n"
PATHS = (RCPT.path, RCPT_CARL.path, RCPT.path)


def lmtp(*data: bytes, **options: Any) -> ServerDriver:
    return ready_server(*data, lmtp=True, **options)


class Asked:
    """Says these to each recipient's message, then yes; learns who was asked about."""

    def __init__(self, *replies: Reply | None) -> None:
        self.replies = iter(replies)
        self.machine: ServerProtocol | None = None
        self.owed: list[ForwardPath] = []

    def __call__(self, question: Question) -> Reply | None:
        if not isinstance(question, BodyEnd) or self.machine is None:
            return None
        self.owed.append(self.machine.owed[0])
        return next(self.replies, None)


def asked(*replies: Reply | None, data: bytes = THREE_TO_DATA) -> tuple[ServerDriver, Asked]:
    application = Asked(*replies)
    server = lmtp(data, application=application)
    application.machine = server.machine
    return server, application


# -- the server: hellos ------------------------------------------------------------------------


@pytest.mark.req("RFC2033-4.1-01", "RFC2033-5-02", "RFC2033-5-03")
def test_lhlo_is_ehlo() -> None:
    server = ServerDriver(lmtp=True)
    lines = server.lines(b"lhlo client.example\r\n")[1:]
    assert server.events[-1] == LHLO
    assert lines[0] == "250-mx.example.org greets you"
    keywords = [line[4:] for line in lines[1:]]
    assert {"PIPELINING", "ENHANCEDSTATUSCODES", "8BITMIME"} <= set(keywords)
    assert keywords == server.machine.offered.lines()
    assert server.machine.negotiated == server.machine.offered
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
def test_lmtp_knows_no_ehlo_and_no_helo(before: bytes, line: bytes) -> None:
    server = ServerDriver(lmtp=True)
    server.feed(before or b"NOOP\r\n")
    phase, envelope = server.machine.phase, server.machine.envelope
    assert server.codes(line) == [500]
    assert server.machine.phase is phase
    assert server.machine.envelope == envelope
    hellos = [event for event in server.events if isinstance(event, Ehlo)]
    assert all(isinstance(event, Lhlo) for event in hellos)


@pytest.mark.req("RFC2033-4.1-03")
def test_smtp_knows_no_lhlo() -> None:
    server = ServerDriver()
    assert server.codes(b"LHLO client.example\r\n")[1:] == [500]
    assert server.machine.phase is Phase.START
    assert server.codes(b"EHLO client.example\r\n", b"LHLO client.example\r\n") == [250, 500]


def test_before_lhlo() -> None:
    server = ServerDriver(lmtp=True)
    assert server.codes(MAIL_LINE, RCPT_LINE, b"DATA\r\n", b"NOOP\r\n")[1:] == [503, 503, 503, 250]


@pytest.mark.parametrize(("line", "code"), [(b"LHLO\r\n", 501), (b"LHLO \xc3\xa9.x\r\n", 501)])
def test_a_bad_lhlo_changes_nothing(line: bytes, code: int) -> None:
    server = ServerDriver(lmtp=True)
    assert server.lines(line)[1].startswith(f"{code} ")
    assert server.machine.phase is Phase.START


# -- the server: replies to a message ----------------------------------------------------------


@pytest.mark.req("RFC2033-4.2-02")
def test_one_reply_for_each_recipient_in_their_order() -> None:
    full = Reply(452, "4.2.2", "Over quota")
    server, application = asked(None, full, Reply(250, "2.0.0", "Twice"))
    assert server.lines(b"text\r\n.\r\n") == [
        "250 2.0.0 Message accepted",
        "452 4.2.2 Over quota",
        "250 2.0.0 Twice",
    ]
    assert application.owed == list(PATHS), "duplicates included"
    assert server.events[-1] == BodyEnd(6)
    assert server.machine.owed == ()
    assert server.machine.phase is Phase.READY
    assert server.codes(b"DATA\r\n", MAIL_LINE, b"DATA\r\n") == [503, 250, 503], "all is forgotten"


@pytest.mark.req("RFC2033-4.2-02", "RFC2033-5-09")
@given(st.lists(st.booleans(), min_size=1, max_size=8), st.booleans(), st.data())
def test_refused_recipients_have_none(good: list[bool], chunks: bool, data: st.DataObject) -> None:
    replies = [
        data.draw(st.sampled_from([None, Reply(550, None, "No"), Reply(452, None, "a\nb")]))
        for _ in range(sum(good))
    ]
    server, application = asked(*replies, data=MAIL_LINE)
    server.application = lambda question: (
        Reply(550, "5.1.1", "Unknown")
        if isinstance(question, Rcpt) and "no" in str(question.path)
        else application(question)
    )
    for number, yes in enumerate(good):
        server.feed(b"RCPT TO:<%s%d@b.example>\r\n" % (b"yes" if yes else b"no", number))
    content = b"BDAT 4 LAST\r\ntext" if chunks else b"DATA\r\ntext\r\n.\r\n"
    if not any(good):
        assert server.codes(content if chunks else b"DATA\r\n") == ([] if chunks else [503])
        return
    lines = server.lines(content)[0 if chunks else 1 :]
    assert codes_of(lines) == [250 if reply is None else reply.code for reply in replies]
    assert all(line[4:].startswith(f"{line[0]}.0.0 ") for line in lines), "each with its code"
    assert [str(path) for path in application.owed] == [
        f"yes{number}@b.example" for number, yes in enumerate(good) if yes
    ]


@pytest.mark.req("RFC2033-4.2-01")
def test_data_without_recipients() -> None:
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
def test_a_positive_reply_is_said_when_the_application_has_said_it() -> None:
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


def test_no_other_answer_suits() -> None:
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
def test_421_is_the_last_reply(before: int) -> None:
    server, _ = asked(*[None] * before, Reply(421, "4.3.2", "Bye"))
    assert server.codes(b"text\r\n.\r\nNOOP\r\n") == [250] * before + [421]
    assert server.machine.owed == ()
    assert server.machine.phase is Phase.CLOSED
    assert server.machine.next_event() is None


@pytest.mark.parametrize(
    ("content", "reply"),
    [
        (b"x" * 65537 + b"\r\n", "552 5.3.4 Message size exceeds fixed maximum message size"),
        (b"a\nb\r\n", "554 5.6.0 CR or LF alone in message content"),
    ],
)
def test_what_the_machine_refuses_it_refuses_to_each(content: bytes, reply: str) -> None:
    server = lmtp(THREE_TO_DATA, limits=Limits(message_size=65536))
    assert server.lines(content + b".\r\n") == [reply] * 3
    assert len(server.rejected) == 1
    assert not any(isinstance(event, BodyEnd) for event in server.events)
    assert server.codes(b"DATA\r\n") == [503]


# -- the server: chunks ------------------------------------------------------------------------


@pytest.mark.req("RFC2033-4.3-01", "RFC2033-4.3-02")
def test_replies_to_chunks() -> None:
    full = Reply(452, "4.2.2", "Over quota")
    server, application = asked(None, full, None, data=THREE_RECIPIENTS)
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
    assert server.codes(b"BDAT 6\r\nQUIT\r\n", b"NOOP\r\n") == [503, 250], "any other has one"


@pytest.mark.req("RFC2033-4.3-01", "RFC2033-4.3-02")
@pytest.mark.parametrize("kind", [Bdat, ChunkEnd])
def test_the_replies_to_chunks_that_follow_a_refused_one(kind: type) -> None:
    """They were on their way: the client counts on one for each recipient of the last."""
    server = lmtp(THREE_RECIPIENTS, application=reply_to(kind, Reply(452, "4.3.1", "Disk full")))
    data = b"BDAT 4\r\nQUIT" * 2 + b"BDAT 4 LAST\r\nQUIT"
    assert server.codes(data, b"NOOP\r\n") == [452, 503, 503, 503, 503, 250]
    assert server.codes(b"BDAT 4 LAST\r\nQUIT") == [503], "of that transaction only"
    for again in (b"RSET\r\n", MAIL_LINE, b"LHLO a.example\r\n"):
        server = lmtp(
            THREE_RECIPIENTS, application=reply_to(kind, Reply(452, "4.3.1", "Disk full"))
        )
        assert server.codes(b"BDAT 4\r\nQUIT", again) == [452, 250]
        assert len(server.codes(b"BDAT 4 LAST\r\nQUIT")) == (0 if again == MAIL_LINE else 1)
    server = lmtp(MAIL_LINE)
    assert server.codes(data, b"NOOP\r\n") == [503, 503, 250], "none of no recipients"


def test_a_refused_chunk_has_one_reply_and_a_refused_last_one_one_for_each() -> None:
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


# -- the client --------------------------------------------------------------------------------


def in_body(*replies: bytes, keywords: tuple[str, ...] = ()) -> ClientProtocol:
    """A client after 354, whose recipients (Bob, Carl, Bob ...) had these replies."""
    client = ready_client(*keywords, lmtp=True)
    exchange(client, MAIL)
    for rcpt, reply in zip([RCPT, RCPT_CARL, RCPT, RCPT_CARL], replies, strict=False):
        exchange(client, rcpt, reply=reply)
    exchange(client, Data(), reply=b"354 go\r\n")
    return client


def test_the_client_says_lhlo() -> None:
    client = ClientProtocol(lmtp=True)
    receive(client, b"220 ready\r\n")
    for hello in (EHLO, Helo(Domain("a.example"))):
        assert_refused(client, partial(client.send, hello), match="not a verb")
    client.send(LHLO)
    assert client.data_to_send() == b"LHLO client.example\r\n"
    receive(client, b"250-mx\r\n250-PIPELINING\r\n250 SIZE\r\n")
    assert client.extensions.lines() == ["PIPELINING", "SIZE"]
    smtp = ClientProtocol()
    receive(smtp, b"220 ready\r\n")
    assert_refused(smtp, lambda: smtp.send(LHLO), match="not a verb")


@pytest.mark.req("RFC2033-5-06")
def test_each_reply_is_given_as_it_comes() -> None:
    client = in_body(OK, OK, b"550 no\r\n", OK)
    client.send_body(b"text\r\n")
    sent = client.end_body()
    assert client.data_to_send() == b"text\r\n.\r\n"
    assert [entry.recipient for entry in sent] == [RCPT.path, RCPT_CARL.path, RCPT_CARL.path]
    assert {entry.what for entry in sent} == {Step.BODY_END}
    for number, reply in enumerate((OK, b"452 4.2.2 full\r\n", OK)):
        assert client.unanswered == sent[number:]
        (answer,) = receive(client, reply)
        assert answer.sent is sent[number]
        assert bytes(answer.reply) == reply
    assert client.phase is Phase.READY
    assert client.unanswered == ()
    exchange(client, MAIL)


@pytest.mark.req("RFC2033-4.2-04")
def test_a_reply_of_two_lines_is_one_reply() -> None:
    client = in_body(OK, OK)
    client.end_body()
    answers = receive(client, b"250-a\r\n250 b\r\n452 c\r\n")
    assert [answer.reply for answer in answers] == [Reply(250, None, "a\nb"), Reply(452, None, "c")]
    assert [answer.sent.recipient for answer in answers] == [RCPT.path, RCPT_CARL.path]


@pytest.mark.req("RFC2033-5-07")
@pytest.mark.parametrize("come", [0, 1, 2])
def test_the_end_after_some_replies(come: int) -> None:
    """What was said counts; whose reply did not come is named."""
    client = in_body(OK, OK, OK)
    sent = client.end_body()
    answers = receive(client, *[OK] * come)
    assert [answer.sent for answer in answers] == list(sent[:come])
    client.receive(b"")
    assert client.next_event() == Disconnected(sent[come:])


def test_421_in_the_middle() -> None:
    client = in_body(OK, OK, OK)
    sent = client.end_body()
    client.receive(OK + b"421 4.3.2 bye\r\n")
    assert [client.next_event(), client.next_event()] == [
        Answer(sent[0], Reply(250, "2.0.0", "ok")),
        Answer(sent[1], Reply(421, "4.3.2", "bye")),
    ]
    assert client.next_event() == Disconnected(sent[2:])


def test_a_reply_too_many() -> None:
    client = in_body(OK)
    client.end_body()
    client.receive(OK + OK)
    assert isinstance(client.next_event(), Answer)
    with pytest.raises(RemoteProtocolError):
        client.next_event()


def test_yes_to_data_without_recipients_makes_no_sense() -> None:
    """RFC 2033 4.2: it has 503; behind it, nobody could tell how many replies come."""
    client = ready_client("PIPELINING", lmtp=True)
    for command in (MAIL, RCPT, Data()):
        client.send(command)
    receive(client, OK, b"550 no\r\n")
    client.receive(b"354 go\r\n")
    with pytest.raises(RemoteProtocolError):
        client.next_event()
    assert client.phase is Phase.CLOSED


def test_recipients_are_those_of_this_transaction() -> None:
    """Even if the next one was under way before the replies to this one."""
    client = ready_client("PIPELINING", lmtp=True)
    for command in (MAIL, RCPT, RCPT, Rset(), MAIL, RCPT_CARL, Data()):
        client.send(command)
    receive(client, OK * 6, b"354 go\r\n")
    assert [entry.recipient for entry in client.end_body()] == [RCPT_CARL.path]


def test_chunks_are_not_pipelined() -> None:
    """How many replies the last one has is known when those before it have come."""
    client = ready_client("PIPELINING", "CHUNKING", lmtp=True)
    client.send(MAIL)
    client.send(RCPT)
    client.data_to_send()
    assert_refused(client, lambda: client.send_chunk(b"a", last=True), match="not known")
    receive(client, OK, OK)
    client.send_chunk(b"a", last=False)
    client.data_to_send()
    assert_refused(client, lambda: client.send_chunk(b"a", last=False), match="wait")
    receive(client, OK)
    client.send_chunk(b"b", last=True)
    client.data_to_send()
    assert_refused(client, lambda: client.send(MAIL), match="wait")


@pytest.mark.req("RFC2033-5-08")
@given(st.lists(st.booleans(), min_size=1, max_size=6), st.booleans())
def test_as_many_replies_are_expected_as_recipients_were_accepted(
    good: list[bool], chunks: bool
) -> None:
    client = ready_client("PIPELINING", "CHUNKING", lmtp=True)
    rcpts = [Rcpt(ForwardPath.of(f"{number}@b.example")) for number in range(len(good))]
    for command in (MAIL, *rcpts):
        client.send(command)
    receive(client, OK, *[OK if yes else b"550 no\r\n" for yes in good])
    if not any(good):
        client.data_to_send()
        assert_refused(client, lambda: client.send_chunk(b"", last=True))
        assert_refused(client, lambda: client.send(Data()))
        return
    if not chunks:
        exchange(client, Data(), reply=b"354 go\r\n")
    sent = client.send_chunk(b"", last=True) if chunks else client.end_body()
    wanted = [rcpt.path for rcpt, yes in zip(rcpts, good, strict=True) if yes]
    assert [entry.recipient for entry in sent] == wanted
    assert client.unanswered == sent


# -- both --------------------------------------------------------------------------------------


class Pair:
    """Both machines; the application knows the recipients whose number is *good*, and exchange
    *verdicts* of their message, then yes."""

    def __init__(self, good: list[bool], verdicts: list[int | None], cut: int) -> None:
        self.client = ClientProtocol(lmtp=True)
        self.server = ServerProtocol(hostname=HOST, lmtp=True)
        self.good, self.verdicts, self.cut = good, iter(verdicts), cut
        self.rcpts = [Rcpt(ForwardPath.of(f"{n}@b.example")) for n in range(len(good))]
        self.asked: list[tuple[ForwardPath, bool]] = []
        self.answers: list[Answer] = []

    def reply(self) -> Reply | None:
        question = self.server.question
        if isinstance(question, Rcpt) and not self.good[self.rcpts.index(question)]:
            return Reply(550, None, "No")
        if not isinstance(question, BodyEnd):
            return None
        code = next(self.verdicts, None)
        self.asked.append((self.server.owed[0], code in (None, 250)))
        return None if code is None else Reply(code, None, "So")

    def serve(self) -> bytes:
        while (event := self.server.next_event()) is not None:
            while asks(event) and self.server.question is event:
                self.server.answer(self.reply())
            assert not isinstance(event, Rejected) or event.reply.code == 503
        return self.server.data_to_send()

    def settle(self) -> None:
        down = self.serve()
        for piece in self.cuts(self.client.data_to_send()):
            self.server.receive(piece)
            down += self.serve()
        for piece in self.cuts(down):
            self.client.receive(piece)
            while isinstance(event := self.client.next_event(), Answer):
                self.answers.append(event)

    def cuts(self, data: bytes) -> list[bytes]:
        return [data[start : start + self.cut] for start in range(0, len(data), self.cut)]


@settings(max_examples=200)
@given(
    st.lists(st.booleans(), min_size=1, max_size=6),
    st.lists(st.sampled_from([None, 250, 452, 550, 421]), max_size=6),
    st.integers(1, 60),
)
def test_they_agree_for_whom_the_message_was_taken(
    good: list[bool], verdicts: list[int | None], cut: int
) -> None:
    pair = Pair(good, verdicts, cut)
    client = pair.client
    pair.settle()
    client.send(LHLO)
    pair.settle()
    for command in (MAIL, *pair.rcpts, Data()):
        client.send(command)
    pair.settle()
    assert (client.phase is Phase.BODY) is any(good)
    if not any(good):
        return
    client.send_body(b".\r\nQUIT\r\n")
    sent = client.end_body()
    pair.settle()
    ends = [answer for answer in pair.answers if answer.sent in sent]
    assert [(end.sent.recipient, end.reply.positive) for end in ends] == pair.asked
    closed = 421 in verdicts[: len(ends)]
    assert client.unanswered == (sent[len(ends) :] if closed else ())
    assert len(ends) == sum(good) or closed
    assert client.phase is pair.server.phase

"""Both machines back to back in SMTP and LMTP, with random messages, chunks and refusals."""

from __future__ import annotations

import pytest
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st

from smtpproto.errors import LocalProtocolError
from smtpproto.events import Answer, BodyChunk, BodyEnd, ChunkEnd, Question, Rejected, is_question
from smtpproto.events import Step as End
from smtpproto.grammar.command import Command, Data, Mail, Rset
from smtpproto.grammar.envelope import Envelope
from smtpproto.grammar.extension_command import Bdat
from smtpproto.grammar.parameters import Body, MailParameters
from smtpproto.grammar.reply import Reply
from smtpproto.protocol.client import ClientProtocol
from smtpproto.protocol.phases import Phase
from smtpproto.protocol.server import ServerProtocol

from .machines import EHLO, HOST, LHLO, MAIL, RCPT, RCPT_CARL

BINARY = Mail(MAIL.path, MailParameters(body=Body.BINARY_MIME))
CONTENT = [b"", b"a", b"\r\n.\r\n", b"QUIT\r\n", b"\r", b"\n", b"\xff\0"]
Chunk = tuple[bytes, bool]
Step = Command | Chunk
CHUNKS: list[Step] = [(content, last) for content in CONTENT for last in (False, True)]
OTHER_STEPS: list[Step] = [MAIL, RCPT, RCPT_CARL, Rset(), Data(), *CHUNKS[:2]]
REFUSALS = [False] * 5 + [True]  # whether the server refuses
DISK_FULL = Reply(452, "4.3.1", "Full")


@define
class Pair:
    """A client that sends only what is in order, and a server that refuses at random."""

    lmtp: bool
    pipelining: bool
    refusals: list[bool]
    client: ClientProtocol = field(init=False)
    server: ServerProtocol = field(init=False)
    to_server: bytes = b""
    expected_replies: int = 0
    answers: list[Answer] = field(factory=list)
    content: bytes = b""
    delivered: list[tuple[Envelope, bytes, list[bool]]] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.client = ClientProtocol(lmtp=self.lmtp)
        self.server = ServerProtocol(
            hostname=HOST,
            lmtp=self.lmtp,
            extensions={"BINARYMIME": ""}
            | ({} if self.pipelining or self.lmtp else {"PIPELINING": None}),
        )
        refusals, self.refusals = self.refusals, []
        self.settle()
        self.client.send(LHLO if self.lmtp else EHLO)
        self.settle()
        self.refusals, self.answers = refusals, []

    def send(self, step: Step) -> bool:
        """Send *step* if it is in order. Return whether it was; if not, nothing was sent."""
        try:
            if isinstance(step, Command):
                self.client.send(step)
                self.expected_replies += 1
            else:
                self.expected_replies += len(self.client.send_chunk(step[0], last=step[1]))
        except LocalProtocolError:
            assert self.client.data_to_send() == b""
            return False
        self.to_server += self.client.data_to_send()
        return True

    def choices(self) -> list[Step]:
        """Return steps to choose from, most of them the next of a transaction."""
        client = self.client
        if client.allows("BDAT"):
            more: list[Step] = [RCPT, RCPT_CARL] * 8 if client.allows("RCPT") else []
            return [*CHUNKS * 2, *more, *[Data()] * 6, *OTHER_STEPS]
        likely: list[Step] = [Rset()] if client.phase is Phase.FAILED else [MAIL, BINARY]
        return [*([RCPT, RCPT_CARL] if client.allows("RCPT") else likely) * 15, *OTHER_STEPS]

    def settle(self, cut: int = 1 << 20) -> None:
        """Carry all octets to the server, *cut* at a time, and the replies back."""
        self.to_server += self.client.data_to_send()
        while self.to_server:
            piece, self.to_server = self.to_server[:cut], self.to_server[cut:]
            self.server.receive(piece)
            self.serve()
        self.serve()
        self.read_replies()
        if self.client.phase is Phase.BODY:
            self.expected_replies += len(self.client.end_body())
            self.settle(cut)

    def read_replies(self) -> None:
        octets = self.server.data_to_send()
        for i in range(len(octets)):
            self.client.receive(octets[i : i + 1])
            while (event := self.client.next_event()) is not None:
                assert isinstance(event, Answer)
                self.answers.append(event)

    def serve(self) -> None:
        while (event := self.server.next_event()) is not None:
            if isinstance(event, BodyChunk):
                self.content += event.data
            if isinstance(event, Rejected):
                assert event.reply.code in (452, 503), (
                    "452 ends a refused chunk; 503 answers a step after a refusal"
                )
                self.content = b""
            if is_question(event):
                self.reply(event)

    def reply(self, event: Question) -> None:
        if isinstance(event, BodyEnd):
            assert event.size == len(self.content)
            self.deliver()
            return
        refuse = bool(self.refusals) and self.refusals.pop()
        if isinstance(event, Mail) or (isinstance(event, Bdat | ChunkEnd) and refuse):
            self.content = b""
        self.server.answer(DISK_FULL if refuse else None)

    def deliver(self) -> None:
        envelope, accepted = self.server.envelope, []
        while isinstance(self.server.question, BodyEnd):
            accepted.append(not (bool(self.refusals) and self.refusals.pop()))
            self.server.answer(None if accepted[-1] else DISK_FULL)
        self.delivered.append((envelope, self.content, accepted))
        self.content = b""


def is_last(answer: Answer) -> bool:
    what = answer.sent.what
    return what is End.BODY_END or (isinstance(what, Bdat) and what.last)


@pytest.mark.req("RFC2033-5-08")
@settings(max_examples=settings().max_examples * 3 // 2)
@given(st.booleans(), st.booleans(), st.lists(st.sampled_from(REFUSALS), max_size=30), st.data())
def test_both_machines_agree_on_random_chunks_and_refusals(
    lmtp: bool, pipelining: bool, refusals: list[bool], data: st.DataObject
) -> None:
    pair = Pair(lmtp, pipelining, refusals)
    sent: list[bytes] = []
    message = b""
    for settled in data.draw(st.lists(st.booleans(), min_size=12, max_size=40)):
        if settled:
            pair.settle(7)
        step = data.draw(st.sampled_from(pair.choices()))
        if not pair.send(step):
            pair.settle(7)  # it may be allowed after the replies in flight
            continue
        if isinstance(step, Mail):
            message = b""
        if not isinstance(step, Command):
            message += step[0]
            sent += [message] if step[1] else []
    pair.settle(5)
    client, server = pair.client, pair.server
    assert client.unanswered == ()
    assert len(pair.answers) == pair.expected_replies, "as many replies as the client expected"
    assert client.in_flight == 0
    phase = Phase.READY if client.phase is Phase.FAILED else client.phase
    assert phase is server.phase
    assert not server.buffer
    for envelope, content, accepted in pair.delivered:
        assert content == b"" or content in sent
        assert len(accepted) == (len(envelope.recipients) if lmtp else 1)
    ends = [answer for answer in pair.answers if is_last(answer)]
    if lmtp:
        taken = [answer.sent.recipient for answer in ends if answer.reply.positive]
        assert taken == [
            path
            for envelope, _, accepted in pair.delivered
            for path, accept in zip(envelope.recipients, accepted, strict=True)
            if accept
        ], "each recipient has its own reply"
    else:
        assert sum(answer.reply.positive for answer in ends) == sum(
            accepted[0] for _, _, accepted in pair.delivered
        )


def test_binary_content_arrives_octet_for_octet() -> None:
    pair = Pair(lmtp=False, pipelining=True, refusals=[])
    for step in (BINARY, RCPT, RCPT_CARL, (bytes(range(256)), False), (b"\r\n.\r\n", True)):
        assert pair.send(step)
    pair.settle(3)
    envelope = Envelope(
        "ann@example.org", ["bob@example.org", "carl@example.org"], BINARY.parameters
    )
    assert pair.delivered == [(envelope, bytes(range(256)) + b"\r\n.\r\n", [True])]

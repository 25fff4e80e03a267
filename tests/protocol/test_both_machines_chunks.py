"""Both machines back to back, in SMTP and LMTP: random messages, chunks and refusals."""

from __future__ import annotations

import pytest
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st

from smtpproto.errors import LocalProtocolError
from smtpproto.events import Answer, BodyChunk, BodyEnd, ChunkEnd, Question, Rejected, asks
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
OTHERS: list[Step] = [MAIL, RCPT, RCPT_CARL, Rset(), Data(), *CHUNKS[:2]]
TOSSES = [False] * 5 + [True]  # whether to say no
NO = Reply(452, "4.3.1", "Full")


@define
class Pair:
    """A client that says what is in order, a server that says yes or no by the toss."""

    lmtp: bool
    pipelining: bool
    tosses: list[bool]
    client: ClientProtocol = field(init=False)
    server: ServerProtocol = field(init=False)
    up: bytes = b""
    promised: int = 0
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
        tosses, self.tosses = self.tosses, []
        self.settle()
        self.client.send(LHLO if self.lmtp else EHLO)
        self.settle()
        self.tosses, self.answers = tosses, []

    def say(self, step: Step) -> bool:
        """Say it if it is in order; else nothing has left."""
        try:
            if isinstance(step, Command):
                self.client.send(step)
                self.promised += 1
            else:
                self.promised += len(self.client.send_chunk(step[0], last=step[1]))
        except LocalProtocolError:
            assert self.client.data_to_send() == b""
            return False
        self.up += self.client.data_to_send()
        return True

    def thoughts(self) -> list[Step]:
        """Steps; most often one that brings a transaction on."""
        client = self.client
        if client.allows("BDAT"):
            more: list[Step] = [RCPT, RCPT_CARL] * 8 if client.allows("RCPT") else []
            return [*CHUNKS * 2, *more, *[Data()] * 6, *OTHERS]
        usual: list[Step] = [Rset()] if client.phase is Phase.FAILED else [MAIL, BINARY]
        return [*([RCPT, RCPT_CARL] if client.allows("RCPT") else usual) * 15, *OTHERS]

    def settle(self, cut: int = 1 << 20) -> None:
        """Carry all there is to the server and back, *cut* octets at once."""
        self.up += self.client.data_to_send()
        while self.up:
            piece, self.up = self.up[:cut], self.up[cut:]
            self.server.receive(piece)
            self.serve()
        self.serve()
        self.listen()
        if self.client.phase is Phase.BODY:
            self.promised += len(self.client.end_body())
            self.settle(cut)

    def listen(self) -> None:
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
                assert event.reply.code in (452, 503), "only what a refusal has put out of order"
                self.content = b""
            if asks(event):
                self.reply(event)

    def reply(self, event: Question) -> None:
        if isinstance(event, BodyEnd):
            assert event.size == len(self.content)
            self.deliver()
            return
        no = bool(self.tosses) and self.tosses.pop()
        if isinstance(event, Mail) or (isinstance(event, Bdat | ChunkEnd) and no):
            self.content = b""
        self.server.answer(NO if no else None)

    def deliver(self) -> None:
        envelope, said = self.server.envelope, []
        while isinstance(self.server.question, BodyEnd):
            said.append(not (bool(self.tosses) and self.tosses.pop()))
            self.server.answer(None if said[-1] else NO)
        self.delivered.append((envelope, self.content, said))
        self.content = b""


def is_last(answer: Answer) -> bool:
    what = answer.sent.what
    return what is End.BODY_END or (isinstance(what, Bdat) and what.last)


@pytest.mark.req("RFC2033-5-08")
@settings(max_examples=300)
@given(st.booleans(), st.booleans(), st.lists(st.sampled_from(TOSSES), max_size=30), st.data())
def test_they_stay_in_step(
    lmtp: bool, pipelining: bool, tosses: list[bool], data: st.DataObject
) -> None:
    pair = Pair(lmtp, pipelining, tosses)
    sent: list[bytes] = []
    whole = b""
    for settled in data.draw(st.lists(st.booleans(), min_size=12, max_size=40)):
        if settled:
            pair.settle(7)
        step = data.draw(st.sampled_from(pair.thoughts()))
        if not pair.say(step):
            pair.settle(7)  # it may have been too early only
            continue
        if isinstance(step, Mail):
            whole = b""
        if not isinstance(step, Command):
            whole += step[0]
            sent += [whole] if step[1] else []
    pair.settle(5)
    client, server = pair.client, pair.server
    assert client.unanswered == ()
    assert len(pair.answers) == pair.promised, "as many replies as were promised"
    assert client.in_flight == 0
    where = Phase.READY if client.phase is Phase.FAILED else client.phase
    assert where is server.phase
    assert not server.has_unread_input
    for envelope, content, said in pair.delivered:
        assert content == b"" or content in sent
        assert len(said) == (len(envelope.recipients) if lmtp else 1)
    ends = [answer for answer in pair.answers if is_last(answer)]
    if lmtp:
        taken = [answer.sent.recipient for answer in ends if answer.reply.positive]
        assert taken == [
            path
            for envelope, _, said in pair.delivered
            for path, yes in zip(envelope.recipients, said, strict=True)
            if yes
        ], "each recipient by its own reply"
    else:
        assert sum(answer.reply.positive for answer in ends) == sum(
            said[0] for _, _, said in pair.delivered
        )


def test_what_is_sent_is_what_arrives() -> None:
    pair = Pair(lmtp=False, pipelining=True, tosses=[])
    for step in (BINARY, RCPT, RCPT_CARL, (bytes(range(256)), False), (b"\r\n.\r\n", True)):
        assert pair.say(step)
    pair.settle(3)
    envelope = Envelope(
        "ann@example.org", ["bob@example.org", "carl@example.org"], BINARY.parameters
    )
    assert pair.delivered == [(envelope, bytes(range(256)) + b"\r\n.\r\n", [True])]

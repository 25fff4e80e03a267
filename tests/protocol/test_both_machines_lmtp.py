"""Both machines back to back in LMTP, with random verdicts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from smtpproto.events import Answer, BodyEnd, Rejected, is_question
from smtpproto.grammar.address import ForwardPath
from smtpproto.grammar.command import Data, Rcpt
from smtpproto.grammar.reply import Reply
from smtpproto.protocol.client import ClientProtocol
from smtpproto.protocol.phases import Phase
from smtpproto.protocol.server import ServerProtocol

from .machines import (
    HOST,
    LHLO,
    MAIL,
)


class Pair:
    """Both machines. The application accepts the recipients whose item in *good* is true, and
    replies with *verdicts* to their message, then accepts."""

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
            while is_question(event) and self.server.question is event:
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


@given(
    st.lists(st.booleans(), min_size=1, max_size=6),
    st.lists(st.sampled_from([None, 250, 452, 550, 421]), max_size=6),
    st.integers(1, 60),
)
def test_both_machines_agree_which_recipients_were_accepted(
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

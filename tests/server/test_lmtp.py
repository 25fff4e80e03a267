"""A server of LMTP: an answer for each recipient."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import pytest
from attrs import define, field

from smtpproto import (
    ClientConfig,
    Envelope,
    ForwardPath,
    Handler,
    RcptParameters,
    Reply,
    ServerConfig,
    Session,
)
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.client.connection import open_client
from smtpproto.server.conversation import Conversation
from smtpproto.server.handler import Verdict
from smtpproto.testing.simulation import Simulation

from ..support.scripted_client import Feed, keywords, octets, replies, serve

# -- LMTP ------------------------------------------------------------------------------------------

LMTP = ServerConfig(lmtp=True)
THREE = [
    "MAIL FROM:<ann@example.org>",
    *(f"RCPT TO:<{name}@example.org>" for name in "abc"),
    "DATA",
    "hi",
    ".",
]


@define(eq=False)
class Post(Handler):
    """Answers the message with what *verdicts* gives; refuses b if told so."""

    verdicts: Callable[[], Any]
    picky: bool = False
    bodies: list[bytes] = field(factory=list)

    def rcpt(self, session: Session, recipient: ForwardPath, parameters: RcptParameters) -> Verdict:
        assert session.lmtp
        no = self.picky and recipient.local_part == "b"
        return Reply(550, "5.1.1", "No such user") if no else None

    def message(self, session: Session, envelope: Envelope, body: bytes) -> Any:
        self.bodies.append(body)
        return self.verdicts()


FULL = Reply(452, "4.2.2", "Full")


async def _stream(verdicts: Iterable[Verdict]) -> AsyncIterator[Verdict]:
    for verdict in verdicts:
        yield verdict


async def _later(verdicts: object) -> object:
    return verdicts


@pytest.mark.req("RFC2033-4.2-02", "RFC2033-5-09")
@pytest.mark.parametrize(
    ("verdicts", "codes"),
    [
        (lambda: None, "250 250 250"),
        (lambda: FULL, "452 452 452"),
        (lambda: [None, FULL, None], "250 452 250"),
        (lambda: (Reply(250, None, "kept"), FULL, FULL), "250 452 452"),
        (lambda: iter([FULL, None, None]), "452 250 250"),
        (lambda: _stream([None, FULL, None]), "250 452 250"),
        (lambda: _later([None, FULL, None]), "250 452 250"),
        (lambda: [None], "250 451 451"),
        (lambda: _stream([None, FULL]), "250 452 451"),
        (tuple, "451 451 451"),
        (lambda: [None] * 4, "250 250 250"),
        (lambda: _stream([None] * 4), "250 250 250"),
        (lambda: [None, Reply(354, None, "x"), None], "250 451 250"),
        (lambda: [None, "nonsense", None], "250 451 250"),
        (lambda: 7, "451 451 451"),
    ],
)
def test_lmtp_verdicts(verdicts: Callable[[], object], codes: str) -> None:
    said = replies(Post(verdicts), *THREE, "NOOP", config=LMTP, hello="LHLO")
    assert [line[:3] for line in said[5:-1]] == codes.split()
    assert all(line[4:6] in ("2.", "4.") for line in said[5:])
    assert said[-1] == "250 2.0.0 OK"


@pytest.mark.req("RFC2033-4.2-02")
def test_lmtp_answers_for_those_accepted_and_in_their_order() -> None:
    handler = Post(lambda: [None, FULL], picky=True)
    said = replies(handler, *THREE, "QUIT", config=LMTP, hello="LHLO")
    assert [line[:3] for line in said] == ["250", "250", "550", "250", "354", "250", "452", "221"]
    twice = [*THREE[:2], THREE[1], *THREE[4:]]
    said = replies(Post(lambda: None), *twice, config=LMTP, hello="LHLO")
    assert [line[:3] for line in said[4:]] == ["250", "250"]


@pytest.mark.req("RFC2033-4.2-01")
def test_lmtp_data_without_recipients() -> None:
    handler = Post(lambda: None, picky=True)
    said = replies(
        handler, "MAIL FROM:<>", "RCPT TO:<b@example.org>", "DATA", config=LMTP, hello="LHLO"
    )
    assert [line[:3] for line in said] == ["250", "550", "503"]


@pytest.mark.req("RFC2033-4.2-03", "RFC2033-5-05", "RFC2033-5-10")
def test_lmtp_verdicts_leave_one_by_one() -> None:
    """Each reply is out before the next recipient's is asked for, and not before its own is."""
    seen: list[int] = []
    stream = Feed([octets("LHLO client.example", *THREE)])

    async def one_by_one() -> AsyncIterator[Verdict]:
        for verdict in (None, FULL, None):
            seen.append(len([line for line in stream.said if line[4:].startswith(("2.0", "4.2"))]))
            yield verdict

    run(Conversation(stream, Post(one_by_one), LMTP, Runtime()).run())
    assert seen == [0, 1, 2]
    assert stream.written[-3:] == [
        b"250 2.0.0 Message accepted\r\n",
        b"452 4.2.2 Full\r\n",
        b"250 2.0.0 Message accepted\r\n",
    ]


@pytest.mark.parametrize("count", [2, 4])
def test_lmtp_a_generator_is_closed_however_it_ends(count: int) -> None:
    ends = []

    async def verdicts() -> AsyncIterator[Verdict]:
        try:
            for _ in range(count):
                yield None
            if count < 3:
                raise LookupError("no more")
        finally:
            ends.append("closed")

    said = replies(Post(verdicts), *THREE, config=LMTP, hello="LHLO")
    assert [line[:3] for line in said[5:]] == ["250", "250", "451" if count < 3 else "250"]
    assert ends == ["closed"]


def test_lmtp_a_generator_that_is_left_early_is_closed_at_once() -> None:
    """Also if its end takes time, which only a loop that waits for it can give."""
    simulation, ends = Simulation(1), []

    async def verdicts() -> AsyncIterator[Verdict]:
        try:
            yield None
            yield None
        finally:
            await simulation.wait(lambda: False, 1)
            ends.append("closed")

    simulation.listen(24, Post(verdicts), LMTP)

    async def talk() -> None:
        async with await open_client(simulation, "mx", 24, ClientConfig(lmtp=True)) as client:
            await client.send(b"hi\n", Envelope("", "bob@example.org"))
            await client.noop()
            assert ends == ["closed"]

    simulation.run(talk())


@pytest.mark.req("RFC2033-4.3-01", "RFC2033-4.3-02")
def test_lmtp_by_chunks() -> None:
    start = THREE[:4]
    said = replies(
        Post(lambda: [None, FULL, None]), *start, "BDAT 4", "hi", "BDAT 0 LAST", "NOOP",
        config=LMTP, hello="LHLO",
    )  # fmt: skip
    assert [line[:3] for line in said[4:]] == ["250", "250", "452", "250", "250"]


@pytest.mark.req("RFC2033-4.1-01", "RFC2033-4.1-02", "RFC2033-4.1-03", "RFC2033-5-02",
                 "RFC2033-5-03", "RFC9422-4-02")  # fmt: skip
def test_lmtp_has_lhlo_and_no_ehlo() -> None:
    offered = keywords(Handler(), LMTP, hello="LHLO")
    assert {"PIPELINING", "ENHANCEDSTATUSCODES", "8BITMIME"} <= offered
    assert "LIMITS RCPTMAX=1000" in offered
    feed = serve(Handler(), octets("EHLO x", "HELO x", "MAIL FROM:<>"), config=LMTP)
    assert [line[:3] for line in feed.said[1:]] == ["500", "500", "503"]
    assert serve(Handler(), octets("LHLO x")).said[1][:3] == "500"


def test_smtp_takes_one_verdict_only() -> None:
    class Wrong(Handler):
        def message(self, session: Session, envelope: Envelope, body: bytes) -> Any:
            return [None, None]

    said = replies(Wrong(), "MAIL FROM:<>", "RCPT TO:<a@b.example>", "DATA", "hi", ".", "NOOP")
    assert [line[:3] for line in said] == ["250", "250", "354", "451", "250"]

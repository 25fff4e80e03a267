"""LMTP on a server: one reply for each recipient (RFC 2033)."""

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
from tests.support.scripted_client import ScriptedClient, keywords, octets, replies, serve

LMTP = ServerConfig(lmtp=True)
THREE_RECIPIENTS = [
    "MAIL FROM:<ann@example.org>",
    *(f"RCPT TO:<{name}@example.org>" for name in "abc"),
    "DATA",
    "hi",
    ".",
]


@define(eq=False)
class VerdictHandler(Handler):
    """Answers each message with the result of *verdicts*; refuses the recipient b if *picky*."""

    verdicts: Callable[[], Any]
    picky: bool = False
    bodies: list[bytes] = field(factory=list)

    def rcpt(self, session: Session, recipient: ForwardPath, parameters: RcptParameters) -> Verdict:
        assert session.lmtp
        refused = self.picky and recipient.local_part == "b"
        return Reply(550, "5.1.1", "No such user") if refused else None

    def message(self, session: Session, envelope: Envelope, body: bytes) -> Any:
        self.bodies.append(body)
        return self.verdicts()


FULL = Reply(452, "4.2.2", "Full")


async def _asynchronous(verdicts: Iterable[Verdict]) -> AsyncIterator[Verdict]:
    for verdict in verdicts:
        yield verdict


async def _awaitable(verdicts: object) -> object:
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
        (lambda: _asynchronous([None, FULL, None]), "250 452 250"),
        (lambda: _awaitable([None, FULL, None]), "250 452 250"),
        (lambda: [None], "250 451 451"),
        (lambda: _asynchronous([None, FULL]), "250 452 451"),
        (tuple, "451 451 451"),
        (lambda: [None] * 4, "250 250 250"),
        (lambda: _asynchronous([None] * 4), "250 250 250"),
        (lambda: [None, Reply(354, None, "x"), None], "250 451 250"),
        (lambda: [None, "nonsense", None], "250 451 250"),
        (lambda: 7, "451 451 451"),
    ],
    ids=[
        "None", "reply", "list", "tuple", "iterator", "async", "awaitable", "one of three",
        "two of three", "none of three", "too many", "too many async", "354", "text", "number",
    ],
)  # fmt: skip
def test_each_recipient_gets_its_own_verdict_or_451_if_there_is_none(
    verdicts: Callable[[], object], codes: str
) -> None:
    answers = replies(
        VerdictHandler(verdicts), *THREE_RECIPIENTS, "NOOP", config=LMTP, hello="LHLO"
    )
    assert [line[:3] for line in answers[5:-1]] == codes.split()
    assert all(line[4:6] in ("2.", "4.") for line in answers[5:])
    assert answers[-1] == "250 2.0.0 OK"


@pytest.mark.req("RFC2033-4.2-02")
def test_only_accepted_recipients_get_a_reply_in_their_order() -> None:
    handler = VerdictHandler(lambda: [None, FULL], picky=True)
    answers = replies(handler, *THREE_RECIPIENTS, "QUIT", config=LMTP, hello="LHLO")
    codes = " ".join(line[:3] for line in answers)
    assert codes == "250 250 550 250 354 250 452 221"
    twice = [*THREE_RECIPIENTS[:2], THREE_RECIPIENTS[1], *THREE_RECIPIENTS[4:]]
    answers = replies(VerdictHandler(lambda: None), *twice, config=LMTP, hello="LHLO")
    assert [line[:3] for line in answers[4:]] == ["250", "250"]


@pytest.mark.req("RFC2033-4.2-01")
def test_data_without_accepted_recipients_is_refused_with_503() -> None:
    handler = VerdictHandler(lambda: None, picky=True)
    answers = replies(
        handler, "MAIL FROM:<>", "RCPT TO:<b@example.org>", "DATA", config=LMTP, hello="LHLO"
    )
    assert [line[:3] for line in answers] == ["250", "550", "503"]


@pytest.mark.req("RFC2033-4.2-03", "RFC2033-5-05", "RFC2033-5-10")
def test_each_verdict_is_sent_before_the_next_is_asked_for() -> None:
    sent: list[int] = []
    stream = ScriptedClient([octets("LHLO client.example", *THREE_RECIPIENTS)])

    async def one_by_one() -> AsyncIterator[Verdict]:
        for verdict in (None, FULL, None):
            sent.append(sum(line[4:].startswith(("2.0", "4.2")) for line in stream.lines))
            yield verdict

    run(Conversation(stream, VerdictHandler(one_by_one), LMTP, Runtime()).run())
    assert sent == [0, 1, 2]
    assert stream.written[-3:] == [
        b"250 2.0.0 Message accepted\r\n",
        b"452 4.2.2 Full\r\n",
        b"250 2.0.0 Message accepted\r\n",
    ]


@pytest.mark.parametrize("count", [2, 4])
def test_an_async_generator_of_verdicts_is_closed_however_it_ends(count: int) -> None:
    closings = []

    async def verdicts() -> AsyncIterator[Verdict]:
        try:
            for _ in range(count):
                yield None
            if count < 3:
                raise LookupError("no more")
        finally:
            closings.append("closed")

    answers = replies(VerdictHandler(verdicts), *THREE_RECIPIENTS, config=LMTP, hello="LHLO")
    assert [line[:3] for line in answers[5:]] == ["250", "250", "451" if count < 3 else "250"]
    assert closings == ["closed"]


def test_an_async_generator_with_too_many_verdicts_is_closed_at_once() -> None:
    """Its closing takes time, and the server waits for it."""
    simulation, closings = Simulation(1), []

    async def verdicts() -> AsyncIterator[Verdict]:
        try:
            yield None
            yield None
        finally:
            await simulation.wait(lambda: False, 1)
            closings.append("closed")

    simulation.listen(24, VerdictHandler(verdicts), LMTP)

    async def talk() -> None:
        async with await open_client(simulation, "mx", 24, ClientConfig(lmtp=True)) as client:
            await client.send(b"hi\n", Envelope("", "bob@example.org"))
            await client.noop()
            assert closings == ["closed"]

    simulation.run(talk())


@pytest.mark.req("RFC2033-4.3-01", "RFC2033-4.3-02")
def test_the_last_chunk_gets_one_reply_for_each_recipient() -> None:
    start = THREE_RECIPIENTS[:4]
    answers = replies(
        VerdictHandler(lambda: [None, FULL, None]), *start, "BDAT 4", "hi", "BDAT 0 LAST", "NOOP",
        config=LMTP, hello="LHLO",
    )  # fmt: skip
    assert [line[:3] for line in answers[4:]] == ["250", "250", "452", "250", "250"]


@pytest.mark.req("RFC2033-4.1-01", "RFC2033-4.1-02", "RFC2033-4.1-03", "RFC2033-5-02",
                 "RFC2033-5-03", "RFC9422-4-02/server")  # fmt: skip
def test_lmtp_has_lhlo_in_place_of_ehlo() -> None:
    offered = keywords(Handler(), LMTP, hello="LHLO")
    assert {"PIPELINING", "ENHANCEDSTATUSCODES", "8BITMIME"} <= offered
    assert "LIMITS RCPTMAX=1000" in offered
    client = serve(Handler(), octets("EHLO x", "HELO x", "MAIL FROM:<>"), config=LMTP)
    assert [line[:3] for line in client.lines[1:]] == ["500", "500", "503"]
    assert serve(Handler(), octets("LHLO x")).lines[1][:3] == "500"


def test_smtp_accepts_one_verdict_only() -> None:
    class Wrong(Handler):
        def message(self, session: Session, envelope: Envelope, body: bytes) -> Any:
            return [None, None]

    answers = replies(Wrong(), "MAIL FROM:<>", "RCPT TO:<a@b.example>", "DATA", "hi", ".", "NOOP")
    assert [line[:3] for line in answers] == ["250", "250", "354", "451", "250"]

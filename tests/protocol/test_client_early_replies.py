"""Replies that arrive before the command or the content that they would answer was sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from smtpproto.errors import RemoteProtocolError
from smtpproto.events import Answer, Disconnected, Unsolicited
from smtpproto.grammar.command import Data, Noop, Rset
from smtpproto.grammar.extension_command import Auth
from smtpproto.grammar.reply import Reply
from smtpproto.grammar.secret import Secret
from smtpproto.protocol.client import ClientProtocol
from smtpproto.protocol.phases import Phase

from .machines import (
    EHLO,
    LHLO,
    MAIL,
    OFFER,
    RCPT,
    RCPT_CARL,
    client_in_body,
    client_with_recipient,
    greeted_client,
    ready_client,
    receive,
    receive_codes,
    receive_events,
)


def in_exchange() -> ClientProtocol:
    client = ready_client(*OFFER)
    client.send(Auth("LOGIN"))
    client.data_to_send()
    receive(client, b"334 \r\n")
    return client


def lmtp_body() -> ClientProtocol:
    client = ready_client("PIPELINING", lmtp=True)
    for command in (MAIL, RCPT, RCPT_CARL, Data()):
        client.send(command)
    client.data_to_send()
    receive(client, b"250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n")
    return client


QUESTIONS: dict[str, tuple[Callable[[], ClientProtocol], Callable[[ClientProtocol], object]]] = {
    "EHLO": (greeted_client, lambda client: client.send(EHLO)),
    "LHLO": (lambda: greeted_client(lmtp=True), lambda client: client.send(LHLO)),
    "NOOP": (ready_client, lambda client: client.send(Noop())),
    "MAIL": (ready_client, lambda client: client.send(MAIL)),
    "RCPT": (client_with_recipient, lambda client: client.send(RCPT)),
    "DATA": (client_with_recipient, lambda client: client.send(Data())),
    "dot": (client_in_body, lambda client: client.end_body()),
    "LMTP dot": (lmtp_body, lambda client: client.end_body()),
    "BDAT": (
        lambda: client_with_recipient("CHUNKING"),
        lambda client: client.send_chunk(b"hi\r\n", last=False),
    ),
    "BDAT LAST": (
        lambda: client_with_recipient("CHUNKING"),
        lambda client: client.send_chunk(b"hi\r\n", last=True),
    ),
    "response": (in_exchange, lambda client: client.respond(Secret(b"ann"))),
}
"""For each question: a client that may ask it now, and a function that asks it."""

REPLIES = (b"250 ok\r\n", b"354 go\r\n", b"334 \r\n", b"235 ok\r\n", b"451 no\r\n", b"552 no\r\n")


@pytest.mark.parametrize("reply", REPLIES)
@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("when", ["before it is asked", "before it is taken", "in the middle"])
def test_a_reply_that_arrives_before_its_question_was_sent_is_an_error(
    question: str, reply: bytes, when: str
) -> None:
    """This also holds if only the first octet of the reply arrives that early."""
    make, ask = QUESTIONS[question]
    for arrived in range(1, len(reply) + 1):
        client = make()
        client.data_to_send()
        if when == "before it is asked":
            client.receive(reply[:arrived])
            ask(client)
        else:
            ask(client)
            if when == "in the middle":
                assert client.data_to_send(all_but=1)
            client.receive(reply[:arrived])
        if reply[arrived:]:
            assert client.next_event() is None
            assert client.data_to_send()
            client.receive(reply[arrived:])
        elif when == "before it is taken":
            assert client.data_to_send()
        with pytest.raises(RemoteProtocolError, match="before the command it would answer"):
            client.next_event()
        assert client.phase is Phase.CLOSED
        assert isinstance(client.next_event(), Disconnected)


@pytest.mark.parametrize("question", QUESTIONS)
def test_421_before_a_question_was_sent_closes_the_session_and_answers_nothing(
    question: str,
) -> None:
    make, ask = QUESTIONS[question]
    client = make()
    client.data_to_send()
    client.receive(b"421 4.3.2 bye\r\n")
    ask(client)
    client.data_to_send()
    unanswered = client.unanswered
    assert client.next_event() == Unsolicited(Reply(421, "4.3.2", "bye"))
    assert client.next_event() == Disconnected(unanswered)


def test_replies_in_a_group_answer_only_what_was_sent_before_them() -> None:
    client = ready_client("PIPELINING")
    first = [client.send(command) for command in (Rset(), MAIL)]
    client.data_to_send()
    client.receive(b"250 ok\r\n250 ok\r\n250 too early\r\n")
    client.send(RCPT)
    client.data_to_send()
    for sent in first:
        event = client.next_event()
        assert isinstance(event, Answer) and event.sent is sent
    with pytest.raises(RemoteProtocolError, match="before the command it would answer"):
        client.next_event()


def test_a_second_reply_to_a_chunk_does_not_answer_the_next() -> None:
    client = client_with_recipient("PIPELINING", "CHUNKING")
    client.send_chunk(b"one\r\n", last=False)
    client.data_to_send()
    client.receive(b"250 ok\r\n250 ok\r\n")
    client.send_chunk(b"two\r\n", last=True)
    client.data_to_send()
    assert isinstance(client.next_event(), Answer)
    with pytest.raises(RemoteProtocolError):
        client.next_event()


def test_octets_kept_back_are_returned_by_the_next_call() -> None:
    client = client_with_recipient("CHUNKING")
    client.send_chunk(b"0123456789", last=True)
    assert client.data_to_send(all_but=4) == b"BDAT 10 LAST\r\n012345"
    assert client.has_output
    assert client.data_to_send(all_but=4) == b""
    assert client.data_to_send() == b"6789"
    assert not client.has_output
    assert receive_codes(client, b"250 ok\r\n") == [250]


# -- the ledger ----------------------------------------------------------------------------------


def count_steps(replies: bytes) -> int:
    """Return how often the phase table is asked while 1000 recipients get *replies*."""
    client = ready_client("PIPELINING")
    for command in (MAIL, *[RCPT] * 1000, Data()):
        client.send(command)
    client.data_to_send()
    steps = 0

    class CountedTable(dict[tuple[Phase, str], Phase]):
        def get(self, *arguments: Any) -> Any:
            nonlocal steps
            steps += 1
            return super().get(*arguments)

    client._ledger._next_phase = CountedTable(client._ledger._next_phase)
    assert len(receive_events(client, replies)) == 1001
    return steps


@pytest.mark.parametrize("code", [250, 550])
@pytest.mark.parametrize("recipient", [b"250 ok\r\n", b"550 no\r\n", b"250 ok\r\n550 no\r\n"])
def test_the_reply_to_a_recipient_costs_the_same_however_many_are_unanswered(
    code: int, recipient: bytes
) -> None:
    replies = b"%d x\r\n" % code + recipient * (1000 // recipient.count(b"\n"))
    assert count_steps(replies) < 4000


# -- writes that failed --------------------------------------------------------------------------


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_reply_after_a_failed_write_does_not_answer_what_could_not_be_written(
    question: str,
) -> None:
    make, ask = QUESTIONS[question]
    client = make()
    client.data_to_send()
    ask(client)
    unanswered = client.unanswered
    client.write_failed(client.data_to_send())
    client.receive(b"250 ok\r\n")
    with pytest.raises(RemoteProtocolError, match="before the command it would answer"):
        client.next_event()
    assert client.next_event() == Disconnected(unanswered)
    assert all(sent.reply is None for sent in unanswered)


def test_a_reply_after_a_failed_write_answers_what_was_written_before() -> None:
    client = ready_client("PIPELINING")
    first, second = client.send(MAIL), client.send(RCPT)
    client.data_to_send(all_but=4)
    client.write_failed(client.data_to_send())
    client.receive(b"250 ok\r\n")
    assert client.next_event() == Answer(first, Reply(250, None, "ok"))
    assert (first.reply, second.reply) == (Reply(250, None, "ok"), None)

"""LMTP (RFC 2033) on a client."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto.errors import RemoteProtocolError
from smtpproto.events import Answer, Disconnected, Step
from smtpproto.grammar.address import ForwardPath
from smtpproto.grammar.command import Data, Helo, Rcpt, Rset
from smtpproto.grammar.domain import Domain
from smtpproto.grammar.reply import Reply
from smtpproto.protocol.client import ClientProtocol
from smtpproto.protocol.phases import Phase

from .machines import (
    EHLO,
    LHLO,
    MAIL,
    RCPT,
    RCPT_CARL,
    assert_refused,
    exchange,
    ready_client,
    receive,
)

OK = b"250 2.0.0 ok\r\n"

TraceFunction = Callable[[FrameType, str, Any], Any]


def in_body(*replies: bytes, keywords: tuple[str, ...] = ()) -> ClientProtocol:
    """Return a client after 354 whose recipients (Bob, Carl, Bob ...) had these replies."""
    client = ready_client(*keywords, lmtp=True)
    exchange(client, MAIL)
    for rcpt, reply in zip([RCPT, RCPT_CARL, RCPT, RCPT_CARL], replies, strict=False):
        exchange(client, rcpt, reply=reply)
    exchange(client, Data(), reply=b"354 go\r\n")
    return client


def test_an_lmtp_client_sends_lhlo() -> None:
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
def test_each_reply_names_its_recipient_as_it_arrives() -> None:
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
@pytest.mark.parametrize("lines", [["a"], ["a", "b"], ["", "b"], ["a", "", ""], ["x"] * 100])
def test_a_reply_of_several_lines_counts_as_one(lines: list[str]) -> None:
    codes = (250, 452, 550)
    replies = [Reply(code, None, lines) for code in codes]
    for order in itertools.permutations(replies):
        client = in_body(OK, OK, OK)
        client.end_body()
        answers = receive(client, *map(bytes, order))
        assert [answer.reply for answer in answers] == list(order)
        paths = [answer.sent.recipient for answer in answers]
        assert paths == [RCPT.path, RCPT_CARL.path, RCPT.path]


@pytest.mark.req("RFC2033-5-07")
@pytest.mark.parametrize("come", [0, 1, 2])
def test_disconnected_names_the_recipients_without_a_reply(come: int) -> None:
    """Replies that arrived are reported as answers."""
    client = in_body(OK, OK, OK)
    sent = client.end_body()
    answers = receive(client, *[OK] * come)
    assert [answer.sent for answer in answers] == list(sent[:come])
    client.receive(b"")
    assert client.next_event() == Disconnected(sent[come:])


def test_421_leaves_the_remaining_recipients_unanswered() -> None:
    client = in_body(OK, OK, OK)
    sent = client.end_body()
    client.data_to_send()
    client.receive(OK + b"421 4.3.2 bye\r\n")
    assert [client.next_event(), client.next_event()] == [
        Answer(sent[0], Reply(250, "2.0.0", "ok")),
        Answer(sent[1], Reply(421, "4.3.2", "bye")),
    ]
    assert client.next_event() == Disconnected(sent[2:])


def test_one_reply_too_many_is_a_protocol_error() -> None:
    client = in_body(OK)
    client.end_body()
    client.data_to_send()
    client.receive(OK + OK)
    assert isinstance(client.next_event(), Answer)
    with pytest.raises(RemoteProtocolError):
        client.next_event()


def test_354_without_an_accepted_recipient_is_a_protocol_error() -> None:
    """The only reply is 503: content would have no reply (RFC 2033 4.2)."""
    client = ready_client("PIPELINING", lmtp=True)
    for command in (MAIL, RCPT, Data()):
        client.send(command)
    receive(client, OK, b"550 no\r\n")
    client.receive(b"354 go\r\n")
    with pytest.raises(RemoteProtocolError):
        client.next_event()
    assert client.phase is Phase.CLOSED


def test_the_replies_after_the_content_belong_to_its_own_transaction() -> None:
    """The next transaction was pipelined before the replies to this one arrived."""
    client = ready_client("PIPELINING", lmtp=True)
    for command in (MAIL, RCPT, RCPT, Rset(), MAIL, RCPT_CARL, Data()):
        client.send(command)
    receive(client, OK * 6, b"354 go\r\n")
    assert [entry.recipient for entry in client.end_body()] == [RCPT_CARL.path]


def test_chunks_are_not_pipelined() -> None:
    """The number of replies to the last chunk is known after the replies before it."""
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
    receive(client, OK, *[OK if accepted else b"550 no\r\n" for accepted in good])
    if not any(good):
        client.data_to_send()
        assert_refused(client, lambda: client.send_chunk(b"", last=True))
        assert_refused(client, lambda: client.send(Data()))
        return
    if not chunks:
        exchange(client, Data(), reply=b"354 go\r\n")
    sent = client.send_chunk(b"", last=True) if chunks else client.end_body()
    expected = [rcpt.path for rcpt, accepted in zip(rcpts, good, strict=True) if accepted]
    assert [entry.recipient for entry in sent] == expected
    assert client.unanswered == sent


def count_lines(recipients: int) -> int:
    """Return how many lines the library runs for a transaction with so many *recipients*, of whom
    the server refuses every fourth."""
    client, lines = ready_client("PIPELINING", lmtp=True), 0

    def trace(frame: FrameType, event: str, argument: object) -> TraceFunction:
        nonlocal lines
        lines += event == "line" and frame.f_code.co_filename != __file__
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        for command in (MAIL, *[RCPT] * recipients, Data()):
            client.send(command)
        client.data_to_send()
        rcpt = (OK * 3 + b"550 no\r\n") * (recipients // 4)
        client.receive(OK + rcpt + b"354 go\r\n")
        assert len(client.answered()) == recipients + 2
        client.end_body()
        client.data_to_send()
        client.receive((OK * 2 + b"452 full\r\n") * (recipients // 4))
        assert len(client.answered()) == recipients * 3 // 4
    finally:
        sys.settrace(before)
    return lines


def test_each_of_many_recipients_costs_the_same() -> None:
    count_lines(4)
    few, some, many = (count_lines(number) for number in (40, 80, 400))
    assert many - few == pytest.approx(9 * (some - few), rel=0.01)  # finalizers may run, too

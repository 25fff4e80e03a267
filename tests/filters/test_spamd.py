"""The conversation with spamd."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto import SMTPError
from smtpproto.errors import RemoteProtocolError
from smtpproto.filters import FilterVerdict, Spamd
from smtpproto.filters.header_edit import edited
from smtpproto.filters.spamd import SpamdReply, spamd_request
from tests.support.filter_peers import FilterNetwork, ask, message

HEADER = b"X-Spam-Flag: NO\r\nSubject: hello\r\nx-spam-status: No\r\nX-Spam-Flag: NO\r\n"
BODY = b"hello\r\n"
HAM = b"SPAMD/1.1 0 EX_OK\r\nContent-length: 7\r\nSpam: False ; -1.5 / 5.0\r\n\r\nAAA,B_1"
SPAM = b"SPAMD/1.1 0 EX_OK\r\nContent-length: 5\r\nSpam: True ; 15.0 / 5.0\r\n\r\nGTUBE"


class Program:
    """Answers the first octets with *answer*, and notes all."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self.told = b""

    def __call__(self, data: bytes) -> bytes:
        answer = b"" if self.told else self._answer
        self.told += data
        return answer


def tell(
    answer: bytes, step: int = 100_000, *, header: bytes = HEADER, **options: Any
) -> tuple[FilterVerdict, bytes]:
    """Return the verdict on a message, and what spamd was told."""
    program = Program(answer)
    network = FilterNetwork(lambda: program, step=step, most=len(answer))
    verdict = ask(Spamd("127.0.0.1:8891", **options), network, message(header, BODY))
    assert [it.closed for it in network.streams] == [True]
    return verdict, program.told


@pytest.mark.parametrize("step", [1, 10, 100_000])
def test_a_message_is_tagged_and_older_tags_are_removed(step: int) -> None:
    verdict, told = tell(HAM, step)
    size = len(HEADER + b"\r\n" + BODY)
    assert told == spamd_request("SYMBOLS", size) + HEADER + b"\r\n" + BODY
    assert verdict.summary == "not spam, -1.5/5"
    assert edited(HEADER, verdict.edits) == (
        b"X-Spam-Status: No, score=-1.5 required=5 tests=\r\n\tAAA,\r\n\tB_1\r\nSubject: hello\r\n"
    )


def test_spam_is_flagged_refused_or_held_by_its_score() -> None:
    verdict, _ = tell(SPAM, refuse_at=15.1)
    assert (verdict.refusal, verdict.hold) == (None, None)
    assert edited(HEADER, verdict.edits).startswith(b"X-Spam-Flag: YES\r\nX-Spam-Status: Yes, ")
    verdict, _ = tell(SPAM, refuse_at=15, hold_at=10)
    assert str(verdict.refusal) == "550 5.7.1 This message looks like spam"
    verdict, _ = tell(SPAM, hold_at=15)
    assert verdict.hold == verdict.summary == "spam, 15/5"


def test_spamd_may_write_the_fields_itself() -> None:
    fields = b"X-Spam-Level: **\nX-Spam-Status: Yes, score=15\n\ttests=A\nSubject: [SPAM] hello\n\n"
    head = SPAM.partition(b"\r\n\r\n")[0].replace(b"5\r\nSpam", b"%d\r\nSpam" % len(fields))
    verdict, told = tell(head + b"\r\n\r\n" + fields, rewrite=True, user="ann")
    assert told.startswith(b"HEADERS SPAMC/1.5\r\nContent-length: ")
    assert b"\r\nUser: ann\r\n\r\n" in told
    assert edited(HEADER, verdict.edits) == (
        b"X-Spam-Level: **\r\nX-Spam-Status: Yes, score=15\r\n\ttests=A\r\n"
        b"Subject: [SPAM] hello\r\n"
    )


def test_long_messages_are_not_checked() -> None:
    network = FilterNetwork(None)
    verdict = ask(Spamd("127.0.0.1:8891", max_size=100), network, message(HEADER, bytes(100)))
    assert verdict == FilterVerdict(summary="not checked: 171 octets")


def test_many_rules_make_a_field_of_bounded_length() -> None:
    rules = b",".join(b"RULE_%d" % number for number in range(100_000))
    verdict, _ = tell(HAM.replace(b"7\r\n", b"%d\r\n" % len(rules)).replace(b"AAA,B_1", rules))
    assert 1500 < len(edited(b"", verdict.edits)) < 2200


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (b"", "not a reply"),
        (b"HTTP/1.1 400 Bad\r\n\r\n", "not a reply 'HTTP/1.1"),
        (b"SPAMD/1.0 76 Bad header line\r\n", "error 76 'Bad header line'"),
        (HAM[:-1], "not complete"),
        (HAM.replace(b"Spam:", b"Sp:"), "not complete"),
        (HAM.replace(b"-1.5", b"1.5.1"), "not a score"),
        (HAM + bytes(2**21), "more than 2097152 octets"),
    ],
)
def test_other_answers_are_failures(answer: bytes, text: str) -> None:
    with pytest.raises(RemoteProtocolError, match=text):
        tell(answer)


@given(st.binary(max_size=30), st.integers(0, len(HAM)), st.booleans())
def test_only_errors_of_the_library_leave_the_conversation(
    octets: bytes, at: int, rewrite: bool
) -> None:
    with contextlib.suppress(SMTPError):
        tell(HAM[:at] + octets + HAM[at:], rewrite=rewrite)


def test_replies_of_rspamd_have_neither_length_nor_a_line_end() -> None:
    reply = SpamdReply.parse(b"SPAMD/1.1 0 EX_OK\r\nSpam: False ; 1.00 / 15.00\r\n\r\nA,B(0.10)")
    assert (reply.score, reply.threshold, reply.rules) == (1, 15, ["A", "B(0.10)"])


def test_a_user_is_one_word() -> None:
    with pytest.raises(ValueError, match="not a user"):
        Spamd("127.0.0.1:783", user="a\r\nb")

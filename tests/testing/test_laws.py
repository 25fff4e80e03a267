"""The laws say what is wrong where they do not hold."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from smtpproto import Mailbox, Reply, ServerProtocol
from smtpproto.commands import Data
from smtpproto.errors import GrammarError
from smtpproto.events import BodyChunk, BodyEnd
from smtpproto.protocol.verbs import vocabulary
from smtpproto.testing import laws

BROKEN: list[tuple[Callable[[], object], str]] = [
    (lambda: laws.check_reply("RCPT", Reply(354)), "354 is no answer to RCPT: it is 250 or 251"),
    (lambda: laws.check_reply("", Reply(250)), "250 is no answer to a new connection: it is 220"),
    (lambda: laws.check_reply("FOO", Reply(250)), "it is refused"),
    (lambda: laws.check_round_trip(b"A", bytes.lower), "b'A' was written for b'A', and read as"),
    (lambda: laws.check_same_for_any_split(len, [b"a", b"b"]), "in one piece: 1; as"),
    (lambda: laws.only_smtp_errors(int, "x"), "ValueError was raised, which is no SMTPError"),
    (lambda: laws.check_stored_once("ab", "b"), "accepted once, but stored never: 'a'"),
    (lambda: laws.check_stored_once("a", "aa"), "accepted once, but stored 2 times: 'a'"),
    (lambda: laws.check_stored_once("", "a"), "accepted never, but stored once: 'a'"),
]


@pytest.mark.parametrize("number", range(len(BROKEN)))
def test_a_broken_law_says_what_is_wrong(number: int) -> None:
    check, text = BROKEN[number]
    with pytest.raises(AssertionError) as caught:
        check()
    assert text in str(caught.value)


def test_laws_that_hold_raise_nothing() -> None:
    laws.check_reply("rcpt", Reply(251))
    laws.check_reply("FOO", Reply(500))
    laws.check_round_trip(Mailbox.parse("ann@a.test"), Mailbox.parse)
    assert laws.check_same_for_any_split(b"".join, [b"a", b"b"]) == b"ab"
    assert isinstance(laws.only_smtp_errors(Mailbox.parse, "x"), GrammarError)
    assert laws.only_smtp_errors(Mailbox.parse, "a@b") == "a@b"
    laws.check_stored_once("aba", "aab")


def test_the_table_of_codes_agrees_with_that_of_the_server() -> None:
    for verb, row in [*vocabulary().verbs.items(), *vocabulary(lmtp=True).verbs.items()]:
        assert laws.ACCEPTING_CODES[verb] == set(row.accepted_codes), verb


def test_events_have_each_content_in_one_piece_and_none_that_was_refused() -> None:
    begin = b"MAIL FROM:<>\r\nRCPT TO:<a@b>\r\nDATA\r\n"
    wire = (
        b"EHLO a\r\n"
        + begin
        + b"x\r\ny\r\n.\r\n"
        + begin
        + b"x\r\ny\nz\r\n.\r\n"
        + begin
        + b"x\r\n"
    )
    pieces = [*(wire[at : at + 1] for at in range(len(wire))), b""]
    events, replies = laws.server_events(ServerProtocol(hostname="mx.example.org"), pieces)
    assert [event.data for event in events if isinstance(event, BodyChunk)] == [b"x\r\ny\r\n"]
    assert sum(isinstance(event, BodyEnd) for event in events) == 1
    assert isinstance(events[-1], Data)
    assert replies.count(b"\r\n554 ") == 1

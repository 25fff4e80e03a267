"""The part of a report that people read: what happened to whom, why, and what to do."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve
from hypothesis import given

from smtpproto.diagnosis.status_causes import cause_of
from smtpproto.diagnosis.status_meanings import MEANINGS
from smtpproto.grammar.reply import EnhancedCode, Reply
from smtpproto.mta.queue import Attempt, Result
from smtpproto.mta.settlement import Done, Fate, Later, Settlement
from smtpproto.testing.strategies import enhanced_codes

from .settled import REFUSED, T, settled, settlement
from .test_bounce import REPORTER, made, read


def text_of(*settlements: Any, **changes: Any) -> str:
    return made(*settlements, **changes).text


def test_a_refusal_is_told_in_words_with_the_answer_of_the_server_and_advice() -> None:
    one = settlement(Done(Fate.FAILED), attempt=REFUSED)
    assert (
        text_of(one, content=b"Subject: Lunch =?utf-8?q?f=C3=BCr?= all\r\n\r\n")
        == f"""\
Your message was NOT delivered to:

    bob@b.example

There is no mailbox with this address.

mx.b.example [192.0.2.9] replied to RCPT TO:<bob@b.example>:

    550-5.1.1 no such user
    550 5.1.1 see http://b.example

What you can do: check the address for a typing error. If it is right, ask
the recipient in another way for an address that works.

Subject of your message: Lunch für all
Received by mx.example.org: Mon, 30 Nov 2026 12:00 UTC
Its id there: {one.delivery.message}
For help, write to postmaster@mx.example.org and quote this id.
"""
    )


def test_replies_that_differ_only_in_the_address_are_told_together_with_one_as_an_example() -> None:
    def unknown(to: str) -> Settlement:
        reply = Reply(550, "5.1.1", f"<{to}> is unknown")
        return settlement(Done(Fate.FAILED), to=to, attempt=evolve(REFUSED, reply=reply))

    text = text_of(unknown("a@b.example"), unknown("C@b.example"))
    assert "    a@b.example\n    C@b.example\n\nThere is no mailbox" in text
    assert text.count("replied to") == 1
    assert "For example, mx.b.example [192.0.2.9] replied to RCPT" in text
    assert "    550 5.1.1 <a@b.example> is unknown\n" in text


def test_of_many_recipients_fifty_are_named_and_programs_are_told_of_all() -> None:
    every = [f"user{number}@b.example" for number in range(500)]
    report = made(*(settlement(Done(Fate.FAILED), to=it, attempt=REFUSED) for it in every))
    named = [line.strip() for line in report.text.split("\n") if line.endswith("@b.example")]
    assert named == every[:50]
    assert '    and 450 more\n\nThe part "Delivery status" of this report lists them all.' in (
        report.text
    )
    assert [it.address for it in report.status.recipients] == every


def test_of_many_causes_ten_are_told_and_long_replies_are_cut() -> None:
    long = [
        evolve(REFUSED, reply=Reply(550, "5.1.1", [f"cause {number} " + "x" * 900] * 20))
        for number in range(30)
    ]
    text = text_of(*(settlement(Done(Fate.FAILED), attempt=it) for it in long))
    assert text.count("NOT delivered to") == 10
    assert "This report is about 20 more recipients." in text
    assert len(text) < 60_000


def test_recipients_with_the_same_cause_are_told_together_in_the_order_of_their_causes() -> None:
    full = evolve(REFUSED, reply=Reply(552, "5.2.2", "full"))
    text = text_of(
        settlement(Done(Fate.FAILED), to="a@b.example", attempt=REFUSED),
        settlement(Done(Fate.FAILED), to="b@b.example", attempt=full),
        settlement(Done(Fate.FAILED), to="c@b.example", attempt=REFUSED),
    )
    assert "    a@b.example\n    c@b.example\n\nThere is no mailbox" in text
    assert text.index("c@b.example") < text.index("    b@b.example\n\nThe mailbox is full.")


def test_a_delay_says_until_when_it_is_tried_and_that_nothing_has_to_be_done() -> None:
    attempt = Attempt(at=T, result=Result.UNREACHED, host="mx.b.example", error="no route")
    text = text_of(settlement(Later(due=T + 60, warned=True), attempt=attempt))
    assert (
        "You do not have to do anything: mx.example.org keeps trying until Sat, 05\n"
        "Dec 2026 12:00 UTC. If it has no success, you get another report.\n"
    ) in text
    assert "What failed with mx.b.example:\n\n    no route\n" in text


def test_an_unknown_outcome_is_told_as_one() -> None:
    attempt = Attempt(at=T, result=Result.UNKNOWN, host="mx.b.example")
    text = text_of(settlement(Done(Fate.EXPIRED), attempt=attempt))
    assert "mx.example.org tried for 5 days, and has given up." in text
    assert "so the message\nmay have arrived all the same" in text
    assert "What you can do: ask the recipient before you send it again." in text


def test_the_last_problem_of_a_message_that_was_given_up_decides_what_to_do() -> None:
    full = evolve(REFUSED, reply=Reply(452, "4.2.2", "full"))
    text = text_of(settlement(Done(Fate.EXPIRED), attempt=full))
    assert "The last problem: the mailbox is full." in text
    assert "What you can do: tell the recipient in another way" in text


def test_what_failed_before_any_server_was_asked_is_no_reply_of_a_server() -> None:
    reply = Reply(550, "5.1.2", "The domain b.example does not exist")
    attempt = Attempt(at=T, result=Result.UNREACHED, reply=reply)
    text = text_of(settlement(Done(Fate.FAILED), attempt=attempt))
    assert "\nWhat failed:\n\n    The domain b.example does not exist\n" in text
    assert "replied" not in text


def test_what_others_wrote_cannot_look_like_a_line_of_the_report() -> None:
    attempt = evolve(REFUSED, error="x\n\nYour message was delivered\x1b[1m", host="a\nb")
    text = text_of(settlement(Done(Fate.FAILED), attempt=attempt))
    assert "\n    x\\n\\nYour message was delivered\\x1b[1m\n" in text


@given(settled())
def test_the_lines_are_printable_and_mostly_short(case: Any) -> None:
    one, settlements, content = case
    queued = REPORTER.report(one, settlements, content, now=T, report_id="x")
    if queued is None:
        return
    lines = read(queued).text.split("\n")
    assert all(line.isprintable() for line in lines)
    assert all(len(line) <= 76 or " " not in line or line.startswith("    ") for line in lines)


@given(enhanced_codes())
def test_each_status_has_a_cause_and_advice(code: EnhancedCode) -> None:
    cause = cause_of(code.subject, code.detail)
    assert cause.what.endswith(".") and cause.advice.endswith(".")


@pytest.mark.parametrize("subject", range(8))
def test_each_subject_of_the_registry_has_a_cause(subject: int) -> None:
    assert any(known == subject for known, _ in MEANINGS)
    general = cause_of(subject, 999)
    assert subject == 0 or general != cause_of(0, 0)

"""Why an outcome is unknown: in the outcome, the trace and the log."""

from __future__ import annotations

import logging

import pytest

from smtpproto import ConnectionLost, OutcomeUnknown, RemoteProtocolError, SMTPError, TimedOut
from tests.support.dialogue import LINES, LOCKSTEP, MAIL, SENT, hello, send, transaction
from tests.support.envelopes import TO_BOB, TO_THREE

TO_THE_END = hello() + SENT.rpartition("S: ")[0]
CLOSED = "the server closed the connection"
ENDS: list[tuple[str, type[SMTPError], str]] = [
    ("", ConnectionLost, CLOSED),
    ("S: <reset>", ConnectionLost, "the script resets the connection"),
    ("S: <silence>", TimedOut, "the script is silent"),
    ("S: what?", RemoteProtocolError, "not a line of a reply: 'what?'"),
    ("S: wh\x1bat", RemoteProtocolError, "not a line of a reply: 'wh\\x1bat'"),
    ("S: 25", RemoteProtocolError, "not a line of a reply: '25'"),
    ("S: 354 go", RemoteProtocolError, "a reply whose code does not fit the command"),
    ("S: 250-ok", ConnectionLost, CLOSED + " in the middle of a reply: '250-ok"),
    ("S: 250-o\x1bk", ConnectionLost, CLOSED + " in the middle of a reply: '250-o\\x1bk"),
    ("S: 250-ok\nS: <silence>", TimedOut, "the script is silent in the middle of a reply: '250-ok"),
    ("S: 250-a\nS: 550 b", RemoteProtocolError, "the same code"),
    ("S: 250 " + "x" * 13000, RemoteProtocolError, "a reply that is too long"),
]  # fmt: skip


@pytest.mark.parametrize(("end", "kind", "why"), ENDS)
@pytest.mark.parametrize("way", ["DATA", "BDAT"])
def test_the_reason_stands_in_the_outcome_the_trace_and_the_log(
    way: str, end: str, kind: type[SMTPError], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    traced: list[tuple[str, str]] = []
    script = TO_THE_END if way == "DATA" else f"{LOCKSTEP}{MAIL}C: BDAT 42 LAST\nC: {TEXT}\n"
    with caplog.at_level(logging.WARNING, "smtpproto.client"):
        outcome = send(
            script + end,
            body=b"hi\r\n" if way == "DATA" else LINES,
            trace=lambda speaker, line: traced.append((speaker, line)),
        )
    assert [*outcome.unknown] == [*TO_BOB.recipients]
    assert type(outcome.error) is kind and why in outcome.error.message
    assert outcome.error.phase == "transaction"
    assert outcome.error.command == ("end of data" if way == "DATA" else "BDAT 42 LAST")
    assert why in str(outcome)
    speaker, line = traced[-1]
    assert speaker == "*" and line.startswith("the outcome is unknown: ") and why in line
    (record,) = caplog.records
    assert why in record.getMessage()


TEXT = LINES.decode().strip().replace("\r\n", "\nC: ")


def test_a_reply_that_does_not_fit_stands_in_the_text_of_the_outcome_and_of_the_error() -> None:
    outcome = send(TO_THE_END + "S: 354 go on", body=b"hi\r\n")
    assert str(outcome).endswith("does not fit the command: 354 go on)")
    with pytest.raises(OutcomeUnknown, match="does not fit the command: 354 go on;"):
        outcome.raise_unless_all_accepted()


def test_a_known_outcome_has_no_error() -> None:
    outcome = send(hello() + SENT + "C: QUIT\nS: 221 bye", body=b"hi\r\n")
    assert outcome.error is None


def test_an_error_in_a_later_transaction_stands_in_the_outcome() -> None:
    script = hello("LIMITS RCPTMAX=1") + transaction("a@b.example")
    outcome = send(f"{script}C: MAIL FROM:<ann@example.org>\nS: <reset>", TO_THREE, b"hi\n")
    assert isinstance(outcome.error, ConnectionLost)
    assert outcome.refused["c@d.example"].code == 421

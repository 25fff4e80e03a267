"""``error.diagnosis`` of errors, as the library raises them."""

from __future__ import annotations

import pickle

import pytest

from smtpproto import (
    BadCredentials,
    Outcome,
    OutcomeUnknown,
    Refusal,
    RemoteProtocolError,
    Reply,
    SendRefused,
    TimedOut,
)
from smtpproto.diagnosis import Who
from smtpproto.errors import ConnectFailed, LocalProtocolError, SMTPError
from tests.support.envelopes import TO_BOB


def test_a_refusal_is_told_with_command_reply_and_causes() -> None:
    error = Refusal(
        "the server refused RCPT",
        Reply(554, "5.7.1", "<bob@example.org>: Relay access denied"),
        phase="transaction",
        command="RCPT TO:<bob@example.org>",
    )
    diagnosis = error.diagnosis
    assert diagnosis.fault == "relaying-denied" and diagnosis.causes[0].who is Who.YOU
    assert str(diagnosis).splitlines()[:4] == [
        "The server refused RCPT.",
        "  phase: transaction, command: RCPT TO:<bob@example.org>",
        "  reply: 554 5.7.1 <bob@example.org>: Relay access denied",
        "  554: Refused for good, for the reason that the text tells.",
    ]
    assert "\n" not in str(error)


def test_an_error_without_a_reply_has_the_causes_of_its_fault() -> None:
    error = ConnectFailed("cannot connect to mx.example.org, port 25: refused", phase="connect")
    error.fault = "connection-refused"
    assert error.diagnosis.fault == "connection-refused"
    assert "No program listens on this port" in error.diagnosis.causes[0].what


def test_a_time_out_while_connecting_is_told_from_one_in_the_session() -> None:
    assert TimedOut("late", phase="connect").diagnosis.fault == "connect-timeout"
    assert TimedOut("late", phase="session").diagnosis.fault == "timed-out"


def test_an_unknown_outcome_says_that_sending_again_may_deliver_twice() -> None:
    outcome = Outcome(envelope=TO_BOB, unknown={TO_BOB.recipients[0]: Reply(250)})
    [cause] = OutcomeUnknown(outcome).diagnosis.causes
    assert "they may get it twice" in cause.mend


def test_a_wrong_password_has_the_causes_of_logins() -> None:
    error = BadCredentials("login refused", Reply(535, "5.7.8", "no"), command="AUTH PLAIN")
    faults = [it.what for it in error.diagnosis.causes]
    assert faults[0] == "The user name or the password is wrong." and len(faults) == 3


def test_an_error_that_no_table_knows_repeats_what_to_check() -> None:
    error = SMTPError("odd", check="the moon")
    [cause] = error.diagnosis.causes
    assert cause.mend == "Check the moon."


def test_what_a_peer_says_is_escaped() -> None:
    error = Refusal("refused \x1b[2J", Reply(550, "5.7.1", "a"), command="MAIL \x07")
    object.__setattr__(error.reply, "lines", ("bad \x1b]0;x\x07",))
    assert all(line.isprintable() for line in error.diagnosis.lines())


def test_the_fault_of_an_error_is_pickled() -> None:
    error = RemoteProtocolError("x")
    error.fault = "http"
    assert pickle.loads(pickle.dumps(error)).diagnosis == error.diagnosis


@pytest.mark.parametrize(
    "error",
    [
        SendRefused(Reply(550, "5.1.1", "No"), Outcome(envelope=TO_BOB), command="RCPT"),
        LocalProtocolError("x"),
        ConnectFailed("x"),
    ],
)
def test_every_diagnosis_has_a_cause_and_is_json(error: SMTPError) -> None:
    diagnosis = error.diagnosis
    assert diagnosis.causes
    assert diagnosis.as_dict()["what"] == diagnosis.what

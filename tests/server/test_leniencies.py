"""Leniencies of a server: what it tolerates, and what it logs."""

from __future__ import annotations

import logging

import pytest

from smtpproto import Handler, ServerConfig, Session
from smtpproto.limits import Leniencies, Tolerance
from tests.support.scripted_client import replies


def test_tolerated_deviations_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "smtpproto.server"):
        answers = replies(Handler(), "MAIL FROM: <ann@example.org>", "RCPT  TO:<bob@example.org>")
    assert [line[:3] for line in answers] == ["250", "250"]
    logged = [
        record.getMessage() for record in caplog.records if "tolerated" in record.getMessage()
    ]
    assert logged == [
        "tolerated space_after_colon: MAIL FROM: <ann@example.org>",
        "tolerated extra_blanks: RCPT  TO:<bob@example.org>",
    ]


def test_a_strict_server_refuses_deviations_with_501() -> None:
    config = ServerConfig(leniencies=Leniencies.strict())
    assert replies(Handler(), "MAIL FROM: <>", config=config)[0].startswith("501")


def test_accepted_deviations_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    quiet = ServerConfig(leniencies=Leniencies(space_after_colon=Tolerance.ACCEPT))
    with caplog.at_level(logging.INFO, "smtpproto.server"):
        assert replies(Handler(), "MAIL FROM: <>", config=quiet)[0].startswith("250")
    assert not [record for record in caplog.records if "tolerated" in record.getMessage()]


@pytest.mark.parametrize("reset", ["RSET", "RSET ", "EHLO a_b"])
def test_a_tolerated_command_that_ends_a_transaction_calls_reset(reset: str) -> None:
    calls: list[str] = []

    class Recorder(Handler):
        def reset(self, session: Session) -> None:
            calls.append("reset")

    leniencies = Leniencies(trailing_blanks=Tolerance.REPORT)
    replies(Recorder(), "MAIL FROM:<>", reset, config=ServerConfig(leniencies=leniencies))
    assert calls == ["reset"]

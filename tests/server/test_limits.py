"""Limits of a server: their announcement, their effect, and the warning about low ones."""

from __future__ import annotations

import logging

import pytest

from smtpproto import Handler, Limits, ServerConfig, ServerProtocol
from tests.support.scripted_client import keywords, replies


@pytest.mark.req("RFC9422-3-05")
def test_announced_limits_on_recipients_and_transactions_are_applied() -> None:
    config = ServerConfig(limits=Limits(recipients=2, transactions=1))
    assert "LIMITS RCPTMAX=2 MAILMAX=1" in keywords(Handler(), config)
    lines = ["MAIL FROM:<>", *(f"RCPT TO:<{name}@b.example>" for name in "abc")]
    answers = replies(Handler(), *lines, "RSET", "MAIL FROM:<>", config=config)
    assert [line[:3] for line in answers] == ["250", "250", "250", "452", "250", "421"]


@pytest.mark.req("RFC5321-4.5.3.1.8-01", "RFC9422-3-08")
@pytest.mark.parametrize(("recipients", "warned"), [(50, True), (99, True), (100, False)])
def test_a_limit_below_100_recipients_is_logged_as_a_warning(
    recipients: int, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "smtpproto"):
        config = ServerConfig(limits=Limits(recipients=recipients))
    assert ("clients expect at least 100" in caplog.text) == warned
    offered = ServerProtocol(hostname="mx.example", limits=config.limits).terms.offered
    assert offered.limits.rcpt_max == recipients

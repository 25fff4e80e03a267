"""The trace of a server shows no secrets."""

from __future__ import annotations

import pytest
from attrs import evolve

from smtpproto import Handler, ServerConfig
from tests.support.server_dialogue import HELLO_WITH_AUTH, PLAIN_IN_CLEAR, QUIT, play


def traced(config: ServerConfig) -> tuple[ServerConfig, list[str]]:
    """Return *config* with a trace, and the list of its lines."""
    lines: list[str] = []
    return evolve(config, trace=lambda who, line: lines.append(f"{who}: {line}")), lines


@pytest.mark.req("RFC4954-4-33")
def test_passwords_are_masked_in_the_trace() -> None:
    config, lines = traced(PLAIN_IN_CLEAR)
    invalid = "S: 535 5.7.8 Authentication credentials invalid"
    play(
        f"{HELLO_WITH_AUTH}C: AUTH PLAIN AGFubgB3cm9uZw==\n{invalid}\n"
        f"C: AUTH FOO AGFubgB3cm9uZw==\nS: 504 5.5.4 Unrecognized authentication mechanism\n"
        f"C: AUTH PLAIN\nS: 334 \nC: AGFubgB3cm9uZw==\n{invalid}{QUIT}",
        Handler(),
        config,
    )
    assert "C: AUTH PLAIN ***" in lines and "C: AUTH ***" in lines and "C: ***" in lines
    assert not any("AGFubg" in line for line in lines)


def test_a_password_after_a_refused_auth_is_masked_in_the_trace() -> None:
    """A client that does not wait for the reply to AUTH sends its user name or password next."""
    config, lines = traced(PLAIN_IN_CLEAR)
    refused = "C: AUTH LOGIN\nS: 504 5.5.4 Unrecognized authentication mechanism\n"
    unknown = "S: 500 5.5.1 Command unrecognized: not a command (at octet 0)\n"
    play(f"{HELLO_WITH_AUTH}{refused}C: aHVudGVyMg==\n{unknown}{QUIT}", Handler(), config)
    assert not any("aHVudGVyMg" in line for line in lines)

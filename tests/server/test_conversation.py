"""Conversations that end by a time-out or by a bug in the library."""

from __future__ import annotations

import pytest

from smtpproto import Handler, Session
from smtpproto.server.conversation import Conversation
from tests.support.server_dialogue import HELLO, play


class Closing(Handler):
    """Counts the calls of close."""

    closed = 0

    def close(self, session: Session) -> None:
        self.closed += 1


@pytest.mark.req("RFC5321-4.5.3.2.7-01")
def test_a_silent_client_is_answered_with_421_after_the_time_out() -> None:
    silence = "C: <silence>\nS: 421 4.4.2 localhost Timeout; closing transmission channel"
    play(f"{HELLO}{silence}", Handler())


def test_a_bug_in_the_library_ends_one_connection_and_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Conversation, "_receive", broken)
    handler = Closing()
    play("", handler)
    assert handler.closed == 1 and "a bug" in caplog.text

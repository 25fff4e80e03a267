"""The scripted stream: a line that differs from the script is never overlooked."""

from __future__ import annotations

import pytest

from smtpproto import Handler, ServerConfig
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.server import Conversation
from smtpproto.testing import ScriptedStream

SCRIPT = "S: 220 localhost ESMTP ready\nC: QUIT\nS: "


def converse(script: str) -> ScriptedStream:
    stream = ScriptedStream(script, plays="C")
    run(Conversation(stream, Handler(), ServerConfig(), Runtime()).run())
    return stream


def test_a_script_that_is_played_to_its_end_finishes() -> None:
    converse(f"{SCRIPT}221 2.0.0 localhost Service closing transmission channel").finish()


def test_a_wrong_last_line_raises_in_finish_although_the_conversation_logs_it() -> None:
    stream = converse(f"{SCRIPT}221 goodbye")
    with pytest.raises(AssertionError, match="the script expects '221 goodbye'"):
        stream.finish()


def test_a_line_that_is_missing_raises_in_finish() -> None:
    stream = converse(f"{SCRIPT}221 2.0.0 localhost Service closing transmission channel\nS: 1")
    with pytest.raises(AssertionError, match="lines not played"):
        stream.finish()

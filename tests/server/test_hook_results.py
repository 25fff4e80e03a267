"""Hooks that return a value of the wrong type."""

from __future__ import annotations

import pytest

from smtpproto import Envelope, Handler, ServerConfig, Session
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.server.conversation import Conversation
from tests.support.scripted_client import ScriptedClient, octets


class FixedResult(Handler):
    """Returns *verdict* from its message hook, whatever that is."""

    def __init__(self, verdict: object) -> None:
        self.verdict = verdict

    def message(self, session: Session, envelope: Envelope, body: bytes) -> None:
        return self.verdict  # type: ignore[return-value]


@pytest.mark.parametrize("falsy", [False, 0, ""])
def test_a_message_hook_that_returns_a_false_value_is_answered_with_451(
    falsy: object, caplog: pytest.LogCaptureFixture
) -> None:
    lines = octets("EHLO a.example", "MAIL FROM:<>", "RCPT TO:<b@c.example>", "DATA", ".", "QUIT")
    client = ScriptedClient([lines])
    run(Conversation(client, FixedResult(falsy), ServerConfig(), Runtime()).run())
    assert [line[:3] for line in client.lines[-2:]] == ["451", "221"]
    assert f"must return a Reply or None, not {type(falsy).__name__}" in caplog.text


def test_a_data_hook_that_returns_none_is_answered_with_451_before_the_content(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Forgetful(Handler):
        def data(self, session: Session, envelope: Envelope) -> None:  # type: ignore[override]
            """Lacks a return statement."""

    client = ScriptedClient(
        [octets("EHLO a.example", "MAIL FROM:<>", "RCPT TO:<b@c.example>", "DATA")]
    )
    run(Conversation(client, Forgetful(), ServerConfig(), Runtime()).run())
    assert client.lines[-1][:3] == "451"
    assert "must return a Sink or a Reply" in caplog.text

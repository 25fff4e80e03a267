"""Hooks that return a value of the wrong type."""

from __future__ import annotations

import pytest

from smtpproto import Envelope, Handler, Reply, ServerConfig, Session, Sink
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.server.conversation import Conversation
from tests.support.scripted_client import ScriptedClient, octets, replies


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


@pytest.mark.parametrize(
    ("result", "named"),
    [
        (None, "not NoneType"),
        ("250 OK", "not str"),
        (Reply(354, None, "Go on"), "not 354"),
        (Reply(250, "2.0.0", "OK"), "not 250"),
    ],
)
@pytest.mark.parametrize("command", ["DATA", "BDAT 0 LAST"])
def test_a_data_hook_that_returns_neither_a_sink_nor_a_refusal_is_answered_with_451(
    result: object, named: str, command: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Careless(Handler):
        def data(self, session: Session, envelope: Envelope) -> Sink | Reply:
            return result  # type: ignore[return-value]

    assert replies(Careless(), "MAIL FROM:<>", "RCPT TO:<b@c.example>", command)[-1][:3] == "451"
    assert f"must return a Sink, or a Reply that refuses, {named}" in caplog.text

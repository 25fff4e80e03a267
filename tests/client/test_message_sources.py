"""The sources of messages that a client accepts."""

from __future__ import annotations

from typing import Any

import pytest

from smtpproto import ClientConfig, GrammarError, LocalProtocolError, Outcome, TLSMode
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.client.connection import start_client
from smtpproto.testing.script import ScriptedStream
from tests.support.envelopes import TO_BOB

HELLO = "S: 220 mx\nC: EHLO [127.0.0.1]\nS: 250 mx\n"
MAIL, RCPT = "C: MAIL FROM:<ann@example.org>\n", "C: RCPT TO:<bob@example.org>\n"


def send(script: str, source: Any = b"hello\r\n") -> Outcome:
    """Send *source* to the server of *script*; return the outcome."""

    async def main() -> Outcome:
        config = ClientConfig(tls=TLSMode.NONE)
        stream = ScriptedStream(script)
        client = await start_client(Runtime(), stream, "mx", config, TLSMode.NONE)
        return await client.send(source, TO_BOB)

    return run(main())


@pytest.mark.parametrize(
    "source",
    ["text", None, 7, [b"octets", "text"]],
    ids=["text", "None", "number", "list with text"],
)
def test_a_source_that_is_no_message_raises_grammar_error(source: Any) -> None:
    with pytest.raises(GrammarError):
        send(f"{HELLO}{MAIL}S: 250 ok\n{RCPT}S: 250 ok\nC: DATA\nS: 354 go\nC: octets\n", source)


def test_a_generator_is_closed_when_sending_fails() -> None:
    closed: list[bool] = []

    async def pieces() -> Any:
        try:
            while True:
                yield b"caf\xe9\r\n"
        finally:
            closed.append(True)

    with pytest.raises(LocalProtocolError):
        send(f"{HELLO}{MAIL}S: 250 ok\n{RCPT}S: 250 ok\nC: DATA\nS: 354 go\n", pieces())
    assert closed == [True]

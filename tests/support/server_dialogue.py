"""Dialogues of a scripted client with a server."""

from __future__ import annotations

from collections.abc import Callable

from smtpproto import Handler, Limits, ServerConfig
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.server.conversation import Conversation
from smtpproto.testing.script import ScriptedStream
from tests.support.accounts import Accounts

GREETING = "S: 220 localhost ESMTP ready"
HELLO = f"""
    {GREETING}
    C: EHLO client.example
    S: 250-localhost greets you
    S: 250-PIPELINING
    S: 250-SIZE 33554432
    S: 250-8BITMIME
    S: 250-SMTPUTF8
    S: 250-CHUNKING
    S: 250-LIMITS RCPTMAX=1000
    S: 250-ENHANCEDSTATUSCODES
    S: 250 HELP
"""
HELLO_WITH_AUTH = HELLO.replace("S: 250 HELP", "S: 250-HELP\n    S: 250 AUTH PLAIN")
HELLO_WITH_EXPN = HELLO.replace("S: 250 HELP", "S: 250-HELP\n    S: 250 EXPN")
QUIT = """
    C: QUIT
    S: 221 2.0.0 localhost Service closing transmission channel
"""
START_INPUT = "S: 354 Start mail input; end with <CRLF>.<CRLF>"
DATA = f"""
    C: DATA
    {START_INPUT}
"""
END_OF_DATA = """
    C: .
    S: 250 2.0.0 Message accepted
"""
LOCAL_ERROR = "451 4.3.0 Local error in processing"

PLAIN_IN_CLEAR = ServerConfig(
    authenticator=Accounts(),
    mechanisms="PLAIN",
    auth_in_clear=True,
    limits=Limits(failed_login_delay=0),
)


def mail_from(sender: str) -> str:
    """Return MAIL and its acceptance."""
    return f"C: MAIL FROM:<{sender}>\nS: 250 2.1.0 Sender OK\n"


def rcpt_to(recipient: str) -> str:
    """Return RCPT and its acceptance."""
    return f"C: RCPT TO:<{recipient}>\nS: 250 2.1.5 Recipient OK\n"


TRANSACTION = f"{mail_from('ann@example.org')}{rcpt_to('bob@example.org')}C: DATA\n"
"""A transaction up to DATA, whose reply follows."""


def play(
    script: str, handler: Handler | Callable[[], Handler], config: ServerConfig | None = None
) -> None:
    """Serve the client of *script*, and check each reply and that the connection is closed."""
    stream = ScriptedStream(script, plays="C")
    conversation = Conversation(stream, handler, config or ServerConfig(), Runtime())
    run(conversation.run())
    stream.finish()
    assert stream.closed

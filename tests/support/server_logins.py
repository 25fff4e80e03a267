"""Logins of a scripted client to our server, in clear."""

from __future__ import annotations

from smtpproto import Handler, ServerConfig
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.server.conversation import Conversation
from tests.support.accounts import Accounts
from tests.support.logins import base64
from tests.support.scripted_client import ScriptedClient, after_hello, octets

WRONG_PASSWORD = "AUTH PLAIN AGFubgB3cm9uZw=="  # NUL ann NUL wrong
AS_BOB = "AUTH PLAIN Ym9iAGFubgBzZWNyZXQ="  # bob NUL ann NUL secret
CONFIG = ServerConfig(authenticator=Accounts(), auth_in_clear=True)


class Clock(Runtime):
    """Records the delays, and does not sleep."""

    def __init__(self) -> None:
        self.delays: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.delays.append(seconds)


def plain(*parts: str) -> str:
    """Return the message of PLAIN with these parts, in base64."""
    return base64("\0".join(parts))


def log_in(
    *lines: str, config: ServerConfig = CONFIG, handler: Handler | None = None
) -> tuple[list[str], list[float]]:
    """Send *lines* after EHLO; return the lines of the replies, and the delays before them."""
    client, clock = ScriptedClient([octets("EHLO client.example", *lines)]), Clock()
    run(Conversation(client, handler or Handler(), config, clock).run())
    return after_hello(client), clock.delays

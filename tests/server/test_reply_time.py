"""The time between the end of a message and its reply (RFC 5321 6.1), on a simulated clock."""

from __future__ import annotations

import pytest

from smtpproto import (
    Envelope,
    Handler,
    MailParameters,
    ReversePath,
    ServerConfig,
    Session,
    Timeouts,
)
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.server.conversation import Conversation
from smtpproto.testing.simulation import Simulation
from tests.support.handlers import Inbox
from tests.support.scripted_client import ScriptedClient, octets

SENDER, RECIPIENT = "MAIL FROM:<ann@example.org>", "RCPT TO:<bob@example.org>"
BY_DATA = (octets(SENDER, RECIPIENT, "DATA", "x"), octets("."))
BY_BDAT = (octets(SENDER, RECIPIENT) + b"BDAT 1\r\nx", b"BDAT 2 LAST\r\n\r\n")


class SlowInbox(Handler):
    """Accepts each message after *seconds*, and each MAIL but the first one after a minute."""

    def __init__(self, simulation: Simulation, seconds: float) -> None:
        self.simulation = simulation
        self.seconds = seconds
        self.senders = 0

    async def mail(self, session: Session, sender: ReversePath, parameters: MailParameters) -> None:
        self.senders += 1
        if self.senders > 1:
            await self.simulation.sleep(60)

    async def message(self, session: Session, envelope: Envelope, body: bytes) -> None:
        await self.simulation.sleep(self.seconds)


def time_to_the_reply(
    message: tuple[bytes, bytes], seconds: float, after: bytes = b"", *, lmtp: bool = False
) -> tuple[bytes, float]:
    """Return the reply to the message of a handler that takes *seconds*, and the seconds from the
    message's end to the reply. *after* is sent together with this end."""
    simulation, verb = Simulation(1), "LHLO" if lmtp else "EHLO"
    config = ServerConfig(lmtp=lmtp, timeouts=Timeouts(command=None))
    simulation.listen(24, SlowInbox(simulation, seconds), config)
    content, end = message

    async def client() -> tuple[bytes, float]:
        stream = await simulation.dial("mx.example", 24, None)
        await stream.write(octets(f"{verb} client.example") + content, None)
        replies = b""
        while not replies.endswith((b"<CRLF>.<CRLF>\r\n", b"Chunk received\r\n")):
            replies += await stream.read(None)
        started = simulation.now()
        await stream.write(end + after, None)
        reply = b""
        while b"\r\n" not in reply:
            reply += await stream.read(None)
        waited = simulation.now() - started
        await stream.close()
        return reply, waited

    reply: bytes
    waited: float
    ((reply, waited),) = simulation.run(client())
    return reply, waited


@pytest.mark.req("RFC5321-6.1-05")
@pytest.mark.parametrize("lmtp", [False, True], ids=["SMTP", "LMTP"])
@pytest.mark.parametrize("message", [BY_DATA, BY_BDAT], ids=["DATA", "BDAT"])
def test_the_reply_to_a_message_is_sent_as_soon_as_the_handler_has_accepted_it(
    message: tuple[bytes, bytes], lmtp: bool
) -> None:
    for seconds in (0, 1, 299):
        for after in (b"", octets("NOOP"), octets("MAIL FROM:<>", "RSET"), b"MAIL FR"):
            reply, waited = time_to_the_reply(message, seconds, after, lmtp=lmtp)
            assert reply.startswith(b"250 ")
            assert waited == seconds


@pytest.mark.req("RFC5321-6.1-05")
@pytest.mark.parametrize("lmtp", [False, True], ids=["SMTP", "LMTP"])
@pytest.mark.parametrize("message", [BY_DATA, BY_BDAT], ids=["DATA", "BDAT"])
def test_the_reply_to_a_message_is_sent_before_the_next_command_is_handled(
    message: tuple[bytes, bytes], lmtp: bool
) -> None:
    """Even if that command has arrived together with the end of the message."""
    hello = octets("LHLO a.example" if lmtp else "EHLO a.example")
    client = ScriptedClient([hello, b"".join(message) + octets("MAIL FROM:<>")])
    written: list[list[str]] = []

    class Witness(Inbox):
        def mail(self, session: Session, sender: ReversePath, _: MailParameters) -> None:
            written.append(client.lines)

    run(Conversation(client, Witness(), ServerConfig(lmtp=lmtp), Runtime()).run())
    assert written[1][-1] == "250 2.0.0 Message accepted"


@pytest.mark.req("RFC5321-6.1-05")
@pytest.mark.parametrize("lmtp", [False, True], ids=["SMTP", "LMTP"])
@pytest.mark.parametrize("message", [BY_DATA, BY_BDAT], ids=["DATA", "BDAT"])
def test_a_handler_that_takes_too_long_delays_the_reply_for_five_minutes_at_most(
    message: tuple[bytes, bytes], lmtp: bool
) -> None:
    """Clients wait ten minutes (RFC 5321 4.5.3.2.6)."""
    for seconds in (301, 10**6):
        reply, waited = time_to_the_reply(message, seconds, lmtp=lmtp)
        assert reply.startswith(b"451 4.3.0 ")
        assert waited == 300

"""The limit on the memory of all messages that a server holds at a time."""

from __future__ import annotations

import pytest

from smtpproto import Envelope, Handler, Limits, Reply, ServerConfig, Session
from smtpproto.server import Sink, Usage
from tests.support.crowd import Crowd, Talker
from tests.support.handlers import Inbox

TRANSACTION = ("EHLO x.example", "MAIL FROM:<>", "RCPT TO:<bob@example.org>")
FULL = "452 4.3.1 Too many messages at the same time; try again later"
TOO_BIG = "552 5.3.4 Message is too big for this server"
LIMITS = Limits(memory=100_000)


async def begin(crowd: Crowd, size: int, *, chunk: bool = False) -> Talker:
    """Return a client that has sent *size* octets of a message, the server having read them."""
    client = await crowd.connect()
    await client.line()
    if chunk:
        await client.ask(*TRANSACTION)
        await client.send(b"BDAT %d\r\n" % size + b"x" * size)
        assert (await client.reply()).startswith("250")
    else:
        assert await client.ask(*TRANSACTION, "DATA") == (
            "354 Start mail input; end with <CRLF>.<CRLF>"
        )
        await client.send(b"x" * size)
        await crowd.sleep(1)
    return client


@pytest.mark.parametrize("chunk", [False, True])
@pytest.mark.parametrize(("size", "reply"), [(39_999, "250"), (40_000, "250"), (40_001, "452")])
def test_a_message_beyond_the_memory_of_all_is_refused_at_its_end(
    size: int, reply: str, chunk: bool
) -> None:
    inbox = Inbox()
    crowd = Crowd(ServerConfig(limits=LIMITS), inbox)

    async def talk(crowd: Crowd) -> None:
        first = await begin(crowd, 60_000, chunk=True)
        second = await begin(crowd, size - 2 * (not chunk), chunk=chunk)
        assert crowd.usage.memory == 60_000 + size - 2 * (not chunk) if reply == "250" else True
        await second.send(b"BDAT 0 LAST\r\n" if chunk else b"\r\n.\r\n")
        assert (await second.reply()).startswith(reply)
        assert crowd.usage.memory == 60_000
        assert (await first.ask("BDAT 0 LAST")).startswith("250")
        assert crowd.usage.memory == 0

    crowd.play(talk)
    crowd.assert_unused()
    assert len(inbox.bodies) == (2 if reply == "250" else 1)


@pytest.mark.parametrize("command", ["DATA", "BDAT 1 LAST"])
@pytest.mark.parametrize("held", [99_999, 100_000])
def test_a_message_is_refused_at_its_beginning_if_no_memory_is_left(
    command: str, held: int
) -> None:
    async def talk(crowd: Crowd) -> None:
        first = await begin(crowd, held, chunk=True)
        second = await crowd.connect()
        await second.line()
        await second.ask(*TRANSACTION)
        await second.send(command.encode() + (b"\r\n." if command[0] == "B" else b"\r\n"))
        assert (await second.reply()) == FULL if held == 100_000 else True
        await first.hang_up()
        assert crowd.usage.memory <= 1

    Crowd(ServerConfig(limits=LIMITS), Inbox()).play(talk)


@pytest.mark.parametrize(("size", "reply"), [(99_998, "250"), (100_000, "250"), (100_001, TOO_BIG)])
def test_a_message_that_can_never_fit_is_refused_for_good(size: int, reply: str) -> None:
    async def talk(crowd: Crowd) -> None:
        client = await begin(crowd, size, chunk=True)
        assert (await client.ask("BDAT 0 LAST")).startswith(reply)
        assert crowd.usage.memory == 0

    Crowd(ServerConfig(limits=LIMITS), Inbox()).play(talk)


@pytest.mark.parametrize("end", ["RSET", "QUIT", "EHLO y.example", "hang up", "bare LF", "hook"])
def test_memory_is_given_back_however_a_message_ends(end: str) -> None:
    class Broken(Handler):
        def message(self, session: Session, envelope: Envelope, body: bytes) -> Reply | None:
            raise RuntimeError("disk on fire")

    crowd = Crowd(ServerConfig(limits=LIMITS), Broken())

    async def talk(crowd: Crowd) -> None:
        for _ in range(3):
            client = await begin(crowd, 90_000, chunk=end != "bare LF")
            assert crowd.usage.memory >= 89_000
            if end == "hang up":
                await client.hang_up()
            elif end == "bare LF":
                await client.send(b"\n\r\n.\r\n")
                assert (await client.reply()).startswith("554")
            elif end == "hook":
                assert (await client.ask("BDAT 0 LAST")).startswith("451")
            else:
                await client.ask(end)
            assert crowd.usage.memory == 0

    crowd.play(talk)
    crowd.assert_unused()


def test_sinks_of_an_application_are_not_counted() -> None:
    class Null:
        def write(self, data: bytes) -> None: ...
        def commit(self) -> None: ...
        def abort(self) -> None: ...

    class Discard(Handler):
        def data(self, session: Session, envelope: Envelope) -> Sink:
            return Null()

    async def talk(crowd: Crowd) -> None:
        client = await begin(crowd, 200_000, chunk=True)
        assert crowd.usage.memory == 0
        assert (await client.ask("BDAT 0 LAST")).startswith("250")

    Crowd(ServerConfig(limits=LIMITS), Discard()).play(talk)


def test_without_a_limit_nothing_is_refused() -> None:
    account = Usage(Limits(memory=None)).account()
    assert account.reserve(10**12) is None

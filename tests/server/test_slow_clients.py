"""Slow clients: each wait ends in time, but so does the sum of all waits."""

from __future__ import annotations

import pytest

from smtpproto import ForwardPath, Handler, Limits, RcptParameters, ServerConfig, Session, Timeouts
from smtpproto.server.patience import Patience
from smtpproto.testing.simulation import SimulatedStream
from tests.support.accounts import Accounts
from tests.support.crowd import Crowd, Talker
from tests.support.handlers import Inbox
from tests.support.tls_sessions import SERVER_CONTEXT

TIMED_OUT = "421 4.4.2 localhost Timeout; closing transmission channel"
TRANSACTION = ("EHLO x.example", "MAIL FROM:<>", "RCPT TO:<bob@example.org>")
MANY = Limits(junk_commands=10**6, errors=10**6, refused_recipients=10**6, recipients=10**6)


async def session(crowd: Crowd, *lines: str) -> Talker:
    """Return a client that has sent *lines*, each after the reply to the one before."""
    client = await crowd.connect()
    await client.line()
    await client.ask(*lines)
    return client


async def last_line(client: Talker) -> str:
    """Return the last line that the server sends."""
    last = ""
    while line := await client.line():
        last = line
    return last


async def trickle(crowd: Crowd, client: Talker, octets: bytes, seconds: float) -> str:
    """Send *octets*, over and over, every few *seconds*; return the server's last line."""
    while not client.ended:
        await client.send(octets)
        await crowd.sleep(seconds)
    return await last_line(client)


# -- content -------------------------------------------------------------------------------------


@pytest.mark.parametrize("piece", [b"x", b"x\r\n", b"\n", b"." * 100])
def test_a_client_that_sends_content_before_each_time_out_is_closed(piece: bytes) -> None:
    async def talk(crowd: Crowd) -> None:
        client = await session(crowd, *TRANSACTION, "DATA")
        assert await trickle(crowd, client, piece, 299) == TIMED_OUT
        assert 300 <= crowd.now() <= 900

    Crowd().play(talk)


@pytest.mark.parametrize("chunk", [b"BDAT 1\r\nx", b"BDAT 0\r\n", b"NOOP\r\n", b"N", b"BDAT 9\r\n"])
def test_a_client_that_sends_small_chunks_before_each_time_out_is_closed(chunk: bytes) -> None:
    async def talk(crowd: Crowd) -> None:
        client = await session(crowd, *TRANSACTION)
        await client.send(b"BDAT 1\r\nx")
        assert (await client.reply()).startswith("250")
        assert await trickle(crowd, client, chunk, 299) == TIMED_OUT
        assert 300 <= crowd.now() <= 900

    Crowd(ServerConfig(limits=MANY)).play(talk)


@pytest.mark.parametrize(("seconds", "reply"), [(19.5, "250 "), (19.9, "250 "), (20.5, "421 ")])
def test_the_rate_of_content_is_an_average_after_a_start(seconds: float, reply: str) -> None:
    """A thousand octets at 100 a second take 10 seconds, and the start is 10 seconds."""
    config = ServerConfig(limits=Limits(content_rate=100), timeouts=Timeouts(content=10))

    async def talk(crowd: Crowd) -> None:
        client = await session(crowd, *TRANSACTION, "DATA")
        await client.send(b"x" * 1000)
        await crowd.sleep(seconds)
        await client.send(b"\r\n.\r\n")
        assert (await client.line()).startswith(reply)

    Crowd(config, Inbox()).play(talk)


def test_a_large_message_over_a_slow_line_is_accepted() -> None:
    inbox = Inbox()

    async def talk(crowd: Crowd) -> None:
        client = await session(crowd, *TRANSACTION, "DATA")
        for _ in range(60):
            await client.send(b"x" * 60_000)
            await crowd.sleep(110)
        assert crowd.now() > 6000
        await client.send(b"\r\n.\r\n")
        assert (await client.line()).startswith("250")

    Crowd(handler=inbox).play(talk)
    assert len(inbox.bodies[0]) == 60 * 60_000 + 2


def test_each_block_of_refused_content_has_its_own_time() -> None:
    async def talk(crowd: Crowd) -> None:
        client = await session(crowd, *TRANSACTION, "DATA")
        for _ in range(10):
            await client.send(b"\n" + b"x" * 60_000)
            await crowd.sleep(110)
        await client.send(b"\r\n.\r\n")
        assert (await client.line()).startswith("554")

    Crowd().play(talk)


@pytest.mark.parametrize(
    "config",
    [
        ServerConfig(limits=Limits(content_rate=None), timeouts=Timeouts(session=None)),
        ServerConfig(timeouts=Timeouts(content=None, session=None)),
    ],
)
def test_without_limits_a_client_may_be_as_slow_as_each_time_out_permits(
    config: ServerConfig,
) -> None:
    async def talk(crowd: Crowd) -> None:
        client = await session(crowd, "EHLO x.example")
        for _ in range(20):
            await crowd.sleep(290)
            assert (await client.ask("NOOP")).startswith("250")
        await client.ask(*TRANSACTION, "DATA")
        for _ in range(20):
            await crowd.sleep(290)
            await client.send(b"x")
        await client.send(b"\r\n.\r\n")
        assert (await client.line()).startswith("250")

    Crowd(config, Inbox()).play(talk)


# -- the session ---------------------------------------------------------------------------------


SLOW = {
    "NOOP": b"NOOP\r\n",
    "RSET": b"RSET\r\n",
    "EHLO": b"EHLO x.example\r\n",
    "RCPT": b"RCPT TO:<bob@example.org>\r\n",
    "MAIL and RSET": b"MAIL FROM:<>\r\nRSET\r\n",
    "errors": b"FOO\r\n",
    "AUTH": b"RSET\r\nAUTH PLAIN\r\n*\r\n",
}


@pytest.mark.parametrize("data", SLOW.values(), ids=SLOW)
def test_a_client_that_sends_commands_before_each_time_out_is_closed(data: bytes) -> None:
    config = ServerConfig(limits=MANY, authenticator=Accounts(), auth_in_clear=True)

    async def talk(crowd: Crowd) -> None:
        client = await session(crowd, "EHLO x.example", "MAIL FROM:<>")
        assert await trickle(crowd, client, data, 299) == TIMED_OUT
        assert 3600 <= crowd.now() <= 3900

    Crowd(config).play(talk)


@pytest.mark.req("RFC5321-4.5.3.2.7-01")
@pytest.mark.parametrize("lines", [(), ("EHLO x.example",), TRANSACTION])
def test_the_time_out_is_that_of_a_whole_command_line(lines: tuple[str, ...]) -> None:
    async def talk(crowd: Crowd) -> None:
        client = await session(crowd, *lines)
        assert await trickle(crowd, client, b"x", 100) == TIMED_OUT
        assert 300 <= crowd.now() <= 400

    Crowd().play(talk)


def test_the_time_out_is_that_of_a_whole_line_of_a_login() -> None:
    config = ServerConfig(authenticator=Accounts(), auth_in_clear=True)

    async def talk(crowd: Crowd) -> None:
        client = await session(crowd, "EHLO x.example", "AUTH PLAIN")
        assert await trickle(crowd, client, b"A", 100) == TIMED_OUT
        assert 300 <= crowd.now() <= 400

    Crowd(config).play(talk)


@pytest.mark.parametrize(("seconds", "reply"), [(99.0, "250 "), (101.0, "421 ")])
def test_the_session_limit_is_the_sum_of_all_waits(seconds: float, reply: str) -> None:
    async def talk(crowd: Crowd) -> None:
        client = await session(crowd, "EHLO x.example")
        for _ in range(3):
            await crowd.sleep(25)
            assert (await client.ask("NOOP")).startswith("250")
        await crowd.sleep(seconds - 75)
        await client.send(b"NOOP\r\n")
        assert (await client.line()).startswith(reply)

    Crowd(ServerConfig(timeouts=Timeouts(session=100))).play(talk)


@pytest.mark.parametrize("lmtp", [False, True])
def test_a_client_that_sends_mail_can_stay_for_ever(lmtp: bool) -> None:
    async def talk(crowd: Crowd) -> None:
        client = await session(crowd, "LHLO x.example" if lmtp else "EHLO x.example")
        for _ in range(50):
            for _ in range(10):
                await crowd.sleep(290)
                assert (await client.ask("NOOP")).startswith("250")
            assert (await client.ask(*TRANSACTION[1:], "DATA")).startswith("354")
            await crowd.sleep(200)
            await client.send(b"hello\r\n.\r\n")
            assert (await client.line()).startswith("250")

    Crowd(ServerConfig(lmtp=lmtp), Inbox()).play(talk)


def test_a_refused_message_does_not_begin_the_session_anew() -> None:
    async def talk(crowd: Crowd) -> None:
        client = await session(crowd, *TRANSACTION, "DATA")
        while not client.ended:
            await client.send(b"x\r\n.\r\n" + "\r\n".join([*TRANSACTION[1:], "DATA", ""]).encode())
            await crowd.sleep(250)
        assert await last_line(client) == TIMED_OUT and crowd.now() <= 3900

    Crowd(ServerConfig(limits=MANY)).play(talk)  # the default handler refuses every message


def test_the_time_of_hooks_does_not_count_for_the_session() -> None:
    class Slow(Inbox):
        crowd: Crowd

        async def rcpt(
            self, session: Session, recipient: ForwardPath, parameters: RcptParameters
        ) -> None:
            await self.crowd.sleep(10_000)

    handler = Slow()
    handler.crowd = crowd = Crowd(ServerConfig(timeouts=Timeouts(hook=None, hooks=None)), handler)

    async def talk(crowd: Crowd) -> None:
        client = await session(crowd, *TRANSACTION, "DATA")
        await client.send(b"hello\r\n.\r\n")
        assert (await client.line()).startswith("250") and crowd.now() >= 10_000

    crowd.play(talk)


class SlowReader(SimulatedStream):
    """The server's stream to a client that takes 100 seconds to read each write."""

    async def write(self, data: bytes, timeout: float | None) -> None:
        await self._simulation.sleep(100)
        await super().write(data, timeout)


class SlowReaders(Crowd):
    """Clients that are slow to read."""

    def pair(self) -> tuple[SimulatedStream, SimulatedStream]:
        near, _ = super().pair()
        far = SlowReader(self)
        near.peer, far.peer = far, near
        return near, far


def test_the_time_of_writing_replies_counts_for_the_session() -> None:
    async def talk(crowd: Crowd) -> None:
        client = await session(crowd, "EHLO x.example")
        while not client.ended:
            await client.send(b"NOOP\r\n")
            await crowd.sleep(250)
        assert await last_line(client) == TIMED_OUT and 900 <= crowd.now() <= 1500

    SlowReaders(ServerConfig(limits=MANY, timeouts=Timeouts(session=1000))).play(talk)


def test_the_last_reply_to_a_client_whose_session_is_over_does_not_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits: list[float | None] = []
    write = SimulatedStream.write

    async def record(stream: SimulatedStream, data: bytes, timeout: float | None) -> None:
        waits.append(timeout)
        await write(stream, data, timeout)

    async def talk(crowd: Crowd) -> None:
        client = await session(crowd)
        monkeypatch.setattr(SimulatedStream, "write", record)
        assert await last_line(client) == TIMED_OUT and crowd.now() == 100

    Crowd(ServerConfig(timeouts=Timeouts(session=100))).play(talk)
    assert waits == [0]


# -- TLS and PROXY -------------------------------------------------------------------------------


def hello_of_a_client() -> bytes:
    """Return a TLS record with a handshake message that is announced, but never complete."""
    return b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc" + bytes(100)


@pytest.mark.parametrize("implicit", [False, True])
def test_a_handshake_ends_in_time_however_slowly_octets_arrive(implicit: bool) -> None:
    async def talk(crowd: Crowd) -> None:
        client = await crowd.connect()
        if not implicit:
            await client.line()
            await client.ask("EHLO x.example", "STARTTLS")
        for octet in hello_of_a_client():
            if client.ended:
                break
            await client.send(bytes([octet]))
            await crowd.sleep(10)
        assert client.ended and crowd.now() <= 130

    crowd = Crowd(ServerConfig(context=SERVER_CONTEXT, implicit_tls=implicit))
    crowd.play(talk)
    crowd.assert_unused()


def test_a_proxy_header_ends_in_time_however_slowly_octets_arrive() -> None:
    async def talk(crowd: Crowd) -> None:
        client = await crowd.connect()
        for octet in b"PROXY TCP4 203.0.113.1 203.0.113.2 1234 25\r\n":
            if client.ended:
                break
            await client.send(bytes([octet]))
            await crowd.sleep(5)
        assert client.ended and crowd.now() <= 40

    Crowd(ServerConfig(proxied_by=["192.0.2.1"]), Handler()).play(talk)


# -- the sums ------------------------------------------------------------------------------------


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_waits_inside_and_outside_content_are_added_up_apart(clock: Clock) -> None:
    patience = Patience(clock, Limits(content_rate=1), Timeouts(session=100, content=50))
    patience.start()
    patience.begin(60)
    assert patience.left(in_message=False) == 60
    clock.seconds += 50
    patience.waited(in_message=False)
    assert patience.left(in_message=False) == 10, "of the time that began"
    patience.begin(60)
    assert patience.left(in_message=False) == 50, "of the session"
    patience.begin(None)
    assert patience.left(in_message=False) == 50
    assert patience.left(in_message=True) == 50
    clock.seconds += 30
    patience.waited(in_message=True, octets=10)
    assert patience.left(in_message=True) == 30
    clock.seconds += 200
    patience.waited(in_message=False)
    assert patience.left(in_message=False) == 0
    patience.reset()
    assert patience.left(in_message=False) == 100


def test_the_time_that_is_skipped_counts_for_no_limit(clock: Clock) -> None:
    patience = Patience(clock, Limits(), Timeouts(session=100))
    patience.start()
    patience.begin(60)
    clock.seconds += 70
    assert patience.skip() == 70
    patience.begin(60)
    assert patience.left(in_message=False) == 60
    clock.seconds += 30
    patience.waited(in_message=False)
    patience.begin(None)
    assert patience.left(in_message=False) == 70

"""The total timeout of an operation: what the client has sent when it expires (simulated clock)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Unpack

import pytest

from smtpproto import (
    Client,
    ClientConfig,
    LocalProtocolError,
    Outcome,
    Refusal,
    TimedOut,
    Timeouts,
    TLSMode,
)
from smtpproto.client.config import ClientOptions
from smtpproto.client.connection import open_client
from smtpproto.testing.simulation import SimulatedStream, Simulation
from tests.support.envelopes import TO_BOB

VERBS = {"EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "BDAT", "NOOP", "QUIT"}
EHLO = b"EHLO [192.0.2.2]\r\n"
UP_TO_DATA = (
    EHLO + b"MAIL FROM:<ann@example.org>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n"
)  # without PIPELINING, each command waits for the reply to the one before


class SlowServer(Simulation):
    """A server that waits *pause* seconds before it accepts the connection, and before each reply.

    It never replies to the verb *silent* ("." is the end of the content).
    """

    def __init__(self, pause: float, silent: str = "", offer: str = "AUTH PLAIN") -> None:
        super().__init__(0)
        self.pause, self.silent, self.received = pause, silent, b""
        self.replies = {"EHLO": f"250-mx\r\n250 {offer}", "DATA": "354 go", "QUIT": "221 bye"}
        self.near, self.far = self.pair()
        self.ended_at = 0.0

    async def dial(
        self,
        host: str,
        port: int,
        timeout: float | None,
        source: tuple[str, int] | None = None,
    ) -> SimulatedStream:
        if timeout is not None and timeout < self.pause:
            await self.sleep(timeout)
            raise TimedOut("no connection", phase="connect")
        await self.sleep(self.pause)
        self.start(self.serve())
        return self.near

    async def serve(self) -> None:
        await self.reply("220 mx")
        octets, end = b"", b"\r\n"
        while data := await self.far.read(None):
            self.received += data
            octets += data
            while end in octets:
                line, _, octets = octets.partition(end)
                verb = "." if end != b"\r\n" else line.split(b" ")[0].decode("latin-1")
                end = b"\r\n.\r\n" if verb == "DATA" else b"\r\n"
                if verb in {*VERBS, "."} and verb != self.silent:
                    await self.reply(self.replies.get(verb, "250 ok"))

    async def reply(self, line: str) -> None:
        await self.sleep(self.pause)
        await self.far.write(line.encode() + b"\r\n", None)


async def do_nothing(_: Client) -> None:
    """Do nothing with the client."""


async def send(client: Client) -> Outcome:
    """Send one message."""
    return await client.send(b"hello\r\n", TO_BOB)


def play(
    server: SlowServer, talk: Callable[[Client], Awaitable[Any]], **options: Unpack[ClientOptions]
) -> Any:
    """Return the result of *talk*. Raises the error of the client."""
    options.setdefault("tls", TLSMode.NONE)
    options.setdefault("timeouts", Timeouts(total=5))

    async def client() -> Any:
        try:
            async with await open_client(server, "mx", 25, ClientConfig(**options)) as opened:
                return await talk(opened)
        finally:
            server.ended_at = server.now()

    return server.run(client())[0]


def timed_out(
    server: SlowServer, talk: Callable[[Client], Awaitable[Any]], **options: Any
) -> TimedOut:
    """Return the TimedOut that the client raised after 5 seconds in all."""
    with pytest.raises(TimedOut, match="the whole operation took longer than 5 seconds") as caught:
        play(server, talk, **options)
    return caught.value


# -- opening -------------------------------------------------------------------------------------


def test_connecting_counts_towards_the_total_of_opening() -> None:
    server = SlowServer(pause=6)
    assert timed_out(server, do_nothing).phase == "connect"
    assert server.ended_at == 5 and server.received == b""


def test_the_steps_of_opening_share_the_total() -> None:
    """No single step exceeds its own timeout."""
    server = SlowServer(pause=2)
    error = timed_out(server, do_nothing)
    assert (error.phase, error.command, server.ended_at) == ("hello", "EHLO [192.0.2.2]", 5)
    assert server.received == EHLO


def test_the_greeting_counts_towards_the_total_of_opening() -> None:
    server = SlowServer(pause=2.25)
    assert timed_out(server, do_nothing).phase == "hello"
    server = SlowServer(pause=2.75)
    assert timed_out(server, do_nothing).phase == "greeting"
    assert server.received == b""


@pytest.mark.parametrize("mode", [TLSMode.IMPLICIT, TLSMode.REQUIRED])
def test_the_handshake_counts_towards_the_total_of_opening(mode: TLSMode) -> None:
    server = SlowServer(pause=0.5, offer="STARTTLS")

    async def swallow() -> None:
        while data := await server.far.read(None):
            server.received += data

    if mode is TLSMode.IMPLICIT:
        server.serve = swallow  # type: ignore[method-assign]
    assert timed_out(server, do_nothing, tls=mode).phase == "TLS"
    clear, handshake, records = server.received.partition(b"\x16\x03")
    assert clear == (b"" if mode is TLSMode.IMPLICIT else EHLO + b"STARTTLS\r\n")
    assert handshake and b"EHLO" not in records


def test_the_login_counts_towards_the_total_of_opening() -> None:
    server = SlowServer(pause=1, silent="AUTH")
    error = timed_out(server, do_nothing, login=("ann", "secret"), login_in_clear=True)
    assert error.command == "AUTH PLAIN ***" and "AGFub" not in str(error)
    assert server.received == EHLO + b"AUTH PLAIN AGFubgBzZWNyZXQ=\r\n"
    assert server.ended_at == 5


def test_the_quit_after_a_refusal_counts_towards_the_total_of_opening() -> None:
    """The server has refused: it has no more time for its reply to QUIT than was left."""
    server = SlowServer(pause=2, silent="QUIT")
    server.replies["EHLO"] = "550 no"
    with pytest.raises(Refusal, match="550 no"):
        play(server, do_nothing, timeouts=Timeouts(total=7))
    assert server.received == EHLO + b"QUIT\r\n"
    assert server.ended_at == 7


# -- messages and commands -----------------------------------------------------------------------


def test_each_operation_has_a_total_of_its_own() -> None:
    async def three(client: Client) -> None:
        assert (await send(client)).accepted
        assert (await send(client)).accepted
        assert (await client.noop()).positive

    server = SlowServer(pause=1)
    play(server, three)
    assert server.now() > 10


def test_the_commands_of_a_message_share_the_total() -> None:
    server = SlowServer(pause=1.25)

    async def talk(client: Client) -> None:
        started = server.now()
        with pytest.raises(TimedOut, match="the whole") as caught:
            await client.send(b"hello\r\n", TO_BOB)
        assert server.now() - started == 5
        assert caught.value.command == "DATA"
        assert not client.usable
        with pytest.raises(LocalProtocolError, match="over"):
            await client.noop()

    server.silent = "DATA"
    play(server, talk)
    assert server.received == UP_TO_DATA


def test_a_command_times_out_after_the_total_without_quit() -> None:
    server = SlowServer(pause=1, silent="NOOP")

    async def talk(client: Client) -> None:
        await client.noop()

    assert timed_out(server, talk).command == "NOOP"
    assert server.received == EHLO + b"NOOP\r\n"


def test_a_shorter_timeout_of_a_phase_is_reported_as_such() -> None:
    server = SlowServer(pause=1, silent="MAIL")
    with pytest.raises(TimedOut, match="silent") as caught:
        play(server, send, timeouts=Timeouts(total=50, mail=3))
    assert "whole" not in str(caught.value)


def test_the_total_that_expires_after_the_message_makes_the_outcome_unknown() -> None:
    server = SlowServer(pause=0.25, silent=".")
    times = []

    async def talk(client: Client) -> Outcome:
        times.append(server.now())
        outcome = await send(client)
        times.append(server.now())
        assert not client.usable
        return outcome

    outcome = play(server, talk)
    assert list(outcome.unknown) == list(TO_BOB.recipients)
    assert not outcome.accepted and not outcome.refused
    assert times[1] - times[0] == 5
    assert server.received == UP_TO_DATA + b"hello\r\n.\r\n"


@pytest.mark.parametrize("offer", ["HELP", "CHUNKING"])
def test_content_that_exceeds_the_total_is_not_completed(offer: str) -> None:
    """The client has given up: the server must not take the content for a whole message."""
    server = SlowServer(pause=0.25, offer=offer)

    def blocks() -> Iterator[bytes]:
        yield b"first\r\n" * 200_000
        server._now += 10  # the source is slow

    async def talk(client: Client) -> None:
        await client.send(blocks(), TO_BOB)

    timed_out(server, talk)
    assert b"first\r\n" in server.received
    assert b"\r\n.\r\n" not in server.received and b"LAST" not in server.received


def test_a_total_of_zero_expires_before_anything_is_sent() -> None:
    server = SlowServer(pause=0)
    with pytest.raises(TimedOut, match="the whole operation took longer than 0 seconds") as caught:
        play(server, send, timeouts=Timeouts(total=0))
    assert caught.value.phase == "connect" and server.received == b""


@pytest.mark.parametrize("total", [-1, 1e9, float("nan"), float("inf")])
def test_an_impossible_total_is_a_value_error(total: float) -> None:
    with pytest.raises(ValueError, match="total must be"):
        Timeouts(total=total)

"""The time of a whole operation, on a clock that jumps: what was sent when it was over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Unpack

import pytest

from smtpproto import (
    Client,
    ClientConfig,
    LocalProtocolError,
    Outcome,
    TimedOut,
    Timeouts,
    TLSMode,
)
from smtpproto.client.config import ClientOptions
from smtpproto.client.connection import open_client
from smtpproto.testing.simulation import SimulatedStream, Simulation, _Task
from tests.support.envelopes import TO_BOB

VERBS = {"EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "BDAT", "NOOP", "QUIT"}
EHLO = b"EHLO [192.0.2.2]\r\n"
UP_TO_DATA = (
    EHLO + b"MAIL FROM:<ann@example.org>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n"
)  # no PIPELINING: each waits for the reply before it


class Slow(Simulation):
    """A server that is *pause* seconds late, with the connection and with each reply; *silent*
    is the verb that it never answers ("." the content)."""

    def __init__(self, pause: float, silent: str = "", offer: str = "AUTH PLAIN") -> None:
        super().__init__(0)
        self.pause, self.silent, self.got = pause, silent, b""
        self.replies = {"EHLO": f"250-mx\r\n250 {offer}", "DATA": "354 go", "QUIT": "221 bye"}
        self.near, self.far = self.pair()
        self.over_at = 0.0

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
        self._tasks.append(_Task(self.serve()))
        return self.near

    async def serve(self) -> None:
        await self.reply("220 mx")
        octets, end = b"", b"\r\n"
        while data := await self.far.read(None):
            self.got += data
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


async def nothing(_: Client) -> None: ...


async def send(client: Client) -> Outcome:
    return await client.send(b"hello\r\n", TO_BOB)


def play(
    runtime: Slow, talk: Callable[[Client], Awaitable[Any]], **options: Unpack[ClientOptions]
) -> Any:
    """What *talk* gave. Raises what the client did."""
    options.setdefault("tls", TLSMode.NONE)
    options.setdefault("timeouts", Timeouts(total=5))

    async def client() -> Any:
        try:
            async with await open_client(runtime, "mx", 25, ClientConfig(**options)) as opened:
                return await talk(opened)
        finally:
            runtime.over_at = runtime.now()

    return runtime.run(client())[0]


def timed_out(runtime: Slow, talk: Callable[[Client], Awaitable[Any]], **options: Any) -> TimedOut:
    with pytest.raises(TimedOut, match="the whole operation took longer than 5 seconds") as caught:
        play(runtime, talk, **options)
    return caught.value


# -- opening -------------------------------------------------------------------------------------


def test_the_connection_is_part_of_opening() -> None:
    runtime = Slow(pause=6)
    assert timed_out(runtime, nothing).phase == "connect"
    assert runtime.over_at == 5 and runtime.got == b""


def test_opening_is_one_operation() -> None:
    """Each step is in time, all together are not."""
    runtime = Slow(pause=2)
    error = timed_out(runtime, nothing)
    assert (error.phase, error.command, runtime.over_at) == ("hello", "EHLO [192.0.2.2]", 5)
    assert runtime.got == EHLO


def test_the_greeting_is_part_of_opening() -> None:
    runtime = Slow(pause=2.25)
    assert timed_out(runtime, nothing).phase == "hello"
    runtime = Slow(pause=2.75)
    assert timed_out(runtime, nothing).phase == "greeting"
    assert runtime.got == b""


@pytest.mark.parametrize("mode", [TLSMode.IMPLICIT, TLSMode.REQUIRED])
def test_the_handshake_is_part_of_opening(mode: TLSMode) -> None:
    runtime = Slow(pause=0.5, offer="STARTTLS")

    async def swallow() -> None:
        while data := await runtime.far.read(None):
            runtime.got += data

    if mode is TLSMode.IMPLICIT:
        runtime.serve = swallow  # type: ignore[method-assign]
    assert timed_out(runtime, nothing, tls=mode).phase == "TLS"
    clear, handshake, records = runtime.got.partition(b"\x16\x03")
    assert clear == (b"" if mode is TLSMode.IMPLICIT else EHLO + b"STARTTLS\r\n")
    assert handshake and b"EHLO" not in records


def test_the_login_is_part_of_opening() -> None:
    runtime = Slow(pause=1, silent="AUTH")
    error = timed_out(runtime, nothing, login=("ann", "secret"), login_in_clear=True)
    assert error.command == "AUTH PLAIN ***" and "AGFub" not in str(error)
    assert runtime.got == EHLO + b"AUTH PLAIN AGFubgBzZWNyZXQ=\r\n"
    assert runtime.over_at == 5


# -- messages and commands -----------------------------------------------------------------------


def test_each_operation_has_the_whole_time() -> None:
    async def three(client: Client) -> None:
        assert (await send(client)).accepted
        assert (await send(client)).accepted
        assert (await client.noop()).positive

    runtime = Slow(pause=1)
    play(runtime, three)
    assert runtime.now() > 10


def test_a_message_is_one_operation() -> None:
    runtime = Slow(pause=1.25)

    async def talk(client: Client) -> None:
        started = runtime.now()
        with pytest.raises(TimedOut, match="the whole") as caught:
            await client.send(b"hello\r\n", TO_BOB)
        assert runtime.now() - started == 5
        assert caught.value.command == "DATA"
        assert not client.usable
        with pytest.raises(LocalProtocolError, match="over"):
            await client.noop()

    runtime.silent = "DATA"
    play(runtime, talk)
    assert runtime.got == UP_TO_DATA


def test_a_command_is_one_operation() -> None:
    runtime = Slow(pause=1, silent="NOOP")

    async def talk(client: Client) -> None:
        await client.noop()

    assert timed_out(runtime, talk).command == "NOOP"
    assert runtime.got == EHLO + b"NOOP\r\n"  # and no QUIT


def test_a_time_out_of_a_phase_is_one_of_that_phase() -> None:
    runtime = Slow(pause=1, silent="MAIL")
    with pytest.raises(TimedOut, match="silent") as caught:
        play(runtime, send, timeouts=Timeouts(total=50, mail=3))
    assert "whole" not in str(caught.value)


def test_behind_the_message_the_outcome_is_unknown() -> None:
    runtime = Slow(pause=0.25, silent=".")
    times = []

    async def talk(client: Client) -> Outcome:
        times.append(runtime.now())
        outcome = await send(client)
        times.append(runtime.now())
        assert not client.usable
        return outcome

    outcome = play(runtime, talk)
    assert list(outcome.unknown) == list(TO_BOB.recipients)
    assert not outcome.accepted and not outcome.refused
    assert times[1] - times[0] == 5
    assert runtime.got == UP_TO_DATA + b"hello\r\n.\r\n"


@pytest.mark.parametrize("offer", ["HELP", "CHUNKING"])
def test_content_that_comes_too_late_is_not_ended(offer: str) -> None:
    """Nobody waits for it any more: the server must not take it for a whole message."""
    runtime = Slow(pause=0.25, offer=offer)

    def blocks() -> Iterator[bytes]:
        yield b"first\r\n" * 200_000
        runtime._now += 10  # the source takes its time

    async def talk(client: Client) -> None:
        await client.send(blocks(), TO_BOB)

    timed_out(runtime, talk)
    assert b"first\r\n" in runtime.got
    assert b"\r\n.\r\n" not in runtime.got and b"LAST" not in runtime.got


def test_no_time_is_over_before_anything_is_sent() -> None:
    runtime = Slow(pause=0)
    with pytest.raises(TimedOut, match="the whole operation took longer than 0 seconds") as caught:
        play(runtime, send, timeouts=Timeouts(total=0))
    assert caught.value.phase == "connect" and runtime.got == b""


@pytest.mark.parametrize("total", [-1, 1e9, float("nan"), float("inf")])
def test_what_is_no_time(total: float) -> None:
    with pytest.raises(ValueError, match="total must be"):
        Timeouts(total=total)

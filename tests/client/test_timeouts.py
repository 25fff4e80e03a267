"""How long a client waits, phase by phase (RFC 5321 4.5.3.2), on a simulated clock."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator

import pytest
from attrs import evolve

from smtpproto import Client, ClientConfig, Outcome, TimedOut, Timeouts, TLSMode
from smtpproto.client.connection import start_client
from smtpproto.testing.simulation import SimulatedStream, Simulation
from tests.support.envelopes import TO_BOB

REPLIES = {
    "greeting": "220 mx.example.org",
    "EHLO": "250 mx.example.org",
    "MAIL": "250 ok",
    "RCPT": "250 ok",
    "DATA": "354 go",
    "end of data": "250 ok",
    "QUIT": "221 bye",
}


class SlowStream(SimulatedStream):
    """Takes *seconds* for each write of content, or raises TimedOut if the timeout is shorter."""

    seconds = 0.0

    async def write(self, data: bytes, timeout: float | None) -> None:
        if len(data) > 1000 and self.seconds:
            if timeout is not None and timeout < self.seconds:
                await self._simulation.wait(lambda: False, timeout)
                raise TimedOut("writing")
            await self._simulation.wait(lambda: False, self.seconds)
        await super().write(data, timeout)


class TimedDialogue:
    """A client against a server that waits *pause* seconds before each reply, and never sends the
    reply of the phase *stalls*."""

    def __init__(self, *, stalls: str = "", pause: float = 0.0, per_block: float = 0.0) -> None:
        self.simulation = Simulation(0)
        self.near, self.far = SlowStream(self.simulation), SimulatedStream(self.simulation)
        self.near.peer, self.far.peer = self.far, self.near
        self.near.seconds, self.pause, self.stalls = per_block, pause, stalls
        self.silent_at = 0.0

    def run(
        self, talk: Callable[[Client], Awaitable[Outcome]], timeouts: Timeouts
    ) -> Outcome | None:
        """Return what *talk* returned. Raises what the client raised."""

        async def client() -> Outcome:
            config = ClientConfig(timeouts=timeouts)
            opened = await start_client(self.simulation, self.near, "mx", config, TLSMode.NONE)
            async with opened:
                return await talk(opened)

        outcome: Outcome = self.simulation.run(client(), self.server())[0]
        return outcome

    async def server(self) -> None:
        phases, octets = iter(REPLIES), b""
        for phase in phases:
            while phase != "greeting" and not self._complete(phase, octets):
                if not (data := await self.far.read(None)):
                    return
                octets = (octets + data)[-200_000:]
            octets = b""
            if phase == self.stalls:
                self.silent_at = self.simulation.now()
                await self.far.read(None)
                return
            await self.simulation.wait(lambda: False, self.pause)
            await self.far.write(REPLIES[phase].encode() + b"\r\n", None)

    @staticmethod
    def _complete(phase: str, octets: bytes) -> bool:
        return octets.endswith(b"\r\n.\r\n" if phase == "end of data" else b"\r\n")


async def send_short(client: Client) -> Outcome:
    return await client.send(b"hello\r\n", TO_BOB)


async def send_long(client: Client) -> Outcome:
    def blocks() -> Iterator[bytes]:
        for _ in range(20):
            yield b"x" * 998 + b"\r\n" + b"y" * 998 + b"\r\n"

    return await client.send(blocks(), TO_BOB)


@pytest.mark.req(
    "RFC5321-4.5.3.2-01", "RFC5321-4.5.3.2.1-01", "RFC5321-4.5.3.2.2-01", "RFC5321-4.5.3.2.3-01",
    "RFC5321-4.5.3.2.4-01",
)  # fmt: skip
@pytest.mark.parametrize(
    ("phase", "command", "seconds"),
    [
        ("greeting", "", 300),
        ("EHLO", "EHLO [192.0.2.2]", 300),
        ("MAIL", "MAIL FROM:<ann@example.org>", 300),
        ("RCPT", "RCPT TO:<bob@example.org>", 300),
        ("DATA", "DATA", 120),
    ],
)
def test_each_phase_has_its_own_timeout(phase: str, command: str, seconds: float) -> None:
    """It does not expire a second early."""
    dialogue = TimedDialogue(stalls=phase)
    with pytest.raises(TimedOut) as caught:
        dialogue.run(send_short, Timeouts())
    assert caught.value.command == command
    assert dialogue.simulation.now() - dialogue.silent_at == seconds


@pytest.mark.req("RFC5321-4.5.3.2-01", "RFC5321-4.5.3.2.6-01")
def test_no_reply_to_the_final_dot_within_ten_minutes_is_an_unknown_outcome() -> None:
    dialogue = TimedDialogue(stalls="end of data")
    outcome = dialogue.run(send_short, Timeouts())
    assert outcome is not None and list(outcome.unknown) == list(TO_BOB.recipients)
    assert dialogue.simulation.now() - dialogue.silent_at == 600


@pytest.mark.req("RFC5321-4.5.3.2-03", "RFC5321-4.5.3.2-04", "RFC5321-4.5.3.2.5-01")
def test_a_slow_but_steady_message_does_not_time_out() -> None:
    """Each block takes nearly its three minutes, and all of them more than any timeout."""
    dialogue = TimedDialogue(per_block=179, pause=110)
    outcome = dialogue.run(send_long, Timeouts())
    assert outcome is not None and outcome.accepted
    assert dialogue.simulation.now() > 20 * 179


@pytest.mark.req("RFC5321-4.5.3.2-01", "RFC5321-4.5.3.2.5-01")
def test_a_block_that_cannot_be_written_within_three_minutes_times_out() -> None:
    dialogue = TimedDialogue(per_block=181)
    with pytest.raises(TimedOut):
        dialogue.run(send_long, Timeouts())
    assert dialogue.simulation.now() == 180


@pytest.mark.req("RFC5321-4.5.3.2-02")
@pytest.mark.parametrize(
    ("name", "phase"), [("greeting", "greeting"), ("hello", "EHLO"), ("mail", "MAIL"),
    ("rcpt", "RCPT"), ("data", "DATA")]
)  # fmt: skip
def test_each_timeout_is_an_option(name: str, phase: str) -> None:
    dialogue = TimedDialogue(stalls=phase)
    with pytest.raises(TimedOut):
        dialogue.run(send_short, evolve(Timeouts(), **{name: 7}))
    assert dialogue.simulation.now() - dialogue.silent_at == 7

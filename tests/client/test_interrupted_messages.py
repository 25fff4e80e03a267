"""Messages whose source fails, and messages that are cancelled."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from smtpproto import (
    Client,
    ClientConfig,
    Envelope,
    LocalProtocolError,
    RemoteProtocolError,
    SendRefused,
    SMTPError,
    TLSMode,
)
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.client.connection import send_once, start_client
from smtpproto.client.target import make_target
from smtpproto.testing.script import ScriptedStream
from tests.support.dialogue import (
    GOODBYE,
    LINES,
    LOCKSTEP,
    MAIL,
    NEXT,
    PIPELINED,
    PIPELINED_MAIL,
    PIPELINED_NEXT,
    RSET,
    hello,
    play,
    send,
)
from tests.support.envelopes import TO_BOB
from tests.support.pools import ScriptedRuntime

pytestmark = pytest.mark.usefixtures("small_chunks")


# -- sources that fail ---------------------------------------------------------------------------


class SourceError(Exception):
    """Raised by the source of a message."""


def failing(after: int) -> Iterator[bytes]:
    """Yield the first *after* chunks of LINES, then raise SourceError."""
    yield LINES[: 7 * after]
    raise SourceError


async def failing_asynchronously(after: int) -> AsyncIterator[bytes]:
    for piece in failing(after):
        yield piece


@pytest.mark.parametrize("pipelined", [False, True])
def test_a_source_that_fails_between_chunks_resets_the_transaction(pipelined: bool) -> None:
    """The client reads the replies to the chunks in flight, and the next message is sent."""

    async def talk(client: Client) -> None:
        with pytest.raises(SourceError):
            await client.send(failing(3), TO_BOB)
        assert client.usable
        await client.send(b"next\n", Envelope("", "z@z.example"))

    chunks = [["C: BDAT 7", f"C: {line}", "S: 250 ok"] for line in ("one..", "two..")]
    if pipelined:
        chunks = [*(chunk[:2] for chunk in chunks), ["C: RSET"], ["S: 250 ok"] * 3]
    else:
        chunks.append(["C: RSET", "S: 250 ok"])
    middle = "\n".join(line for chunk in chunks for line in chunk)
    start = PIPELINED + PIPELINED_MAIL if pipelined else LOCKSTEP + MAIL
    play(f"{start}{middle}\n{PIPELINED_NEXT if pipelined else NEXT}{GOODBYE}", talk)


@pytest.mark.parametrize("source", [failing, failing_asynchronously], ids=["plain", "async"])
def test_a_source_that_fails_during_data_ends_the_connection(
    source: Callable[[int], Iterator[bytes] | AsyncIterator[bytes]],
) -> None:
    """The final dot would turn the part that was sent into a whole message."""

    async def talk(client: Client) -> None:
        with pytest.raises(SourceError):
            await client.send(source(1), TO_BOB)
        assert not client.usable
        for envelope in (TO_BOB, Envelope("a@b.example", "c@d.example")):
            with pytest.raises(LocalProtocolError, match="this connection is over"):
                await client.send(b"next\n", envelope)

    stream = play(f"{hello()}{MAIL}C: DATA\nS: 354 go\nC: one..\n", talk)
    assert stream.closed


def test_the_error_of_the_source_is_raised_even_if_the_link_then_fails() -> None:
    async def talk(client: Client) -> None:
        with pytest.raises(SourceError):
            await client.send(failing(3), TO_BOB)
        assert not client.usable

    play(f"{PIPELINED}{PIPELINED_MAIL}C: BDAT 7\nC: one..\nC: BDAT 7\nC: two..\nC: RSET", talk)


def test_an_asynchronous_source_is_closed_when_a_chunk_is_refused() -> None:
    ends = []

    async def source() -> AsyncIterator[bytes]:
        try:
            yield LINES
        finally:
            ends.append("closed")

    with pytest.raises(SendRefused):
        send(f"{LOCKSTEP}{MAIL}C: BDAT 7\nC: one..\nS: 552 no\n{RSET}{GOODBYE}", body=source())
    assert ends == ["closed"]


# -- cancellation --------------------------------------------------------------------------------


class Cancelled(BaseException):
    """The cancellation of a framework."""


class CancellingStream(ScriptedStream):
    """A scripted stream whose read number *n* that may wait, counted from 0, is cancelled."""

    def __init__(self, script: str, n: int) -> None:
        super().__init__(script)
        self.left = n

    async def read(self, timeout: float | None) -> bytes:
        self.left -= timeout != 0
        if self.left == -1:
            raise Cancelled
        return await super().read(timeout)


async def opened(stream: ScriptedStream) -> Client:
    return await start_client(Runtime(), stream, "mx", ClientConfig(), TLSMode.NONE)


@pytest.mark.parametrize("reads", range(2, 6))
def test_after_a_cancelled_message_the_next_begins_with_rset(reads: int) -> None:
    lines = [
        ["C: MAIL FROM:<ann@example.org>", "S: 250 ok"],
        ["C: RCPT TO:<bob@example.org>", "S: 250 ok"],
        ["C: BDAT 7", "C: one..", "S: 250 ok"],
        ["C: BDAT 7", "C: two..", "S: 250 ok"],
    ]
    script = "\n".join(line for step in lines[: reads - 1] for line in step)
    stream = CancellingStream(f"{LOCKSTEP}{script}\n{RSET}{NEXT}{GOODBYE}", reads)

    async def main() -> None:
        async with await opened(stream) as client:
            with pytest.raises(Cancelled):
                await client.send(LINES, TO_BOB)
            await client.send(b"next\n", Envelope("", "z@z.example"))

    run(main())
    stream.finish()


def test_a_message_cancelled_during_data_ends_the_connection() -> None:
    """The final dot would turn the part that was sent into a whole message."""
    stream = CancellingStream(f"{hello()}{MAIL}C: DATA\nS: 354 go\nC: next\nC: .\n", 4)

    async def main() -> None:
        async with await opened(stream) as client:
            with pytest.raises(Cancelled):
                await client.send(b"next\n", TO_BOB)
            with pytest.raises(SMTPError):
                await client.send(b"next\n", TO_BOB)
            assert not client.usable

    run(main())


def test_a_message_cancelled_before_the_reply_to_data_ends_the_connection() -> None:
    """Once the server has sent 354, only content could follow, and its end would be a message."""
    stream = CancellingStream(f"{hello()}{MAIL}C: DATA\nS: 354 go\nS: <silence>\n", 4)

    async def main() -> None:
        async with await opened(stream) as client:
            with pytest.raises(Cancelled):
                await client.send(b"next\n", TO_BOB)
            with pytest.raises(LocalProtocolError, match="this connection is over"):
                await client.noop()
            assert not client.usable

    run(main())


def test_a_server_that_refuses_rset_breaks_the_protocol() -> None:
    """RFC 5321 4.3.2 knows no refusal of RSET, and MAIL cannot follow it."""
    refused = "C: DATA\nS: 450 no\n" + "C: RSET\nS: 550 no\n" * 2

    async def talk(client: Client) -> None:
        with pytest.raises(SendRefused):
            await client.send(b"hi\n", TO_BOB)
        with pytest.raises(RemoteProtocolError, match="the server refused RSET"):
            await client.send(b"hi\n", TO_BOB)
        assert not client.usable

    play(f"{hello()}{MAIL}{refused}", talk)


def test_a_cancelled_send_closes_its_connection_without_quit() -> None:
    """The task that was cancelled must not wait for the server any more."""

    async def cancelled() -> AsyncIterator[bytes]:
        yield LINES[:7]
        raise Cancelled

    runtime = ScriptedRuntime([f"{LOCKSTEP}{MAIL}S: <silence>"])
    target = make_target("mx", 25, {"tls": "none"}, "send")
    with pytest.raises(Cancelled):
        run(send_once(runtime, target, cancelled(), TO_BOB))
    assert runtime.streams[0].closed

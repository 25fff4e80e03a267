"""Messages by BDAT, sources that fail and messages that are given up, as dialogues."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from smtpproto import (
    Client,
    ClientConfig,
    Envelope,
    ForwardPath,
    LocalProtocolError,
    RemoteProtocolError,
    Reply,
    SendRefused,
    SMTPError,
    TLSMode,
    TransportError,
)
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.client.connection import start_client
from smtpproto.testing.script import ScriptedStream

from ..support.dialogue import (
    GOODBYE,
    KEPT,
    LINES,
    LOCKSTEP,
    MAIL,
    NEXT,
    PIPELINED,
    PIPELINED_MAIL,
    PIPELINED_NEXT,
    RSET,
    codes,
    hello,
    play,
    refused,
    send,
)
from ..support.envelopes import TO_BOB, TO_THREE

pytestmark = pytest.mark.usefixtures("small_chunks")


# -- BDAT ------------------------------------------------------------------------------------------


@pytest.mark.req("RFC3030-2-04", "RFC3030-2-17")
def test_chunks_one_by_one() -> None:
    outcome = send(
        f"""{LOCKSTEP}{MAIL}
        C: BDAT 7
        C: one..
        S: 250 ok
        C: BDAT 7
        C: .two.
        S: 250 ok
        C: BDAT 3 LAST
        C: .
        S: 250 queued as 4F2A
        {GOODBYE}""",
        body=b"one..\n.two.\n.\n",
    )
    assert codes(outcome.accepted) == {"bob@example.org": 250}
    assert outcome.reply == Reply(250, None, "queued as 4F2A")
    assert outcome.queue_ids == ("4F2A",)


def test_chunks_ahead_of_their_replies() -> None:
    """Four at most, so that a refusal is seen soon."""
    send(f"""{PIPELINED}{PIPELINED_MAIL}
        C: BDAT 7
        C: one..
        C: BDAT 7
        C: two..
        C: BDAT 7
        C: three
        C: BDAT 7
        C: four.
        S: 250 ok
        C: BDAT 7
        C: five.
        S: 250 ok
        C: BDAT 7 LAST
        C: six..
        S: 250 ok
        S: 250 ok
        S: 250 ok
        S: 250 queued
        {GOODBYE}""")


@pytest.mark.req("RFC3030-2-10", "RFC3030-2-12")
@pytest.mark.parametrize("code", [452, 552, 503])
def test_a_chunk_refused_ends_the_message(code: int) -> None:
    outcome = refused(f"""{LOCKSTEP}{MAIL}
        C: BDAT 7
        C: one..
        S: 250 ok
        C: BDAT 7
        C: two..
        S: {code} no
        {RSET}{NEXT}{GOODBYE}""")
    assert codes(outcome.refused) == {"bob@example.org": code}


@pytest.mark.req("RFC3030-2-10", "RFC3030-2-12")
@pytest.mark.parametrize("later", [503, 552, 250])
def test_chunks_on_their_way_behind_one_refused_are_accounted_for(later: int) -> None:
    outcome = refused(f"""{PIPELINED}{PIPELINED_MAIL}
        C: BDAT 7
        C: one..
        C: BDAT 7
        C: two..
        C: BDAT 7
        C: three
        C: BDAT 7
        C: four.
        S: 452-no
        S: 452 no
        S: {later} x
        S: {later} x
        S: {later} x
        {RSET}{PIPELINED_NEXT}{GOODBYE}""")
    assert codes(outcome.refused) == {"bob@example.org": 452}


@pytest.mark.req("RFC3030-2-12")
@pytest.mark.parametrize("last", [503, 250])
def test_a_chunk_refused_when_the_last_is_out(last: int) -> None:
    """The message is incomplete, whatever is said to its end."""
    caught = []

    async def talk(client: Client) -> None:
        with pytest.raises(SendRefused) as error:
            await client.send(LINES[:14], TO_BOB)
        caught.append(error.value)
        await client.send(b"next\n", Envelope("", "z@z.example"))

    play(
        f"""{PIPELINED}{PIPELINED_MAIL}
        C: BDAT 7
        C: one..
        C: BDAT 7 LAST
        C: two..
        S: 552 too much
        S: {last} x
        {RSET if last == 503 else ""}{PIPELINED_NEXT}{GOODBYE}""",
        talk,
    )
    assert caught[0].reply.code == 552 and caught[0].command == "BDAT"
    assert not caught[0].outcome.unknown


def test_the_last_chunk_refused() -> None:
    with pytest.raises(SendRefused) as caught:
        send(
            f"{LOCKSTEP}{MAIL}C: BDAT 7 LAST\nC: one..\nS: 554 no\n{RSET}{GOODBYE}",
            body=LINES[:7],
        )
    assert caught.value.reply.code == 554


@pytest.mark.parametrize("end", ["", "S: <reset>", "S: <silence>", "S: what", "S: 354 go"])
@pytest.mark.parametrize("done", ["", "C: BDAT 7\nC: one..\nS: 250 ok\n"])
def test_a_link_lost_before_the_last_chunk(done: str, end: str) -> None:
    with pytest.raises((TransportError, RemoteProtocolError)) as caught:
        send(f"{LOCKSTEP}{MAIL}{done}C: BDAT 7\nC: {'two' if done else 'one'}..\n{end}")
    assert caught.value.command == "BDAT 7" or end == "S: what"


@pytest.mark.parametrize("end", ["", "S: <reset>", "S: <silence>", "S: what", "S: 354 go"])
def test_a_link_lost_behind_the_last_chunk(end: str) -> None:
    last = f"C: BDAT 7 LAST\nC: one..\n{end}"
    outcome = send(f"{LOCKSTEP}{MAIL}{last}", body=LINES[:7])
    assert codes(outcome.unknown) == {"bob@example.org": 250}
    assert not outcome.accepted and not outcome.refused and outcome.reply is None


@pytest.mark.parametrize("acknowledged", [0, 1])
def test_a_link_lost_behind_the_last_chunk_with_others_in_flight(acknowledged: int) -> None:
    outcome = send(
        f"""{PIPELINED}{PIPELINED_MAIL}
        C: BDAT 7
        C: one..
        C: BDAT 7
        C: two..
        C: BDAT 7 LAST
        C: three
        {KEPT * acknowledged}""",
        body=LINES[:21],
    )
    assert codes(outcome.unknown) == {"bob@example.org": 250}


@pytest.mark.req("RFC5321-3.8-06")
@pytest.mark.parametrize("last", [False, True])
def test_421_to_a_chunk_is_the_reply_to_all(last: bool) -> None:
    chunks = ["one..", "two.."] if last else ["one..", "two..", "three", "four."]
    said = "".join(f"C: BDAT 7\nC: {line}\n" for line in chunks)
    if last:
        said = said.replace("BDAT 7\nC: two", "BDAT 7 LAST\nC: two")
    with pytest.raises(SendRefused) as caught:
        send(
            f"{PIPELINED}{PIPELINED_MAIL}{said}S: 421 closing",
            body=LINES[:14] if last else LINES,
        )
    assert caught.value.reply.code == 421
    assert codes(caught.value.outcome.refused) == {"bob@example.org": 421}


def test_421_to_a_recipient_ends_it_before_any_chunk() -> None:
    with pytest.raises(SendRefused) as caught:
        send(
            f"""{LOCKSTEP}
            C: MAIL FROM:<ann@example.org>
            S: 250 ok
            C: RCPT TO:<a@b.example>
            S: 250 ok
            C: RCPT TO:<c@d.example>
            S: 421 closing""",
            TO_THREE,
        )
    assert list(codes(caught.value.outcome.refused).values()) == [421, 421, 421]
    assert caught.value.command == "RCPT"


def test_421_that_nobody_asked_for_between_chunks() -> None:
    with pytest.raises(SendRefused) as caught:
        send(f"{LOCKSTEP}{MAIL}C: BDAT 7\nC: one..\nS: 250 ok\nS: 421 closing\nC: BDAT 7\nC: two..")
    assert caught.value.outcome.retry == (ForwardPath.of("bob@example.org"),)


def test_nobody_is_accepted_and_no_chunk_is_sent() -> None:
    outcome = refused(f"""{LOCKSTEP}
        C: MAIL FROM:<ann@example.org>
        S: 250 ok
        C: RCPT TO:<bob@example.org>
        S: 550 no
        {RSET}{NEXT}{GOODBYE}""")
    assert codes(outcome.refused) == {"bob@example.org": 550}


# -- sources that fail -----------------------------------------------------------------------------


class Broken(Exception):
    """Of the message's source."""


def failing(after: int) -> Iterator[bytes]:
    yield LINES[: 7 * after]
    raise Broken


@pytest.mark.parametrize("pipelined", [False, True])
def test_a_source_that_fails_between_chunks(pipelined: bool) -> None:
    """The transaction is closed, what was on its way is accounted for, and the next one works."""

    async def talk(client: Client) -> None:
        with pytest.raises(Broken):
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


def test_a_source_that_fails_under_data() -> None:
    """There is no way back but to close without the dot."""

    async def talk(client: Client) -> None:
        with pytest.raises(Broken):
            await client.send(failing(1), TO_BOB)
        assert not client.usable
        with pytest.raises(LocalProtocolError):
            await client.send(b"next\n", TO_BOB)

    stream = play(f"{hello()}{MAIL}C: DATA\nS: 354 go\nC: one..\n", talk)
    assert stream.closed


def test_a_source_that_fails_while_the_link_does() -> None:
    async def talk(client: Client) -> None:
        with pytest.raises(Broken):
            await client.send(failing(3), TO_BOB)
        assert not client.usable

    play(f"{PIPELINED}{PIPELINED_MAIL}C: BDAT 7\nC: one..\nC: BDAT 7\nC: two..\nC: RSET", talk)


# -- giving up -------------------------------------------------------------------------------------


class GivenUp(BaseException):
    """Stands for a cancellation."""


class Patient(ScriptedStream):
    """Gives up at the *n*-th read."""

    def __init__(self, script: str, n: int) -> None:
        super().__init__(script)
        self.left = n

    async def read(self, timeout: float | None) -> bytes:
        self.left -= 1
        if self.left == -1:
            raise GivenUp
        return await super().read(timeout)


@pytest.mark.parametrize("reads", range(2, 6))
def test_after_a_cancelled_message_the_next_begins_with_rset(reads: int) -> None:
    lines = [
        ["C: MAIL FROM:<ann@example.org>", "S: 250 ok"],
        ["C: RCPT TO:<bob@example.org>", "S: 250 ok"],
        ["C: BDAT 7", "C: one..", "S: 250 ok"],
        ["C: BDAT 7", "C: two..", "S: 250 ok"],
    ]
    said = "\n".join(line for step in lines[: reads - 1] for line in step)
    stream = Patient(f"{LOCKSTEP}{said}\n{RSET}{NEXT}{GOODBYE}", reads)

    async def main() -> None:
        async with await start_client(
            Runtime(), stream, "mx", ClientConfig(), TLSMode.NONE
        ) as client:
            with pytest.raises(GivenUp):
                await client.send(LINES, TO_BOB)
            await client.send(b"next\n", Envelope("", "z@z.example"))

    run(main())
    stream.finish()


def test_after_a_cancelled_message_by_data_the_connection_is_of_no_use() -> None:
    """A dot would make a message of what was sent of it."""
    stream = Patient(f"{hello()}{MAIL}C: DATA\nS: 354 go\nC: next\nC: .\n", 4)

    async def main() -> None:
        async with await start_client(
            Runtime(), stream, "mx", ClientConfig(), TLSMode.NONE
        ) as client:
            with pytest.raises(GivenUp):
                await client.send(b"next\n", TO_BOB)
            with pytest.raises(SMTPError):
                await client.send(b"next\n", TO_BOB)
            assert not client.usable

    run(main())


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

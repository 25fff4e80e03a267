"""Messages by BDAT (RFC 3030)."""

from __future__ import annotations

import pytest

from smtpproto import (
    Client,
    Envelope,
    ForwardPath,
    RemoteProtocolError,
    Reply,
    SendRefused,
    TransportError,
)
from tests.support.dialogue import (
    GOODBYE,
    LINES,
    LOCKSTEP,
    MAIL,
    NEXT,
    OK,
    PIPELINED,
    PIPELINED_MAIL,
    PIPELINED_NEXT,
    RSET,
    codes,
    play,
    send,
    send_refused_then_next,
)
from tests.support.envelopes import TO_BOB, TO_THREE

pytestmark = pytest.mark.usefixtures("small_chunks")


# -- order ---------------------------------------------------------------------------------------


@pytest.mark.req("RFC3030-2-04", "RFC3030-2-17")
def test_without_pipelining_each_chunk_waits_for_its_reply() -> None:
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


def test_with_pipelining_at_most_four_chunks_are_unanswered() -> None:
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
        {GOODBYE}""", body=LINES)  # fmt: skip


# -- refusals ------------------------------------------------------------------------------------


def test_no_chunk_is_sent_if_every_recipient_is_refused() -> None:
    outcome = send_refused_then_next(f"""{LOCKSTEP}
        C: MAIL FROM:<ann@example.org>
        S: 250 ok
        C: RCPT TO:<bob@example.org>
        S: 550 no
        {RSET}{NEXT}{GOODBYE}""")
    assert codes(outcome.refused) == {"bob@example.org": 550}


@pytest.mark.req("RFC3030-2-10", "RFC3030-2-12")
@pytest.mark.parametrize("code", [452, 552, 503])
def test_nothing_of_the_message_follows_a_refused_chunk(code: int) -> None:
    outcome = send_refused_then_next(f"""{LOCKSTEP}{MAIL}
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
def test_replies_to_chunks_sent_after_a_refused_one_are_read(later: int) -> None:
    outcome = send_refused_then_next(f"""{PIPELINED}{PIPELINED_MAIL}
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
def test_a_refused_chunk_refuses_the_message_whatever_the_last_reply(last: int) -> None:
    """The message is incomplete even if the last chunk is accepted."""
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


def test_a_refused_last_chunk_refuses_the_message() -> None:
    with pytest.raises(SendRefused) as caught:
        send(
            f"{LOCKSTEP}{MAIL}C: BDAT 7 LAST\nC: one..\nS: 554 no\n{RSET}{GOODBYE}",
            body=LINES[:7],
        )
    assert caught.value.reply.code == 554


# -- 421 -----------------------------------------------------------------------------------------


@pytest.mark.req("RFC5321-3.8-06")
@pytest.mark.parametrize("last", [False, True])
def test_421_to_a_chunk_is_the_reply_to_every_unanswered_one(last: bool) -> None:
    chunks = ["one..", "two.."] if last else ["one..", "two..", "three", "four."]
    script = "".join(f"C: BDAT 7\nC: {line}\n" for line in chunks)
    if last:
        script = script.replace("BDAT 7\nC: two", "BDAT 7 LAST\nC: two")
    with pytest.raises(SendRefused) as caught:
        send(
            f"{PIPELINED}{PIPELINED_MAIL}{script}S: 421 closing",
            body=LINES[:14] if last else LINES,
        )
    assert caught.value.reply.code == 421
    assert codes(caught.value.outcome.refused) == {"bob@example.org": 421}


def test_no_chunk_follows_421_to_a_recipient() -> None:
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


def test_an_unsolicited_421_between_chunks_refuses_the_message_for_now() -> None:
    with pytest.raises(SendRefused) as caught:
        chunks = "C: BDAT 7\nC: one..\nS: 250 ok\nS: 421 closing"
        send(f"{LOCKSTEP}{MAIL}{chunks}", body=LINES)
    assert caught.value.outcome.retry == (ForwardPath.of("bob@example.org"),)


# -- lost links ----------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["", "S: <reset>", "S: <silence>", "S: what", "S: 354 go"])
@pytest.mark.parametrize("done", ["", "C: BDAT 7\nC: one..\nS: 250 ok\n"])
def test_a_link_lost_before_the_last_chunk_is_an_error(done: str, end: str) -> None:
    with pytest.raises((TransportError, RemoteProtocolError)) as caught:
        send(f"{LOCKSTEP}{MAIL}{done}C: BDAT 7\nC: {'two' if done else 'one'}..\n{end}", body=LINES)
    assert caught.value.command == "BDAT 7" or end == "S: what"


@pytest.mark.parametrize("end", ["", "S: <reset>", "S: <silence>", "S: what", "S: 354 go"])
def test_a_link_lost_after_the_last_chunk_makes_the_outcome_unknown(end: str) -> None:
    last = f"C: BDAT 7 LAST\nC: one..\n{end}"
    outcome = send(f"{LOCKSTEP}{MAIL}{last}", body=LINES[:7])
    assert codes(outcome.unknown) == {"bob@example.org": 250}
    assert not outcome.accepted and not outcome.refused and outcome.reply is None


@pytest.mark.parametrize("acknowledged", [0, 1])
def test_a_link_lost_with_the_last_of_several_chunks_in_flight_makes_the_outcome_unknown(
    acknowledged: int,
) -> None:
    outcome = send(
        f"""{PIPELINED}{PIPELINED_MAIL}
        C: BDAT 7
        C: one..
        C: BDAT 7
        C: two..
        C: BDAT 7 LAST
        C: three
        {OK * acknowledged}""",
        body=LINES[:21],
    )
    assert codes(outcome.unknown) == {"bob@example.org": 250}

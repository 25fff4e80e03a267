"""The outcome of a message: several transactions (RFC 9422), queue ids, lost links."""

from __future__ import annotations

import pytest

from smtpproto import (
    Client,
    ConnectionLost,
    ForwardPath,
    NotOffered,
    Outcome,
    Reply,
    SendRefused,
)
from tests.support.dialogue import (
    GOODBYE,
    RSET,
    codes,
    hello,
    mail,
    play,
    rcpt,
    send,
    transaction,
)
from tests.support.envelopes import TO_BOB, TO_THREE, TO_TWO

pytestmark = pytest.mark.usefixtures("small_chunks")


LIMITED = hello("LIMITS RCPTMAX=1")
FIRST = transaction("a@b.example")


# -- several transactions ------------------------------------------------------------------------


@pytest.mark.req("RFC9422-3-06")
def test_the_outcome_has_the_recipients_of_all_transactions() -> None:
    outcome = send(
        LIMITED
        + FIRST
        + transaction("c@d.example", "S: 554 not that")
        + transaction("e@f.example", "S: 250 id=0003")
        + GOODBYE,
        TO_THREE,
        b"hi\n",
    )
    assert codes(outcome.accepted) == {"a@b.example": 250, "e@f.example": 250}
    assert codes(outcome.refused) == {"c@d.example": 554}
    assert codes(outcome.rcpt) == dict.fromkeys(map(str, TO_THREE.recipients), 250)
    assert outcome.queue_ids == ("0001", "0003")
    assert outcome.reply == Reply(250, None, "id=0003")
    assert outcome.envelope == TO_THREE


def test_send_refused_has_the_refusals_of_all_transactions() -> None:
    refusals = [f"{mail()}{rcpt(str(path), '550 no')}{RSET}" for path in TO_TWO.recipients]
    with pytest.raises(SendRefused) as caught:
        send(LIMITED + "".join(refusals) + GOODBYE, TO_TWO, b"hi\n")
    assert codes(caught.value.outcome.refused) == {"a@b.example": 550, "c@d.example": 550}


def test_421_refuses_the_recipients_of_the_remaining_transactions() -> None:
    outcome = send(
        LIMITED + FIRST + "C: MAIL FROM:<ann@example.org>\nS: 421 closing", TO_THREE, b"hi\n"
    )
    assert codes(outcome.accepted) == {"a@b.example": 250}
    assert codes(outcome.refused) == {"c@d.example": 421, "e@f.example": 421}
    assert outcome.refused[ForwardPath.of("e@f.example")].text == "closing"
    with pytest.raises(SendRefused) as caught:
        send(LIMITED + transaction("a@b.example", "S: 421 closing"), TO_THREE, b"hi\n")
    assert len(caught.value.outcome.refused) == 3


@pytest.mark.req("RFC9422-3-06", "RFC9422-4-02/client")
def test_mailmax_refuses_a_second_message_on_the_same_connection() -> None:
    async def talk(client: Client) -> None:
        await client.send(b"hi\n", TO_BOB)
        with pytest.raises(NotOffered, match="2 transactions; the server accepts 1"):
            await client.send(b"hi\n", TO_BOB)
        assert client.usable

    script = hello("LIMITS MAILMAX=1") + transaction("bob@example.org") + GOODBYE
    play(script, talk)
    play(script.replace("EHLO", "LHLO"), talk, lmtp=True)


# -- lost links ----------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["", "S: <reset>", "S: <silence>", "S: what"])
@pytest.mark.parametrize("at", ["MAIL", "RCPT", "DATA"])
def test_a_lost_link_keeps_what_earlier_transactions_delivered(at: str, end: str) -> None:
    lines = transaction("c@d.example").split("\n")
    number = next(n for n, line in enumerate(lines) if line.startswith(f"C: {at}"))
    lost = "\n".join([*lines[: number + 1], end])
    outcome = send(LIMITED + FIRST + lost, TO_THREE, b"hi\n")
    assert codes(outcome.accepted) == {"a@b.example": 250}
    assert codes(outcome.refused) == {"c@d.example": 421, "e@f.example": 421}
    assert not outcome.unknown
    assert outcome.retry == TO_THREE.recipients[1:]


@pytest.mark.parametrize("end", ["", "S: <reset>", "S: <silence>", "S: what"])
@pytest.mark.parametrize("pipelined", [False, True])
def test_nothing_is_sent_after_an_unknown_outcome(end: str, pipelined: bool) -> None:
    if pipelined:
        script = f"""{hello("PIPELINING", "LIMITS RCPTMAX=1")}
            C: MAIL FROM:<ann@example.org>
            C: RCPT TO:<a@b.example>
            C: DATA
            S: 250 ok
            S: 250 ok
            S: 354 go
            C: hi
            C: .
            {end}"""
        outcome = send(script, TO_THREE, b"hi\n")
    else:
        outcome = send(LIMITED + transaction("a@b.example", end), TO_THREE, b"hi\n")
    assert codes(outcome.unknown) == {"a@b.example": 250}
    assert codes(outcome.refused) == {"c@d.example": 421, "e@f.example": 421}


def test_a_lost_link_is_an_error_if_nothing_was_accepted() -> None:
    refusal = transaction("a@b.example", "S: 554 not that")
    with pytest.raises(ConnectionLost):
        send(LIMITED + refusal + "C: MAIL FROM:<ann@example.org>", TO_THREE, b"hi\n")


# -- queue ids -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "queue_id"),
    [
        ("Ok: queued as 4F2A1B", "4F2A1B"),
        ("OK id=1oXabc-0004Xy-2T", "1oXabc-0004Xy-2T"),
        ("<bob@example.org> Queue-ID: 4711.x", "4711.x"),
        ("Saved as 20250101-abc", "20250101-abc"),
        ("2eabc95b Message accepted for delivery", "2eabc95b"),
        ("Message accepted", None),
        ("", None),
    ],
)
def test_queue_ids_are_read_from_the_text_of_the_reply(text: str, queue_id: str | None) -> None:
    bob = TO_BOB.recipients[0]
    accepted = {bob: Reply(250, "2.0.0", text)}
    found = Outcome(envelope=TO_BOB, accepted=accepted).queue_ids
    assert found == (() if queue_id is None else (queue_id,))

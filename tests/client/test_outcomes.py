"""What becomes of a message in several transactions, as dialogues."""

from __future__ import annotations

import pytest

from smtpproto import (
    ConnectionLost,
    ForwardPath,
    Outcome,
    Reply,
    SendRefused,
)

from ..support.dialogue import GOODBYE, LINES, LOCKSTEP, MAIL, RSET, codes, hello, send, transaction
from ..support.envelopes import TO_BOB, TO_THREE, TO_TWO

pytestmark = pytest.mark.usefixtures("small_chunks")


# -- several transactions --------------------------------------------------------------------------

LIMITED = hello("LIMITS RCPTMAX=1")


FIRST = transaction("a@b.example")


@pytest.mark.req("RFC9422-3-06")
def test_each_transaction_counts() -> None:
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


@pytest.mark.parametrize("end", ["", "S: <reset>", "S: <silence>", "S: what"])
@pytest.mark.parametrize("at", ["MAIL", "RCPT", "DATA"])
def test_what_was_accepted_before_the_link_was_lost_is_kept(at: str, end: str) -> None:
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
def test_after_an_unknown_outcome_nothing_more_is_sent(end: str, pipelined: bool) -> None:
    if pipelined:
        start = (
            hello("PIPELINING", "LIMITS RCPTMAX=1")
            + """
            C: MAIL FROM:<ann@example.org>
            C: RCPT TO:<a@b.example>
            C: DATA
            S: 250 ok
            S: 250 ok
            S: 354 go
            C: hi
            C: .
        """
        )
        outcome = send(start + end, TO_THREE, b"hi\n")
    else:
        outcome = send(LIMITED + transaction("a@b.example", end), TO_THREE, b"hi\n")
    assert codes(outcome.unknown) == {"a@b.example": 250}
    assert codes(outcome.refused) == {"c@d.example": 421, "e@f.example": 421}


def test_before_anything_was_accepted_a_lost_link_is_an_error() -> None:
    refusal = transaction("a@b.example", "S: 554 not that")
    with pytest.raises(ConnectionLost):
        send(LIMITED + refusal + "C: MAIL FROM:<ann@example.org>", TO_THREE, b"hi\n")


def test_421_ends_all_transactions() -> None:
    outcome = send(
        LIMITED + FIRST + "C: MAIL FROM:<ann@example.org>\nS: 421 closing", TO_THREE, b"hi\n"
    )
    assert codes(outcome.accepted) == {"a@b.example": 250}
    assert codes(outcome.refused) == {"c@d.example": 421, "e@f.example": 421}
    assert outcome.refused[ForwardPath.of("e@f.example")].text == "closing"
    with pytest.raises(SendRefused) as caught:
        send(LIMITED + transaction("a@b.example", "S: 421 closing"), TO_THREE, b"hi\n")
    assert len(caught.value.outcome.refused) == 3


def test_nobody_accepted_in_any_transaction() -> None:
    refusals = [
        "\n".join(
            ["C: MAIL FROM:<ann@example.org>", "S: 250 ok", f"C: RCPT TO:<{path}>", "S: 550 no"]
        )
        + "\n"
        + RSET
        for path in TO_TWO.recipients
    ]
    with pytest.raises(SendRefused) as caught:
        send(LIMITED + "".join(refusals) + GOODBYE, TO_TWO, b"hi\n")
    assert codes(caught.value.outcome.refused) == {"a@b.example": 550, "c@d.example": 550}


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("Ok: queued as 4F2A1B", "4F2A1B"),
        ("OK id=1oXabc-0004Xy-2T", "1oXabc-0004Xy-2T"),
        ("<bob@example.org> Queue-ID: 4711.x", "4711.x"),
        ("Saved as 20250101-abc", "20250101-abc"),
        ("Message accepted", None),
        ("", None),
    ],
)
def test_the_name_that_a_server_gives_a_message(words: str, name: str | None) -> None:
    bob = TO_BOB.recipients[0]
    accepted = {bob: Reply(250, "2.0.0", words)}
    found = Outcome(envelope=TO_BOB, accepted=accepted).queue_ids
    assert found == (() if name is None else (name,))


# -- too many recipients ---------------------------------------------------------------------------


def two_recipients(first: str, second: str) -> str:
    return f"""
        C: MAIL FROM:<ann@example.org>
        S: 250 ok
        C: RCPT TO:<a@b.example>
        S: {first}
        C: RCPT TO:<c@d.example>
        S: {second}
        C: DATA
        S: 354 go
        C: hi
        C: .
        S: 250 ok
        {GOODBYE}"""


@pytest.mark.req("RFC5321-4.5.3.1.10-02", "RFC5321-4.5.3.1.8-04", "RFC9422-4-01")
@pytest.mark.parametrize(
    ("reply", "again"), [("452 too many", True), ("552 too many", True), ("550 no", False)]
)
def test_recipients_that_were_too_many_may_come_again(reply: str, again: bool) -> None:
    script = hello("LIMITS RCPTMAX=9") + two_recipients("250 ok", reply)
    outcome = send(script, TO_TWO, b"hi\n")
    assert codes(outcome.accepted) == {"a@b.example": 250}
    assert codes(outcome.refused) == {"c@d.example": int(reply[:3])}
    assert outcome.retry == (TO_TWO.recipients[1:] if again else ())


def test_552_is_final_where_nobody_was_accepted_or_to_the_message() -> None:
    with pytest.raises(SendRefused) as caught:
        send(
            f"{hello()}C: MAIL FROM:<ann@example.org>\nS: 250 ok\nC: RCPT TO:<bob@example.org>\n"
            f"S: 552 full\n{RSET}{GOODBYE}"
        )
    assert caught.value.outcome.retry == ()
    with pytest.raises(SendRefused) as caught:
        send(
            f"{LOCKSTEP}{MAIL}C: BDAT 7 LAST\nC: one..\nS: 552 full\n{RSET}{GOODBYE}",
            body=LINES[:7],
        )
    assert caught.value.outcome.retry == ()

"""LMTP (RFC 2033): one reply for each recipient that was accepted."""

from __future__ import annotations

import pytest

from smtpproto import (
    ClientConfig,
    ConnectFailed,
    SendRefused,
    SMTPError,
)
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.client.connection import open_client
from tests.support.dialogue import (
    GOODBYE,
    LINES,
    MAIL,
    NEXT,
    OK,
    RSET,
    codes,
    hello,
    send,
    send_refused_then_next,
)
from tests.support.envelopes import TO_THREE, TO_TWO

pytestmark = pytest.mark.usefixtures("small_chunks")


LMTP = hello("PIPELINING", "ENHANCEDSTATUSCODES", "8BITMIME", "SIZE", verb="LHLO")


THREE_RECIPIENTS = """
    C: MAIL FROM:<ann@example.org> SIZE=4
    C: RCPT TO:<a@b.example>
    C: RCPT TO:<c@d.example>
    C: RCPT TO:<e@f.example>
    C: DATA
    S: 250 ok
    S: 250 ok
    S: {}
    S: 250 ok
    S: 354 go
    C: hi
    C: .
"""


# -- one reply for each recipient ----------------------------------------------------------------


@pytest.mark.req("RFC2033-4.2-04", "RFC2033-5-08")
def test_each_accepted_recipient_has_its_own_reply() -> None:
    script = LMTP + THREE_RECIPIENTS.format("550 5.1.1 no")
    outcome = send(
        f"{script}S: 250-2.0.0 a\nS: 250 2.0.0 queued as 4F2A\nS: 452 4.2.2 full{GOODBYE}",
        TO_THREE,
        b"hi\n",
        lmtp=True,
    )
    assert codes(outcome.accepted) == {"a@b.example": 250}
    assert outcome.accepted[TO_THREE.recipients[0]].lines == ("a", "queued as 4F2A")
    assert codes(outcome.refused) == {"c@d.example": 550, "e@f.example": 452}
    assert outcome.retry == (TO_THREE.recipients[2],)
    assert codes(outcome.rcpt) == {"a@b.example": 250, "c@d.example": 550, "e@f.example": 250}
    assert outcome.reply is not None and outcome.reply.code == 452
    assert outcome.queue_ids == ("4F2A",)


@pytest.mark.req("RFC2033-5-08")
@pytest.mark.parametrize("good", [250, 251])
@pytest.mark.parametrize("pattern", range(1, 8))
def test_as_many_replies_are_read_as_recipients_were_accepted(pattern: int, good: int) -> None:
    accepted = [bool(pattern & 1 << bit) for bit in range(3)]
    script = LMTP + THREE_RECIPIENTS.replace("S: 250 ok", "S: {}").format(
        "250 ok", *(f"{good} ok" if each else "550 no" for each in accepted)
    )
    outcome = send(f"{script}{OK * sum(accepted)}{GOODBYE}", TO_THREE, b"hi\n", lmtp=True)
    assert list(outcome.accepted) == [
        path for path, each in zip(TO_THREE.recipients, accepted, strict=True) if each
    ]


def test_a_message_refused_for_every_recipient_raises_send_refused() -> None:
    with pytest.raises(SendRefused) as caught:
        send(
            LMTP + THREE_RECIPIENTS.format("250 ok") + "S: 452 full\n" * 3 + GOODBYE,
            TO_THREE,
            b"hi\n",
            lmtp=True,
        )
    assert caught.value.outcome.retry == TO_THREE.recipients


@pytest.mark.req("RFC2033-5-07")
@pytest.mark.parametrize("end", ["", "S: <reset>", "S: <silence>", "S: what"])
def test_recipients_without_a_reply_are_unknown_if_the_link_is_lost(end: str) -> None:
    """The replies that came count. Sending again to the others may deliver the message twice."""
    outcome = send(
        f"{LMTP}{THREE_RECIPIENTS.format('250 ok')}S: 250 2.0.0 kept\n{end}",
        TO_THREE,
        b"hi\n",
        lmtp=True,
    )
    assert codes(outcome.accepted) == {"a@b.example": 250}
    assert codes(outcome.unknown) == {"c@d.example": 250, "e@f.example": 250}
    assert not outcome.refused


def test_a_refusal_that_came_before_the_link_was_lost_counts() -> None:
    outcome = send(
        f"{LMTP}{THREE_RECIPIENTS.format('250 ok')}S: 550 5.2.1 no\n",
        TO_THREE,
        b"hi\n",
        lmtp=True,
    )
    assert codes(outcome.refused) == {"a@b.example": 550} and len(outcome.unknown) == 2


def test_421_refuses_the_recipients_without_a_reply() -> None:
    outcome = send(
        f"{LMTP}{THREE_RECIPIENTS.format('250 ok')}S: 250 kept\nS: 421 4.3.2 closing",
        TO_THREE,
        b"hi\n",
        lmtp=True,
    )
    assert codes(outcome.accepted) == {"a@b.example": 250}
    assert codes(outcome.refused) == {"c@d.example": 421, "e@f.example": 421}


# -- BDAT ----------------------------------------------------------------------------------------


def test_the_last_chunk_waits_for_the_replies_before_it() -> None:
    """Only they tell how many replies the last chunk gets (RFC 2033 4.3)."""
    outcome = send(
        f"""{hello("PIPELINING", "CHUNKING", verb="LHLO")}
        C: MAIL FROM:<ann@example.org>
        C: RCPT TO:<a@b.example>
        C: RCPT TO:<c@d.example>
        S: 250 ok
        S: 250 ok
        S: 250 ok
        C: BDAT 7
        C: one..
        S: 250 ok
        C: BDAT 7 LAST
        C: two..
        S: 250 ok
        S: 452 full
        {GOODBYE}""",
        TO_TWO,
        LINES[:14],
        lmtp=True,
    )
    assert codes(outcome.accepted) == {"a@b.example": 250}
    assert codes(outcome.refused) == {"c@d.example": 452}


@pytest.mark.req("RFC3030-2-12")
def test_a_refused_chunk_refuses_the_message() -> None:
    outcome = send_refused_then_next(
        f"""{hello("CHUNKING", verb="LHLO")}{MAIL}
        C: BDAT 7
        C: one..
        S: 452 full
        {RSET}{NEXT}{GOODBYE}""",
        lmtp=True,
    )
    assert codes(outcome.refused) == {"bob@example.org": 452}


# -- LHLO and ports ------------------------------------------------------------------------------


def test_a_refused_lhlo_is_not_followed_by_helo() -> None:
    with pytest.raises(SMTPError, match="refused"):
        send(f"S: 220 mx\nC: LHLO [127.0.0.1]\nS: 500 what{GOODBYE}", lmtp=True)


@pytest.mark.req("RFC2033-4-01/client")
def test_lmtp_on_port_25_is_refused() -> None:
    """Before anything is dialled."""
    with pytest.raises(ConnectFailed, match="RFC 2033 4"):
        run(open_client(Runtime(), "127.0.0.1", 25, ClientConfig(lmtp=True)))

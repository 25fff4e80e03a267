"""LMTP, the word of a proxy, limits of a connection, as dialogues."""

from __future__ import annotations

import pytest

from smtpproto import (
    Client,
    ClientConfig,
    ConnectFailed,
    ConnectionLost,
    NotOffered,
    SendRefused,
    SMTPError,
    TimedOut,
    TLSMode,
    TransportError,
)
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.client.connection import open_client, start_client
from smtpproto.testing.script import ScriptedStream
from smtpproto.wire.proxy import ProxyHeader

from ..support.dialogue import (
    GOODBYE,
    KEPT,
    LINES,
    MAIL,
    NEXT,
    RSET,
    codes,
    hello,
    play,
    refused,
    send,
    transaction,
)
from ..support.envelopes import TO_BOB, TO_THREE, TO_TWO

pytestmark = pytest.mark.usefixtures("small_chunks")


# -- LMTP ------------------------------------------------------------------------------------------

LMTP = hello("PIPELINING", "ENHANCEDSTATUSCODES", "8BITMIME", "SIZE", verb="LHLO")
TO_THREE_BY_LMTP = """
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


@pytest.mark.req("RFC2033-4.2-04", "RFC2033-5-08")
def test_lmtp_has_a_reply_for_each_recipient_that_was_accepted() -> None:
    script = LMTP + TO_THREE_BY_LMTP.format("550 5.1.1 no")
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
@pytest.mark.parametrize("pattern", range(1, 8))
def test_lmtp_expects_as_many_replies_as_recipients_were_accepted(pattern: int) -> None:
    yes = [bool(pattern & 1 << bit) for bit in range(3)]
    script = LMTP + TO_THREE_BY_LMTP.replace("S: 250 ok", "S: {}").format(
        "250 ok", *("250 ok" if each else "550 no" for each in yes)
    )
    outcome = send(f"{script}{KEPT * sum(yes)}{GOODBYE}", TO_THREE, b"hi\n", lmtp=True)
    assert list(outcome.accepted) == [
        path for path, each in zip(TO_THREE.recipients, yes, strict=True) if each
    ]


def test_lmtp_refused_for_all() -> None:
    with pytest.raises(SendRefused) as caught:
        send(
            LMTP + TO_THREE_BY_LMTP.format("250 ok") + "S: 452 full\n" * 3 + GOODBYE,
            TO_THREE,
            b"hi\n",
            lmtp=True,
        )
    assert caught.value.outcome.retry == TO_THREE.recipients


@pytest.mark.req("RFC2033-5-07")
@pytest.mark.parametrize("end", ["", "S: <reset>", "S: <silence>", "S: what"])
def test_lmtp_lost_after_some_replies(end: str) -> None:
    """Those that came count. The others are not refused for good: to send again to them may deliver
    twice, not to do so may lose the message."""
    outcome = send(
        f"{LMTP}{TO_THREE_BY_LMTP.format('250 ok')}S: 250 2.0.0 kept\n{end}",
        TO_THREE,
        b"hi\n",
        lmtp=True,
    )
    assert codes(outcome.accepted) == {"a@b.example": 250}
    assert codes(outcome.unknown) == {"c@d.example": 250, "e@f.example": 250}
    assert not outcome.refused


def test_lmtp_lost_after_a_refusal() -> None:
    outcome = send(
        f"{LMTP}{TO_THREE_BY_LMTP.format('250 ok')}S: 550 5.2.1 no\n",
        TO_THREE,
        b"hi\n",
        lmtp=True,
    )
    assert codes(outcome.refused) == {"a@b.example": 550} and len(outcome.unknown) == 2


def test_lmtp_421_after_some_replies() -> None:
    outcome = send(
        f"{LMTP}{TO_THREE_BY_LMTP.format('250 ok')}S: 250 kept\nS: 421 4.3.2 closing",
        TO_THREE,
        b"hi\n",
        lmtp=True,
    )
    assert codes(outcome.accepted) == {"a@b.example": 250}
    assert codes(outcome.refused) == {"c@d.example": 421, "e@f.example": 421}


def test_lmtp_by_chunks() -> None:
    """The last one is said when it is known how many replies it gets (RFC 2033 4.3)."""
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
def test_lmtp_with_a_chunk_refused() -> None:
    outcome = refused(
        f"""{hello("CHUNKING", verb="LHLO")}{MAIL}
        C: BDAT 7
        C: one..
        S: 452 full
        {RSET}{NEXT}{GOODBYE}""",
        lmtp=True,
    )
    assert codes(outcome.refused) == {"bob@example.org": 452}


def test_lmtp_does_not_fall_back_to_helo() -> None:
    with pytest.raises(SMTPError, match="refused"):
        send(f"S: 220 mx\nC: LHLO [127.0.0.1]\nS: 500 what{GOODBYE}", lmtp=True)


@pytest.mark.req("RFC2033-4-01")
def test_lmtp_is_not_for_port_25() -> None:
    with pytest.raises(ConnectFailed, match="25"):
        run(open_client(Runtime(), "127.0.0.1", 25, ClientConfig(lmtp=True)))


# -- a proxy's word --------------------------------------------------------------------------------


def test_the_proxy_header_comes_before_all_else() -> None:
    written = []

    class Seen(ScriptedStream):
        async def write(self, data: bytes, timeout: float | None) -> None:
            written.append(data)
            if len(written) > 1:
                await super().write(data, timeout)

    header = ProxyHeader(("198.51.100.7", 4711), ("192.0.2.1", 25))
    stream, config = Seen(hello() + GOODBYE), ClientConfig(proxy=header)

    async def main() -> None:
        async with await start_client(Runtime(), stream, "mx", config, TLSMode.NONE):
            pass

    run(main())
    stream.finish()
    assert written[:2] == [bytes(header), b"EHLO [127.0.0.1]\r\n"]


@pytest.mark.parametrize("error", [TimedOut("slow"), ConnectionLost("gone")])
def test_a_link_lost_at_the_proxy_header_is_closed(error: TransportError) -> None:
    class Dead(ScriptedStream):
        async def write(self, data: bytes, timeout: float | None) -> None:
            raise error

    stream, config = Dead(hello()), ClientConfig(proxy=ProxyHeader(local=True))
    with pytest.raises(type(error)):
        run(start_client(Runtime(), stream, "mx", config, TLSMode.NONE))
    assert stream.closed


# -- limits and use --------------------------------------------------------------------------------


@pytest.mark.req("RFC9422-3-06", "RFC9422-4-02")
def test_a_second_message_that_mailmax_excludes_needs_another_connection() -> None:
    async def talk(client: Client) -> None:
        await client.send(b"hi\n", TO_BOB)
        with pytest.raises(NotOffered, match="2 transactions; the server accepts 1"):
            await client.send(b"hi\n", TO_BOB)
        assert client.usable

    script = hello("LIMITS MAILMAX=1") + transaction("bob@example.org") + GOODBYE
    play(script, talk)
    play(script.replace("EHLO", "LHLO"), talk, lmtp=True)

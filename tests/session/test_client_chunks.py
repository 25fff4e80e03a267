"""Messages by BDAT, in LMTP and in several transactions, as dialogues with a written server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Unpack

import pytest

from smtpproto import (
    Client,
    ClientConfig,
    ConnectFailed,
    ConnectionLost,
    Envelope,
    ForwardPath,
    LocalProtocolError,
    NotOffered,
    Outcome,
    RemoteProtocolError,
    Reply,
    SendRefused,
    SMTPError,
    TimedOut,
    TLSMode,
    TransportError,
)
from smtpproto.adapters.blocking import World, run
from smtpproto.mail import plan as planning
from smtpproto.session import submit
from smtpproto.session.client import open_client, start_client
from smtpproto.session.options import ClientOptions
from smtpproto.testing.script import ScriptedStream
from smtpproto.wire.proxy import ProxyHeader


def hello(*keywords: str, verb: str = "EHLO") -> str:
    lines = ["mx", *keywords]
    said = "".join(f"S: 250-{line}\n" for line in lines[:-1])
    return f"S: 220 mx\nC: {verb} [127.0.0.1]\n{said}S: 250 {lines[-1]}\n"


GOODBYE = "\nC: QUIT\nS: 221 bye\n"
LOCKSTEP = hello("CHUNKING")
PIPELINED = hello("PIPELINING", "CHUNKING")
TO_BOB = Envelope("ann@example.org", "bob@example.org")
TO_TWO = Envelope("ann@example.org", ["a@b.example", "c@d.example"])
TO_THREE = Envelope("ann@example.org", ["a@b.example", "c@d.example", "e@f.example"])
LINES = b"one..\r\ntwo..\r\nthree\r\nfour.\r\nfive.\r\nsix..\r\n"  # six chunks of seven octets


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "CHUNK", 7)
    monkeypatch.setattr(submit, "CHUNK", 7)


def play(
    script: str, talk: Callable[[Client], Awaitable[Any]], **options: Unpack[ClientOptions]
) -> ScriptedStream:
    """Open a client against *script*, do what *talk* gives, and quit."""
    stream, config = ScriptedStream(script), ClientConfig(**options)

    async def main() -> None:
        async with await start_client(World(), stream, "mx", config, TLSMode.NONE) as client:
            await talk(client)

    run(main())
    stream.finish()
    return stream


def send(
    script: str,
    envelope: Envelope = TO_BOB,
    body: object = LINES,
    **options: Unpack[ClientOptions],
) -> Outcome:
    """Send one message in the middle of *script*."""
    outcomes = []

    async def talk(client: Client) -> None:
        outcomes.append(await client.send(body, envelope))  # type: ignore[arg-type]

    play(script, talk, **options)
    return outcomes[0]


def refused(script: str, **options: Unpack[ClientOptions]) -> Outcome:
    """Send a message that nobody accepts, and then one that is accepted."""
    caught = []

    async def talk(client: Client) -> None:
        with pytest.raises(SendRefused) as error:
            await client.send(LINES, TO_BOB)
        caught.append(error.value)
        await client.send(b"next\n", Envelope("", "z@z.example"))

    play(script, talk, **options)
    assert caught[0].reply in caught[0].outcome.refused.values()
    return caught[0].outcome


def codes(replies: object) -> dict[str, int]:
    assert isinstance(replies, dict)
    return {str(path): reply.code for path, reply in replies.items()}


MAIL = """
    C: MAIL FROM:<ann@example.org>
    S: 250 ok
    C: RCPT TO:<bob@example.org>
    S: 250 ok
"""
PIPELINED_MAIL = """
    C: MAIL FROM:<ann@example.org>
    C: RCPT TO:<bob@example.org>
    S: 250 ok
    S: 250 ok
"""
NEXT = """
    C: MAIL FROM:<>
    S: 250 ok
    C: RCPT TO:<z@z.example>
    S: 250 ok
    C: BDAT 6 LAST
    C: next
    S: 250 ok
"""
PIPELINED_NEXT = """
    C: MAIL FROM:<>
    C: RCPT TO:<z@z.example>
    C: DATA
    S: 250 ok
    S: 250 ok
    S: 354 ok
    C: next
    C: .
    S: 250 ok
"""
RSET = "C: RSET\nS: 250 ok\n"

# -- BDAT ----------------------------------------------------------------------------------------


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


# -- sources that fail ---------------------------------------------------------------------------


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


# -- giving up -----------------------------------------------------------------------------------


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
            World(), stream, "mx", ClientConfig(), TLSMode.NONE
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
            World(), stream, "mx", ClientConfig(), TLSMode.NONE
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


# -- several transactions ------------------------------------------------------------------------

LIMITED = hello("LIMITS RCPTMAX=1")


def transaction(path: str, *end: str) -> str:
    said = [
        "C: MAIL FROM:<ann@example.org>", "S: 250 ok", f"C: RCPT TO:<{path}>", "S: 250 ok",
        "C: DATA", "S: 354 go", "C: hi", "C: .", "S: 250 queued as 0001",
    ]  # fmt: skip
    return "\n".join([*said[: len(said) - len(end)], *end]) + "\n"


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


# -- too many recipients -------------------------------------------------------------------------


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


KEPT = "S: 250 ok\n"

# -- LMTP ----------------------------------------------------------------------------------------

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
        run(open_client(World(), "127.0.0.1", 25, ClientConfig(lmtp=True)))


# -- a proxy's word ------------------------------------------------------------------------------


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
        async with await start_client(World(), stream, "mx", config, TLSMode.NONE):
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
        run(start_client(World(), stream, "mx", config, TLSMode.NONE))
    assert stream.closed


# -- limits and use ------------------------------------------------------------------------------


@pytest.mark.req("RFC9422-3-06", "RFC9422-4-02")
def test_a_second_message_that_mailmax_excludes_needs_another_connection() -> None:
    async def talk(client: Client) -> None:
        await client.send(b"hi\n", TO_BOB)
        with pytest.raises(NotOffered, match="2 transactions; the server takes 1"):
            await client.send(b"hi\n", TO_BOB)
        assert client.usable

    script = hello("LIMITS MAILMAX=1") + transaction("bob@example.org") + GOODBYE
    play(script, talk)
    play(script.replace("EHLO", "LHLO"), talk, lmtp=True)

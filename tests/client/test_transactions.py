"""One message by MAIL, RCPT and DATA: order, pipelining, 421 and lost links."""

from __future__ import annotations

import pytest

from smtpproto import (
    Client,
    ClientConfig,
    ConnectionLost,
    Envelope,
    RemoteProtocolError,
    SendRefused,
    TimedOut,
    TLSMode,
)
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.client.connection import start_client
from smtpproto.testing.script import ScriptedStream
from tests.support.dialogue import (
    GOODBYE,
    MAIL,
    RSET,
    codes,
    hello,
    mail,
    play,
    rcpt,
    send,
)
from tests.support.envelopes import TO_BOB, TO_THREE

HELLO = hello()
PIPELINING = hello(
    "PIPELINING", "8BITMIME", "SMTPUTF8", "CHUNKING", "LIMITS RCPTMAX=1000", "SIZE 1000"
)


GROUP_OF_THREE = """
    C: MAIL FROM:<ann@example.org> SIZE=7
    C: RCPT TO:<a@b.example>
    C: RCPT TO:<c@d.example>
    C: RCPT TO:<e@f.example>
    C: DATA
"""
GROUP = "C: MAIL FROM:<ann@example.org>\nC: RCPT TO:<bob@example.org>\nC: DATA\n"
BEFORE_CONTENT = f"{HELLO}{MAIL}C: DATA\nS: 354 go\n"


# -- order ---------------------------------------------------------------------------------------


@pytest.mark.req("RFC5321-4.3.1-01", "RFC2920-3-01", "RFC1870-4-01")
def test_without_pipelining_each_command_waits_for_its_reply() -> None:
    outcome = send(f"""{HELLO}
        C: MAIL FROM:<ann@example.org>
        S: 250 ok
        C: RCPT TO:<a@b.example>
        S: 250 ok
        C: RCPT TO:<c@d.example>
        S: 550 no
        C: RCPT TO:<e@f.example>
        S: 250 ok
        C: DATA
        S: 354 go
        C: hello
        C: .
        S: 250 queued as 7
        {GOODBYE}""", TO_THREE)  # fmt: skip
    assert len(outcome.accepted) == 2 and len(outcome.refused) == 1
    assert outcome.reply is not None and outcome.reply.text == "queued as 7"


def test_without_pipelining_nothing_follows_a_refused_mail() -> None:
    with pytest.raises(SendRefused):
        send(f"{HELLO}C: MAIL FROM:<ann@example.org>\nS: 553 no\n{GOODBYE}")


@pytest.mark.req("RFC5321-3.3-12", "RFC5321-4.1.1.10-03")
def test_a_refused_data_raises_send_refused_and_resets_the_transaction() -> None:
    with pytest.raises(SendRefused) as caught:
        send(f"""{HELLO}
            C: MAIL FROM:<ann@example.org>
            S: 250 ok
            C: RCPT TO:<bob@example.org>
            S: 250 ok
            C: DATA
            S: 451 later
            C: RSET
            S: 250 ok
            {GOODBYE}""")
    assert caught.value.reply.transient
    assert caught.value.command == "DATA"


# -- pipelining (RFC 2920) -----------------------------------------------------------------------


@pytest.mark.req("RFC2920-3.1-07", "RFC2920-3.1-08", "RFC5321-4.5.3.1.7-03")
def test_with_pipelining_mail_rcpt_and_data_leave_together() -> None:
    outcome = send(f"""{PIPELINING}
        C: MAIL FROM:<ann@example.org> SIZE=7
        C: RCPT TO:<a@b.example>
        C: RCPT TO:<c@d.example>
        C: RCPT TO:<e@f.example>
        C: DATA
        S: 250 ok
        S: 250 ok
        S: 450-ok
        S: 450 ok
        S: 250 ok
        S: 354 ok
        C: hello
        C: .
        S: 250 ok
        {GOODBYE}""", TO_THREE)  # fmt: skip
    assert [str(path) for path in outcome.refused] == ["c@d.example"]


@pytest.mark.req("RFC2920-3.1-05")
@pytest.mark.parametrize("code", [450, 550])
@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
def test_each_reply_of_a_group_counts(command: str, code: int) -> None:
    """Whichever command is refused, even if all others are accepted."""
    positions = {"MAIL": [0], "RCPT": [1, 2, 3], "DATA": [4]}[command]
    ends = {
        "MAIL": "C: .\nS: 554 no sender\n",
        "RCPT": "C: hello\nC: .\nS: 250 ok\n",
        "DATA": RSET,
    }
    for position in positions:
        replies = ["250 ok", "250 ok", "250 ok", "250 ok", "354 go"]
        replies[position] = f"{code} no"
        lines = "".join(f"S: {reply}\n" for reply in replies)
        script = f"{PIPELINING}{GROUP_OF_THREE}{lines}{ends[command]}{GOODBYE}"
        if command == "RCPT":
            outcome = send(script, TO_THREE)
            path = TO_THREE.recipients[position - 1]
            assert codes(outcome.refused) == {str(path): code}
            assert len(outcome.accepted) == 2
        else:
            with pytest.raises(SendRefused) as caught:
                send(script, TO_THREE)
            assert caught.value.reply.code == code
            assert [*codes(caught.value.outcome.refused).values()] == [code] * 3


@pytest.mark.req("RFC2920-3.1-06")
@pytest.mark.parametrize("refused", ["MAIL", "RCPT"])
def test_354_to_a_data_without_recipients_is_ended_with_a_dot(refused: str) -> None:
    with pytest.raises(SendRefused) as caught:
        send(f"""{PIPELINING}
            C: MAIL FROM:<ann@example.org> SIZE=7
            C: RCPT TO:<bob@example.org>
            C: DATA
            S: {"550 no" if refused == "MAIL" else "250 ok"}
            S: 550 no
            S: 354 all the same
            C: .
            S: 554 no recipients
            {GOODBYE}""")
    assert caught.value.reply.code == 550
    assert caught.value.command == refused


def test_rset_follows_if_every_recipient_is_refused() -> None:
    with pytest.raises(SendRefused):
        send(f"""{PIPELINING}
            C: MAIL FROM:<ann@example.org> SIZE=7
            C: RCPT TO:<bob@example.org>
            C: DATA
            S: 250 ok
            S: 550 no
            S: 503 no recipients
            C: RSET
            S: 250 ok
            {GOODBYE}""")


@pytest.mark.req("RFC2920-3.1-09")
def test_unanswered_commands_are_bounded_by_the_window() -> None:
    """With two thousand recipients, the client reads replies before it has sent all commands."""
    written = []

    class NoReplies(ScriptedStream):
        async def write(self, data: bytes, timeout: float | None) -> None:
            written.append(len(data))
            if sum(written) < 1000:
                await super().write(data, timeout)

        async def read(self, timeout: float | None) -> bytes:
            if timeout == 0:
                raise TimedOut("nothing has arrived")
            return b"" if sum(written) > 1000 else await super().read(timeout)

    people = [f"recipient-{number}@example.org" for number in range(2000)]

    async def main() -> None:
        stream, config = NoReplies(PIPELINING), ClientConfig()
        client = await start_client(Runtime(), stream, "mx", config, TLSMode.NONE)
        await client.send(b"hello", Envelope("ann@example.org", people))

    with pytest.raises(ConnectionLost):
        run(main())
    assert 16_000 < written[-1] < 16_384 + 512


# -- lost links ----------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["", "S: <reset>", "S: <silence>", "S: 999 what", "S: 250-ok"])
def test_a_link_lost_after_the_final_dot_makes_the_outcome_unknown(end: str) -> None:
    outcome = send(f"{BEFORE_CONTENT}C: hello\nC: .\n{end}")
    assert not outcome.accepted and not outcome.refused
    assert [str(path) for path in outcome.unknown] == ["bob@example.org"]


@pytest.mark.req("RFC5321-4.1.1.10-06", "RFC5321-3.8-05")
@pytest.mark.parametrize("end", ["", "S: <reset>", "S: <silence>"])
@pytest.mark.parametrize("steps", range(3))
def test_a_link_lost_before_the_final_dot_is_a_transport_error(steps: int, end: str) -> None:
    lines = ["MAIL FROM:<ann@example.org>", "RCPT TO:<bob@example.org>", "DATA"]
    done = "".join(f"C: {line}\nS: 250 ok\n" for line in lines[:steps])
    with pytest.raises((ConnectionLost, TimedOut)) as caught:
        send(f"{HELLO}{done}C: {lines[steps]}\n{end}")
    assert caught.value.command == lines[steps]


@pytest.mark.parametrize(
    "script",
    [
        f"{HELLO}{MAIL}C: DATA\nS: 554 spam\nC: RSET\n",
        f"{HELLO}{mail()}{rcpt(reply='554 no')}C: RSET\n",
        f"{hello('PIPELINING')}{GROUP}S: 554 blocked\n",
        f"{hello('PIPELINING')}{GROUP}S: 250 ok\nS: 554 no\n",
    ],
    ids=["at DATA", "at RCPT", "at MAIL in a group", "at RCPT in a group"],
)
def test_a_refusal_is_raised_even_if_the_link_is_lost_after_it(script: str) -> None:
    with pytest.raises(SendRefused) as caught:
        send(script)
    assert caught.value.reply.code == 554


def test_a_stray_reply_is_not_taken_for_the_reply_to_the_next_command() -> None:
    async def talk(client: Client) -> None:
        with pytest.raises(SendRefused):
            await client.send(b"hello\r\n", TO_BOB)
        with pytest.raises(RemoteProtocolError, match="answers no command"):
            await client.send(b"hello\r\n", TO_BOB)

    play(f"{HELLO}{mail()}{rcpt(reply='550 no')}{RSET}S: 250 stray\n", talk)


# -- 421 -----------------------------------------------------------------------------------------


@pytest.mark.req("RFC5321-3.8-06")
def test_421_is_the_reply_to_every_unanswered_command() -> None:
    """The replies before it still count."""
    with pytest.raises(SendRefused) as caught:
        send(f"""{PIPELINING}
            C: MAIL FROM:<ann@example.org> SIZE=7
            C: RCPT TO:<a@b.example>
            C: RCPT TO:<c@d.example>
            C: RCPT TO:<e@f.example>
            C: DATA
            S: 250 ok
            S: 550 no such user
            S: 250 ok
            S: 421 mx closing""", TO_THREE)  # fmt: skip
    assert caught.value.reply.code == 421
    assert [reply.code for reply in caught.value.outcome.refused.values()] == [550, 421, 421]


@pytest.mark.req("RFC5321-3.8-06")
def test_421_to_rcpt_refuses_every_recipient() -> None:
    with pytest.raises(SendRefused) as caught:
        send(f"""{HELLO}
            C: MAIL FROM:<ann@example.org>
            S: 250 ok
            C: RCPT TO:<a@b.example>
            S: 421 mx closing""", TO_THREE)  # fmt: skip
    assert [reply.code for reply in caught.value.outcome.refused.values()] == [421, 421, 421]


@pytest.mark.req("RFC5321-3.8-06")
def test_421_to_mail_is_a_transient_refusal() -> None:
    with pytest.raises(SendRefused) as caught:
        send(f"{HELLO}C: MAIL FROM:<ann@example.org>\nS: 421 mx closing")
    assert caught.value.reply.transient

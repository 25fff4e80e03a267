"""Refused recipients and messages: the errors, and which recipients may be tried again."""

from __future__ import annotations

import pytest

from smtpproto import (
    Client,
    EnhancedCode,
    Envelope,
    ForwardPath,
    Leniencies,
    SendRefused,
    Tolerance,
)
from smtpproto.replies import suggested_path
from tests.support.dialogue import (
    GOODBYE,
    LINES,
    LOCKSTEP,
    MAIL,
    RSET,
    codes,
    data,
    hello,
    mail,
    play,
    rcpt,
    send,
)
from tests.support.envelopes import TO_BOB, TO_TWO

HELLO = hello()
BOB = "bob@example.org"


# -- refusals ------------------------------------------------------------------------------------


@pytest.mark.req("RFC1870-6.2-03")
@pytest.mark.parametrize("code", [452, 552])
@pytest.mark.parametrize("at_data", [True, False])
def test_a_message_may_be_refused_for_its_size_after_mail_was_accepted(
    code: int, at_data: bool
) -> None:
    """Because of DATA, or of the content. The session goes on."""
    start = f"{hello('SIZE 100')}{mail(' SIZE=7')}{rcpt()}"
    refused = data("hello", reply=f"{code} too big")
    if at_data:
        refused = f"C: DATA\nS: {code} too big\n{RSET}"

    async def talk(client: Client) -> None:
        with pytest.raises(SendRefused) as caught:
            await client.send(b"hello\n", TO_BOB)
        outcome = caught.value.outcome
        assert codes(outcome.refused) == {BOB: code}
        assert not outcome.accepted and not outcome.unknown
        await client.send(b"hello\n", TO_BOB)

    play(f"{start}{refused}{mail(' SIZE=7')}{rcpt()}{data('hello')}{GOODBYE}", talk)


@pytest.mark.req("RFC6531-3.7.4.1-01")
def test_a_suggested_path_in_utf8_is_read_in_251_and_551() -> None:
    """If MAIL had SMTPUTF8."""
    new = "<\u7528\u6237@\u4f8b\u3048.jp>"
    people = ["b\u00f8b@example.org", BOB]
    outcome = send(
        hello("8BITMIME", "SMTPUTF8")
        + mail(" SMTPUTF8")
        + rcpt(people[0], f"251 2.1.5 User not local; will forward to {new}")
        + rcpt(BOB, f"551-5.1.6 User not local\nS: 551 5.1.6 try {new}")
        + data("hello")
        + GOODBYE,
        Envelope("ann@example.org", people),
    )
    assert codes(outcome.rcpt) == {people[0]: 251, BOB: 551}
    for reply in outcome.rcpt.values():
        assert str(suggested_path(reply)) == new.strip("<>")


@pytest.mark.req("RFC2034-4-06")
@pytest.mark.parametrize(
    ("text", "enhanced", "lines"),
    [
        ("5.1.1 no", "5.1.1", ("no",)),
        ("5.999.0 no", "5.999.0", ("no",)),
        ("5.1.1", "5.1.1", ("",)),
        *[(text, None, (text,)) for text in (
            "no", "5.1 no", "5.01.1 no", "5.1.01 no", "5.1.1000 no", "5.1.1no", "2.1.1 no",
            "4.1.1 no", "3.0.0 no", "6.1.1 no", "5..1 no", "5.1.1. no", "no 5.1.1", " 5.1.1 no",
        )],
        ("4.2.2 full", "4.2.2", ("full",)),
        ("2.1.5 fine", "2.1.5", ("fine",)),
    ],
)  # fmt: skip
def test_an_enhanced_code_is_read_if_it_is_valid_and_the_text_is_kept_if_not(
    text: str, enhanced: str | None, lines: tuple[str, ...]
) -> None:
    code = {"4.2.2 full": 450, "2.1.5 fine": 251}.get(text, 550)
    people = ["ann@example.org", BOB]
    outcome = send(
        f"{HELLO}{mail()}{rcpt(people[0], f'{code} {text}')}{rcpt()}{data('hello')}{GOODBYE}",
        Envelope("ann@example.org", people),
    )
    reply = outcome.rcpt[ForwardPath.of(people[0])]
    assert (reply.code, reply.lines) == (code, lines)
    assert reply.enhanced == (None if enhanced is None else EnhancedCode.parse(enhanced))


@pytest.mark.req("RFC5321-3.5.1-13")
def test_a_refusal_keeps_every_line_of_the_reply() -> None:
    with pytest.raises(SendRefused) as caught:
        script = rcpt("smith@example.org", "553-Ambiguous\nS: 553-<ann@x.example>\nS: 553 or Bob")
        envelope = Envelope("ann@example.org", "smith@example.org")
        send(f"{HELLO}{mail()}{script}{RSET}{GOODBYE}", envelope)
    assert caught.value.reply.lines == ("Ambiguous", "<ann@x.example>", "or Bob")
    assert "<ann@x.example>" in str(caught.value)


@pytest.mark.req("RFC5321-4.2.1-02", "RFC7504-4-02", "RFC5321-4.5.3.1-03")
@pytest.mark.parametrize("code", [500, 501, 550, 552, 556])
def test_a_recipient_refused_for_good_is_not_in_retry(code: int) -> None:
    """Except for a 552, which RFC 821 used for too many recipients, if others were accepted."""
    people = ["long@example.org", BOB]
    outcome = send(
        f"{HELLO}{mail()}{rcpt(people[0], f'{code} no')}{rcpt()}{data('hello')}{GOODBYE}",
        Envelope("ann@example.org", people),
    )
    assert [str(path) for path in outcome.accepted] == [BOB]
    ((path, reply),) = outcome.refused.items()
    assert (str(path), reply.permanent) == (people[0], True)
    assert outcome.retry == (() if code != 552 else (path,))


@pytest.mark.req("RFC5321-4.5.3.1-03")
@pytest.mark.parametrize(
    "script",
    [
        mail(reply="552 too big"),
        mail(reply="501 too long"),
        f"{mail()}{rcpt(reply='501 too long')}{RSET}",
        f"{mail()}{rcpt()}{data('hello', reply='552 too big')}",
        f"{mail()}{rcpt()}{data('hello', reply='500 line too long')}",
    ],
)
def test_the_session_goes_on_after_a_refusal_for_size(script: str) -> None:
    async def talk(client: Client) -> None:
        with pytest.raises(SendRefused) as caught:
            await client.send(b"hello\r\n", TO_BOB)
        assert caught.value.reply.permanent and not caught.value.outcome.accepted
        assert client.usable
        assert (await client.send(b"small\r\n", TO_BOB)).accepted

    play(f"{HELLO}{script}{mail()}{rcpt()}{data('small')}{GOODBYE}", talk)


@pytest.mark.req("RFC5321-7.4-01")
def test_251_and_551_do_not_redirect_the_message() -> None:
    people = ["moved@example.org", "gone@example.org"]
    outcome = send(
        f"""{HELLO}{mail()}
        {rcpt(people[0], "251 will forward to <moved@evil.example>")}
        {rcpt(people[1], "551 please try <gone@evil.example>")}
        {data("hello")}{GOODBYE}""",
        Envelope("ann@example.org", people),
    )
    assert [str(path) for path in outcome.accepted] == people[:1]
    assert [str(path) for path in outcome.refused] == people[1:]
    assert [reply.text for reply in outcome.rcpt.values()] == [
        "will forward to <moved@evil.example>",
        "please try <gone@evil.example>",
    ]


# -- too many recipients -------------------------------------------------------------------------


@pytest.mark.req("RFC5321-4.5.3.1.8-04", "RFC5321-4.5.3.1.10-02")
@pytest.mark.parametrize("code", [452, 552])
def test_recipients_beyond_the_limit_are_in_retry_for_another_transaction(code: int) -> None:
    people = [f"user{number}@example.org" for number in range(102)]
    first = "".join(map(rcpt, people[:100]))
    rest = "".join(rcpt(name, f"{code} too many recipients") for name in people[100:])

    async def talk(client: Client) -> None:
        outcome = await client.send(b"hello\r\n", Envelope("ann@example.org", people))
        assert len(outcome.accepted) == 100
        assert [str(path) for path in outcome.retry] == people[100:]
        again = await client.send(b"hello\r\n", Envelope("ann@example.org", outcome.retry))
        assert len(again.accepted) == 2

    play(
        f"{HELLO}{mail()}{first}{rest}{data('hello')}"
        f"{mail()}{''.join(map(rcpt, people[100:]))}{data('hello')}{GOODBYE}",
        talk,
    )


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
def test_a_recipient_refused_as_one_too_many_is_in_retry(reply: str, again: bool) -> None:
    script = hello("LIMITS RCPTMAX=9") + two_recipients("250 ok", reply)
    outcome = send(script, TO_TWO, b"hi\n")
    assert codes(outcome.accepted) == {"a@b.example": 250}
    assert codes(outcome.refused) == {"c@d.example": int(reply[:3])}
    assert outcome.retry == (TO_TWO.recipients[1:] if again else ())


@pytest.mark.parametrize("tolerance", Tolerance)
def test_the_leniency_recipient_552_decides_whether_552_counts_as_452(tolerance: Tolerance) -> None:
    outcome = send(
        HELLO + two_recipients("250 ok", "552 too many"),
        TO_TWO,
        b"hi\n",
        leniencies=Leniencies(recipient_552=tolerance),
    )
    assert outcome.retry == (TO_TWO.recipients[1:] if tolerance is not Tolerance.REJECT else ())


@pytest.mark.parametrize("tolerance", Tolerance)
def test_a_552_that_counts_as_452_is_logged_if_it_is_to_be_reported(
    tolerance: Tolerance, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "smtpproto.client"):
        send(
            HELLO + two_recipients("250 ok", "552 too many"),
            TO_TWO,
            b"hi\n",
            leniencies=Leniencies(recipient_552=tolerance),
        )
    assert ("tolerated: recipient_552" in caplog.text) is (tolerance is Tolerance.REPORT)


def test_552_to_the_only_recipient_is_permanent() -> None:
    with pytest.raises(SendRefused) as caught:
        send(f"{HELLO}{mail()}{rcpt(reply='552 mailbox full')}{RSET}{GOODBYE}")
    assert caught.value.outcome.retry == ()


def test_552_is_permanent_if_it_refuses_every_recipient_or_the_message() -> None:
    with pytest.raises(SendRefused) as caught:
        send(f"{hello()}{mail()}{rcpt(reply='552 full')}{RSET}{GOODBYE}")
    assert caught.value.outcome.retry == ()
    with pytest.raises(SendRefused) as caught:
        send(
            f"{LOCKSTEP}{MAIL}C: BDAT 7 LAST\nC: one..\nS: 552 full\n{RSET}{GOODBYE}",
            body=LINES[:7],
        )
    assert caught.value.outcome.retry == ()

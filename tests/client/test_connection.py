"""A client's conversations, as dialogues with a server that is written down."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Awaitable, Callable
from email.message import EmailMessage
from typing import Unpack

import pytest

from smtpproto import (
    Client,
    ClientConfig,
    ConnectionLost,
    Envelope,
    GrammarError,
    LocalProtocolError,
    Login,
    NotOffered,
    Outcome,
    Refusal,
    RemoteProtocolError,
    SendRefused,
    SMTPError,
    TimedOut,
    TLSMode,
)
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.client.config import ClientOptions
from smtpproto.client.connection import start_client
from smtpproto.testing.script import ScriptedStream
from tests.support.envelopes import TO_BOB, TO_THREE

HELLO = """
    S: 220 mx.example.org ESMTP
    C: EHLO [127.0.0.1]
    S: 250 mx.example.org
"""
PIPELINING = """
    S: 220 mx.example.org ESMTP
    C: EHLO [127.0.0.1]
    S: 250-mx.example.org
    S: 250-PIPELINING
    S: 250-8BITMIME
    S: 250-SMTPUTF8
    S: 250-CHUNKING
    S: 250-LIMITS RCPTMAX=1000
    S: 250 SIZE 1000
"""
GOODBYE = """
    C: QUIT
    S: 221 bye
"""


def play(
    script: str,
    talk: Callable[[Client], Awaitable[None]] | None = None,
    **options: Unpack[ClientOptions],
) -> ScriptedStream:
    """Open a client against *script*, let *talk* give a coroutine of what it does, and quit."""
    stream = ScriptedStream(script)
    options.setdefault("tls", TLSMode.NONE)
    config = ClientConfig(**options)

    async def main() -> None:
        client = await start_client(
            Runtime(), stream, "mx.example.org", config, config.tls_mode(25)
        )
        async with client:
            if talk is not None:
                await talk(client)

    try:
        run(main())
    finally:
        assert stream.closed
        stream.finish()
    return stream


def send(script: str, envelope: Envelope = TO_BOB, body: object = b"hello\r\n") -> Outcome:
    """Send one message in the middle of *script*."""
    outcomes: list[Outcome] = []

    async def talk(client: Client) -> None:
        outcomes.append(await client.send(body, envelope))  # type: ignore[arg-type]

    play(script, talk)
    return outcomes[0]


# -- opening -------------------------------------------------------------------------------------


@pytest.mark.req(
    "RFC5321-2.2.1-02",
    "RFC5321-4.1.1.10-03",
    "RFC5321-4.1.1.10-04",
    "RFC5321-4.1.4-18",
    "RFC5321-4.1.1.1-02",
    "RFC5321-4.1.1.1-04",
    "RFC5321-4.1.4-09",
    "RFC5321-F.3-01",
)
def test_hello_and_goodbye() -> None:
    play(HELLO + GOODBYE)


@pytest.mark.req("RFC5321-2.2.1-03", "RFC5321-3.2-02")
@pytest.mark.parametrize("code", [500, 502, 504])
def test_helo_where_ehlo_is_unknown(code: int) -> None:
    play(f"""
        S: 220-mx.example.org greets
        S: 220 in two lines
        C: EHLO [127.0.0.1]
        S: {code} what?
        C: HELO [127.0.0.1]
        S: 250 mx.example.org
        {GOODBYE}
    """)


@pytest.mark.req("RFC5321-4.1.4-19")
def test_a_server_that_refuses_gets_its_quit() -> None:
    with pytest.raises(Refusal) as caught:
        play(f"S: 554 no service for you\n{GOODBYE}")
    assert caught.value.reply.code == 554
    assert caught.value.phase == "greeting"


def test_a_name_that_is_refused() -> None:
    with pytest.raises(Refusal, match="set hello"):
        play(f"S: 220 mx\nC: EHLO [127.0.0.1]\nS: 550 who?\n{GOODBYE}")


def test_a_name_of_ones_own() -> None:
    play("S: 220 mx\nC: EHLO ann.example\nS: 250 mx\n" + GOODBYE, hello="ann.example")
    with pytest.raises(GrammarError):
        ClientConfig(hello="ann.example\r\nQUIT")


def test_a_silent_server_is_explained() -> None:
    with pytest.raises(TimedOut, match="TLS from the first octet") as caught:
        play("S: <silence>")
    assert caught.value.phase == "greeting"


@pytest.mark.req("RFC5321-3.8-06")
def test_a_server_that_is_closing() -> None:
    with pytest.raises(Refusal) as caught:
        play("S: 421 mx closing")
    assert caught.value.reply.code == 421


@pytest.mark.req("RFC3207-6-06", "RFC3207-6-01")
def test_required_tls_that_is_not_offered_ends_it() -> None:
    with pytest.raises(NotOffered, match="STARTTLS"):
        play(HELLO + GOODBYE, tls=TLSMode.REQUIRED)


@pytest.mark.req("RFC3207-6-06")
def test_required_tls_that_is_refused_ends_it() -> None:
    with pytest.raises(Refusal, match="454"):
        play(
            f"""
            S: 220 mx
            C: EHLO [127.0.0.1]
            S: 250-mx
            S: 250 STARTTLS
            C: STARTTLS
            S: 454 4.7.0 not now
            {GOODBYE}
            """,
            tls=TLSMode.REQUIRED,
        )


@pytest.mark.req("RFC3207-6-02", "RFC3207-4-03")
def test_opportunistic_tls_goes_on_in_clear() -> None:
    play(HELLO + GOODBYE, tls=TLSMode.OPPORTUNISTIC)
    play(
        f"""
        S: 220 mx
        C: EHLO [127.0.0.1]
        S: 250-mx
        S: 250 STARTTLS
        C: STARTTLS
        S: 454 4.7.0 not now
        {GOODBYE}
        """,
        tls=TLSMode.OPPORTUNISTIC,
    )


@pytest.mark.req("RFC3207-6-05")
def test_octets_injected_behind_starttls() -> None:
    with pytest.raises(RemoteProtocolError, match="injecting"):
        play(
            """
            S: 220 mx
            C: EHLO [127.0.0.1]
            S: 250-mx
            S: 250 STARTTLS
            C: STARTTLS
            S: 220 go
            S: 250-evil
            """,
            tls=TLSMode.REQUIRED,
        )


# -- logging in ----------------------------------------------------------------------------------

AUTH = """
    S: 220 mx
    C: EHLO [127.0.0.1]
    S: 250-mx
    S: 250 AUTH GSSAPI PLAIN
"""
IN_CLEAR: ClientOptions = {
    "login": Login("ann", "secret"),
    "login_in_clear": True,
    "mechanisms": "PLAIN",
}


def test_login_with_an_initial_response() -> None:
    play(f"{AUTH}C: AUTH PLAIN AGFubgBzZWNyZXQ=\nS: 235 ok\n{GOODBYE}", **IN_CLEAR)


@pytest.mark.req("RFC4954-4-09")
@pytest.mark.parametrize("challenge", ["334", "334 "])
def test_a_server_that_asks_all_the_same(challenge: str) -> None:
    play(
        f"""{AUTH}
        C: AUTH PLAIN AGFubgBzZWNyZXQ=
        S: {challenge}
        C: AGFubgBzZWNyZXQ=
        S: 235 ok
        {GOODBYE}""",
        **IN_CLEAR,
    )


@pytest.mark.req("RFC4954-4-10")
def test_a_long_login_goes_in_two_steps() -> None:
    password = "x" * 500
    with pytest.raises(AssertionError, match="AUTH PLAIN'"):
        options = IN_CLEAR.copy()
        options["login"] = Login("ann", password)
        play(f"{AUTH}C: something", **options)


@pytest.mark.req("RFC4954-4-14")
def test_a_challenge_that_is_none_is_cancelled() -> None:
    with pytest.raises(RemoteProtocolError):
        play(
            f"""{AUTH}
            C: AUTH PLAIN AGFubgBzZWNyZXQ=
            S: 334 !!!
            C: *
            S: 501 cancelled
            {GOODBYE}""",
            **IN_CLEAR,
        )


def test_a_wrong_password() -> None:
    with pytest.raises(Refusal) as caught:
        play(f"{AUTH}C: AUTH PLAIN AGFubgBzZWNyZXQ=\nS: 535 5.7.8 no\n{GOODBYE}", **IN_CLEAR)
    assert caught.value.command == "AUTH PLAIN"
    assert "secret" not in str(caught.value)


@pytest.mark.req("RFC4954-9-03", "RFC4616-5-01")
def test_no_password_in_clear_unless_asked_for() -> None:
    with pytest.raises(LocalProtocolError, match="verified TLS"):
        play(AUTH + GOODBYE, login=("ann", "secret"))


def test_no_mechanism_in_common() -> None:
    hello = "S: 220 mx\nC: EHLO [127.0.0.1]\nS: 250-mx\nS: 250 AUTH GSSAPI"
    with pytest.raises(NotOffered, match="GSSAPI"):
        play(f"{hello}\n{GOODBYE}", **IN_CLEAR)


# -- sending -------------------------------------------------------------------------------------


@pytest.mark.req("RFC5321-4.3.1-01", "RFC2920-3-01", "RFC1870-4-01")
def test_without_pipelining_each_command_waits() -> None:
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


@pytest.mark.req("RFC2920-3.1-05", "RFC2920-3.1-07", "RFC2920-3.1-08", "RFC5321-4.5.3.1.7-03")
def test_with_pipelining_a_group_leaves_at_once() -> None:
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


@pytest.mark.req("RFC2920-3.1-06")
@pytest.mark.parametrize("refused", ["MAIL", "RCPT"])
def test_data_in_vain_is_ended_with_a_dot(refused: str) -> None:
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


def test_all_recipients_refused_ends_the_transaction() -> None:
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


@pytest.mark.req("RFC5321-3.3-12")
def test_data_refused() -> None:
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


def test_mail_refused_stops_a_client_that_waits() -> None:
    with pytest.raises(SendRefused):
        send(f"{HELLO}C: MAIL FROM:<ann@example.org>\nS: 553 no\n{GOODBYE}")


BEFORE_CONTENT = f"""{HELLO}
    C: MAIL FROM:<ann@example.org>
    S: 250 ok
    C: RCPT TO:<bob@example.org>
    S: 250 ok
    C: DATA
    S: 354 go
"""


@pytest.mark.parametrize("end", ["", "S: <reset>", "S: <silence>", "S: 999 what", "S: 250-ok"])
def test_after_the_final_dot_the_outcome_is_unknown(end: str) -> None:
    outcome = send(f"{BEFORE_CONTENT}C: hello\nC: .\n{end}")
    assert not outcome.accepted and not outcome.refused
    assert [str(path) for path in outcome.unknown] == ["bob@example.org"]


@pytest.mark.req("RFC5321-4.1.1.10-06", "RFC5321-3.8-05")
@pytest.mark.parametrize("end", ["", "S: <reset>", "S: <silence>"])
@pytest.mark.parametrize("steps", range(3))
def test_before_the_final_dot_it_is_a_transport_error(steps: int, end: str) -> None:
    lines = ["MAIL FROM:<ann@example.org>", "RCPT TO:<bob@example.org>", "DATA"]
    done = "".join(f"C: {line}\nS: 250 ok\n" for line in lines[:steps])
    with pytest.raises((ConnectionLost, TimedOut)) as caught:
        send(f"{HELLO}{done}C: {lines[steps]}\n{end}")
    assert caught.value.command == lines[steps]


@pytest.mark.req("RFC5321-3.8-06")
def test_421_in_the_middle() -> None:
    """It is the reply to all that it left unanswered; what was said before it holds."""
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
def test_421_without_pipelining() -> None:
    with pytest.raises(SendRefused) as caught:
        send(f"""{HELLO}
            C: MAIL FROM:<ann@example.org>
            S: 250 ok
            C: RCPT TO:<a@b.example>
            S: 421 mx closing""", TO_THREE)  # fmt: skip
    assert [reply.code for reply in caught.value.outcome.refused.values()] == [421, 421, 421]


def test_421_to_mail_is_a_transient_refusal() -> None:
    with pytest.raises(SendRefused) as caught:
        send(f"{HELLO}C: MAIL FROM:<ann@example.org>\nS: 421 mx closing")
    assert caught.value.reply.transient


@pytest.mark.req("RFC2920-3.1-09")
def test_the_window_is_bounded() -> None:
    """With two thousand recipients, replies are asked for before all commands are out."""
    written = []

    class Mute(ScriptedStream):
        async def write(self, data: bytes, timeout: float | None) -> None:
            written.append(len(data))
            if sum(written) < 1000:
                await super().write(data, timeout)

        async def read(self, timeout: float | None) -> bytes:
            return b"" if sum(written) > 1000 else await super().read(timeout)

    people = [f"recipient-{number}@example.org" for number in range(2000)]

    async def main() -> None:
        stream, config = Mute(PIPELINING), ClientConfig()
        client = await start_client(Runtime(), stream, "mx", config, TLSMode.NONE)
        await client.send(b"hello", Envelope("ann@example.org", people))

    with pytest.raises(ConnectionLost):
        run(main())
    assert 16_000 < written[-1] < 16_384 + 512


# -- what a server must have offered -------------------------------------------------------------


@pytest.mark.req(
    "RFC1870-7-01",
    "RFC5321-2.4-06",
    "RFC6152-3-05",
    "RFC6531-3.2-05",
    "RFC5321-2.3.1-01",
    "RFC6531-3.2-06",
)
@pytest.mark.parametrize(
    ("hello", "envelope", "body", "missing"),
    [
        (HELLO, TO_BOB, b"Subject: x\r\n\r\ncaf\xc3\xa9\r\n", "8BITMIME"),
        (HELLO, Envelope("ann@example.org", "bøb@example.org"), b"hello", "SMTPUTF8"),
        (HELLO, TO_BOB, "Subject: ü\r\n\r\n".encode(), "SMTPUTF8"),
        (PIPELINING, TO_BOB, b"x\n" * 334, "at most 1000"),
    ],
)
def test_what_was_not_offered_is_not_sent(
    hello: str, envelope: Envelope, body: bytes, missing: str
) -> None:
    with pytest.raises(NotOffered, match=missing):
        send(hello + GOODBYE, envelope, body)


@pytest.mark.req("RFC6152-3-07", "RFC6531-3.4-01", "RFC6531-3.4-02", "RFC6531-3.6-01")
def test_parameters_are_what_the_message_needs() -> None:
    script = PIPELINING + """
        C: MAIL FROM:<ann@example.org> {}
        C: RCPT TO:<bob@example.org>
        C: DATA
        S: 250 ok
        S: 250 ok
        S: 354 go
        C: {}
        C: .
        S: 250 ok
    """ + GOODBYE  # fmt: skip
    send(script.format("SIZE=7", "hello"))
    send(script.format("SIZE=8 BODY=8BITMIME", "hellø"), body="hellø".encode())
    utf8 = "SIZE=12 BODY=8BITMIME SMTPUTF8"
    send(script.format(utf8, "To: hellø"), body="To: hellø\n".encode())


def test_eight_bits_that_show_up_late_are_not_sent() -> None:
    with pytest.raises(LocalProtocolError, match="127"):
        send(BEFORE_CONTENT, body=iter([b"caf\xe9\r\n"]))


# -- sources -------------------------------------------------------------------------------------

CONTENT = f"{BEFORE_CONTENT}C: one\nC: ..two\nC: .\nS: 250 ok\n{GOODBYE}"


async def _pieces() -> AsyncIterator[bytes]:
    yield b"one\r"
    yield b"\n."
    yield b"two"


@pytest.mark.req("SMUGGLING-04", "SMUGGLING-05", "RFC5321-4.5.2-01", "RFC5321-4.1.1.4-04")
@pytest.mark.parametrize(
    "source",
    [
        b"one\r\n.two\r\n",
        b"one\n.two\n",
        b"one\r.two",
        io.BytesIO(b"one\n.two\n"),
        [b"one", b"\n", b".two"],
        _pieces(),
    ],
    ids=["crlf", "lf", "cr", "file", "list", "async"],
)
def test_every_source_makes_the_same_lines(source: object) -> None:
    send(CONTENT, body=source)


def test_a_file_that_cannot_seek_is_read_once() -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: object) -> int:
            raise OSError("no")

    send(CONTENT, body=Pipe(b"one\n.two"))


def test_an_envelope_needs_recipients() -> None:
    with pytest.raises(GrammarError):
        send(HELLO + GOODBYE, Envelope("ann@example.org", []))


def test_octets_with_blind_copies_are_not_guessed_at() -> None:
    async def talk(client: Client) -> None:
        with pytest.raises(GrammarError, match="Bcc"):
            await client.send(b"From: a@b.example\r\nTo: c@d.example\r\nBcc: e@f.example\r\n\r\n")
        with pytest.raises(GrammarError, match="Sender or From"):
            await client.send(b"To: c@d.example\r\n\r\n")
        with pytest.raises(GrammarError):
            await client.send(iter([b"To: c@d.example\r\n\r\n"]))

    play(HELLO + GOODBYE, talk)


def test_a_message_resent_goes_to_whom_it_was_resent() -> None:
    message = EmailMessage()
    message["From"], message["To"] = "a@b.example", "c@d.example"
    message["Resent-From"], message["Resent-To"] = "ann@example.org", "bob@example.org"
    message["Resent-Date"] = "Mon, 23 Nov 2026 12:00:00 +0000"

    async def talk(client: Client) -> None:
        await client.send(message)

    mail = "C: MAIL FROM:<ann@example.org>\nS: 250 ok\nC: RCPT TO:<bob@example.org>"
    with pytest.raises(ConnectionLost):
        play(HELLO + mail, talk)


# -- use -----------------------------------------------------------------------------------------


def test_one_conversation_at_a_time() -> None:
    """A second one in the middle of the first is refused before it says anything."""

    async def talk(client: Client) -> None:
        async def source() -> AsyncIterator[bytes]:
            with pytest.raises(LocalProtocolError, match="in use"):
                await client.noop()
            yield b"one\n.two"

        await client.send(source(), TO_BOB)

    play(CONTENT, talk)


@pytest.mark.req("SMUGGLING-06")
@pytest.mark.parametrize("text", ["x\r\nRCPT TO:<evil@x>", "x\ny", "x\0"])
def test_no_argument_becomes_a_command(text: str) -> None:
    async def talk(client: Client) -> None:
        for call in (client.vrfy, client.help):
            with pytest.raises(GrammarError):
                await call(text)
        with pytest.raises(GrammarError):
            Envelope(text, "a@b.example")
        with pytest.raises(GrammarError):
            Envelope("", text)

    play(HELLO + GOODBYE, talk)


def test_the_trace_has_no_secrets() -> None:
    lines: list[str] = []
    options = IN_CLEAR.copy()
    options["trace"] = lambda who, line: lines.append(f"{who}: {line}")
    play(
        f"""{AUTH}
        C: AUTH PLAIN AGFubgBzZWNyZXQ=
        S: 334
        C: AGFubgBzZWNyZXQ=
        S: 235 ok
        {GOODBYE}""",
        **options,
    )
    assert "C: AUTH PLAIN ***" in lines and "C: ***" in lines and "S: 235 ok" in lines
    assert not any("AGFubg" in line for line in lines)


def test_every_error_is_one_of_ours() -> None:
    """Whatever the server says first, at most SMTPError comes out."""
    for line in ("", "x", "220", "199 a", "600 b", "220-a", "2200 b", "\xff", "354 c", "220 \x1b"):
        try:
            play(f"S: {line}\n")
        except SMTPError:
            continue
        except AssertionError as error:
            assert "EHLO" in str(error)  # it went on

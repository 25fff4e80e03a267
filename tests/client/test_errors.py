"""Each failure of a client: the text of its error, and what the client has sent by then.

The failures of a TLS handshake are in tests/conversation, those of dialling in tests/adapters.
"""

from __future__ import annotations

import pickle
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from attrs import field, frozen

from smtpproto import (
    BadCredentials,
    Client,
    ClientConfig,
    ConnectFailed,
    ConnectionLost,
    EncryptionRequired,
    Envelope,
    GrammarError,
    LocalProtocolError,
    Login,
    LoginRefused,
    MailParameters,
    Notify,
    NotOffered,
    RcptParameters,
    Refusal,
    RemoteProtocolError,
    SendRefused,
    SMTPError,
    TimedOut,
    Timeouts,
    TLSFailed,
    TLSMode,
)
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.client.connection import open_client, start_client
from smtpproto.client.pool import Pool
from smtpproto.errors import CHECKS
from smtpproto.grammar.command import Rcpt
from smtpproto.grammar.parameters import Body
from smtpproto.grammar.reply import Reply
from smtpproto.testing.script import ScriptedStream
from smtpproto.testing.simulation import Simulation
from tests.support.dialogue import GOODBYE, RSET, hello
from tests.support.dialogue import MAIL as ACCEPTED
from tests.support.envelopes import TO_BOB

Talk = Callable[[Client], Awaitable[Any]]


class RecordingStream(ScriptedStream):
    """A scripted stream that keeps the octets written to it."""

    written = b""

    async def write(self, data: bytes, timeout: float | None) -> None:
        self.written += data
        await super().write(data, timeout)


@frozen
class Failure:
    """A dialogue, what the client does in it, and the error that it raises."""

    name: str
    script: str
    error: type[SMTPError]
    phase: str
    command: str = ""
    code: int | None = None
    check: str = field(kw_only=True)
    talk: Talk | None = field(default=None, kw_only=True)
    options: dict[str, Any] = field(factory=dict, kw_only=True)
    mode: TLSMode = field(default=TLSMode.NONE, kw_only=True)


def sending(body: Any = b"hi\r\n", envelope: Envelope = TO_BOB) -> Talk:
    return lambda client: client.send(body, envelope)


def with_mail(**parameters: Any) -> Talk:
    return sending(
        envelope=Envelope("ann@example.org", "bob@example.org", MailParameters(**parameters))
    )


def noop(client: Client) -> Awaitable[Reply]:
    return client.noop()


async def after_quit(client: Client) -> None:
    await client.quit()
    await client.send(b"hi\r\n", TO_BOB)


async def after_a_lost_link(client: Client) -> None:
    with pytest.raises(ConnectionLost):
        await client.noop()
    await client.noop()


async def two_at_once(client: Client) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        await client.noop()
        yield b"hi\r\n"

    await client.send(pieces(), TO_BOB)


async def more_than_size(client: Client) -> None:
    await client.send(iter([b"x" * 998 + b"\r\n"]), TO_BOB)


EHLO = "EHLO [127.0.0.1]"
HELLO = f"S: 220 mx\nC: {EHLO}\n"
STARTTLS = hello("STARTTLS") + "C: STARTTLS\n"
PLAIN = hello("AUTH PLAIN") + "C: AUTH PLAIN AGFubgBzZWNyZXQ=\n"
MAIL = hello("ENHANCEDSTATUSCODES") + "C: MAIL FROM:<ann@example.org>\n"
RCPT = MAIL + "S: 250 ok\nC: RCPT TO:<bob@example.org>\n"
DATA = RCPT + "S: 250 ok\nC: DATA\n"
END = DATA + "S: 354 go\nC: hi\nC: .\n"
BDAT = hello("CHUNKING") + ACCEPTED
GROWING = hello("CHUNKING", "SIZE 500") + ACCEPTED
REQUIRED: dict[str, Any] = {"mode": TLSMode.REQUIRED}
LOGIN: dict[str, Any] = {"options": {"login": ("ann", "secret"), "login_in_clear": True}}
MAIL_LINE, RCPT_LINE = "MAIL FROM:<ann@example.org>", "RCPT TO:<bob@example.org>"


GREETINGS = [
    Failure("no service", f"S: 554 no{GOODBYE}", Refusal, "greeting", "", 554, check="accepts"),
    Failure("busy", "S: 421 busy", Refusal, "greeting", "", 421, check="now"),
    Failure("a silent server", "S: <silence>", TimedOut, "greeting", check="465"),
    Failure("a server that resets", "S: <reset>", ConnectionLost, "greeting", check="implicit"),
    Failure("a server that closes", "", ConnectionLost, "greeting", check="implicit"),
    Failure("a greeting cut off", "S: 220-mx", ConnectionLost, "greeting", check="log"),
    Failure("no SMTP", "S: SSH-2.0 \x1b[2J", RemoteProtocolError, "greeting", check="meant"),
    Failure("TLS", "S: \x15\x03\x01", TLSFailed, "greeting", check="implicit"),
]  # fmt: skip
HELLOS = [
    Failure("EHLO no", f"{HELLO}S: 550 5.7.1 who{GOODBYE}", Refusal, "hello", EHLO, 550,
            check="set hello"),
    Failure("EHLO closes", f"{HELLO}S: 421 busy", Refusal, "hello", EHLO, 421, check="later"),
    Failure("HELO no", f"{HELLO}S: 502 what\nC: HELO [127.0.0.1]\nS: 550 who{GOODBYE}", Refusal,
            "hello", "HELO [127.0.0.1]", 550, check="set hello"),
    Failure("EHLO silent", f"{HELLO}S: <silence>", TimedOut, "hello", EHLO, check="timeouts"),
    Failure("EHLO closed", HELLO, ConnectionLost, "hello", EHLO, check="log"),
    Failure("EHLO garbage", f"{HELLO}S: what", RemoteProtocolError, "hello", EHLO, check="meant"),
    Failure("EHLO 354", f"{HELLO}S: 354 go", RemoteProtocolError, "hello", EHLO, 354,
            check="meant"),
    Failure("LHLO no", f"S: 220 mx\nC: LHLO [127.0.0.1]\nS: 500 what{GOODBYE}", Refusal, "hello",
            "LHLO [127.0.0.1]", 500, check="for LMTP", options={"lmtp": True}),
]  # fmt: skip
UPGRADES = [
    Failure("no STARTTLS", f"{hello()}{GOODBYE}", NotOffered, "TLS", "STARTTLS", check="hides",
            **REQUIRED),
    Failure("STARTTLS 454", f"{STARTTLS}S: 454 4.7.0 not now{GOODBYE}", Refusal, "TLS", "STARTTLS",
            454, check="can do TLS", **REQUIRED),
    Failure("STARTTLS silent", f"{STARTTLS}S: <silence>", TimedOut, "TLS", "STARTTLS",
            check="can do TLS", **REQUIRED),
    Failure("STARTTLS closed", STARTTLS, ConnectionLost, "TLS", "STARTTLS", check="can do TLS",
            **REQUIRED),
    Failure("STARTTLS injected into", f"{STARTTLS}S: 220 go\nS: 250 evil", RemoteProtocolError,
            "TLS", "STARTTLS", 220, check="between", **REQUIRED),
]  # fmt: skip
AUTH = "AUTH PLAIN"
LOGINS = [
    *(
        Failure(f"AUTH {reply}", f"{PLAIN}S: {reply}{GOODBYE}", error, "login", AUTH,
                int(reply[:3]), check=check, **LOGIN)
        for reply, error, check in [
            ("535 5.7.8 no", BadCredentials, "password"),
            ("535 no", BadCredentials, "password"),
            ("534 5.7.9 use an application's password", LoginRefused, "another kind"),
            ("538 5.7.11 no", EncryptionRequired, "tls"),
            ("523 no", EncryptionRequired, "tls"),
            ("530 5.7.0 STARTTLS first", LoginRefused, "TLS"),
            ("454 4.7.0 database down", LoginRefused, "later"),
            ("500 5.5.6 line too long", LoginRefused, "trace"),
            ("500 what", LoginRefused, "the server's log"),
        ]
    ),
    Failure("AUTH 421", f"{PLAIN}S: 421 bye", LoginRefused, "login", AUTH, 421, check="later",
            **LOGIN),
    Failure("AUTH silent", f"{PLAIN}S: <silence>", TimedOut, "login", "AUTH PLAIN ***",
            check="timeouts", **LOGIN),
    Failure("AUTH closed", PLAIN, ConnectionLost, "login", "AUTH PLAIN ***", check="log", **LOGIN),
    Failure("AUTH garbage", f"{PLAIN}S: 334 %\nC: *\nS: 501 ok{GOODBYE}", RemoteProtocolError,
            "login", AUTH, check="meant", **LOGIN),
    Failure("no mechanism", f"{hello('AUTH GSSAPI')}{GOODBYE}", NotOffered, "login",
            check="mechanisms", **LOGIN),
    Failure("no AUTH", f"{hello()}{GOODBYE}", NotOffered, "login", check="TLS first", **LOGIN),
    Failure("no TLS", f"{hello('AUTH PLAIN')}{GOODBYE}", LocalProtocolError, "login", check="tls",
            options={"login": ("ann", "secret"), "tls": TLSMode.NONE}),
]  # fmt: skip
SILENT = ("S: <silence>", TimedOut, "timeouts")
CLOSED = ("", ConnectionLost, "log")
RESET = ("S: <reset>", ConnectionLost, "log")
GARBAGE = ("S: what", RemoteProtocolError, "meant")
TRANSACTIONS = [
    *(
        Failure(f"{command[:4]} {ending or 'closed'}", script + ending, error, "transaction",
                command, check=check, talk=sending())
        for script, command in [(MAIL, MAIL_LINE), (RCPT, RCPT_LINE), (DATA, "DATA")]
        for ending, error, check in [SILENT, CLOSED, RESET, GARBAGE]
    ),
    *(
        Failure(f"{command} {reply}", f"{script}S: {reply}\n{end}{GOODBYE}", SendRefused,
                "transaction", command, int(reply[:3]), check=check, talk=sending())
        for script, command, end, reply, check in [
            (MAIL, "MAIL", "", "550 5.7.1 no", "policy"),
            (MAIL, "MAIL", "", "530 5.7.0 login", "login first"),
            (MAIL, "MAIL", "", "552 5.3.4 too big", "size of the message"),
            (MAIL, "MAIL", "", "553 5.1.8 bad sender", "addresses"),
            (MAIL, "MAIL", "", "451 busy", "later"),
            (RCPT, "RCPT", RSET, "550 5.1.1 unknown", "addresses"),
            (RCPT, "RCPT", RSET, "550 5.2.1 closed", "mailbox"),
            (RCPT, "RCPT", RSET, "450 4.2.0 greylisted", "later"),
            (RCPT, "RCPT", RSET, "550 no", "what the reply says"),
            (DATA, "DATA", RSET, "554 no", "what the reply says"),
            (DATA, "DATA", RSET, "554 5.5.1 no valid recipients", "trace"),
            (END, "end of data", "", "554 5.6.0 spam", "content"),
            (END, "end of data", "", "552 too big", "size of the message"),
            (END, "end of data", "", "452 4.3.1 full", "later"),
        ]
    ),
    Failure("MAIL 421", f"{MAIL}S: 421 bye", SendRefused, "transaction", "MAIL", 421, check="later",
            talk=sending()),
    Failure("chunk refused", f"{BDAT}C: BDAT 4 LAST\nC: hi\nS: 552 5.2.2 full\n{RSET}{GOODBYE}",
            SendRefused, "transaction", "BDAT", 552, check="mailbox", talk=sending()),
    Failure("a message that grows", f"{GROWING}{RSET}{GOODBYE}", NotOffered, "transaction", "BDAT",
            check="size", talk=more_than_size),
    Failure("two at once", f"{DATA}S: 354 go\n", LocalProtocolError, "session", check="pool",
            talk=two_at_once),
]  # fmt: skip
PLANS = [
    Failure(name, f"{hello(*offered)}{GOODBYE}", NotOffered, "plan", check=check, talk=talk)
    for name, offered, check, talk in [
        ("SIZE", ["SIZE 3"], "size", sending()),
        ("8BITMIME", [], "offers", sending(b"\xc3\xa4\r\n")),
        ("SMTPUTF8", ["8BITMIME"], "offers", sending(envelope=Envelope("", "ä@example.org"))),
        ("BINARYMIME", ["CHUNKING"], "offers", with_mail(body=Body.BINARY_MIME)),
        ("DSN", [], "offers", sending(envelope=Envelope(
            "", "b@c.example", rcpt_parameters=RcptParameters(notify={Notify.NEVER})))),
        ("REQUIRETLS", ["REQUIRETLS"], "tls and verify", with_mail(requiretls=True)),
        ("MAILMAX", ["LIMITS MAILMAX=1 RCPTMAX=1"], "new connection", sending(
            envelope=Envelope("", ["a@b.example", "c@d.example"]))),
        ("content once", ["CHUNKING", "LIMITS RCPTMAX=1"], "read again", sending(
            iter([b"hi\r\n"]), Envelope("", ["a@b.example", "c@d.example"]))),
    ]
]  # fmt: skip
SESSIONS = [
    Failure("ETRN", f"{hello()}{GOODBYE}", NotOffered, "session", "ETRN", check="offers",
            talk=lambda client: client.etrn("example.org")),
    Failure("RCPT alone", f"{hello()}{GOODBYE}", LocalProtocolError, "session", "RCPT",
            check="this program", talk=lambda client: client.command(Rcpt(TO_BOB.recipients[0]))),
    Failure("a login too many", f"{hello()}{GOODBYE}", NotOffered, "login", check="mechanisms",
            talk=lambda client: client.login(Login("ann", "secret")),
            options={"login_in_clear": True}),
    Failure("NOOP silent", f"{hello()}C: NOOP\nS: <silence>", TimedOut, "session", "NOOP",
            check="timeouts", talk=noop),
    Failure("unasked 421", f"{hello()}S: 421 idle", SendRefused, "transaction", "MAIL", 421,
            check="reply", talk=sending()),
    Failure("421 in content", f"{DATA}S: 354 go\nC: hi\nS: 421 idle", SendRefused, "transaction",
            "end of data", 421, check="reply", talk=sending()),
    Failure("250 in content", f"{DATA}S: 354 go\nC: hi\nS: 250 ok", RemoteProtocolError,
            "transaction", "end of data", 250, check="meant", talk=sending()),
    Failure("a stray reply", f"{hello()}S: 250 stray", RemoteProtocolError, "session", "", 250,
            check="meant", talk=noop),
    Failure("after quit", f"{hello()}{GOODBYE}", LocalProtocolError, "transaction",
            check="quit()", talk=after_quit),
    Failure("after an error", f"{hello()}C: NOOP\nS: <reset>", LocalProtocolError, "session",
            check="earlier", talk=after_a_lost_link),
]  # fmt: skip
ALL = [*GREETINGS, *HELLOS, *UPGRADES, *LOGINS, *TRANSACTIONS, *PLANS, *SESSIONS]


ALSO: dict[type[SMTPError], type[Exception]] = {
    GrammarError: ValueError,
    ConnectFailed: ConnectionError,
    ConnectionLost: ConnectionError,
    TLSFailed: ConnectionError,
    TimedOut: TimeoutError,
}


def error_of(failure: Failure, stream: ScriptedStream) -> SMTPError:
    """Return the error of *failure*, played on *stream*."""

    async def main() -> None:
        config = ClientConfig(**failure.options)
        async with await start_client(Runtime(), stream, "mx", config, failure.mode) as client:
            if failure.talk is not None:
                await failure.talk(client)

    with pytest.raises(SMTPError) as caught:
        run(main())
    return caught.value


def check_text(error: SMTPError) -> None:
    """Check that the text is one printable line without a secret, and survives pickling."""
    text = str(error)
    assert text.isprintable()
    assert "secret" not in text and "AGFub" not in text
    if not isinstance(error, GrammarError):  # whose text gives the offset instead
        for part in (error.phase, error.command, str(error.reply or ""), error.check):
            assert part in text
        assert error.check
    assert isinstance(error, ALSO.get(type(error), SMTPError))
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert (str(again), again.__dict__) == (text, error.__dict__)


@pytest.mark.parametrize("failure", ALL, ids=lambda failure: failure.name)
def test_an_error_tells_phase_command_reply_and_what_to_check(failure: Failure) -> None:
    stream = RecordingStream(failure.script)
    error = error_of(failure, stream)
    stream.finish()
    lines = [line.lstrip() for line in failure.script.splitlines()]
    expected = [line[3:] for line in lines if line.startswith("C:")]
    assert stream.written == b"".join(line.encode() + b"\r\n" for line in expected)
    assert stream.closed
    assert type(error) is failure.error
    assert (error.phase, error.command) == (failure.phase, failure.command)
    assert getattr(error.reply, "code", None) == failure.code
    assert failure.check in error.check
    check_text(error)


@pytest.mark.parametrize("ending", ["S: <silence>", "S: <reset>", "", "S: what"])
def test_no_reply_after_the_final_dot_is_not_an_error(ending: str) -> None:
    """The server may have the whole message."""
    stream, outcomes = RecordingStream(END + ending), []

    async def main() -> None:
        async with await start_client(
            Runtime(), stream, "mx", ClientConfig(), TLSMode.NONE
        ) as client:
            outcomes.append(await client.send(b"hi\r\n", TO_BOB))

    run(main())
    stream.finish()
    assert stream.written.endswith(b"DATA\r\nhi\r\n.\r\n")
    assert outcomes[0].unknown and not outcomes[0].accepted and not outcomes[0].refused


# -- connections that cannot be made -------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "port", "options", "check"),
    [
        ("localhost", 0, {}, "arguments"),
        ("localhost", 25, {"lmtp": True}, "arguments"),
        ("/run/x.sock", 0, {"source": "127.0.0.1"}, "arguments"),
        ("localhost", 2, {}, "that the server is running"),
    ],
)
def test_a_connection_that_cannot_be_made_raises_connect_failed(
    host: str, port: int, options: dict[str, Any], check: str
) -> None:
    simulation = Simulation(1)  # nothing listens in it
    with pytest.raises(ConnectFailed) as caught:
        simulation.run(open_client(simulation, host, port, ClientConfig(**options)))
    assert caught.value.phase == "connect" and check in caught.value.check
    check_text(caught.value)


def test_connecting_without_time_left_raises_timed_out() -> None:
    simulation = Simulation(1)
    config = ClientConfig(timeouts=Timeouts(total=0.0))
    with pytest.raises(TimedOut) as caught:
        simulation.run(open_client(simulation, "mx.example.org", 25, config))
    assert caught.value.phase == "connect" and "timeouts.total" in caught.value.check
    check_text(caught.value)


def test_a_closed_pool_does_not_connect() -> None:
    async def never(*_: object) -> Client:
        raise AssertionError("connected")

    async def main() -> None:
        pool = Pool(Runtime(), never)
        await pool.close()
        await pool.send(b"hi\r\n", TO_BOB)

    with pytest.raises(LocalProtocolError) as caught:
        run(main())
    assert caught.value.phase == "connect" and "open a new pool" in caught.value.check
    check_text(caught.value)


# -- the advice on what to check -----------------------------------------------------------------


@pytest.mark.parametrize("start", [start for start, _ in CHECKS])
def test_every_row_of_checks_is_the_first_that_fits_some_reply(start: str) -> None:
    """No row hides one below it."""
    code = f"{start}0" if start.endswith(".") else start
    reply = Reply(500, code, "no") if "." in code else Reply(int(f"{code}50"[:3]), None, "no")
    error = Refusal("refused", reply)
    error.complete("session")
    assert error.check == dict(CHECKS)[start]
    kept = Refusal("refused", reply, phase="login", check="something better")
    kept.complete("session")
    assert (kept.phase, kept.check) == ("login", "something better")

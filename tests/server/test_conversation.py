"""A server's conversations, as dialogues with a client that is written down."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
from attrs import define, evolve, field

from smtpproto import (
    Domain,
    Envelope,
    ForwardPath,
    Handler,
    Limits,
    MailParameters,
    RcptParameters,
    Reply,
    ReversePath,
    ServerConfig,
    Session,
)
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.grammar.domain import Host
from smtpproto.server.conversation import Conversation
from smtpproto.server.handler import Sink, handler_of
from smtpproto.testing.script import ScriptedStream

from ..support.scripted_client import Accounts

GREETING = "S: 220 localhost ESMTP ready"
HELLO = f"""
    {GREETING}
    C: EHLO client.example
    S: 250-localhost greets you
    S: 250-PIPELINING
    S: 250-SIZE 33554432
    S: 250-8BITMIME
    S: 250-SMTPUTF8
    S: 250-CHUNKING
    S: 250-LIMITS RCPTMAX=1000
    S: 250-ENHANCEDSTATUSCODES
    S: 250 HELP
"""
QUIT = """
    C: QUIT
    S: 221 2.0.0 localhost Service closing transmission channel
"""
TRANSACTION = """
    C: MAIL FROM:<ann@example.org>
    S: 250 2.1.0 Sender OK
    C: RCPT TO:<bob@example.org>
    S: 250 2.1.5 Recipient OK
    C: DATA
"""
GO_ON = "S: 354 Start mail input; end with <CRLF>.<CRLF>"


def play(
    script: str,
    handler: Handler | Callable[[], Handler],
    config: ServerConfig | None = None,
) -> None:
    stream = ScriptedStream(script, plays="C")
    conversation = Conversation(stream, handler_of(handler), config or ServerConfig(), Runtime())
    run(conversation.run())
    stream.finish()
    assert stream.closed


@define(eq=False)
class Recorder(Handler):
    """Writes down what it is asked; answers what it is told to."""

    calls: list[str] = field(factory=list)
    answers: dict[str, Reply | Exception] = field(factory=dict)
    sessions: list[Session] = field(factory=list)

    def _called(self, hook: str, session: Session) -> Reply | None:
        self.calls.append(hook)
        self.sessions.append(session)
        answer = self.answers.get(hook.partition(" ")[0])
        if isinstance(answer, Exception):
            raise answer
        return answer

    def connect(self, session: Session) -> Reply | None:
        return self._called("connect", session)

    async def ehlo(self, session: Session, host: Host) -> Reply | None:
        return self._called(f"hello {host}", session)

    def mail(
        self, session: Session, sender: ReversePath, parameters: MailParameters
    ) -> Reply | None:
        return self._called(f"mail {sender}", session)

    async def rcpt(
        self, session: Session, recipient: ForwardPath, parameters: RcptParameters
    ) -> Reply | None:
        return self._called(f"rcpt {recipient}", session)

    def message(self, session: Session, envelope: Envelope, body: bytes) -> Reply | None:
        return self._called(f"message {body!r}", session)

    def vrfy(self, session: Session, name: str) -> Reply | None:
        return self._called(f"verify {name}", session)

    async def reset(self, session: Session) -> None:
        self._called("reset", session)

    def close(self, session: Session) -> None:
        self._called("close", session)


@pytest.mark.req("RFC5321-4.1.4-10", "RFC5321-7.9-01")
def test_hooks_are_asked_in_order_and_see_the_session() -> None:
    handler = Recorder()
    play(f"{HELLO}{TRANSACTION}{GO_ON}\nC: ..x\nC: .\nS: 250 2.0.0 Message accepted{QUIT}", handler)
    assert handler.calls == [
        "connect",
        "hello client.example",
        "mail ann@example.org",
        "rcpt bob@example.org",
        "message b'.x\\r\\n'",
        "close",
    ]
    first, last = handler.sessions[0], handler.sessions[-1]
    assert first.hello is None and not first.extended
    assert last.hello == Domain("client.example") and last.extended
    assert last.peer == ("192.0.2.1", 25) and last.tls is None and last.user is None


@pytest.mark.req("RFC5321-3.1-03", "RFC5321-3.1-04", "RFC5321-3.1-02", "RFC5321-3.1-05")
def test_connect_may_refuse() -> None:
    refused = Recorder(answers={"connect": Reply(554, "5.7.1", "Not you")})
    play(f"S: 554 Not you\nC: NOOP\nS: 503 5.5.1 No service here; send QUIT{QUIT}", refused)
    busy = Recorder(answers={"connect": Reply(421, "4.3.2", "Not now")})
    play("S: 421 localhost Not now", busy)
    assert busy.calls == ["connect", "close"]


@pytest.mark.parametrize(
    ("hook", "answer", "line"),
    [
        ("hello", Reply(550, "5.7.1", "No"), "550 No"),
        ("hello", LookupError("x"), "451 Local error in processing"),
    ],
)
def test_hello_may_refuse(hook: str, answer: Reply | Exception, line: str) -> None:
    script = f"{GREETING}\nC: EHLO client.example\nS: {line}\nC: MAIL FROM:<>\n"
    play(f"{script}S: 503 5.5.1 Send EHLO first{QUIT}", Recorder(answers={hook: answer}))


@pytest.mark.req("RFC5321-3.3-02", "RFC5321-4.3.1-06")
@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (Reply(450, "4.7.1", "Later"), "450 4.7.1 Later"),
        (Reply(550, None, "No"), "550 5.0.0 No"),
        (Reply(250, "2.1.0", "With pleasure"), "250 2.1.0 With pleasure"),
        (ValueError("password=hunter2\r\n250 OK"), "451 4.3.0 Local error in processing"),
        (Reply(354, None, "go on"), "451 4.3.0 Local error in processing"),
        (Reply(421, "4.3.2", "Enough"), "421 4.3.2 localhost Enough"),
    ],
)
def test_what_a_hook_answers_is_what_the_client_gets(answer: Reply | Exception, line: str) -> None:
    end = "" if line.startswith("421") else QUIT
    play(f"{HELLO}C: MAIL FROM:<>\nS: {line}{end}", Recorder(answers={"mail": answer}))


def test_a_hook_that_answers_nonsense_is_451() -> None:
    class Wrong(Handler):
        def mail(self, *_: object) -> str:  # type: ignore[override]
            return "250 OK"

    play(f"{HELLO}C: MAIL FROM:<>\nS: 451 4.3.0 Local error in processing{QUIT}", Wrong())


def test_errors_are_logged_escaped(caplog: pytest.LogCaptureFixture) -> None:
    handler = Recorder(answers={"mail": ValueError("from the peer\r\nERROR forged \x1b[2J")})
    with caplog.at_level(logging.DEBUG, "smtpproto"):
        play(f"{HELLO}C: MAIL FROM:<>\nS: 451 4.3.0 Local error in processing{QUIT}", handler)
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "\x1b" not in record.getMessage() and "\nERROR" not in record.getMessage()
    assert "forged" in record.getMessage() and "_called" in record.getMessage()


@pytest.mark.req("RFC5321-4.1.1.5-05")
def test_reset_is_told_when_a_transaction_was_open() -> None:
    handler = Recorder()
    play(f"""{HELLO}
        C: RSET
        S: 250 2.0.0 OK
        C: MAIL FROM:<ann@example.org>
        S: 250 2.1.0 Sender OK
        C: RSET
        S: 250 2.0.0 OK{QUIT}""", handler)  # fmt: skip
    assert handler.calls[2:] == ["mail ann@example.org", "reset", "close"]


@pytest.mark.req("RFC5321-3.5.3-02", "RFC5321-3.5.3-03", "RFC5321-3.5.3-01", "RFC5321-7.3-02")
def test_verify() -> None:
    cannot = "252 2.5.0 Cannot VRFY user, but will accept message and attempt delivery"
    play(f"{HELLO}C: VRFY bob\nS: {cannot}{QUIT}", Handler())
    found = Recorder(answers={"verify": Reply(250, "2.1.5", "<bob@example.org>")})
    play(f"{HELLO}C: VRFY bob\nS: 250 2.1.5 <bob@example.org>{QUIT}", found)
    play(f"{HELLO}C: EXPN staff\nS: 502 5.5.1 Command not implemented{QUIT}", Handler())


def test_a_handler_that_takes_no_mail_says_so() -> None:
    play(
        f"{HELLO}{TRANSACTION}{GO_ON}\nC: .\nS: 554 5.3.2 No mail is accepted here{QUIT}", Handler()
    )


# -- sinks ---------------------------------------------------------------------------------------


@define(eq=False)
class Streamed(Handler):
    """A handler that is its own sink and fails where it is told to."""

    fail_at: str = ""
    calls: list[str] = field(factory=list)

    async def data(self, session: Session, envelope: Envelope) -> Sink | Reply:
        if self.fail_at == "refuse":
            return Reply(452, "4.3.1", "Full")
        return self._called("open")

    async def write(self, data: bytes) -> None:
        self._called("write")

    def commit(self) -> Reply | None:
        self._called("commit")
        return None

    async def abort(self) -> None:
        self._called("abort")

    def _called(self, name: str) -> Streamed:
        self.calls.append(name)
        if self.fail_at == name:
            raise OSError("disk full")
        return self


BROKEN = "451 4.3.0 Local error in processing"


@pytest.mark.parametrize(
    ("fail_at", "rest", "calls"),
    [
        ("", f"{GO_ON}\nC: x\nC: .\nS: 250 2.0.0 Message accepted{QUIT}", "open write commit"),
        ("refuse", f"S: 452 4.3.1 Full{QUIT}", ""),
        ("open", f"S: {BROKEN}{QUIT}", "open"),
        ("write", f"{GO_ON}\nC: x\nC: .\nS: {BROKEN}{QUIT}", "open write abort"),
        ("commit", f"{GO_ON}\nC: x\nC: .\nS: {BROKEN}{QUIT}", "open write commit"),
        ("", f"{GO_ON}\nC: x\n", "open write abort"),
        ("abort", f"{GO_ON}\nC: x\n", "open write abort"),
        ("", f"{GO_ON}\nC: <reset>\n", "open abort"),
        ("", f"{GO_ON}\nC: <silence>\nS: 421 4.4.2 localhost Timeout; closing transmission channel",
         "open abort"),
    ],
)  # fmt: skip
def test_each_sink_ends_once(fail_at: str, rest: str, calls: str) -> None:
    handler = Streamed(fail_at)
    play(f"{HELLO}{TRANSACTION}{rest}", handler)
    assert handler.calls == calls.split()


@pytest.mark.req("RFC5321-4.1.1.10-05")
def test_a_message_that_is_too_big_is_aborted_and_the_session_goes_on() -> None:
    handler = Streamed()
    hello = HELLO.replace("33554432", "65536")
    lines = f"C: {'x' * 9998}\n" * 7
    play(
        f"{hello}{TRANSACTION}{GO_ON}\n{lines}C: .\n"
        "S: 552 5.3.4 Message size exceeds fixed maximum message size\n"
        f"C: NOOP\nS: 250 2.0.0 OK{QUIT}",
        handler,
        ServerConfig(limits=Limits(message_size=65536)),
    )
    assert handler.calls[-1] == "abort" and "commit" not in handler.calls


def test_a_message_that_was_refused_leaves_nothing_to_reset() -> None:
    handler = Recorder()
    bare = "C: a\rb\nC: .\nS: 554 5.6.0 CR or LF alone in message content\n"
    end = f"{bare}C: RSET\nS: 250 2.0.0 OK{QUIT}"
    play(f"{HELLO}{TRANSACTION}{GO_ON}\n{end}", handler)
    assert "reset" not in handler.calls


def test_a_fault_of_ours_ends_one_connection(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Conversation, "_trace_event", broken)
    handler = Recorder()
    play("", handler)
    assert handler.calls == ["close"] and "a bug" in caplog.text


# -- logging in ----------------------------------------------------------------------------------


class Door(Handler):
    def __init__(self) -> None:
        self.users: list[str | None] = []

    def mail(self, session: Session, *_: object) -> None:
        self.users.append(session.user)


HELLO_AUTH = HELLO.replace("S: 250 HELP", "S: 250-HELP\nS: 250 AUTH PLAIN")
WRONG = "S: 535 5.7.8 Authentication credentials invalid"
IN_CLEAR = ServerConfig(
    authenticator=Accounts(),
    mechanisms="PLAIN",
    auth_in_clear=True,
    limits=Limits(failed_login_delay=0),
)


@pytest.mark.req(
    "RFC4954-4-08",
    "RFC4954-4-21",
    "RFC4954-4-20",
    "RFC4954-8-01",
    "RFC4422-3.4.1-01",
    "RFC5321-7.9-01",
    "RFC4422-3.3-01",
)
def test_login() -> None:
    handler = Door()
    play(
        f"""{HELLO_AUTH}
        C: auth plain AGFubgB3cm9uZw==
        S: 535 5.7.8 Authentication credentials invalid
        C: AUTH PLAIN
        S: 334
        C: AGFubgBzZWNyZXQ=
        S: 235 2.7.0 Authentication successful
        C: MAIL FROM:<>
        S: 250 2.1.0 Sender OK{QUIT}""".replace("334\n", "334 \n"),
        handler,
        IN_CLEAR,
    )
    assert handler.users == ["ann"]


@pytest.mark.req("RFC4954-6-02", "RFC4616-2-05", "RFC4616-2-01", "RFC4616-2-04", "RFC4616-2-06")
@pytest.mark.parametrize(
    ("response", "line"),
    [
        ("AHRyb3VibGUAc2VjcmV0", "454 4.7.0 Temporary authentication failure"),
        ("Ym9iAGFubgBzZWNyZXQ=", "535 5.7.8 Authentication credentials invalid"),
        ("YW5uAHNlY3JldA==", "535 5.7.8 Authentication credentials invalid"),
        ("AGFubgA=", "535 5.7.8 Authentication credentials invalid"),
        ("AP8Ac2VjcmV0", "535 5.7.8 Authentication credentials invalid"),
    ],
)
def test_logins_that_fail(response: str, line: str) -> None:
    play(f"{HELLO_AUTH}C: AUTH PLAIN {response}\nS: {line}{QUIT}", Door(), IN_CLEAR)


@pytest.mark.req(
    "RFC4954-4-28", "RFC4954-4-29", "RFC4954-6-07", "RFC4616-5-01", "RFC8314-4.1-01", "RFC4954-9-03"
)
@pytest.mark.parametrize("response", ["AGFubgBzZWNyZXQ=", "AGFubgB3cm9uZw=="])
def test_no_login_in_clear_by_default(response: str) -> None:
    """Nor a word on whether it would have been a good one."""
    play(
        f"{HELLO}C: AUTH PLAIN {response}\n"
        f"S: 538 5.7.11 Encryption required for authentication{QUIT}",
        Door(),
        ServerConfig(authenticator=Accounts()),
    )


# -- all of it -----------------------------------------------------------------------------------


def test_a_handler_for_each_connection() -> None:
    made: list[Recorder] = []

    def make() -> Recorder:
        made.append(Recorder())
        return made[-1]

    for _ in range(2):
        play(f"{HELLO}{QUIT}", make)
    assert len(made) == 2 and made[0].calls == made[1].calls


def test_a_handler_that_cannot_be_made() -> None:
    def make() -> Handler:
        raise RuntimeError("no database")

    play("S: 421 localhost Local error; closing transmission channel", make)


@pytest.mark.req("RFC5321-4.5.3.2.7-01")
def test_a_silent_client() -> None:
    silence = "C: <silence>\nS: 421 4.4.2 localhost Timeout; closing transmission channel"
    play(f"{HELLO}{silence}", Handler())


def test_the_trace_has_no_secrets() -> None:
    lines: list[str] = []
    config = evolve(IN_CLEAR, trace=lambda who, line: lines.append(f"{who}: {line}"))
    play(
        f"{HELLO_AUTH}C: AUTH PLAIN AGFubgB3cm9uZw==\n{WRONG}\n"
        f"C: AUTH FOO AGFubgB3cm9uZw==\nS: 504 5.5.4 Unrecognized authentication mechanism\n"
        f"C: AUTH PLAIN\nS: 334 \nC: AGFubgB3cm9uZw==\n{WRONG}{QUIT}",
        Door(),
        config,
    )
    assert "C: AUTH PLAIN ***" in lines and "C: AUTH ***" in lines and "C: ***" in lines
    assert not any("AGFubg" in line for line in lines)


def test_configurations_that_contradict_themselves() -> None:
    with pytest.raises(ValueError, match="context"):
        ServerConfig(implicit_tls=True)
    with pytest.raises(ValueError, match="context"):
        ServerConfig(require_tls=True)
    with pytest.raises(ValueError, match="65536"):
        Limits(message_size=1)

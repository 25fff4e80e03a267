"""The hooks of a handler: when they are called, and what the client receives."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

import pytest
from attrs import define, field

from smtpproto import (
    Domain,
    Envelope,
    ForwardPath,
    Handler,
    MailParameters,
    RcptParameters,
    Reply,
    ReversePath,
    Session,
)
from smtpproto.grammar.domain import HelloHost
from smtpproto.server.handler import Hook
from tests.support.server_dialogue import (
    GREETING,
    HELLO,
    LOCAL_ERROR,
    QUIT,
    START_INPUT,
    TRANSACTION,
    mail_from,
    play,
)


@define(eq=False)
class Recorder(Handler):
    """Records the name of each hook called; *answers* holds what a hook returns or raises."""

    calls: list[str] = field(factory=list)
    answers: dict[str, Reply | Exception] = field(factory=dict)
    sessions: list[Session] = field(factory=list)

    def _call(self, hook: str, session: Session) -> Reply | None:
        self.calls.append(hook)
        self.sessions.append(session)
        answer = self.answers.get(hook.partition(" ")[0])
        if isinstance(answer, Exception):
            raise answer
        return answer

    def connect(self, session: Session) -> Reply | None:
        return self._call("connect", session)

    async def ehlo(self, session: Session, host: HelloHost) -> Reply | None:
        return self._call(f"ehlo {host}", session)

    def mail(
        self, session: Session, sender: ReversePath, parameters: MailParameters
    ) -> Reply | None:
        return self._call(f"mail {sender}", session)

    async def rcpt(
        self, session: Session, recipient: ForwardPath, parameters: RcptParameters
    ) -> Reply | None:
        return self._call(f"rcpt {recipient}", session)

    def message(self, session: Session, envelope: Envelope, body: bytes) -> Reply | None:
        return self._call(f"message {body!r}", session)

    async def reset(self, session: Session) -> None:
        self._call("reset", session)

    def close(self, session: Session) -> None:
        self._call("close", session)


@pytest.mark.req("RFC5321-4.1.4-10", "RFC5321-7.9-01")
def test_hooks_are_called_in_order_and_see_the_session() -> None:
    handler = Recorder()
    play(
        f"{HELLO}{TRANSACTION}{START_INPUT}\nC: ..x\nC: .\nS: 250 2.0.0 Message accepted{QUIT}",
        handler,
    )
    assert handler.calls == [
        "connect",
        "ehlo client.example",
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
def test_the_connect_hook_refuses_with_554_until_quit_or_closes_with_421() -> None:
    refused = Recorder(answers={"connect": Reply(554, "5.7.1", "Not you")})
    play(f"S: 554 Not you\nC: NOOP\nS: 503 5.5.1 No service here; send QUIT{QUIT}", refused)
    busy = Recorder(answers={"connect": Reply(421, "4.3.2", "Not now")})
    play("S: 421 localhost Not now", busy)
    assert busy.calls == ["connect", "close"]


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (Reply(550, "5.7.1", "No"), "550 No"),
        (LookupError("x"), "451 Local error in processing"),
    ],
    ids=["refuses", "raises"],
)
def test_a_refused_ehlo_begins_no_session(answer: Reply | Exception, line: str) -> None:
    script = f"{GREETING}\nC: EHLO client.example\nS: {line}\nC: MAIL FROM:<>\n"
    play(f"{script}S: 503 5.5.1 Send EHLO first{QUIT}", Recorder(answers={"ehlo": answer}))


@pytest.mark.req("RFC5321-3.3-02", "RFC5321-4.3.1-06")
@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (Reply(450, "4.7.1", "Later"), "450 4.7.1 Later"),
        (Reply(550, None, "No"), "550 5.0.0 No"),
        (Reply(250, "2.1.0", "With pleasure"), "250 2.1.0 With pleasure"),
        (ValueError("password=hunter2\r\n250 OK"), LOCAL_ERROR),
        (Reply(354, None, "go on"), LOCAL_ERROR),
        (Reply(421, "4.3.2", "Enough"), "421 4.3.2 localhost Enough"),
    ],
    ids=["450", "550", "250", "raises", "354", "421"],
)
def test_the_client_receives_the_reply_of_each_hook(answer: Reply | Exception, line: str) -> None:
    end = "" if line.startswith("421") else QUIT
    play(f"{HELLO}C: MAIL FROM:<>\nS: {line}{end}", Recorder(answers={"mail": answer}))


@pytest.mark.req("RFC5321-4.2-08", "RFC5321-4.3.2-02")
@pytest.mark.parametrize("code", [-250, 0, 25, 100, 150, 199, 600, 650, 999, 1000, 2500])
def test_a_hook_cannot_reply_with_a_code_that_does_not_begin_with_2_to_5(code: int) -> None:
    class Odd(Handler):
        def mail(self, *_: object) -> Reply:
            return Reply(code, None, "odd")

    play(f"{HELLO}C: MAIL FROM:<>\nS: {LOCAL_ERROR}{QUIT}", Odd())


def test_a_hook_that_returns_no_reply_is_answered_with_451() -> None:
    class Wrong(Handler):
        def mail(self, *_: object) -> str:  # type: ignore[override]
            return "250 OK"

    play(f"{HELLO}C: MAIL FROM:<>\nS: {LOCAL_ERROR}{QUIT}", Wrong())


def test_a_hook_without_a_name_is_answered_with_451_if_it_raises() -> None:
    def fails(*_: object) -> None:
        raise ValueError("x")

    handler = Handler()
    handler.mail = partial(fails)  # type: ignore[method-assign]
    handler.close = partial(fails)  # type: ignore[method-assign]
    play(f"{HELLO}C: MAIL FROM:<>\nS: {LOCAL_ERROR}{QUIT}", handler)


def test_the_error_of_a_hook_is_logged_escaped(caplog: pytest.LogCaptureFixture) -> None:
    handler = Recorder(answers={"mail": ValueError("from the peer\r\nERROR forged \x1b[2J")})
    with caplog.at_level(logging.DEBUG, "smtpproto"):
        play(f"{HELLO}C: MAIL FROM:<>\nS: {LOCAL_ERROR}{QUIT}", handler)
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "\x1b" not in record.getMessage() and "\nERROR" not in record.getMessage()
    assert "forged" in record.getMessage() and "_call" in record.getMessage()


@pytest.mark.req("RFC5321-4.1.1.5-05")
def test_reset_is_called_only_if_a_transaction_was_open() -> None:
    handler = Recorder()
    play(f"""{HELLO}
        C: RSET
        S: 250 2.0.0 OK
        C: MAIL FROM:<ann@example.org>
        S: 250 2.1.0 Sender OK
        C: RSET
        S: 250 2.0.0 OK{QUIT}""", handler)  # fmt: skip
    assert handler.calls[2:] == ["mail ann@example.org", "reset", "close"]


def test_reset_is_not_called_after_a_refused_message() -> None:
    handler = Recorder()
    bare = "C: a\rb\nC: .\nS: 554 5.6.0 CR or LF alone in message content\n"
    end = f"{bare}C: RSET\nS: 250 2.0.0 OK{QUIT}"
    play(f"{HELLO}{TRANSACTION}{START_INPUT}\n{end}", handler)
    assert "reset" not in handler.calls


def test_the_default_handler_refuses_each_message_with_554() -> None:
    play(
        f"{HELLO}{TRANSACTION}{START_INPUT}\nC: .\nS: 554 5.3.2 No mail is accepted here{QUIT}",
        Handler(),
    )


NO = Reply(550, "5.7.1", "Not here")


def test_a_hook_that_another_hook_sets_on_the_instance_is_called() -> None:
    class Changing(Handler):
        def ehlo(self, session: Session, host: HelloHost) -> None:
            self.rcpt = lambda *arguments: NO  # type: ignore[method-assign]

    sender = "C: MAIL FROM:<>\nS: 250 2.1.0 Sender OK\n"
    play(f"{HELLO}{sender}C: RCPT TO:<b@x.example>\nS: 550 5.7.1 Not here{QUIT}", Changing())


def test_a_hook_that_is_set_on_the_class_after_a_connection_is_called(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Plain(Handler):
        pass

    play(f"{HELLO}C: MAIL FROM:<>\nS: 250 2.1.0 Sender OK{QUIT}", Plain())
    monkeypatch.setattr(Plain, "mail", lambda *arguments: NO)
    play(f"{HELLO}C: MAIL FROM:<>\nS: 550 5.7.1 Not here{QUIT}", Plain())


def test_a_hook_may_call_the_one_that_it_overrides() -> None:
    class Calling(Handler):
        def mail(self, *arguments: Any) -> Hook:
            return super().mail(*arguments)

    play(f"{HELLO}C: MAIL FROM:<>\nS: 250 2.1.0 Sender OK{QUIT}", Calling())


# -- making a handler -----------------------------------------------------------------------------


def test_a_factory_makes_a_handler_for_each_connection() -> None:
    made: list[Recorder] = []

    def make() -> Recorder:
        made.append(Recorder())
        return made[-1]

    for _ in range(2):
        play(f"{HELLO}{QUIT}", make)
    assert len(made) == 2 and made[0].calls == made[1].calls


def test_a_factory_that_raises_is_answered_with_421() -> None:
    def make() -> Handler:
        raise RuntimeError("no database")

    play("S: 421 localhost Local error; closing transmission channel", make)


def test_a_factory_that_returns_no_handler_is_answered_with_421() -> None:
    closing = "S: 421 localhost Local error; closing transmission channel"
    play(closing, lambda: None)  # type: ignore[arg-type, return-value]


# -- the log of refusals ----------------------------------------------------------------------

PEER = "192.0.2.1, 25"
REFUSAL = Reply(554, "5.7.1", "Not you")
SAID = f"S: {REFUSAL}"


@pytest.mark.parametrize(
    ("hook", "script", "what"),
    [
        ("connect", f"S: 554 Not you{QUIT}", "the connection of PEER"),
        ("ehlo", f"{GREETING}\nC: EHLO a.example\nS: 554 Not you{QUIT}", "EHLO a.example of PEER"),
        ("mail", f"{HELLO}C: MAIL FROM:<>\n{SAID}{QUIT}", "MAIL FROM:<> of PEER"),
        (
            "rcpt",
            f"{HELLO}{mail_from('ann@example.org')}C: RCPT TO:<bob@example.org>\n{SAID}{QUIT}",
            "RCPT TO:<bob@example.org> of PEER, from ann@example.org",
        ),
        (
            "message",
            f"{HELLO}{TRANSACTION}{START_INPUT}\nC: .\n{SAID}{QUIT}",
            "the message of PEER, from ann@example.org",
        ),
        ("", f"{HELLO}{TRANSACTION}{START_INPUT}\nC: .\nS: 250 2.0.0 Message accepted{QUIT}", ""),
    ],
)
def test_only_what_a_hook_refuses_is_logged_with_the_client_the_sender_and_the_reply(
    hook: str, script: str, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "smtpproto.server")
    play(script, Recorder(answers={hook: REFUSAL}))
    logged = [it for it in caplog.messages if it.startswith("refused")]
    assert logged == [f"refused {what.replace('PEER', PEER)}: {REFUSAL}"][: bool(what)]

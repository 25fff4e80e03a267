"""What a hostile review found once, so that it is not found again."""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from smtpproto import (
    ClientConfig,
    ClientProtocol,
    Domain,
    Envelope,
    GrammarError,
    Handler,
    Identity,
    LocalProtocolError,
    Login,
    Mailbox,
    MailParameters,
    Outcome,
    Refusal,
    RemoteProtocolError,
    Reply,
    ReversePath,
    Secret,
    SendRefused,
    ServerConfig,
    Session,
    SMTPError,
    TimedOut,
    Timeouts,
    TLSMode,
)
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.client.connection import open_client, start_client
from smtpproto.grammar.command import Command, Ehlo
from smtpproto.mail.preparation import prepare
from smtpproto.server.conversation import Conversation
from smtpproto.server.handler import WholeMessage, handler_of
from smtpproto.testing.script import ScriptedStream
from tests.support.envelopes import TO_BOB

from ..support.scripted_client import Accounts

HELLO = "S: 220 mx\nC: EHLO [127.0.0.1]\nS: 250 mx\n"
PIPELINING = "S: 220 mx\nC: EHLO [127.0.0.1]\nS: 250-mx\nS: 250 PIPELINING\n"
MAIL, RCPT = "C: MAIL FROM:<ann@example.org>\n", "C: RCPT TO:<bob@example.org>\n"


def send(script: str, source: Any = b"hello\r\n", times: int = 1) -> Outcome:
    """Send *source* in the middle of *script*, *times* times; the last outcome."""

    async def main() -> Outcome:
        config = ClientConfig(tls=TLSMode.NONE)
        stream = ScriptedStream(script)
        client = await start_client(Runtime(), stream, "mx", config, TLSMode.NONE)
        for _ in range(times - 1):
            with pytest.raises(SendRefused):
                await client.send(source, TO_BOB)
        return await client.send(source, TO_BOB)

    return run(main())


def serve(script: str, source: Handler | Callable[[], Handler], **options: Any) -> list[str]:
    """Play *script* against a server; its trace."""
    lines: list[str] = []
    config = ServerConfig(**options, trace=lambda who, line: lines.append(line))
    stream = ScriptedStream(script, plays="C")
    run(Conversation(stream, handler_of(source), config, Runtime()).run())
    stream.finish()
    return lines


# -- wrong types -----------------------------------------------------------------------------------


def _opened() -> ClientProtocol:
    client = ClientProtocol()
    client.receive(b"220 mx\r\n")
    client.next_event()
    return client


WRONG: list[tuple[Callable[..., object], tuple[object, ...]]] = [
    (Mailbox, ("a", "b.test>\r\nRCPT TO:<evil@x.test")),
    (Ehlo, ("x\r\nRSET",)),
    (Envelope, (b"ann@a.test", "b@c.test")),
    (Envelope, ("", [None])),
    (Envelope, ("", None)),
    (Envelope, ("", b"bob@b.test")),
    (Envelope, ("", ["a@b.test", 7])),
    (Reply, (250, None, [b"octets"])),
    (Reply, ("250",)),
    (Reply, (250.5,)),
    (Login, ("ann", "hunter2\udcff")),
    (lambda name: ClientConfig(hello=name), ("straße.example",)),
    (lambda name: ServerConfig(hostname=name), ("straße.example",)),
]


@pytest.mark.parametrize(("make", "arguments"), WRONG)
def test_wrong_types_are_our_error(
    make: Callable[..., object], arguments: tuple[object, ...]
) -> None:
    with pytest.raises(SMTPError) as caught:
        make(*arguments)
    assert "hunter2" not in str(caught.value)


def test_no_command_has_a_second_line_whatever_it_is_made_of() -> None:
    class Forged(Command):
        verb = "NOOP"

        def argument(self) -> str:
            return "x\r\nQUIT"

    client = _opened()
    with pytest.raises(LocalProtocolError, match="control"):
        client.send(Forged())
    assert client.data_to_send() == b""


def test_a_mode_may_be_given_by_its_name() -> None:
    mode: Any = "required"
    assert ClientConfig(tls=mode).tls is TLSMode.REQUIRED
    with pytest.raises(ValueError, match="requird"):
        ClientConfig(tls="requird")  # type: ignore[arg-type]


def test_a_password_in_octets_is_a_secret_too() -> None:
    login = Login("ann", b"hunter2")
    assert login.password == Secret("hunter2")
    assert "hunter2" not in repr(ClientConfig(login=login))


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), 1e12])
def test_times_that_are_none(seconds: float) -> None:
    with pytest.raises(ValueError, match="greeting"):
        Timeouts(greeting=seconds)


@pytest.mark.parametrize("port", [0, -1, 65536, 10**30])
def test_ports_that_are_none(port: int) -> None:
    with pytest.raises(ConnectionError, match="no such port"):
        run(open_client(Runtime(), "localhost", port, ClientConfig()))


@pytest.mark.parametrize("source", ["text", None, 7, [b"octets", "text"]])
def test_what_is_no_message(source: Any) -> None:
    with pytest.raises(GrammarError):
        send(f"{HELLO}{MAIL}S: 250 ok\n{RCPT}S: 250 ok\nC: DATA\nS: 354 go\nC: octets\n", source)


@pytest.mark.parametrize("to", [b'"', b"a@[", b"=?utf-8?q?=0a?= <a@b.c>", b"(" * 3000, b"<", b"a@"])
def test_headers_that_the_standard_library_stumbles_over(to: bytes) -> None:
    with contextlib.suppress(SMTPError):
        prepare(b"From: a@b.test\r\nTo: " + to + b"\r\n\r\n")


def test_errors_can_be_pickled() -> None:
    refusal = SendRefused(Reply(550, "5.1.1", "No"), Outcome(envelope=TO_BOB), command="RCPT")
    for error in (
        refusal,
        Refusal("x", Reply(450)),
        TimedOut("x", phase="mail"),
        GrammarError("x"),
    ):
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error) and str(again) == str(error)


# -- hostile servers -------------------------------------------------------------------------------


@pytest.mark.parametrize("script", [
    f"{HELLO}{MAIL}S: 250 ok\n{RCPT}S: 250 ok\nC: DATA\nS: 554 spam\nC: RSET\n",
    f"{HELLO}{MAIL}S: 250 ok\n{RCPT}S: 554 no\nC: RSET\n",
    f"{PIPELINING}{MAIL}{RCPT}C: DATA\nS: 554 blocked\n",
    f"{PIPELINING}{MAIL}{RCPT}C: DATA\nS: 250 ok\nS: 554 no\n",
])  # fmt: skip
def test_a_refusal_survives_a_link_that_dies_behind_it(script: str) -> None:
    with pytest.raises(SendRefused) as caught:
        send(script)
    assert caught.value.reply.code == 554


def test_a_reply_too_many_is_not_taken_for_the_next() -> None:
    refused = f"{MAIL}S: 250 ok\n{RCPT}S: 550 no\nC: RSET\nS: 250 ok\nS: 250 stray\n"
    with pytest.raises(RemoteProtocolError, match="nothing was sent for"):
        send(f"{HELLO}{refused}", times=2)


def test_a_password_is_not_repeated_for_ever() -> None:
    exchange = "S: 334 \nC: AGFubgBzZWNyZXQ=\n"
    script = f"""S: 220 mx
        C: EHLO [127.0.0.1]
        S: 250-mx
        S: 250 AUTH PLAIN
        C: AUTH PLAIN AGFubgBzZWNyZXQ=
        {exchange}S: 334
        C: *
        S: 501 cancelled
        C: QUIT
        S: 221 bye"""
    stream = ScriptedStream(script)
    config = ClientConfig(login=("ann", "secret"), login_in_clear=True, tls=TLSMode.NONE)
    with pytest.raises(RemoteProtocolError):
        run(start_client(Runtime(), stream, "mx", config, TLSMode.NONE))
    stream.finish()


# -- hostile clients, and handlers with faults -----------------------------------------------------

OPEN = """
    S: 220 localhost ESMTP ready
    C: HELO client.example
    S: 250 localhost greets you
"""
QUIT = "C: QUIT\nS: 221 2.0.0 localhost Service closing transmission channel\n"
BROKEN = "451 4.3.0 Local error in processing"


def test_a_factory_that_makes_no_handler() -> None:
    closing = "S: 421 localhost Local error; closing transmission channel"
    serve(closing, lambda: None)  # type: ignore[arg-type, return-value]


def test_a_hook_without_a_name() -> None:
    def fails(*_: object) -> None:
        raise ValueError("x")

    handler = Handler()
    handler.mail = partial(fails)  # type: ignore[method-assign]
    handler.close = partial(fails)  # type: ignore[method-assign]
    serve(f"{OPEN}C: MAIL FROM:<>\nS: {BROKEN}\n{QUIT}", handler)


def test_a_sink_without_an_end() -> None:
    class Endless:
        def write(self, data: bytes) -> None: ...

    class Forgetful(Handler):
        def data(self, *_: object) -> Any:
            return Endless()

    to_data = f"{OPEN}C: MAIL FROM:<>\nS: 250 2.1.0 Sender OK\nC: RCPT TO:<a@b.test>\n"
    to_data += "S: 250 2.1.5 Recipient OK\nC: DATA\n"
    serve(f"{to_data}S: {BROKEN}\n{QUIT}", Forgetful())


class Door(Handler):
    seen: MailParameters | None = None

    def login(self, session: Session, identity: Identity) -> Reply | None:
        return Reply(334, None, "x")  # nonsense: the exchange is over

    def mail(self, session: Session, sender: ReversePath, parameters: MailParameters) -> None:
        self.seen = parameters
        assert session.user is None


IN_CLEAR: dict[str, Any] = {
    "authenticator": Accounts(),
    "mechanisms": "PLAIN",
    "auth_in_clear": True,
}
OPEN_AUTH = OPEN.replace("HELO", "EHLO").replace("250 localhost", "250-localhost") + """
    S: 250-PIPELINING
    S: 250-SIZE 33554432
    S: 250-8BITMIME
    S: 250-SMTPUTF8
    S: 250-CHUNKING
    S: 250-LIMITS RCPTMAX=1000
    S: 250-ENHANCEDSTATUSCODES
    S: 250-HELP
    S: 250 AUTH PLAIN
"""  # fmt: skip


def test_a_password_behind_a_refused_auth_is_not_shown() -> None:
    refused = "C: AUTH LOGIN\nS: 504 5.5.4 Unrecognized authentication mechanism\n"
    unknown = "S: 500 5.5.1 Command unrecognized: not a command (at octet 0)\n"
    trace = serve(f"{OPEN_AUTH}{refused}C: aHVudGVyMg==\n{unknown}{QUIT}", Door(), **IN_CLEAR)
    assert not any("aHVudGVyMg" in line for line in trace)


def test_a_login_is_not_half_a_yes() -> None:
    handler = Door()
    login = "C: AUTH PLAIN AGFubgBzZWNyZXQ=\nS: 454 4.7.0 Temporary authentication failure\n"
    mail = "C: MAIL FROM:<>\nS: 250 2.1.0 Sender OK\n"
    serve(f"{OPEN_AUTH}{login}{mail}{QUIT}", handler, **IN_CLEAR)
    assert handler.seen is not None  # and nobody was taken for logged in


def test_what_others_said_is_not_believed_of_a_stranger() -> None:
    """AUTH= of a client that has not logged in is as AUTH=<> (RFC 4954 5)."""
    handler = Door()
    mail = "C: MAIL FROM:<> AUTH=boss@example.org\nS: 250 2.1.0 Sender OK\n"
    serve(f"{OPEN_AUTH}{mail}{QUIT}", handler, **IN_CLEAR)
    assert handler.seen == MailParameters(auth=ReversePath(None))


def test_whole_messages_cost_what_they_weigh() -> None:
    """Not many times as much because they came in small slices."""
    taken: list[bytes] = []

    class Taker(Handler):
        def message(self, session: Session, envelope: Envelope, body: bytes) -> None:
            taken.append(body)

    sink = WholeMessage(Taker(), Session(peer=("", 0)), TO_BOB)
    for _ in range(3):
        sink.write(b"ab")
    assert not hasattr(sink, "_slices")
    sink.commit()
    assert taken == [b"ababab"]


def test_generators_are_closed_when_sending_fails() -> None:
    closed: list[bool] = []

    async def pieces() -> Any:
        try:
            while True:
                yield b"caf\xe9\r\n"
        finally:
            closed.append(True)

    with pytest.raises(LocalProtocolError):
        send(f"{HELLO}{MAIL}S: 250 ok\n{RCPT}S: 250 ok\nC: DATA\nS: 354 go\n", pieces())
    assert closed == [True]


def test_domains_and_text_make_the_same_mailbox() -> None:
    made: Any = Mailbox("a", "b.test")
    assert made == Mailbox("a", Domain("b.test"))

"""Checks of the handler and the configuration, at the start and at the first connection."""

from __future__ import annotations

import functools
import ssl
from typing import Any

import pytest

from smtpproto import Authenticator, Envelope, Handler, Reply, ServerConfig, Session
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.server.conversation import Conversation
from smtpproto.server.handler_source import handler_of
from smtpproto.server.setup import check_server
from tests.support.scripted_client import ScriptedClient, octets
from tests.support.tls_sessions import SERVER_CONTEXT


class Inbox(Handler):
    """Accepts mail."""

    def message(self, session: Session, envelope: Envelope, body: bytes) -> None: ...


class NotDerived:
    """A handler that somebody forgot to derive from Handler."""

    def message(self, session: Session, envelope: Envelope, body: bytes) -> None: ...


class FileSink:
    """A class of sinks that is itself the hook ``data``."""

    def __init__(self, session: Session, envelope: Envelope) -> None: ...


async def make_late() -> Handler:
    """A function that cannot be a source, because it is awaited."""
    return Inbox()


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (object(), "handler cannot be of the type object; pass an instance of a Handler"),
        (None, "handler cannot be None; pass an instance"),
        (25, "handler cannot be of the type int"),
        (make_late, "handler cannot be of the type function"),
        (NotDerived, "handler cannot be the class NotDerived; derive it from Handler"),
        (NotDerived(), "handler cannot be of the type NotDerived"),
    ],
    ids=["object", "None", "int", "async-function", "class", "instance"],
)
def test_what_is_no_handler_is_a_type_error_at_start(source: Any, reason: str) -> None:
    with pytest.raises(TypeError, match=reason):
        check_server(source, ServerConfig(), 2525)


@pytest.mark.parametrize("made", [None, NotDerived(), Handler])
def test_a_function_that_makes_no_handler_is_logged_and_answered_with_421(
    made: Any, caplog: pytest.LogCaptureFixture
) -> None:
    client = ScriptedClient([])
    run(Conversation(client, handler_of(lambda: made), ServerConfig(), Runtime()).run())
    assert client.lines[0].startswith("421 ")
    assert "what the function of serve returns cannot be" in caplog.text


def test_a_handler_that_accepts_no_mail_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    class Greeter(Handler):
        def connect(self, session: Session) -> None: ...

    check_server(Greeter, ServerConfig(), 2525)
    assert caplog.messages == [
        "Greeter defines neither message nor data, so the server refuses all mail"
    ]


def test_a_class_without_any_hook_is_warned_of_without_logging() -> None:
    kind = type("Empty", (Handler,), {"handle": lambda self, session: None})
    with pytest.warns(RuntimeWarning, match="Empty defines neither message nor data"):
        check_server(kind, ServerConfig(), 2525)


def make_from(database: str) -> Handler:
    return Inbox()


class NeedsDatabase(Inbox):
    def __init__(self, database: str) -> None: ...


@pytest.mark.parametrize("source", [NeedsDatabase, make_from], ids=["class", "function"])
def test_a_source_that_needs_arguments_is_a_type_error_at_start(source: Any) -> None:
    name = source.__name__
    reason = rf"{name}\(\) is called .*missing .*'database'; pass an instance, or lambda: {name}\("
    with pytest.raises(TypeError, match=reason):
        check_server(source, ServerConfig(), 2525)


@pytest.mark.parametrize(
    ("hook", "reason"),
    [
        (lambda self, session, recipient: None, r"take the arguments \(self, session, recipient, "),
        (lambda session, recipient, parameters: None, "must take the arguments"),
        (lambda: None, "must take the arguments"),
        (None, "must be a method, because the server calls it"),
        (Reply(550), "must be a method, because the server calls it"),
    ],
    ids=["one-missing", "no-self", "none", "value-None", "value-Reply"],
)
def test_a_hook_that_cannot_be_called_is_a_type_error_at_start(hook: Any, reason: str) -> None:
    """Otherwise each of its commands would be answered with 451."""
    kind = type("Own", (Inbox,), {"rcpt": hook})
    with pytest.raises(TypeError, match=rf"^Own\.rcpt .*{reason}"):
        check_server(kind, ServerConfig(), 2525)


def test_hooks_may_take_their_arguments_in_any_form(caplog: pytest.LogCaptureFixture) -> None:
    class Own(Inbox):
        def ehlo(self, *arguments: Any) -> None: ...

        def mail(self, s: Session, path: Any, p: Any, more: int = 0) -> None: ...

        @staticmethod
        def reset(session: Session) -> None: ...

        @classmethod
        def close(cls, session: Session) -> None: ...

        @functools.wraps(Handler.help)
        def help(self, *arguments: Any, **named: Any) -> None: ...  # type: ignore[override]

        data = FileSink  # type: ignore[assignment]
        etrn = functools.partial(print, "ETRN")
        expn = functools.partialmethod(Handler.expn)
        connect = property(lambda self: self.reset)

    check_server(Own, ServerConfig(), 2525)
    assert not caplog.messages


def test_an_unknown_extension_is_a_value_error_before_the_factory_makes_a_handler() -> None:
    def make() -> Handler:
        return Handler()

    with pytest.raises(ValueError, match="FOO"):
        check_server(make, ServerConfig(extensions={"FOO": ""}), 25)


def test_an_etrn_hook_on_a_submission_server_ends_the_first_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Queues(Handler):
        def etrn(self, session: Session, node: str) -> None: ...

    config = ServerConfig(submission=True)  # submission servers do not offer ETRN
    client = ScriptedClient([octets("EHLO a.example")])
    run(Conversation(client, Queues(), config, Runtime()).run())
    assert client.closed and client.lines == []
    assert "ETRN is not offered by submission servers" in caplog.text


def test_a_context_for_clients_is_a_value_error() -> None:
    """Otherwise the server would offer STARTTLS and answer it with 454 each time."""
    with pytest.raises(ValueError, match="PROTOCOL_TLS_CLIENT"):
        check_server(Handler(), ServerConfig(context=ssl.create_default_context()), 25)
    check_server(Handler(), ServerConfig(context=SERVER_CONTEXT), 25)


def test_a_context_without_a_certificate_is_a_value_error() -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with pytest.raises(ValueError, match=r"it has no certificate.*load_cert_chain"):
        check_server(Handler(), ServerConfig(context=context), 25)
    check_server(Handler(), ServerConfig(context=lambda: context), 25)
    context.sni_callback = lambda *_: None
    check_server(Handler(), ServerConfig(context=context), 25)


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        (lambda self, username: True, r"take the arguments \(self, username, password\)"),
        (True, "must be a method, because the server calls it"),
    ],
    ids=["one-missing", "value"],
)
def test_a_method_of_an_authenticator_that_cannot_be_called_is_a_type_error_at_start(
    method: Any, reason: str
) -> None:
    kind = type("Own", (Authenticator,), {"check_password": method})
    with pytest.raises(TypeError, match=rf"^Own\.check_password .*{reason}"):
        check_server(Handler(), ServerConfig(authenticator=kind(), context=SERVER_CONTEXT), 25)


@pytest.mark.parametrize(
    ("name", "meant"),
    [("mesage", "message"), ("handle_DATA", "data"), ("hello", "ehlo"), ("verify", "vrfy"),
     ("rctp", "rcpt"), ("HELO", "ehlo")],
)  # fmt: skip
def test_a_method_that_looks_like_a_hook_is_warned_of_at_start(
    name: str, meant: str, caplog: pytest.LogCaptureFixture
) -> None:
    kind = type("Own", (Inbox,), {name: lambda self: None})
    warning = f"Own.{name} is not a hook; did you mean {meant}?"
    for source in (kind, kind()):
        check_server(source, ServerConfig(), 2525)
        assert caplog.messages == [warning]
        caplog.clear()


def test_a_method_that_looks_like_a_hook_is_warned_of_when_a_function_makes_its_class(
    caplog: pytest.LogCaptureFixture,
) -> None:
    kind = type("Own", (Inbox,), {"mesage": lambda self: None})

    def make() -> Handler:
        made: Handler = kind()
        return made

    check_server(make, ServerConfig(), 2525)
    handler_of(make)
    assert caplog.messages == ["Own.mesage is not a hook; did you mean message?"]
    handler_of(make)
    assert len(caplog.messages) == 1  # once, not for each connection


def test_a_method_that_looks_like_a_hook_is_warned_of_without_logging() -> None:
    def mesage(self: Handler, session: Session, envelope: Envelope, body: bytes) -> None: ...

    def helper(self: Handler) -> None: ...  # no hook: a hook takes a session

    kind = type("Own", (Inbox,), {"mesage": mesage, "helper": helper})
    with pytest.warns(RuntimeWarning) as caught:
        check_server(kind, ServerConfig(), 2525)
    place = (__file__, mesage.__code__.co_firstlineno)
    assert [(str(it.message), (it.filename, it.lineno)) for it in caught] == [
        ("Own.mesage is not a hook; did you mean message?", place)
    ]


def test_other_methods_of_a_handler_are_not_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    kind = type("Own", (Inbox,), {"store": lambda self: None, "known": frozenset(), "_mail": 1})
    check_server(kind, ServerConfig(), 2525)
    assert not caplog.messages

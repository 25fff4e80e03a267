"""Checks of the handler and the configuration, at the start and at the first connection."""

from __future__ import annotations

import ssl

import pytest

from smtpproto import Handler, ServerConfig, Session
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.server.conversation import Conversation
from smtpproto.server.setup import check_server
from tests.support.scripted_client import ScriptedClient, octets
from tests.support.tls_sessions import SERVER_CONTEXT


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


@pytest.mark.parametrize(
    ("name", "meant"),
    [("mesage", "message"), ("handle_DATA", "data"), ("hello", "ehlo"), ("verify", "vrfy"),
     ("rctp", "rcpt"), ("HELO", "ehlo")],
)  # fmt: skip
def test_a_method_that_looks_like_a_hook_is_warned_of_at_start(
    name: str, meant: str, caplog: pytest.LogCaptureFixture
) -> None:
    kind = type("Own", (Handler,), {name: lambda self: None})
    check_server(kind, ServerConfig(), 2525)
    assert caplog.messages == [f"Own.{name} is not a hook; did you mean {meant}?"]


def test_other_methods_of_a_handler_are_not_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    kind = type("Own", (Handler,), {"store": lambda self: None, "known": frozenset(), "_mail": 1})
    check_server(kind, ServerConfig(), 2525)
    assert not caplog.messages

"""Wrong arguments raise the library's own errors, and never reach the wire."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from smtpproto import (
    ClientConfig,
    ClientProtocol,
    Domain,
    Envelope,
    LocalProtocolError,
    Login,
    Mailbox,
    Reply,
    Secret,
    ServerConfig,
    SMTPError,
    Timeouts,
    TLSMode,
)
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.client.connection import open_client
from smtpproto.grammar.command import Command, Ehlo

WRONG_ARGUMENTS: list[tuple[Callable[..., object], tuple[object, ...]]] = [
    (Mailbox, ("a", "b.test>\r\nRCPT TO:<evil@x.test")),
    (Ehlo, ("x\r\nRSET",)),
    (Reply, (250, None, [b"octets"])),
    (Reply, ("250",)),
    (Reply, (250.5,)),
    (Login, ("ann", "hunter2\udcff")),
    (lambda name: ClientConfig(hello=name), ("straße.example",)),
    (lambda name: ServerConfig(hostname=name), ("straße.example",)),
]


@pytest.mark.parametrize(("make", "arguments"), WRONG_ARGUMENTS)
def test_wrong_arguments_raise_an_smtp_error_without_secrets(
    make: Callable[..., object], arguments: tuple[object, ...]
) -> None:
    with pytest.raises(SMTPError) as caught:
        make(*arguments)
    assert "hunter2" not in str(caught.value)


WRONG_ADDRESSES: list[tuple[Any, Any]] = [
    (b"ann@a.test", "b@c.test"),
    ("", [None]),
    ("", None),
    ("", b"bob@b.test"),
    ("", ["a@b.test", 7]),
    (5, "b@c.test"),
]


@pytest.mark.parametrize(("sender", "recipients"), WRONG_ADDRESSES)
def test_an_address_of_a_wrong_type_raises_type_error(sender: Any, recipients: Any) -> None:
    with pytest.raises(TypeError, match=r"not an address: .*; pass str"):
        Envelope(sender, recipients)


def _opened() -> ClientProtocol:
    client = ClientProtocol()
    client.receive(b"220 mx\r\n")
    client.next_event()
    return client


def test_a_command_with_a_line_break_is_not_sent() -> None:
    class Forged(Command):
        verb = "NOOP"

        def argument(self) -> str:
            return "x\r\nQUIT"

    client = _opened()
    with pytest.raises(LocalProtocolError, match="control"):
        client.send(Forged())
    assert client.data_to_send() == b""


def test_a_tls_mode_may_be_given_by_its_name() -> None:
    mode: Any = "required"
    assert ClientConfig(tls=mode).tls is TLSMode.REQUIRED
    with pytest.raises(ValueError, match="requird"):
        ClientConfig(tls="requird")  # type: ignore[arg-type]


def test_a_password_in_octets_becomes_a_secret() -> None:
    login = Login("ann", b"hunter2")
    assert login.password == Secret("hunter2")
    assert "hunter2" not in repr(ClientConfig(login=login))


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), 1e12])
def test_an_impossible_timeout_raises_value_error(seconds: float) -> None:
    with pytest.raises(ValueError, match="greeting"):
        Timeouts(greeting=seconds)


@pytest.mark.parametrize("port", [0, -1, 65536, 10**30])
def test_an_impossible_port_raises_connection_error(port: int) -> None:
    with pytest.raises(ConnectionError, match="no such port"):
        run(open_client(Runtime(), "localhost", port, ClientConfig()))


def test_a_mailbox_may_be_made_from_the_text_of_its_domain() -> None:
    made: Any = Mailbox("a", "b.test")
    assert made == Mailbox("a", Domain("b.test"))

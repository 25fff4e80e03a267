"""Each of our clients sends to aiosmtpd, which does not offer PIPELINING."""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Iterator
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from smtpproto import Envelope, ForwardPath, Refusal, SendRefused, TLSMode
from tests.interop.peers import LOGIN, PLAIN, send
from tests.interop.programs import PATIENCE, Certificate, free_port

pytestmark = pytest.mark.peer("aiosmtpd")

ENVELOPE = Envelope("ann@a.test", "bob@b.test")


class Received:
    """aiosmtpd's handler: keeps what arrives, refuses ``refused@``."""

    def __init__(self) -> None:
        self.messages: queue.Queue[Any] = queue.Queue()

    async def handle_RCPT(  # noqa: N802 - the name is aiosmtpd's
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if address.startswith("refused@"):
            return "550 5.1.1 No such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - the name is aiosmtpd's
        self, server: Any, session: Any, envelope: Any
    ) -> str:
        envelope.session = session
        self.messages.put(envelope)
        return "250 OK: queued as 42"

    def next(self) -> Any:
        return self.messages.get(timeout=PATIENCE)


def check_login(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> Any:
    assert isinstance(data, LoginPassword)
    known = mechanism == "PLAIN" and (data.login.decode(), data.password.decode()) == LOGIN
    return AuthResult(success=known, handled=False, auth_data=data.login)  # it replies itself


@pytest.fixture
def received() -> Received:
    return Received()


@contextlib.contextmanager
def aiosmtpd(received: Received, **options: Any) -> Iterator[int]:
    port = free_port()
    controller = Controller(received, "127.0.0.1", port, enable_SMTPUTF8=True, **options)
    controller.start()
    try:
        yield port
    finally:
        controller.stop()


def test_content_arrives_octet_for_octet(flavour: str, content: bytes, received: Received) -> None:
    with aiosmtpd(received) as port:
        outcome = send(flavour, port, content, ENVELOPE)
        message = received.next()
    assert message.content == content
    assert (message.mail_from, message.rcpt_tos) == ("ann@a.test", ["bob@b.test"])
    assert f"SIZE={len(content)}" in message.mail_options
    assert ("BODY=8BITMIME" in message.mail_options) is not content.isascii()
    assert list(outcome.accepted) == [ForwardPath.of("bob@b.test")]
    assert outcome.reply is not None
    assert outcome.reply.text == "OK: queued as 42"


def test_starttls_and_login(flavour: str, received: Received, certificate: Certificate) -> None:
    options = {"require_starttls": True, "auth_required": True, "authenticator": check_login}
    with aiosmtpd(received, tls_context=certificate.server, **options) as port:
        send(flavour, port, PLAIN, ENVELOPE, login=LOGIN, context=certificate.client)
        message = received.next()
        with pytest.raises(Refusal, match="535"):
            send(
                flavour,
                port,
                PLAIN,
                ENVELOPE,
                login=(LOGIN[0], "guess"),
                context=certificate.client,
            )
        with pytest.raises(SendRefused, match="530"):
            send(flavour, port, PLAIN, ENVELOPE, context=certificate.client)
    assert message.content == PLAIN
    assert message.session.auth_data == LOGIN[0].encode()
    assert message.session.ssl is not None


def test_implicit_tls(flavour: str, received: Received, certificate: Certificate) -> None:
    with aiosmtpd(received, ssl_context=certificate.server) as port:
        send(flavour, port, PLAIN, ENVELOPE, tls=TLSMode.IMPLICIT, context=certificate.client)
        assert received.next().content == PLAIN


def test_addresses_in_utf8(flavour: str, received: Received) -> None:
    with aiosmtpd(received) as port:
        send(flavour, port, PLAIN, Envelope("żółw@a.test", "jürgen@bücher.test"))
        message = received.next()
    assert (message.mail_from, message.rcpt_tos) == ("żółw@a.test", ["jürgen@bücher.test"])
    assert message.smtp_utf8


def test_refused_recipients(flavour: str, received: Received) -> None:
    refused, bob = ForwardPath.of("refused@b.test"), ForwardPath.of("bob@b.test")
    with aiosmtpd(received) as port:
        outcome = send(flavour, port, PLAIN, Envelope("ann@a.test", [refused, bob]))
        assert received.next().rcpt_tos == ["bob@b.test"]
        assert set(outcome.accepted) == {bob}
        assert outcome.refused[refused].code == 550
        with pytest.raises(SendRefused) as caught:
            send(flavour, port, PLAIN, Envelope("ann@a.test", refused))
    assert set(caught.value.outcome.refused) == {refused}

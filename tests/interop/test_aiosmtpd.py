"""Our clients send to aiosmtpd, which does not offer PIPELINING."""

from __future__ import annotations

from typing import Any

import pytest
from aiosmtpd.smtp import AuthResult, LoginPassword

from smtpproto import Envelope, ForwardPath, Refusal, SendRefused, TLSMode
from tests.interop.aiosmtpd_server import AiosmtpdInbox, aiosmtpd_server
from tests.interop.contents import PLAIN, TO_BOB
from tests.interop.our_client import send
from tests.interop.our_server import LOGIN
from tests.interop.programs import Certificate

pytestmark = pytest.mark.peer("aiosmtpd")


def check_login(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> Any:
    """Accept LOGIN by PLAIN."""
    assert isinstance(data, LoginPassword)
    known = mechanism == "PLAIN" and (data.login.decode(), data.password.decode()) == LOGIN
    return AuthResult(
        success=known, handled=False, auth_data=data.login
    )  # aiosmtpd sends the reply


@pytest.fixture
def aiosmtpd_inbox() -> AiosmtpdInbox:
    """An empty inbox for aiosmtpd."""
    return AiosmtpdInbox()


def test_content_arrives_octet_for_octet(
    adapter: str, content: bytes, aiosmtpd_inbox: AiosmtpdInbox
) -> None:
    with aiosmtpd_server(aiosmtpd_inbox) as port:
        outcome = send(adapter, port, content, TO_BOB)
        message = aiosmtpd_inbox.next()
    assert message.content == content
    assert (message.mail_from, message.rcpt_tos) == ("ann@a.test", ["bob@b.test"])
    assert f"SIZE={len(content)}" in message.mail_options
    assert ("BODY=8BITMIME" in message.mail_options) is not content.isascii()
    assert list(outcome.accepted) == [ForwardPath.of("bob@b.test")]
    assert outcome.reply is not None
    assert outcome.reply.text == "OK: queued as 42"


def test_a_login_after_starttls_is_checked(
    adapter: str, aiosmtpd_inbox: AiosmtpdInbox, certificate: Certificate
) -> None:
    options = {"require_starttls": True, "auth_required": True, "authenticator": check_login}
    with aiosmtpd_server(aiosmtpd_inbox, tls_context=certificate.server, **options) as port:
        send(adapter, port, PLAIN, TO_BOB, login=LOGIN, context=certificate.client)
        message = aiosmtpd_inbox.next()
        with pytest.raises(Refusal, match="535"):
            send(
                adapter,
                port,
                PLAIN,
                TO_BOB,
                login=(LOGIN[0], "guess"),
                context=certificate.client,
            )
        with pytest.raises(SendRefused, match="530"):
            send(adapter, port, PLAIN, TO_BOB, context=certificate.client)
    assert message.content == PLAIN
    assert message.session.auth_data == LOGIN[0].encode()
    assert message.session.ssl is not None


def test_a_message_is_sent_over_implicit_tls(
    adapter: str, aiosmtpd_inbox: AiosmtpdInbox, certificate: Certificate
) -> None:
    with aiosmtpd_server(aiosmtpd_inbox, ssl_context=certificate.server) as port:
        send(adapter, port, PLAIN, TO_BOB, tls=TLSMode.IMPLICIT, context=certificate.client)
        assert aiosmtpd_inbox.next().content == PLAIN


def test_utf8_addresses_arrive(adapter: str, aiosmtpd_inbox: AiosmtpdInbox) -> None:
    with aiosmtpd_server(aiosmtpd_inbox) as port:
        send(adapter, port, PLAIN, Envelope("żółw@a.test", "jürgen@bücher.test"))
        message = aiosmtpd_inbox.next()
    assert (message.mail_from, message.rcpt_tos) == ("żółw@a.test", ["jürgen@bücher.test"])
    assert message.smtp_utf8


def test_refused_recipients_are_reported(adapter: str, aiosmtpd_inbox: AiosmtpdInbox) -> None:
    refused, bob = ForwardPath.of("refused@b.test"), ForwardPath.of("bob@b.test")
    with aiosmtpd_server(aiosmtpd_inbox) as port:
        outcome = send(adapter, port, PLAIN, Envelope("ann@a.test", [refused, bob]))
        assert aiosmtpd_inbox.next().rcpt_tos == ["bob@b.test"]
        assert set(outcome.accepted) == {bob}
        assert outcome.refused[refused].code == 550
        with pytest.raises(SendRefused) as caught:
            send(adapter, port, PLAIN, Envelope("ann@a.test", refused))
    assert set(caught.value.outcome.refused) == {refused}

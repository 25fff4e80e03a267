"""SCRAM with channel binding: smtplib and aiosmtpd, with the SCRAM of the library scramp.

No packaged mail program supports SCRAM-SHA-256-PLUS with tls-server-end-point, the binding that
Python's ssl can compute: Dovecot and msmtp have no channel binding, and gsasl has tls-exporter
(test_gsasl.py) and tls-unique only.
"""

from __future__ import annotations

import hashlib
import smtplib
from base64 import b64decode
from collections.abc import Callable, Generator
from typing import Any

import pytest
from aiosmtpd.smtp import AuthResult
from scramp import ScramClient, ScramException, ScramMechanism

from smtpproto import Authenticator, BadCredentials, ScramKeys
from smtpproto.sasl import Identity
from tests.interop.aiosmtpd_server import AiosmtpdInbox, aiosmtpd_server
from tests.interop.contents import PLAIN, TO_BOB
from tests.interop.our_client import send
from tests.interop.our_server import LOGIN, Inbox, serving
from tests.interop.programs import Certificate, first_certificate
from tests.interop.smtplib_client import dial_tls

PLUS = "SCRAM-SHA-256-PLUS"
BINDING = "tls-server-end-point"
BOTH = [PLUS, "SCRAM-SHA-256"]


# -- smtplib -------------------------------------------------------------------------------------


class AnnsKeys(Authenticator):
    """Has Ann's SCRAM keys."""

    def scram_keys(self, username: str, hash_name: str) -> ScramKeys | None:
        return ScramKeys.derive(LOGIN[1], salt=bytes(16), iterations=4096, hash_name=hash_name)


def responder(exchange: ScramClient) -> Callable[..., str]:
    """Return the function with which smtplib asks for each response of *exchange*."""

    def responses() -> Generator[str, bytes, None]:
        challenge = yield exchange.get_client_first()
        exchange.set_server_first(challenge.decode())
        challenge = yield exchange.get_client_final()
        exchange.set_server_final(challenge.decode())  # raises unless the server knows the keys
        yield ""

    generator = responses()
    return lambda challenge=None: generator.send(challenge)


def log_in(
    inbox: Inbox,
    certificate: Certificate,
    mechanism: str,
    binding: tuple[str, bytes] | None = None,
    *,
    offered: list[str] = BOTH,
) -> None:
    """Log in to our server with smtplib and send a message.

    Without *binding*, the login is bound to the TLS connection.
    """
    options: Any = {
        "context": certificate.server,
        "authenticator": AnnsKeys(),
        "mechanisms": offered,
    }
    with (
        serving("blocking", inbox, **options) as port,
        dial_tls(port, certificate) as client,
    ):
        client.ehlo()
        bound = binding or (BINDING, client.sock)
        client.auth(mechanism, responder(ScramClient([mechanism], *LOGIN, channel_binding=bound)))
        client.sendmail("ann@a.test", "bob@b.test", PLAIN)


@pytest.mark.peer("smtplib")
@pytest.mark.parametrize("mechanism", [PLUS, "SCRAM-SHA-1-PLUS"])
def test_a_login_bound_to_the_connection_succeeds(
    mechanism: str, inbox: Inbox, certificate: Certificate
) -> None:
    log_in(inbox, certificate, mechanism, offered=[mechanism])
    assert inbox.next().session.identity == Identity(LOGIN[0], mechanism=mechanism)


@pytest.mark.peer("smtplib")
@pytest.mark.parametrize("name", [BINDING, "tls-unique"])
def test_a_login_bound_to_another_connection_is_refused(
    name: str, inbox: Inbox, certificate: Certificate
) -> None:
    with pytest.raises(smtplib.SMTPAuthenticationError, match="535"):
        log_in(inbox, certificate, PLUS, (name, bytes(32)))
    assert inbox.empty


@pytest.mark.peer("smtplib")
@pytest.mark.req("RFC5802-6-02")
def test_a_removed_plus_offer_is_detected(inbox: Inbox, certificate: Certificate) -> None:
    """The client supports channel binding, and has read an offer without PLUS mechanisms."""
    with pytest.raises(smtplib.SMTPAuthenticationError, match="535"):
        log_in(inbox, certificate, "SCRAM-SHA-256")
    assert inbox.empty


@pytest.mark.peer("smtplib")
def test_a_client_may_use_the_plain_mechanism_if_plus_is_not_offered(
    inbox: Inbox, certificate: Certificate
) -> None:
    """The client supports channel binding, and the server really does not."""
    log_in(inbox, certificate, "SCRAM-SHA-256", offered=["SCRAM-SHA-256"])
    assert inbox.next().session.user == LOGIN[0]


# -- aiosmtpd ------------------------------------------------------------------------------------


class ScramServer(AiosmtpdInbox):
    """A handler of aiosmtpd with SCRAM, bound to *binding*."""

    def __init__(self, binding: tuple[str, bytes]) -> None:
        super().__init__()
        self._binding = binding
        self.mechanisms: list[str] = []

    async def auth_SCRAM__SHA__256__PLUS(  # noqa: N802 - a name of aiosmtpd
        self, server: Any, args: list[str]
    ) -> AuthResult:
        return await self._log_in(server, args, self._binding)

    async def auth_SCRAM__SHA__256(  # noqa: N802 - a name of aiosmtpd
        self, server: Any, args: list[str]
    ) -> AuthResult:
        return await self._log_in(server, args, None)

    async def _log_in(self, server: Any, args: list[str], binding: Any) -> AuthResult:
        self.mechanisms.append(args[0])
        mechanism = ScramMechanism(args[0])
        known = {LOGIN[0]: mechanism.make_auth_info(LOGIN[1])}
        exchange = mechanism.make_server(known.__getitem__, channel_binding=binding)
        try:
            exchange.set_client_first(b64decode(args[1]).decode())
            response = await server.challenge_auth(exchange.get_server_first())
            exchange.set_client_final(response.decode())
            await server.challenge_auth(exchange.get_server_final())
        except ScramException:
            return AuthResult(success=False, handled=False)
        return AuthResult(success=True)


def log_in_to_aiosmtpd_server(handler: ScramServer, certificate: Certificate) -> None:
    """Log in to aiosmtpd with our client and send a message."""
    with aiosmtpd_server(handler, tls_context=certificate.server, require_starttls=True) as port:
        context = certificate.client
        send("blocking", port, PLAIN, TO_BOB, login=LOGIN, context=context, mechanisms=BOTH)


@pytest.mark.peer("aiosmtpd")
def test_our_client_binds_its_login_to_the_connection(certificate: Certificate) -> None:
    handler = ScramServer((BINDING, hashlib.sha256(first_certificate(certificate.chain)).digest()))
    log_in_to_aiosmtpd_server(handler, certificate)
    assert handler.mechanisms == [PLUS]
    assert handler.next().session.authenticated


@pytest.mark.peer("aiosmtpd")
def test_our_client_does_not_log_in_through_a_man_in_the_middle(certificate: Certificate) -> None:
    handler = ScramServer((BINDING, bytes(32)))
    with pytest.raises(BadCredentials):
        log_in_to_aiosmtpd_server(handler, certificate)
    assert handler.mechanisms == [PLUS]
    assert handler.messages.empty()


@pytest.mark.peer("aiosmtpd")
def test_our_client_falls_back_if_the_server_has_another_binding(certificate: Certificate) -> None:
    handler = ScramServer(("tls-unique", bytes(12)))
    log_in_to_aiosmtpd_server(handler, certificate)
    assert handler.mechanisms == [PLUS, "SCRAM-SHA-256"]
    assert handler.next().session.authenticated

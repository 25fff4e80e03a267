"""Logins bound to their TLS connection: smtplib and aiosmtpd with the SCRAM of scramp.

No mail program at hand does SCRAM-SHA-256-PLUS with the binding that Python's own ssl has: Dovecot
and msmtp do without, gsasl knows tls-exporter (test_interop_gsasl) and tls-unique. So such
mechanisms have to be named.
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
from tests.interop.peers import LOGIN, PLAIN, Inbox, send, serving
from tests.interop.programs import PATIENCE, Certificate, der
from tests.interop.test_aiosmtpd import ENVELOPE, Received, aiosmtpd

PLUS = "SCRAM-SHA-256-PLUS"
BINDING = "tls-server-end-point"
BOTH = [PLUS, "SCRAM-SHA-256"]


# -- smtplib -------------------------------------------------------------------------------------


class Keys(Authenticator):
    def scram_keys(self, username: str, hash_name: str) -> ScramKeys | None:
        return ScramKeys.derive(LOGIN[1], salt=bytes(16), iterations=4096, hash_name=hash_name)


def words(exchange: ScramClient) -> Callable[..., str]:
    """scramp's part of an exchange, as smtplib asks for it."""

    def talk() -> Generator[str, bytes, None]:
        challenge = yield exchange.get_client_first()
        exchange.set_server_first(challenge.decode())
        challenge = yield exchange.get_client_final()
        exchange.set_server_final(challenge.decode())  # raises unless the server knows the keys
        yield ""

    speech = talk()
    return lambda challenge=None: speech.send(challenge)


def log_in(
    inbox: Inbox,
    certificate: Certificate,
    mechanism: str,
    binding: tuple[str, bytes] | None = None,
    *,
    offered: list[str] = BOTH,
) -> None:
    """Let smtplib log in to our server and send a message. Without *binding* it is bound to what
    it sees of TLS."""
    options: Any = {"context": certificate.server, "authenticator": Keys(), "mechanisms": offered}
    with (
        serving("blocking", inbox, **options) as port,
        smtplib.SMTP("127.0.0.1", port, timeout=PATIENCE) as client,
    ):
        client.starttls(context=certificate.client)
        client.ehlo()
        bound = binding or (BINDING, client.sock)
        client.auth(mechanism, words(ScramClient([mechanism], *LOGIN, channel_binding=bound)))
        client.sendmail("ann@a.test", "bob@b.test", PLAIN)


@pytest.mark.peer("smtplib")
@pytest.mark.parametrize("mechanism", [PLUS, "SCRAM-SHA-1-PLUS"])
def test_bound(mechanism: str, inbox: Inbox, certificate: Certificate) -> None:
    log_in(inbox, certificate, mechanism, offered=[mechanism])
    assert inbox.next().session.identity == Identity(LOGIN[0], mechanism=mechanism)


@pytest.mark.peer("smtplib")
@pytest.mark.parametrize("name", [BINDING, "tls-unique"])
def test_bound_to_another_connection(name: str, inbox: Inbox, certificate: Certificate) -> None:
    with pytest.raises(smtplib.SMTPAuthenticationError, match="535"):
        log_in(inbox, certificate, PLUS, (name, bytes(32)))
    assert inbox.empty


@pytest.mark.peer("smtplib")
@pytest.mark.req("RFC5802-6-02")
def test_offer_taken_away(inbox: Inbox, certificate: Certificate) -> None:
    """A client that could bind, and was told that the server could not."""
    with pytest.raises(smtplib.SMTPAuthenticationError, match="535"):
        log_in(inbox, certificate, "SCRAM-SHA-256")
    assert inbox.empty


@pytest.mark.peer("smtplib")
def test_not_offered(inbox: Inbox, certificate: Certificate) -> None:
    """The same, and it is true."""
    log_in(inbox, certificate, "SCRAM-SHA-256", offered=["SCRAM-SHA-256"])
    assert inbox.next().session.user == LOGIN[0]


# -- aiosmtpd ------------------------------------------------------------------------------------


class Bound(Received):
    """aiosmtpd's handler, which has SCRAM with what *binding* says."""

    def __init__(self, binding: tuple[str, bytes]) -> None:
        super().__init__()
        self._binding = binding
        self.mechanisms: list[str] = []

    async def auth_SCRAM__SHA__256__PLUS(  # noqa: N802 - the name is aiosmtpd's
        self, server: Any, args: list[str]
    ) -> AuthResult:
        return await self._log_in(server, args, self._binding)

    async def auth_SCRAM__SHA__256(  # noqa: N802 - the name is aiosmtpd's
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


def log_in_bound(handler: Bound, certificate: Certificate) -> None:
    """Let our client log in to aiosmtpd and send a message."""
    with aiosmtpd(handler, tls_context=certificate.server, require_starttls=True) as port:
        context = certificate.client
        send("blocking", port, PLAIN, ENVELOPE, login=LOGIN, context=context, mechanisms=BOTH)


@pytest.mark.peer("aiosmtpd")
def test_our_client_is_bound(certificate: Certificate) -> None:
    handler = Bound((BINDING, hashlib.sha256(der(certificate.chain)).digest()))
    log_in_bound(handler, certificate)
    assert handler.mechanisms == [PLUS]
    assert handler.next().session.authenticated


@pytest.mark.peer("aiosmtpd")
def test_somebody_between(certificate: Certificate) -> None:
    handler = Bound((BINDING, bytes(32)))
    with pytest.raises(BadCredentials):
        log_in_bound(handler, certificate)
    assert handler.mechanisms == [PLUS]
    assert handler.messages.empty()


@pytest.mark.peer("aiosmtpd")
def test_binding_that_we_do_not_know(certificate: Certificate) -> None:
    handler = Bound(("tls-unique", bytes(12)))
    log_in_bound(handler, certificate)
    assert handler.mechanisms == [PLUS, "SCRAM-SHA-256"]
    assert handler.next().session.authenticated

"""swaks, curl, msmtp and smtplib log in to our server, by all that they know."""

from __future__ import annotations

import contextlib
import functools
import smtplib
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import field, frozen

from smtpproto import ScramKeys, Secret, Session
from smtpproto.sasl import Identity, TokenClaim
from tests.interop.peers import LOGIN, PLAIN, Accounts, Inbox, serving
from tests.interop.programs import PATIENCE, Certificate, Send, der

TOKEN = "a-token.of_ann~s+/=="
SECRETS = {
    **dict.fromkeys(["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"], LOGIN[1]),
    **dict.fromkeys(["OAUTHBEARER", "XOAUTH2"], TOKEN),
}
_keys = functools.cache(ScramKeys.derive)


class Books(Accounts):
    """Verifies whatever a client can bring, of the user of :data:`LOGIN`."""

    def __init__(self, certificate: Path) -> None:
        self._certificate = der(certificate)
        self.claims: list[TokenClaim] = []

    def scram_keys(self, username: str, hash_name: str) -> ScramKeys | None:
        known = username == LOGIN[0]
        return _keys(LOGIN[1], salt=b"salt" * 4, hash_name=hash_name) if known else None

    def shared_secret(self, username: str) -> Secret | None:
        return Secret(LOGIN[1]) if username == LOGIN[0] else None

    def check_token(self, claim: TokenClaim) -> str | None:
        self.claims.append(claim)
        return LOGIN[0] if claim.token == Secret(TOKEN) else None

    def certificate_user(self, certificate: bytes) -> str | None:
        return LOGIN[0] if certificate == self._certificate else None


class Desk(Inbox):
    """An inbox that writes down who logs in."""

    def __init__(self) -> None:
        super().__init__()
        self.logins: list[Identity] = []

    def login(self, session: Session, identity: Identity) -> None:
        self.logins.append(identity)


@frozen
class Service:
    """Our server, which wants TLS and a login."""

    port: int
    implicit: bool
    books: Books
    desk: Desk = field(factory=Desk)

    def was_sent_as_ann(self, mechanism: str) -> None:
        """One message came, and one login was enough."""
        arrival, identity = self.desk.next(), Identity(LOGIN[0], mechanism=mechanism)
        assert arrival.body == PLAIN
        assert arrival.session.identity == identity
        assert self.desk.logins == [identity]

    def was_refused(self, said: str, words: str = "535 5.7.8 Authentication credentials") -> None:
        """Nobody else came in, and the client says so."""
        assert words in said
        assert len(self.desk.logins) == 1
        assert self.desk.empty


@contextlib.contextmanager
def open_service(
    certificate: Certificate, *mechanisms: str, flavour: str = "blocking", implicit: bool = False
) -> Iterator[Service]:
    """Run our server, which offers *mechanisms* or, if there are none, all."""
    desk, books = Desk(), Books(certificate.user)
    with serving(
        flavour,
        desk,
        context=certificate.server,
        implicit_tls=implicit,
        require_tls=True,
        require_auth=True,
        authenticator=books,
        mechanisms=mechanisms or None,
    ) as port:
        yield Service(port, implicit, books, desk)


@pytest.fixture(params=[("asyncio", False), ("trio", True)], ids=["STARTTLS", "implicit"])
def service(request: pytest.FixtureRequest, certificate: Certificate) -> Iterator[Service]:
    """Our server, which offers all."""
    flavour, implicit = request.param
    with open_service(certificate, flavour=flavour, implicit=implicit) as opened:
        yield opened


def through(curl: Send, service: Service, certificate: Certificate) -> Send:
    """curl, which sends to *service*, as ann if options say so."""
    url = f"smtp{'s' * service.implicit}://127.0.0.1:{service.port}/client.a.test"
    return functools.partial(curl, url, PLAIN, "--ssl-reqd", "--cacert", certificate.ca)


def by_msmtp(msmtp: Send, service: Service, certificate: Certificate) -> Send:
    """msmtp, which sends to *service* as ann."""
    starttls = f"--tls-starttls={'off' if service.implicit else 'on'}"
    tls = ("--tls=on", starttls, f"--tls-trust-file={certificate.ca}")
    return functools.partial(msmtp, service.port, PLAIN, *tls, f"--user={LOGIN[0]}")


def dial(service: Service, certificate: Certificate) -> smtplib.SMTP:
    """smtplib, TLS active."""
    where, context = ("127.0.0.1", service.port), certificate.client
    if service.implicit:
        client: smtplib.SMTP = smtplib.SMTP_SSL(*where, timeout=PATIENCE, context=context)
    else:
        client = smtplib.SMTP(*where, timeout=PATIENCE)
        client.starttls(context=context)
    client.ehlo()
    return client


AT_ONCE = pytest.mark.parametrize("at_once", ["--sasl-ir", "--no-sasl-ir"])


@pytest.mark.peer("swaks")
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
def test_swaks(mechanism: str, service: Service, swaks_tls: Send, certificate: Certificate) -> None:
    tls = "--tls-on-connect" if service.implicit else "--tls"
    verified = ("--tls-verify", f"--tls-ca-path={certificate.ca}")
    send = functools.partial(swaks_tls, service.port, PLAIN, tls, *verified)
    login = (f"--auth={mechanism}", f"--auth-user={LOGIN[0]}")
    send(*login, f"--auth-password={LOGIN[1]}")
    service.was_sent_as_ann(mechanism)
    service.was_refused(send(*login, "--auth-password=guess", check=False))


@AT_ONCE
@pytest.mark.peer("curl")
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
def test_curl(
    mechanism: str, at_once: str, service: Service, curl: Send, certificate: Certificate
) -> None:
    send = through(curl, service, certificate)
    login = (at_once, "--login-options", f"AUTH={mechanism}", "--user")
    send(*login, f"{LOGIN[0]}:{LOGIN[1]}")
    service.was_sent_as_ann(mechanism)
    service.was_refused(send(*login, f"{LOGIN[0]}:guess", check=False))


@AT_ONCE
@pytest.mark.peer("curl")
@pytest.mark.parametrize("mechanism", ["OAUTHBEARER", "XOAUTH2"])  # of both it takes the former
def test_curl_token(mechanism: str, at_once: str, curl: Send, certificate: Certificate) -> None:
    login = (at_once, "--user", f"{LOGIN[0]}:", "--oauth2-bearer")
    with open_service(certificate, mechanism) as service:
        send = through(curl, service, certificate)
        send(*login, TOKEN)
        service.was_sent_as_ann(mechanism)
        # It hangs up when XOAUTH2 tells it why.
        service.was_refused(send(*login, "guess", check=False), "Login denied")
    right, wrong = service.books.claims
    assert right.username == wrong.username == LOGIN[0]
    seen = ("127.0.0.1", service.port) if mechanism == "OAUTHBEARER" else ("", 0)
    assert (right.host, right.port) == seen


@pytest.mark.peer("msmtp")
@pytest.mark.parametrize("mechanism", SECRETS)
def test_msmtp(mechanism: str, service: Service, msmtp: Send, certificate: Certificate) -> None:
    send, auth = by_msmtp(msmtp, service, certificate), f"--auth={mechanism.lower()}"
    send(auth, f"--passwordeval=echo '{SECRETS[mechanism]}'")
    service.was_sent_as_ann(mechanism)
    said = send(auth, "--passwordeval=echo guess", check=False)
    service.was_refused(said)
    assert f"authentication failed (method {mechanism})" in said


@pytest.mark.peer("smtplib")
@pytest.mark.req("RFC4954-4-30")
@pytest.mark.parametrize("at_once", [True, False], ids=["initial-response", "challenged"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
def test_smtplib(mechanism: str, at_once: bool, service: Service, certificate: Certificate) -> None:
    with dial(service, certificate) as client:
        say = getattr(client, f"auth_{mechanism.lower().replace('-', '_')}")
        client.user, client.password = LOGIN[0], "guess"
        with pytest.raises(smtplib.SMTPAuthenticationError, match="535"):
            client.auth(mechanism, say, initial_response_ok=at_once)
        client.password = LOGIN[1]
        client.auth(mechanism, say, initial_response_ok=at_once)
        client.sendmail("ann@a.test", "bob@b.test", PLAIN)
    service.was_sent_as_ann(mechanism)


@pytest.mark.peer("curl")
def test_curl_certificate(service: Service, curl: Send, certificate: Certificate) -> None:
    send = through(curl, service, certificate)
    login = ("--login-options", "AUTH=EXTERNAL", "--user", f"{LOGIN[0]}:")
    send(*login, "--cert", certificate.user)
    service.was_sent_as_ann("EXTERNAL")
    assert "EXTERNAL" not in send(*login, check=False)  # not offered without one
    assert service.desk.empty


@pytest.mark.peer("msmtp")
def test_msmtp_certificate(service: Service, msmtp: Send, certificate: Certificate) -> None:
    user = (f"--tls-cert-file={certificate.user}", f"--tls-key-file={certificate.user}")
    by_msmtp(msmtp, service, certificate)("--auth=external", *user)
    service.was_sent_as_ann("EXTERNAL")

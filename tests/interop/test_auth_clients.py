"""swaks, curl, msmtp and smtplib log in to our server, by each mechanism that they support."""

from __future__ import annotations

import functools
import smtplib
from collections.abc import Iterator

import pytest

from tests.interop.contents import PLAIN
from tests.interop.login_server import TOKEN, LoginServer, login_server
from tests.interop.our_server import LOGIN
from tests.interop.programs import Certificate, Send
from tests.interop.smtplib_client import dial_tls

SECRETS = {
    **dict.fromkeys(["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"], LOGIN[1]),
    **dict.fromkeys(["OAUTHBEARER", "XOAUTH2"], TOKEN),
}


@pytest.fixture(params=[("asyncio", False), ("trio", True)], ids=["STARTTLS", "implicit"])
def service(request: pytest.FixtureRequest, certificate: Certificate) -> Iterator[LoginServer]:
    """Our server, which offers every mechanism."""
    adapter, implicit = request.param
    with login_server(certificate, adapter=adapter, implicit=implicit) as started:
        yield started


def curl_to(curl: Send, service: LoginServer, certificate: Certificate) -> Send:
    """Return a function that sends to *service* with curl. Its options log in."""
    url = f"smtp{'s' * service.implicit}://127.0.0.1:{service.port}/client.a.test"
    return functools.partial(curl, url, PLAIN, "--ssl-reqd", "--cacert", certificate.ca)


def msmtp_to(msmtp: Send, service: LoginServer, certificate: Certificate) -> Send:
    """Return a function that sends to *service* with msmtp, as ann."""
    starttls = f"--tls-starttls={'off' if service.implicit else 'on'}"
    tls = ("--tls=on", starttls, f"--tls-trust-file={certificate.ca}")
    return functools.partial(msmtp, service.port, PLAIN, *tls, f"--user={LOGIN[0]}")


each_initial_response = pytest.mark.parametrize("initial_response", ["--sasl-ir", "--no-sasl-ir"])


@pytest.mark.peer("swaks")
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
def test_swaks_logs_in(
    mechanism: str, service: LoginServer, swaks_tls: Send, certificate: Certificate
) -> None:
    tls = "--tls-on-connect" if service.implicit else "--tls"
    verified = ("--tls-verify", f"--tls-ca-path={certificate.ca}")
    send = functools.partial(swaks_tls, service.port, PLAIN, tls, *verified)
    login = (f"--auth={mechanism}", f"--auth-user={LOGIN[0]}")
    send(*login, f"--auth-password={LOGIN[1]}")
    service.assert_sent_as_ann(mechanism)
    service.assert_login_refused(send(*login, "--auth-password=guess", check=False))


@each_initial_response
@pytest.mark.peer("curl")
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
def test_curl_logs_in(
    mechanism: str,
    initial_response: str,
    service: LoginServer,
    curl: Send,
    certificate: Certificate,
) -> None:
    send = curl_to(curl, service, certificate)
    login = (initial_response, "--login-options", f"AUTH={mechanism}", "--user")
    send(*login, f"{LOGIN[0]}:{LOGIN[1]}")
    service.assert_sent_as_ann(mechanism)
    service.assert_login_refused(send(*login, f"{LOGIN[0]}:guess", check=False))


@each_initial_response
@pytest.mark.peer("curl")
@pytest.mark.parametrize(
    "mechanism", ["OAUTHBEARER", "XOAUTH2"]
)  # offered both, curl uses the former
def test_curl_logs_in_with_a_token(
    mechanism: str, initial_response: str, curl: Send, certificate: Certificate
) -> None:
    login = (initial_response, "--user", f"{LOGIN[0]}:", "--oauth2-bearer")
    with login_server(certificate, mechanism) as service:
        send = curl_to(curl, service, certificate)
        send(*login, TOKEN)
        service.assert_sent_as_ann(mechanism)
        # With XOAUTH2, curl closes the connection when the server sends the reason.
        service.assert_login_refused(send(*login, "guess", check=False), "Login denied")
    right, wrong = service.accounts.claims
    assert right.username == wrong.username == LOGIN[0]
    expected = ("127.0.0.1", service.port) if mechanism == "OAUTHBEARER" else ("", 0)
    assert (right.host, right.port) == expected


@pytest.mark.peer("msmtp")
@pytest.mark.parametrize("mechanism", SECRETS)
def test_msmtp_logs_in(
    mechanism: str, service: LoginServer, msmtp: Send, certificate: Certificate
) -> None:
    send, auth = msmtp_to(msmtp, service, certificate), f"--auth={mechanism.lower()}"
    send(auth, f"--passwordeval=echo '{SECRETS[mechanism]}'")
    service.assert_sent_as_ann(mechanism)
    output = send(auth, "--passwordeval=echo guess", check=False)
    service.assert_login_refused(output)
    assert f"authentication failed (method {mechanism})" in output


@pytest.mark.peer("smtplib")
@pytest.mark.req("RFC4954-4-30/client", "RFC4954-4-30/server")
@pytest.mark.parametrize("initial_response", [True, False], ids=["initial-response", "challenged"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
def test_smtplib_logs_in(
    mechanism: str, initial_response: bool, service: LoginServer, certificate: Certificate
) -> None:
    with dial_tls(service.port, certificate, implicit=service.implicit) as client:
        client.ehlo()
        respond = getattr(client, f"auth_{mechanism.lower().replace('-', '_')}")
        client.user, client.password = LOGIN[0], "guess"
        with pytest.raises(smtplib.SMTPAuthenticationError, match="535"):
            client.auth(mechanism, respond, initial_response_ok=initial_response)
        client.password = LOGIN[1]
        client.auth(mechanism, respond, initial_response_ok=initial_response)
        client.sendmail("ann@a.test", "bob@b.test", PLAIN)
    service.assert_sent_as_ann(mechanism)


@pytest.mark.peer("curl")
def test_curl_logs_in_with_a_certificate(
    service: LoginServer, curl: Send, certificate: Certificate
) -> None:
    send = curl_to(curl, service, certificate)
    login = ("--login-options", "AUTH=EXTERNAL", "--user", f"{LOGIN[0]}:")
    send(*login, "--cert", certificate.user)
    service.assert_sent_as_ann("EXTERNAL")
    assert "EXTERNAL" not in send(*login, check=False)  # not offered without a certificate
    assert service.inbox.empty


@pytest.mark.peer("msmtp")
def test_msmtp_logs_in_with_a_certificate(
    service: LoginServer, msmtp: Send, certificate: Certificate
) -> None:
    user = (f"--tls-cert-file={certificate.user}", f"--tls-key-file={certificate.user}")
    msmtp_to(msmtp, service, certificate)("--auth=external", *user)
    service.assert_sent_as_ann("EXTERNAL")

"""Dovecot's submission server and Postfix that asks it: what the tests of AUTH rely on."""

from __future__ import annotations

import functools
import smtplib
import ssl

import pytest

from tests.interop.mailboxes import trace_above
from tests.interop.peers import LOGIN, PLAIN
from tests.interop.postfix import Postfix
from tests.interop.programs import PATIENCE, Certificate, Send
from tests.interop.raw import offered
from tests.interop.submission import Submission, token

pytestmark = pytest.mark.peer("dovecot")

MECHANISMS = {
    "PLAIN",
    "LOGIN",
    "CRAM-MD5",
    "SCRAM-SHA-1",
    "SCRAM-SHA-256",
    "OAUTHBEARER",
    "XOAUTH2",
}


def dial(port: int, context: ssl.SSLContext) -> smtplib.SMTP:
    client = smtplib.SMTP("127.0.0.1", port, timeout=PATIENCE)
    client.starttls(context=context)
    return client


def test_offers(submission: Submission, certificate: Certificate) -> None:
    with dial(submission.port, certificate.client) as client:
        assert {*offered(client)["AUTH"].split()} == {*MECHANISMS, "EXTERNAL"}


@pytest.mark.peer("postfix")
def test_postfix_offers(submission: Submission, postfix: Postfix, certificate: Certificate) -> None:
    with dial(postfix.submission, certificate.client) as client:
        assert {*offered(client)["AUTH"].split()} == MECHANISMS


def test_relayed_as_user(submission: Submission, certificate: Certificate) -> None:
    with dial(submission.port, certificate.client) as client:
        client.login(*LOGIN)
        client.sendmail("ann@a.test", "bob@b.test", PLAIN)
    arrival = submission.relayed.next()
    trace_above(arrival.body, PLAIN)
    assert arrival.session.user == LOGIN[0]


@pytest.mark.peer("postfix")
def test_delivered_as_from_user(
    submission: Submission, postfix: Postfix, certificate: Certificate
) -> None:
    with dial(postfix.submission, certificate.client) as client:
        with pytest.raises(smtplib.SMTPRecipientsRefused, match="554"):
            client.sendmail("ann@a.test", "alice@box.test", PLAIN)
        with pytest.raises(smtplib.SMTPAuthenticationError, match="535"):
            client.login(LOGIN[0], "guess")
        client.login(*LOGIN)
        client.sendmail("ann@a.test", "alice@box.test", PLAIN)
    trace = trace_above(postfix.mailboxes.next("alice"), PLAIN)
    assert f"(Authenticated sender: {LOGIN[0]})" in "".join(trace)


@pytest.mark.peer("curl")
def test_token(submission: Submission, curl: Send, certificate: Certificate) -> None:
    tls = ("--ssl-reqd", "--cacert", certificate.ca)
    send = functools.partial(curl, f"smtp://127.0.0.1:{submission.port}", PLAIN, *tls)
    login = ("--user", f"{LOGIN[0]}:", "--oauth2-bearer")
    assert "> AUTH OAUTHBEARER" in send(*login, token(LOGIN[0]))
    assert submission.relayed.next().session.user == LOGIN[0]
    assert "535 5.7.8" in send(*login, token(LOGIN[0], bytes(32)), check=False)
    assert submission.relayed.empty


@pytest.mark.peer("msmtp")
@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-1", "SCRAM-SHA-256", "XOAUTH2", "EXTERNAL"])
def test_others(
    mechanism: str, submission: Submission, msmtp: Send, certificate: Certificate
) -> None:
    files = {"trust-file": certificate.ca}
    if mechanism == "EXTERNAL":
        files |= {"cert-file": certificate.user, "key-file": certificate.user}
    tls = ("--tls=on", *(f"--tls-{name}={file}" for name, file in files.items()))
    secret = token(LOGIN[0]) if mechanism == "XOAUTH2" else LOGIN[1]
    login = (f"--auth={mechanism.lower()}", f"--user={LOGIN[0]}")
    said = msmtp(submission.port, PLAIN, *tls, *login, f"--passwordeval=echo '{secret}'")
    assert f"--> AUTH {mechanism}" in said
    assert submission.relayed.next().session.user == LOGIN[0]

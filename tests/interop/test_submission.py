"""Dovecot's submission server, and Postfix with it, behave as the tests of AUTH assume."""

from __future__ import annotations

import functools
import smtplib

import pytest

from tests.interop.contents import ALICE, PLAIN
from tests.interop.mailboxes import assert_delivered, fields_above
from tests.interop.our_server import LOGIN
from tests.interop.postfix import Postfix
from tests.interop.programs import Certificate, Send
from tests.interop.smtplib_client import dial_tls, offered
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


def test_dovecot_offers_the_mechanisms_under_test(
    submission: Submission, certificate: Certificate
) -> None:
    with dial_tls(submission.port, certificate) as client:
        assert {*offered(client)["AUTH"].split()} == {*MECHANISMS, "EXTERNAL"}


@pytest.mark.peer("postfix")
def test_postfix_offers_the_mechanisms_under_test(
    submission: Submission, postfix: Postfix, certificate: Certificate
) -> None:
    with dial_tls(postfix.submission, certificate) as client:
        assert {*offered(client)["AUTH"].split()} == MECHANISMS


def test_dovecot_relays_with_the_name_of_the_user(
    submission: Submission, certificate: Certificate
) -> None:
    with dial_tls(submission.port, certificate) as client:
        client.login(*LOGIN)
        client.sendmail("ann@a.test", "bob@b.test", PLAIN)
    arrival = submission.relayed.next()
    assert_delivered(arrival.body, PLAIN)
    assert arrival.session.user == LOGIN[0]


@pytest.mark.peer("postfix")
def test_postfix_requires_a_login_and_records_the_user(
    submission: Submission, postfix: Postfix, certificate: Certificate
) -> None:
    with dial_tls(postfix.submission, certificate) as client:
        with pytest.raises(smtplib.SMTPRecipientsRefused, match="554"):
            client.sendmail("ann@a.test", ALICE, PLAIN)
        with pytest.raises(smtplib.SMTPAuthenticationError, match="535"):
            client.login(LOGIN[0], "guess")
        client.login(*LOGIN)
        client.sendmail("ann@a.test", ALICE, PLAIN)
    trace = fields_above(postfix.mailboxes.next("alice"), PLAIN)
    assert f"(Authenticated sender: {LOGIN[0]})" in "".join(trace)


@pytest.mark.peer("curl")
def test_dovecot_checks_the_token_of_curl(
    submission: Submission, curl: Send, certificate: Certificate
) -> None:
    tls = ("--ssl-reqd", "--cacert", certificate.ca)
    send = functools.partial(curl, f"smtp://127.0.0.1:{submission.port}", PLAIN, *tls)
    login = ("--user", f"{LOGIN[0]}:", "--oauth2-bearer")
    assert "> AUTH OAUTHBEARER" in send(*login, token(LOGIN[0]))
    assert submission.relayed.next().session.user == LOGIN[0]
    assert "535 5.7.8" in send(*login, token(LOGIN[0], bytes(32)), check=False)
    assert submission.relayed.empty


@pytest.mark.peer("msmtp")
@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-1", "SCRAM-SHA-256", "XOAUTH2", "EXTERNAL"])
def test_msmtp_logs_in_to_dovecot(
    mechanism: str, submission: Submission, msmtp: Send, certificate: Certificate
) -> None:
    files = {"trust-file": certificate.ca}
    if mechanism == "EXTERNAL":
        files |= {"cert-file": certificate.user, "key-file": certificate.user}
    tls = ("--tls=on", *(f"--tls-{name}={file}" for name, file in files.items()))
    secret = token(LOGIN[0]) if mechanism == "XOAUTH2" else LOGIN[1]
    login = (f"--auth={mechanism.lower()}", f"--user={LOGIN[0]}")
    output = msmtp(submission.port, PLAIN, *tls, *login, f"--passwordeval=echo '{secret}'")
    assert f"--> AUTH {mechanism}" in output
    assert submission.relayed.next().session.user == LOGIN[0]

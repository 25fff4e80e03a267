"""Our client logs in to Dovecot, and to Postfix with Dovecot, by each mechanism that they offer."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Unpack

import pytest
from attrs import evolve, field, frozen

from smtpproto import (
    BadCredentials,
    BearerToken,
    ClientCertificate,
    External,
    Login,
    LoginRefused,
    NotOffered,
    TLSMode,
    TLSVerify,
)
from smtpproto.client.config import ClientOptions
from smtpproto.sasl import Credential
from tests.interop.contents import PLAIN, TO_ALICE
from tests.interop.mailboxes import assert_delivered, fields_above
from tests.interop.our_client import send
from tests.interop.our_server import LOGIN
from tests.interop.postfix import Postfix
from tests.interop.programs import Certificate
from tests.interop.submission import SPECIAL_LOGIN, Submission, token

PASSWORD_MECHANISMS = ("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256")
TOKEN_STATUS = {"OAUTHBEARER": "invalid_token", "XOAUTH2": "401"}  # of Dovecot, for a wrong token
_SENDER = re.compile(r"[(]Authenticated sender: ([^)]*)[)]")


@frozen
class LoginTarget:
    """A server to log in to. *sender* waits for a message and returns the user who sent it, as the
    server reports it; *empty* returns whether there is no message."""

    port: int
    ca: Path
    sender: Callable[[], str | None]
    empty: Callable[[], bool]
    commands: list[str] = field(factory=list, init=False)
    """The verbs that our client sent; AUTH with its mechanism."""

    def log_in(
        self,
        credential: Credential,
        adapter: str = "blocking",
        **options: Unpack[ClientOptions],
    ) -> None:
        """Log in with *credential* and send a message."""
        options = {"verify": TLSVerify.by_ca(self.ca), "trace": self._record_command, **options}
        options["login"] = credential
        send(adapter, self.port, PLAIN, TO_ALICE, **options)

    def _record_command(self, side: str, line: str) -> None:
        if side == "C":
            words = line.split()
            self.commands.append(" ".join(words[: 2 if words[0] == "AUTH" else 1]))

    @property
    def mechanisms(self) -> list[str]:
        """The mechanisms that our client tried, in order."""
        return [line.removeprefix("AUTH ") for line in self.commands if line.startswith("AUTH ")]


@pytest.fixture
def dovecot(submission: Submission, certificate: Certificate) -> LoginTarget:
    """Dovecot's submission server."""

    def sender() -> str | None:
        arrival = submission.relayed.next()
        assert_delivered(arrival.body, PLAIN)
        return arrival.session.user

    return LoginTarget(submission.port, certificate.ca, sender, lambda: submission.relayed.empty)


@pytest.fixture
def postfix_with_dovecot(
    submission: Submission, postfix: Postfix, certificate: Certificate
) -> LoginTarget:
    """Postfix, for which Dovecot checks the logins."""

    def sender() -> str | None:
        trace = fields_above(postfix.mailboxes.next("alice"), PLAIN)
        match = _SENDER.search("".join(trace))
        return match and match[1]

    return LoginTarget(postfix.submission, certificate.ca, sender, lambda: postfix.mailboxes.empty)


@pytest.fixture(
    params=[
        pytest.param("dovecot", marks=pytest.mark.peer("dovecot")),
        pytest.param("postfix_with_dovecot", marks=pytest.mark.peer("postfix"), id="postfix"),
    ]
)
def target(request: pytest.FixtureRequest) -> LoginTarget:
    """Dovecot, or Postfix with Dovecot."""
    either: LoginTarget = request.getfixturevalue(request.param)
    return either


@pytest.mark.req("RFC4954-4-30/client", "RFC4954-4-30/server")
@pytest.mark.parametrize("mechanism", PASSWORD_MECHANISMS)
def test_each_password_mechanism_logs_in(mechanism: str, target: LoginTarget) -> None:
    target.log_in(Login(*LOGIN), mechanisms=[mechanism])
    assert target.mechanisms == [mechanism]
    assert target.sender() == LOGIN[0]


@pytest.mark.peer("dovecot")
@pytest.mark.parametrize("mechanism", PASSWORD_MECHANISMS)
def test_a_name_and_password_with_special_characters_log_in(
    mechanism: str, dovecot: LoginTarget
) -> None:
    dovecot.log_in(Login(*SPECIAL_LOGIN), mechanisms=[mechanism])
    assert dovecot.sender() == SPECIAL_LOGIN[0]


@pytest.mark.parametrize("mechanism", PASSWORD_MECHANISMS)
def test_a_wrong_password_raises_bad_credentials(mechanism: str, target: LoginTarget) -> None:
    with pytest.raises(BadCredentials) as caught:
        target.log_in(Login(LOGIN[0], "guess"), mechanisms=[mechanism])
    assert caught.value.reply.code == 535
    assert target.mechanisms == [mechanism]
    assert "MAIL" not in target.commands
    assert target.empty()


@pytest.mark.parametrize("mechanism", TOKEN_STATUS)
def test_each_token_mechanism_logs_in(mechanism: str, target: LoginTarget) -> None:
    target.log_in(BearerToken(LOGIN[0], lambda: token(LOGIN[0])), mechanisms=[mechanism])
    assert target.mechanisms == [mechanism]
    assert target.sender() == LOGIN[0]


@pytest.mark.parametrize("mechanism", TOKEN_STATUS)
def test_a_wrong_token_raises_bad_credentials_with_details(
    mechanism: str, target: LoginTarget
) -> None:
    with pytest.raises(BadCredentials) as caught:
        target.log_in(BearerToken(LOGIN[0], token(LOGIN[0], bytes(32))), mechanisms=[mechanism])
    assert caught.value.reply.code == 535
    assert caught.value.details["status"] == TOKEN_STATUS[mechanism]
    assert "MAIL" not in target.commands
    assert target.empty()


@pytest.mark.peer("dovecot")
@pytest.mark.parametrize("authzid", ["", LOGIN[0]], ids=["implied", "named"])
def test_a_client_certificate_logs_in(
    authzid: str, dovecot: LoginTarget, certificate: Certificate
) -> None:
    dovecot.log_in(External(authzid), certificate=ClientCertificate(certificate.user))
    assert dovecot.mechanisms == ["EXTERNAL"]
    assert dovecot.sender() == LOGIN[0]


@pytest.mark.peer("dovecot")
def test_external_without_a_certificate_is_refused(dovecot: LoginTarget) -> None:
    with pytest.raises(LoginRefused, match="535"):
        dovecot.log_in(External())
    assert "MAIL" not in dovecot.commands
    assert dovecot.empty()


def test_the_strongest_mechanism_is_used(target: LoginTarget) -> None:
    target.log_in(Login(*LOGIN))
    assert target.mechanisms == ["SCRAM-SHA-256"]
    assert target.sender() == LOGIN[0]
    target.log_in(BearerToken(LOGIN[0], token(LOGIN[0])))
    assert target.mechanisms == ["SCRAM-SHA-256", "OAUTHBEARER"]
    assert target.sender() == LOGIN[0]


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
def test_the_authzid_may_only_be_the_user(mechanism: str, target: LoginTarget) -> None:
    target.log_in(Login(*LOGIN, authzid=LOGIN[0]), mechanisms=[mechanism])
    assert target.sender() == LOGIN[0]
    with pytest.raises(LoginRefused, match="535"):
        target.log_in(Login(*LOGIN, authzid="bob"), mechanisms=[mechanism])
    assert target.empty()


@pytest.mark.peer("dovecot")
def test_a_mechanism_that_is_not_offered_is_not_tried(dovecot: LoginTarget) -> None:
    with pytest.raises(NotOffered, match="the server offers PLAIN LOGIN"):
        dovecot.log_in(Login(*LOGIN), mechanisms=["SCRAM-SHA-256-PLUS"])
    assert dovecot.commands == ["EHLO", "STARTTLS", "EHLO", "QUIT"]


@pytest.mark.peer("dovecot")
def test_a_login_works_over_implicit_tls(
    adapter: str, dovecot: LoginTarget, submission: Submission
) -> None:
    implicit = evolve(dovecot, port=submission.implicit)
    implicit.log_in(Login(*LOGIN), adapter=adapter, tls=TLSMode.IMPLICIT)
    assert implicit.commands[:2] == ["EHLO", "AUTH SCRAM-SHA-256"]
    assert implicit.sender() == LOGIN[0]

"""Our client logs in to Dovecot, and to Postfix that asks Dovecot, by all that they offer."""

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
    Envelope,
    External,
    Login,
    LoginRefused,
    NotOffered,
    TLSMode,
    TLSVerify,
)
from smtpproto.client.config import ClientOptions
from smtpproto.sasl import Credential
from tests.interop.mailboxes import trace_above
from tests.interop.peers import LOGIN, PLAIN, send
from tests.interop.postfix import Postfix
from tests.interop.programs import Certificate
from tests.interop.submission import STRANGE, Submission, token

PASSWORD = ("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256")
TOKEN = {"OAUTHBEARER": "invalid_token", "XOAUTH2": "401"}  # what Dovecot says to a wrong one
_SENDER = re.compile(r"[(]Authenticated sender: ([^)]*)[)]")


@frozen
class Peer:
    """A server to log in to. *sender* gives who sent the next message, in the server's words;
    *empty* whether there is none."""

    port: int
    ca: Path
    sender: Callable[[], str | None]
    empty: Callable[[], bool]
    said: list[str] = field(factory=list, init=False)
    """What our client said to it, up to the first space; mechanisms with their names."""

    def log_in(
        self,
        credential: Credential,
        flavour: str = "blocking",
        **options: Unpack[ClientOptions],
    ) -> None:
        """Send a message as who has *credential*."""
        envelope = Envelope("ann@a.test", "alice@box.test")
        options = {"verify": TLSVerify.by_ca(self.ca), "trace": self._listen, **options}
        options["login"] = credential
        send(flavour, self.port, PLAIN, envelope, **options)

    def _listen(self, who: str, line: str) -> None:
        if who == "C":
            words = line.split()
            self.said.append(" ".join(words[: 2 if words[0] == "AUTH" else 1]))

    @property
    def mechanisms(self) -> list[str]:
        """Those that our client tried, one after the other."""
        return [line.removeprefix("AUTH ") for line in self.said if line.startswith("AUTH ")]


@pytest.fixture
def dovecot(submission: Submission, certificate: Certificate) -> Peer:
    def sender() -> str | None:
        arrival = submission.relayed.next()
        trace_above(arrival.body, PLAIN)
        return arrival.session.user

    return Peer(submission.port, certificate.ca, sender, lambda: submission.relayed.empty)


@pytest.fixture
def asking(submission: Submission, postfix: Postfix, certificate: Certificate) -> Peer:
    """Postfix, which asks Dovecot."""

    def sender() -> str | None:
        trace = trace_above(postfix.mailboxes.next("alice"), PLAIN)
        match = _SENDER.search("".join(trace))
        return match and match[1]

    return Peer(postfix.submission, certificate.ca, sender, lambda: postfix.mailboxes.empty)


@pytest.fixture(
    params=[
        pytest.param("dovecot", marks=pytest.mark.peer("dovecot")),
        pytest.param("asking", marks=pytest.mark.peer("postfix"), id="postfix"),
    ]
)
def peer(request: pytest.FixtureRequest) -> Peer:
    """Either of the two."""
    either: Peer = request.getfixturevalue(request.param)
    return either


@pytest.mark.req("RFC4954-4-30")
@pytest.mark.parametrize("mechanism", PASSWORD)
def test_password(mechanism: str, peer: Peer) -> None:
    peer.log_in(Login(*LOGIN), mechanisms=[mechanism])
    assert peer.mechanisms == [mechanism]
    assert peer.sender() == LOGIN[0]


@pytest.mark.peer("dovecot")
@pytest.mark.parametrize("mechanism", PASSWORD)
def test_name_and_password_to_be_escaped(mechanism: str, dovecot: Peer) -> None:
    dovecot.log_in(Login(*STRANGE), mechanisms=[mechanism])
    assert dovecot.sender() == STRANGE[0]


@pytest.mark.parametrize("mechanism", PASSWORD)
def test_wrong_password(mechanism: str, peer: Peer) -> None:
    with pytest.raises(BadCredentials) as caught:
        peer.log_in(Login(LOGIN[0], "guess"), mechanisms=[mechanism])
    assert caught.value.reply.code == 535
    assert peer.mechanisms == [mechanism]
    assert "MAIL" not in peer.said
    assert peer.empty()


@pytest.mark.parametrize("mechanism", TOKEN)
def test_token(mechanism: str, peer: Peer) -> None:
    peer.log_in(BearerToken(LOGIN[0], lambda: token(LOGIN[0])), mechanisms=[mechanism])
    assert peer.mechanisms == [mechanism]
    assert peer.sender() == LOGIN[0]


@pytest.mark.parametrize("mechanism", TOKEN)
def test_wrong_token(mechanism: str, peer: Peer) -> None:
    with pytest.raises(BadCredentials) as caught:
        peer.log_in(BearerToken(LOGIN[0], token(LOGIN[0], bytes(32))), mechanisms=[mechanism])
    assert caught.value.reply.code == 535
    assert caught.value.details["status"] == TOKEN[mechanism]
    assert "MAIL" not in peer.said
    assert peer.empty()


@pytest.mark.peer("dovecot")
@pytest.mark.parametrize("authzid", ["", LOGIN[0]], ids=["implied", "named"])
def test_certificate(authzid: str, dovecot: Peer, certificate: Certificate) -> None:
    dovecot.log_in(External(authzid), certificate=ClientCertificate(certificate.user))
    assert dovecot.mechanisms == ["EXTERNAL"]
    assert dovecot.sender() == LOGIN[0]


@pytest.mark.peer("dovecot")
def test_no_certificate(dovecot: Peer) -> None:
    with pytest.raises(LoginRefused, match="535"):
        dovecot.log_in(External())
    assert "MAIL" not in dovecot.said
    assert dovecot.empty()


def test_strongest(peer: Peer) -> None:
    peer.log_in(Login(*LOGIN))
    assert peer.mechanisms == ["SCRAM-SHA-256"]
    assert peer.sender() == LOGIN[0]
    peer.log_in(BearerToken(LOGIN[0], token(LOGIN[0])))
    assert peer.mechanisms == ["SCRAM-SHA-256", "OAUTHBEARER"]
    assert peer.sender() == LOGIN[0]


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
def test_as_another(mechanism: str, peer: Peer) -> None:
    peer.log_in(Login(*LOGIN, authzid=LOGIN[0]), mechanisms=[mechanism])
    assert peer.sender() == LOGIN[0]
    with pytest.raises(LoginRefused, match="535"):
        peer.log_in(Login(*LOGIN, authzid="bob"), mechanisms=[mechanism])
    assert peer.empty()


@pytest.mark.peer("dovecot")
def test_not_offered(dovecot: Peer) -> None:
    with pytest.raises(NotOffered, match="the server offers PLAIN LOGIN"):
        dovecot.log_in(Login(*LOGIN), mechanisms=["SCRAM-SHA-256-PLUS"])
    assert dovecot.said == ["EHLO", "STARTTLS", "EHLO", "QUIT"]


@pytest.mark.peer("dovecot")
def test_implicit_tls(flavour: str, dovecot: Peer, submission: Submission) -> None:
    implicit = evolve(dovecot, port=submission.implicit)
    implicit.log_in(Login(*LOGIN), flavour=flavour, tls=TLSMode.IMPLICIT)
    assert implicit.said[:2] == ["EHLO", "AUTH SCRAM-SHA-256"]
    assert implicit.sender() == LOGIN[0]

"""Refused tokens, and failures after a challenge: each counts as one failed login."""

from __future__ import annotations

import logging
from base64 import b64decode

import pytest

from smtpproto import (
    Authenticator,
    Handler,
    Limits,
    Reply,
    Secret,
    ServerConfig,
    TokenClaim,
    TokenRefused,
)
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.sasl import Channel, RefusingChallenge
from smtpproto.server import Usage
from smtpproto.server.auth import Authentication
from tests.support.accounts import Accounts
from tests.support.logins import (
    NO_DELAY,
    OUR_OFFER,
    XOAUTH2,
    Contexts,
    base64,
    bearer,
    serve_tls,
)
from tests.support.scripted_client import replies


@pytest.mark.req("RFC4954-9-04")
def test_failures_after_challenges_count_as_failed_logins() -> None:
    config = ServerConfig(authenticator=Accounts(), auth_in_clear=True, limits=NO_DELAY)
    attempts = ["AUTH LOGIN", "YW5u", "eA=="] * 3
    answers = replies(Handler(), *attempts, "NOOP", config=config)
    assert [line[:3] for line in answers] == ["334", "334", "535"] * 3 + ["421"]


class RefusingAuthenticator(Authenticator):
    def check_token(self, claim: TokenClaim) -> TokenRefused:
        return TokenRefused()


@pytest.mark.req("RFC4954-9-04", "RFC7628-3.2.3-01")
@pytest.mark.parametrize(
    ("answer", "reply"),
    [
        ("*", "501 5.7.0 Authentication cancelled"),
        ("AQ==", "535 5.7.8 Authentication credentials invalid"),
        ("!!!", "501 5.5.2 Cannot decode base64"),
    ],
)
@pytest.mark.parametrize("mechanism", ["OAUTHBEARER", "XOAUTH2"])
def test_a_refused_token_counts_whatever_the_client_answers(
    mechanism: str, answer: str, reply: str, contexts: Contexts
) -> None:
    """The refusal is sent in a challenge, and the client need not wait for the final reply."""
    response = {"OAUTHBEARER": bearer(465), "XOAUTH2": XOAUTH2}[mechanism]
    status = {"OAUTHBEARER": "invalid_token", "XOAUTH2": "401"}[mechanism]
    more = {"OAUTHBEARER": "", "XOAUTH2": ',"schemes":"bearer"'}[mechanism]
    refusal = base64(f'{{"status":"{status}"{more}}}')
    attempt = f"C: AUTH {mechanism} {response}\nS: 334 {refusal}\nC: {answer}\nS: {reply}\n"
    closing = "S: 421 4.7.0 mx.example.org Too many failed logins; closing transmission channel\n"
    script = OUR_OFFER.format("OAUTHBEARER XOAUTH2") + attempt * 3 + closing
    assert serve_tls(contexts, script, RefusingAuthenticator()).identities == []


@pytest.mark.parametrize("mechanism", ["OAUTHBEARER", "XOAUTH2"])
def test_a_refused_token_is_delayed_and_logged_once(
    mechanism: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "smtpproto")
    delays: list[float] = []

    class Clock(Runtime):
        async def sleep(self, seconds: float) -> None:
            delays.append(seconds)

    async def main() -> None:
        account = Usage(Limits()).account()
        config = ServerConfig(authenticator=RefusingAuthenticator())
        message = {"OAUTHBEARER": bearer(465), "XOAUTH2": XOAUTH2}[mechanism]
        channel = Channel(random=bytes, secure=True)
        first = Secret(b64decode(message))
        peer = ("192.0.2.1", 9)
        login = Authentication(config, Clock(), account, peer, mechanism, channel)
        assert isinstance(await login.begin(first), RefusingChallenge)
        assert delays == [1.0]
        assert isinstance(await login.step(Secret(b"\1")), Reply)
        assert delays == [1.0]

    run(main())
    assert caplog.text.count("by " + mechanism + " failed: token refused: invalid_token") == 1

"""What the log and the trace show of a login."""

from __future__ import annotations

import logging

import pytest

from smtpproto import (
    Authenticator,
    BadCredentials,
    BearerToken,
    ClientConfig,
    Handler,
    ServerConfig,
    TLSMode,
    TokenClaim,
    TokenRefused,
)
from tests.support.accounts import Accounts
from tests.support.logins import ANN, NO_DELAY, OFFER, REFUSED, base64, log_in
from tests.support.scripted_client import octets as lines
from tests.support.scripted_client import replies, serve
from tests.support.tls_sessions import SERVER_CONTEXT, TRUST, converse, do_nothing, serving


def test_the_log_names_the_client_and_mechanism_of_a_failed_login(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "smtpproto.server")
    config = ServerConfig(authenticator=Accounts(), auth_in_clear=True, limits=NO_DELAY)
    serve(Handler(), lines("EHLO a.example", "AUTH PLAIN AGFubgBndWVzcw=="), config=config)
    assert "login of 192.0.2.1, 4711, by PLAIN failed: wrong user name" in caplog.text


def test_a_malformed_message_is_not_shown_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "smtpproto")
    config = ServerConfig(authenticator=Accounts(), auth_in_clear=True, limits=NO_DELAY)
    malformed = base64("ann\0hunter2")
    replies(Handler(), f"AUTH PLAIN {malformed}", config=config)
    assert "not a PLAIN message" in caplog.text
    assert "hunter2" not in caplog.text and malformed not in caplog.text


def test_the_text_of_an_authenticator_is_one_line_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Refusing(Authenticator):
        def check_token(self, claim: TokenClaim) -> TokenRefused:
            return TokenRefused(status="no\r\nlogin of root succeeded")

    caplog.set_level(logging.INFO, "smtpproto")
    login = BearerToken("ann", "t0ken")
    with pytest.raises(BadCredentials):
        converse(
            serving(TLSMode.IMPLICIT, context=SERVER_CONTEXT, authenticator=Refusing()),
            ClientConfig(tls="implicit", verify=TRUST, login=login),
            do_nothing,
        )
    (line,) = [record.getMessage() for record in caplog.records if "failed:" in record.getMessage()]
    assert "\n" not in line and "\r" not in line


@pytest.mark.parametrize("side", ["client", "server"])
def test_challenges_are_hidden_in_the_trace(side: str) -> None:
    """Challenges of SCRAM would help to guess the password."""
    seen: list[str] = []

    def trace(source: str, line: str) -> None:
        seen.append(f"{source}: {line}")

    if side == "server":
        config = ServerConfig(authenticator=Accounts(), auth_in_clear=True, trace=trace)
        replies(Handler(), "AUTH LOGIN", "YW5u", "c2VjcmV0", config=config)
    else:
        script = f"{OFFER.format('LOGIN')}C: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: YW5u\n{REFUSED}"
        assert log_in(script, ANN, trace=trace) is not None
    assert "S: 334 ***" in seen
    assert not any("VXNlcm5hbWU6" in line for line in seen)

"""The SASL mechanisms of a client, octet by octet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from smtpproto import (
    BadCredentials,
    GrammarError,
    RemoteProtocolError,
)
from smtpproto.sasl import (
    Anonymous,
    BearerToken,
    External,
    Login,
)
from tests.support.logins import (
    ANN,
    BEARER,
    OFFER,
    TOKEN,
    TOKEN_REFUSAL,
    XOAUTH2,
    Contexts,
    base64,
    log_in,
    log_in_under_tls,
)

# -- tokens --------------------------------------------------------------------------------------


@pytest.mark.req("XOAUTH2-01")
def test_xoauth2_sends_the_token_in_the_initial_response(contexts: Contexts) -> None:
    script = OFFER.format("PLAIN XOAUTH2") + f"C: AUTH XOAUTH2 {XOAUTH2}\nS: 235 ok"
    assert log_in_under_tls(contexts, script, TOKEN) is None


@pytest.mark.req("XOAUTH2-04")
def test_oauthbearer_is_preferred_to_xoauth2(contexts: Contexts) -> None:
    script = OFFER.format("XOAUTH2 OAUTHBEARER") + f"C: AUTH OAUTHBEARER {BEARER}\nS: 235 ok"
    assert log_in_under_tls(contexts, script, TOKEN) is None


@pytest.mark.req("XOAUTH2-02")
def test_xoauth2_reports_why_the_token_was_refused(contexts: Contexts) -> None:
    """The client answers the challenge with an empty line, and then gets the code."""
    script = OFFER.format("XOAUTH2") + (
        f"C: AUTH XOAUTH2 {XOAUTH2}\nS: 334 {base64(TOKEN_REFUSAL)}\nC: \n"
        "S: 535-5.7.8 no\nS: 535 5.7.8 no"
    )
    error = log_in_under_tls(contexts, script, TOKEN)
    assert isinstance(error, BadCredentials)
    assert error.details == {
        "status": "400",
        "schemes": "Bearer",
        "scope": "https://mail.google.com/",
    }
    assert "t0ken" not in f"{error!s}{error!r}"


@pytest.mark.req("RFC7628-3.2.3-01")
def test_oauthbearer_reports_why_the_token_was_refused(contexts: Contexts) -> None:
    details = '{"status":"invalid_token","openid-configuration":"https://example.org/x"}'
    script = OFFER.format("OAUTHBEARER") + (
        f"C: AUTH OAUTHBEARER {BEARER}\nS: 334 {base64(details)}\nC: AQ==\nS: 535 5.7.8 no"
    )
    error = log_in_under_tls(contexts, script, TOKEN)
    assert isinstance(error, BadCredentials)
    assert error.details == {
        "status": "invalid_token",
        "openid-configuration": "https://example.org/x",
    }


@pytest.mark.req("RFC7628-4-01")
@pytest.mark.parametrize(
    ("mechanism", "message", "dummy"), [("OAUTHBEARER", BEARER, "AQ=="), ("XOAUTH2", XOAUTH2, "")]
)
def test_235_after_a_refused_token_is_a_protocol_error(
    contexts: Contexts, mechanism: str, message: str, dummy: str
) -> None:
    """The client sends nothing more on such a connection."""
    script = OFFER.format(mechanism) + (
        f"C: AUTH {mechanism} {message}\nS: 334 {base64(TOKEN_REFUSAL)}\nC: {dummy}\nS: 235 ok"
    )
    error = log_in_under_tls(contexts, script, TOKEN, quits=False)
    assert isinstance(error, RemoteProtocolError)
    assert (error.phase, error.command) == ("login", f"AUTH {mechanism}")


@pytest.mark.parametrize("code", ["235 ok", "334 "])
def test_235_or_334_to_a_cancelled_login_is_a_protocol_error(contexts: Contexts, code: str) -> None:
    script = OFFER.format("XOAUTH2") + (
        f"C: AUTH XOAUTH2 {XOAUTH2}\nS: 334 {base64(TOKEN_REFUSAL)}\nC: \nS: 334 \nC: *\nS: {code}"
    )
    error = log_in_under_tls(contexts, script, TOKEN, quits=False)
    assert isinstance(error, RemoteProtocolError)


def test_a_token_too_long_for_the_line_waits_for_the_challenge(contexts: Contexts) -> None:
    long = "x" * 9000
    message = base64(f"user=ann\1auth=Bearer {long}\1\1")
    script = OFFER.format("XOAUTH2") + f"C: AUTH XOAUTH2\nS: 334 \nC: {message}\nS: 235 ok"
    assert log_in_under_tls(contexts, script, BearerToken("ann", long)) is None


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_token_is_fetched_once_for_each_login(contexts: Contexts, asynchronous: bool) -> None:
    calls = []

    def token() -> str:
        calls.append(1)
        return "t0ken"

    async def later() -> str:
        return token()

    source: Callable[[], Any] = later if asynchronous else token
    credential = BearerToken("ann", source)
    assert "t0ken" not in repr(credential)
    script = OFFER.format("OAUTHBEARER XOAUTH2") + (
        f"C: AUTH OAUTHBEARER {BEARER}\nS: 504 no\nC: AUTH XOAUTH2 {XOAUTH2}\nS: 235 ok"
    )
    assert log_in_under_tls(contexts, script, credential) is None
    assert len(calls) == 1  # although two mechanisms were tried
    assert log_in_under_tls(contexts, script, credential) is None
    assert len(calls) == 2


def test_a_token_that_is_missing_or_malformed_is_not_sent(contexts: Contexts) -> None:
    def gone() -> str:
        raise LookupError("expired")

    script = OFFER.format("OAUTHBEARER")
    assert isinstance(log_in_under_tls(contexts, script, BearerToken("ann", gone)), LookupError)
    bad = log_in_under_tls(contexts, script, BearerToken("ann", lambda: "a b"))
    assert isinstance(bad, GrammarError)


# -- EXTERNAL and ANONYMOUS ----------------------------------------------------------------------


@pytest.mark.req("RFC4954-4-11")
@pytest.mark.parametrize(("authzid", "response"), [("", "="), ("bob", "Ym9i")])
def test_external_sends_the_authzid(contexts: Contexts, authzid: str, response: str) -> None:
    script = OFFER.format("EXTERNAL PLAIN") + f"C: AUTH EXTERNAL {response}\nS: 235 ok"
    assert log_in_under_tls(contexts, script, External(authzid)) is None


def test_anonymous_needs_no_tls() -> None:
    script = OFFER.format("PLAIN ANONYMOUS") + "C: AUTH ANONYMOUS c2lyaGM=\nS: 235 ok"
    assert log_in(script, Anonymous("sirhc"), login_in_clear=False) is None
    script = OFFER.format("PLAIN ANONYMOUS") + "C: AUTH ANONYMOUS =\nS: 535 no"
    assert isinstance(log_in(script, Anonymous()), BadCredentials)


# -- passwords -----------------------------------------------------------------------------------


@pytest.mark.req("SASL-LOGIN-04")
@pytest.mark.parametrize(
    "prompts",
    [
        ("VXNlcm5hbWU6", "UGFzc3dvcmQ6"),
        ("VXNlciBOYW1lAA==", "UGFzc3dvcmQA"),  # as the draft has them
        ("", ""),
        ("UGFzc3dvcmQ6", "VXNlcm5hbWU6"),
    ],
)
def test_login_sends_user_name_then_password_whatever_the_prompts_say(
    prompts: tuple[str, str],
) -> None:
    first, second = prompts
    script = OFFER.format("LOGIN") + (
        f"C: AUTH LOGIN\nS: 334 {first}\nC: YW5u\nS: 334 {second}\nC: c2VjcmV0\nS: 235 ok"
    )
    assert log_in(script, ANN) is None


def test_a_third_prompt_of_login_cancels_it() -> None:
    script = OFFER.format("LOGIN") + (
        "C: AUTH LOGIN\nS: 334 \nC: YW5u\nS: 334 \nC: c2VjcmV0\nS: 334 \nC: *\nS: 501 no"
    )
    assert isinstance(log_in(script, ANN), RemoteProtocolError)


@pytest.mark.req("SASL-LOGIN-01")
def test_plain_is_preferred_to_login() -> None:
    script = OFFER.format("LOGIN PLAIN") + "C: AUTH PLAIN AGFubgBzZWNyZXQ=\nS: 235 ok"
    assert log_in(script, ANN) is None


@pytest.mark.req("RFC2195-2-02/client", "RFC4954-4-31/client")
def test_cram_md5_sends_the_digest_of_the_example_in_rfc_2195() -> None:
    """RFC 2195 2."""
    script = OFFER.format("PLAIN CRAM-MD5") + (
        "C: AUTH CRAM-MD5\n"
        "S: 334 PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+\n"
        "C: dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw\n"
        "S: 235 ok"
    )
    assert log_in(script, Login("tim", "tanstaaftanstaaf")) is None

"""The SASL mechanisms of a server, octet by octet."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from attrs import frozen

from smtpproto import Authenticator, Handler, Secret, ServerConfig, TokenClaim, TokenRefused
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.sasl import Identity
from smtpproto.server.conversation import Conversation
from smtpproto.testing.script import ScriptedStream
from tests.support.accounts import Accounts, AllMechanisms
from tests.support.logins import (
    ACCEPTED,
    OUR_OFFER,
    QUIT,
    REFUSED,
    Contexts,
    LoginRecorder,
    base64,
    serve,
    serve_tls,
    server_config,
)
from tests.support.scripted_client import replies


@pytest.mark.req("SASL-LOGIN-03")
def test_login_asks_for_user_name_and_password() -> None:
    script = """
        C: AUTH LOGIN
        S: 334 VXNlcm5hbWU6
        C: YW5u
        S: 334 UGFzc3dvcmQ6
        C: c2VjcmV0
    """
    authenticator = Accounts()
    assert serve(script + ACCEPTED, authenticator) == [Identity("ann", "", "LOGIN")]
    assert authenticator.checked == [("ann", Secret("secret"))]


@pytest.mark.req("SASL-LOGIN-05")
def test_login_accepts_the_user_name_as_initial_response() -> None:
    script = "C: AUTH LOGIN YW5u\nS: 334 UGFzc3dvcmQ6\nC: c2VjcmV0\n"
    assert serve(script + ACCEPTED, Accounts()) == [Identity("ann", "", "LOGIN")]


def test_a_failed_login_gets_one_reply_and_may_be_tried_again() -> None:
    wrong = "C: AUTH LOGIN YW5u\nS: 334 UGFzc3dvcmQ6\nC: d3Jvbmc=\n" + REFUSED
    empty = "C: AUTH LOGIN =\n" + REFUSED
    right = "C: AUTH LOGIN YW5u\nS: 334 UGFzc3dvcmQ6\nC: c2VjcmV0\n" + ACCEPTED
    assert serve(wrong + empty + right, Accounts()) == [Identity("ann", "", "LOGIN")]


@pytest.mark.req("RFC4954-4-19")
@pytest.mark.parametrize("name", ["a\x07nn", "\u00ad", "\u0627a"])
def test_names_that_cannot_be_prepared_never_reach_the_authenticator(name: str) -> None:
    authenticator = Accounts()
    assert serve(f"C: AUTH LOGIN {base64(name)}\n{REFUSED}", authenticator) == []
    message = base64(f"\0{name}\0secret")
    assert serve(f"C: AUTH PLAIN {message}\n{REFUSED}", authenticator) == []
    assert authenticator.checked == []


@pytest.mark.req("RFC4954-4-12")
@pytest.mark.parametrize("response", ["eHl6", "YW5u", "="])
def test_an_initial_response_of_cram_md5_is_refused_with_501(response: str) -> None:
    """At the first attempt, and after another mechanism."""
    wrong, right = base64("\0ann\0wrong"), base64("\0ann\0secret")
    refused = f"""
        C: AUTH CRAM-MD5 {response}
        S: 501 5.7.0 This mechanism has no initial response
    """
    script = f"{refused}C: AUTH PLAIN {right}\n"
    identities = serve(script + ACCEPTED, AllMechanisms(), offered="CRAM-MD5 PLAIN LOGIN ANONYMOUS")
    assert identities == [Identity("ann", "", "PLAIN")]
    script = f"C: AUTH PLAIN {wrong}\n{REFUSED}{script}"
    identities = serve(script + ACCEPTED, AllMechanisms(), offered="CRAM-MD5 PLAIN LOGIN ANONYMOUS")
    assert identities == [Identity("ann", "", "PLAIN")]


@frozen
class FixedRuntime(Runtime):
    """A blocking runtime with fixed randomness and time."""

    def random(self, size: int) -> bytes:
        return (1896).to_bytes(size, "big")

    def now(self) -> float:
        return 697170952.0


CHALLENGE = "<1896.697170952@mx.example.org>"
DIGEST = hmac.new(b"secret", CHALLENGE.encode(), hashlib.md5).hexdigest()


@pytest.mark.parametrize(("digest", "good"), [(DIGEST, True), (DIGEST[::-1], False)])
def test_cram_md5_checks_the_digest(digest: str, good: bool) -> None:
    hello = OUR_OFFER.format("CRAM-MD5 PLAIN LOGIN ANONYMOUS")
    script = f"C: AUTH CRAM-MD5\nS: 334 {base64(CHALLENGE)}\nC: {base64(f'ann {digest}')}\n"
    end = ACCEPTED if good else REFUSED
    stream, handler = ScriptedStream(hello + script + end + QUIT, plays="C"), LoginRecorder()
    run(Conversation(stream, handler, server_config(AllMechanisms()), FixedRuntime()).run())
    stream.finish()
    assert handler.identities == ([Identity("ann", "", "CRAM-MD5")] if good else [])


@pytest.mark.parametrize(
    ("first", "rest", "good"),
    [
        ("AUTH ANONYMOUS", "S: 334 \nC: YW5uQGV4YW1wbGUub3Jn\n", True),
        ("AUTH ANONYMOUS YW5uQGV4YW1wbGUub3Jn", "", True),
        ("AUTH ANONYMOUS =", "", False),
        ("AUTH ANONYMOUS AA==", "", False),
    ],
)
def test_anonymous_needs_a_trace_that_the_authenticator_allows(
    first: str, rest: str, good: bool
) -> None:
    script = f"C: {first}\n{rest}{ACCEPTED if good else REFUSED}"
    identities = serve(script, AllMechanisms(), offered="CRAM-MD5 PLAIN LOGIN ANONYMOUS")
    assert identities == ([Identity("anonymous", "", "ANONYMOUS")] if good else [])


@pytest.mark.req("RFC4422-A-02")
@pytest.mark.parametrize("mechanism", ["EXTERNAL", "OAUTHBEARER", "XOAUTH2"])
def test_mechanisms_that_need_tls_are_refused_with_504_in_clear(mechanism: str) -> None:
    script = f"C: AUTH {mechanism} =\nS: 504 5.5.4 Unrecognized authentication mechanism\n"
    serve(script, AllMechanisms(), offered="CRAM-MD5 PLAIN LOGIN ANONYMOUS")


PLAIN = base64("\0ann\0secret")


@pytest.mark.req("RFC4422-6.1.2-01/server")
def test_a_mechanism_that_is_not_offered_is_refused_with_504() -> None:
    config = ServerConfig(authenticator=Accounts(), auth_in_clear=True, mechanisms=["LOGIN"])
    answers = replies(Handler(), f"AUTH PLAIN {PLAIN}", config=config)
    assert answers[0].startswith("504 ")


# -- tokens, under TLS ---------------------------------------------------------------------------


class TokenAuthenticator(Authenticator):
    """Allows Ann's token, and nothing else."""

    def check_token(self, claim: TokenClaim) -> str | TokenRefused:
        good = claim.token == Secret("t0ken")
        return "ann" if good else TokenRefused(scope="mail")


TOKEN_OFFER = OUR_OFFER.format("OAUTHBEARER XOAUTH2")
WRONG_TOKENS = {
    "OAUTHBEARER": "n,,\1auth=Bearer wr0ng\1\1",
    "XOAUTH2": "user=ann\1auth=Bearer wr0ng\1\1",
}
EXPLANATIONS = {
    "OAUTHBEARER": '{"status":"invalid_token","scope":"mail"}',
    "XOAUTH2": '{"status":"401","schemes":"bearer","scope":"mail"}',
}


@pytest.mark.req("RFC7628-3.2.2-01", "RFC7628-3.2.3-01")
@pytest.mark.parametrize("dummy", ["AQ==", ""])
@pytest.mark.parametrize("mechanism", WRONG_TOKENS)
def test_a_refused_token_is_explained_in_a_challenge(
    contexts: Contexts, mechanism: str, dummy: str
) -> None:
    script = f"""\
C: AUTH {mechanism} {base64(WRONG_TOKENS[mechanism])}
S: 334 {base64(EXPLANATIONS[mechanism])}
C: {dummy}
"""
    good = f"C: AUTH {mechanism} {base64(WRONG_TOKENS[mechanism].replace('wr0ng', 't0ken'))}\n"
    handler = serve_tls(
        contexts, TOKEN_OFFER + script + REFUSED + good + ACCEPTED + QUIT, TokenAuthenticator()
    )
    assert handler.identities == [Identity("ann", "", mechanism)]


def test_the_client_may_cancel_after_the_explanation(contexts: Contexts) -> None:
    script = f"""\
C: AUTH OAUTHBEARER {base64(WRONG_TOKENS["OAUTHBEARER"])}
S: 334 {base64(EXPLANATIONS["OAUTHBEARER"])}
C: *
S: 501 5.7.0 Authentication cancelled
"""
    assert serve_tls(contexts, TOKEN_OFFER + script + QUIT, TokenAuthenticator()).identities == []


@pytest.mark.req("RFC7628-3.2.3-02")
def test_the_dummy_response_without_a_token_is_refused_with_535(contexts: Contexts) -> None:
    script = TOKEN_OFFER + "C: AUTH OAUTHBEARER AQ==\n" + REFUSED + QUIT
    assert serve_tls(contexts, script, TokenAuthenticator()).identities == []


@pytest.mark.req("RFC7628-3.1-03")
def test_a_message_without_a_token_is_refused(contexts: Contexts) -> None:
    message = base64("n,a=ann,\1host=mx.example.org\1\1")
    refusal = base64(EXPLANATIONS["OAUTHBEARER"])
    script = f"C: AUTH OAUTHBEARER {message}\nS: 334 {refusal}\nC: AQ==\n"
    handler = serve_tls(contexts, TOKEN_OFFER + script + REFUSED + QUIT, TokenAuthenticator())
    assert handler.identities == []

"""The mechanisms of SASL on a server, octet by octet, and between both sides."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import pytest
from attrs import frozen

from smtpproto import (
    BadCredentials,
    ClientConfig,
    Envelope,
    Handler,
    ServerConfig,
    Session,
    TLSMode,
)
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.client.connection import open_client
from smtpproto.grammar.secret import Secret
from smtpproto.sasl import (
    Anonymous,
    Authenticator,
    BearerToken,
    Credential,
    Identity,
    Login,
    TokenClaim,
    TokenRefused,
)
from smtpproto.server.conversation import Conversation
from smtpproto.testing.script import ScriptedStream
from smtpproto.testing.simulation import Simulation

from ..support.logins import (
    ACCEPTED,
    ANN,
    OUR_OFFER,
    QUIT,
    REFUSED,
    TOKEN,
    AllMechanisms,
    Contexts,
    LoginRecorder,
    Passwords,
    base64,
    serve,
    serve_tls,
    server_config,
)


@pytest.mark.req("SASL-LOGIN-03")
def test_the_two_challenges_of_login() -> None:
    script = """
        C: AUTH LOGIN
        S: 334 VXNlcm5hbWU6
        C: YW5u
        S: 334 UGFzc3dvcmQ6
        C: c2VjcmV0
    """
    authenticator = Passwords()
    assert serve(script + ACCEPTED, authenticator) == [Identity("ann", "", "LOGIN")]
    assert authenticator.asked == [("ann", Secret("secret"))]


@pytest.mark.req("SASL-LOGIN-05")
def test_login_with_the_user_name_at_once() -> None:
    script = "C: AUTH LOGIN YW5u\nS: 334 UGFzc3dvcmQ6\nC: c2VjcmV0\n"
    assert serve(script + ACCEPTED, Passwords()) == [Identity("ann", "", "LOGIN")]


def test_a_login_that_fails_tells_nothing_and_may_be_tried_again() -> None:
    wrong = "C: AUTH LOGIN YW5u\nS: 334 UGFzc3dvcmQ6\nC: d3Jvbmc=\n" + REFUSED
    empty = "C: AUTH LOGIN =\n" + REFUSED
    right = "C: AUTH LOGIN YW5u\nS: 334 UGFzc3dvcmQ6\nC: c2VjcmV0\n" + ACCEPTED
    assert serve(wrong + empty + right, Passwords()) == [Identity("ann", "", "LOGIN")]


@pytest.mark.req("RFC4954-4-19")
@pytest.mark.parametrize("name", ["a\x07nn", "\u00ad", "\u0627a"])
def test_names_that_cannot_be_prepared_are_not_asked_about(name: str) -> None:
    authenticator = Passwords()
    assert serve(f"C: AUTH LOGIN {base64(name)}\n{REFUSED}", authenticator) == []
    message = base64(f"\0{name}\0secret")
    assert serve(f"C: AUTH PLAIN {message}\n{REFUSED}", authenticator) == []
    assert authenticator.asked == []


@pytest.mark.req("RFC4954-4-12")
@pytest.mark.parametrize("response", ["eHl6", "YW5u", "="])
def test_where_the_server_speaks_first_there_is_no_initial_response(response: str) -> None:
    script = f"""
        C: AUTH CRAM-MD5 {response}
        S: 501 5.7.0 This mechanism has no initial response
        C: AUTH PLAIN AGFubgBzZWNyZXQ=
    """
    said = serve(script + ACCEPTED, AllMechanisms(), offered="CRAM-MD5 PLAIN LOGIN ANONYMOUS")
    assert said == [Identity("ann", "", "PLAIN")]


@frozen
class Fixed(Runtime):
    """A blocking world in which nothing is left to chance."""

    def random(self, size: int) -> bytes:
        return (1896).to_bytes(size, "big")

    def now(self) -> float:
        return 697170952.0


CHALLENGE = "<1896.697170952@mx.example.org>"
DIGEST = hmac.new(b"secret", CHALLENGE.encode(), hashlib.md5).hexdigest()


@pytest.mark.parametrize(("digest", "good"), [(DIGEST, True), (DIGEST[::-1], False)])
def test_cram_md5_of_a_server(digest: str, good: bool) -> None:
    hello = OUR_OFFER.format("CRAM-MD5 PLAIN LOGIN ANONYMOUS")
    script = f"C: AUTH CRAM-MD5\nS: 334 {base64(CHALLENGE)}\nC: {base64(f'ann {digest}')}\n"
    end = ACCEPTED if good else REFUSED
    stream, handler = ScriptedStream(hello + script + end + QUIT, plays="C"), LoginRecorder()
    run(Conversation(stream, handler, server_config(AllMechanisms()), Fixed()).run())
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
def test_anonymous_of_a_server(first: str, rest: str, good: bool) -> None:
    script = f"C: {first}\n{rest}{ACCEPTED if good else REFUSED}"
    said = serve(script, AllMechanisms(), offered="CRAM-MD5 PLAIN LOGIN ANONYMOUS")
    assert said == ([Identity("anonymous", "", "ANONYMOUS")] if good else [])


@pytest.mark.req("RFC4422-A-02")
@pytest.mark.parametrize("mechanism", ["EXTERNAL", "OAUTHBEARER", "XOAUTH2"])
def test_what_needs_tls_is_not_known_in_clear(mechanism: str) -> None:
    script = f"C: AUTH {mechanism} =\nS: 504 5.5.4 Unrecognized authentication mechanism\n"
    serve(script, AllMechanisms(), offered="CRAM-MD5 PLAIN LOGIN ANONYMOUS")


@pytest.mark.req("SASL-LOGIN-02")
def test_no_login_in_clear_by_default() -> None:
    stream = ScriptedStream(
        OUR_OFFER.replace("S: 250-ENH", "S: 250 ENH").replace("S: 250 AUTH {}\n", "")
        + "C: AUTH LOGIN\nS: 538 5.7.11 Encryption required for authentication\n"
        + QUIT,
        plays="C",
    )
    config = server_config(Passwords(), auth_in_clear=False)
    run(Conversation(stream, LoginRecorder(), config, Runtime()).run())
    stream.finish()


# -- under TLS -------------------------------------------------------------------------------


class Tokens(Authenticator):
    """Knows nothing but tokens."""

    def check_token(self, claim: TokenClaim) -> str | TokenRefused:
        good = claim.token == Secret("t0ken")
        return "ann" if good else TokenRefused(scope="mail")


TOKENS = OUR_OFFER.format("OAUTHBEARER XOAUTH2")
WRONG = {
    "OAUTHBEARER": "n,,\1auth=Bearer wr0ng\1\1",
    "XOAUTH2": "user=ann\1auth=Bearer wr0ng\1\1",
}
TOLD = {
    "OAUTHBEARER": '{"status":"invalid_token","scope":"mail"}',
    "XOAUTH2": '{"status":"401","schemes":"bearer","scope":"mail"}',
}


@pytest.mark.req("RFC7628-3.2.2-01", "RFC7628-3.2.3-01")
@pytest.mark.parametrize("dummy", ["AQ==", ""])
@pytest.mark.parametrize("mechanism", WRONG)
def test_a_server_tells_why_a_token_is_not_enough(
    contexts: Contexts, mechanism: str, dummy: str
) -> None:
    script = f"""\
C: AUTH {mechanism} {base64(WRONG[mechanism])}
S: 334 {base64(TOLD[mechanism])}
C: {dummy}
"""
    good = f"C: AUTH {mechanism} {base64(WRONG[mechanism].replace('wr0ng', 't0ken'))}\n"
    hook = serve_tls(contexts, TOKENS + script + REFUSED + good + ACCEPTED + QUIT, Tokens())
    assert hook.identities == [Identity("ann", "", mechanism)]


def test_a_client_may_cancel_when_it_is_told(contexts: Contexts) -> None:
    script = f"""\
C: AUTH OAUTHBEARER {base64(WRONG["OAUTHBEARER"])}
S: 334 {base64(TOLD["OAUTHBEARER"])}
C: *
S: 501 5.7.0 Authentication cancelled
"""
    assert serve_tls(contexts, TOKENS + script + QUIT, Tokens()).identities == []


@pytest.mark.req("RFC7628-3.2.3-02")
def test_the_dummy_alone_fails(contexts: Contexts) -> None:
    script = TOKENS + "C: AUTH OAUTHBEARER AQ==\n" + REFUSED + QUIT
    assert serve_tls(contexts, script, Tokens()).identities == []


@pytest.mark.req("RFC7628-3.1-03")
def test_a_message_without_a_token(contexts: Contexts) -> None:
    message = base64("n,a=ann,\1host=mx.example.org\1\1")
    told = base64(TOLD["OAUTHBEARER"])
    script = f"C: AUTH OAUTHBEARER {message}\nS: 334 {told}\nC: AQ==\n"
    hook = serve_tls(contexts, TOKENS + script + REFUSED + QUIT, Tokens())
    assert hook.identities == []


# -- what is offered -------------------------------------------------------------------------


def offered(
    contexts: Contexts, authenticator: Authenticator, *, secure: bool, **options: Any
) -> list[str]:
    """What EHLO lists behind AUTH."""
    simulation = Simulation(2)
    lists: list[str] = []
    config = ServerConfig(context=contexts[1], authenticator=authenticator, **options)
    simulation.listen(25, Handler(), config)
    mode = TLSMode.REQUIRED if secure else TLSMode.NONE

    async def look() -> None:
        theirs = ClientConfig(tls=mode, context=contexts[0])
        async with await open_client(simulation, "mx.example.org", 25, theirs) as client:
            lists.extend(client.extensions.mechanisms)

    simulation.run(look())
    return lists


@pytest.mark.req("RFC2195-2-04")
def test_what_is_offered_follows_from_what_can_be_verified(contexts: Contexts) -> None:
    passwords = ["PLAIN", "LOGIN"]
    for secure in (True, False):
        assert offered(contexts, Authenticator(), secure=secure, auth_in_clear=True) == []
        assert offered(contexts, Passwords(), secure=secure, auth_in_clear=True) == passwords
    everything = ["CRAM-MD5", *passwords, "OAUTHBEARER", "XOAUTH2", "ANONYMOUS"]
    assert offered(contexts, AllMechanisms(), secure=True) == everything
    assert offered(contexts, AllMechanisms(), secure=False) == []
    clear = offered(contexts, AllMechanisms(), secure=False, auth_in_clear=True)
    assert clear == ["CRAM-MD5", *passwords, "ANONYMOUS"]
    some = offered(contexts, AllMechanisms(), secure=True, mechanisms=["XOAUTH2", "LOGIN"])
    assert some == ["LOGIN", "XOAUTH2"]


# -- both sides ------------------------------------------------------------------------------


def talk(
    contexts: Contexts, seed: int, login: Credential, mechanism: str, hook: LoginRecorder
) -> None:
    """Log in over STARTTLS, and send a message. Raises what the client raises."""
    simulation = Simulation(seed)
    server = ServerConfig(context=contexts[1], authenticator=AllMechanisms(), require_auth=True)
    simulation.listen(25, hook, server)
    config = ClientConfig(context=contexts[0], login=login, mechanisms=[mechanism])

    async def main() -> None:
        async with await open_client(simulation, "mx.example.org", 25, config) as client:
            await client.send(b"hi\n", Envelope("ann@example.org", "bob@example.org"))

    simulation.run(main())


class Accepting(LoginRecorder):
    def message(self, session: Session, envelope: Envelope, body: bytes) -> None: ...


BOTH_SIDES: list[tuple[str, Credential, Credential]] = [
    ("CRAM-MD5", ANN, Login("ann", "wrong")),
    ("PLAIN", ANN, Login("ann", "wrong")),
    ("LOGIN", ANN, Login("ann", "wrong")),
    ("OAUTHBEARER", TOKEN, BearerToken("ann", "wrong")),
    ("XOAUTH2", TOKEN, BearerToken("ann", "wrong")),
    ("ANONYMOUS", Anonymous("ann@example.org"), Anonymous("eve")),
]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("mechanism", "right", "wrong"), BOTH_SIDES)
def test_a_client_of_ours_and_a_server_of_ours(
    contexts: Contexts, seed: int, mechanism: str, right: Credential, wrong: Credential
) -> None:
    hook = Accepting()
    talk(contexts, seed, right, mechanism, hook)
    user = "anonymous" if mechanism == "ANONYMOUS" else "ann"
    assert hook.identities == [Identity(user, "", mechanism)]
    with pytest.raises(BadCredentials) as caught:
        talk(contexts, seed, wrong, mechanism, hook)
    assert caught.value.details.get("scope", "mail") == "mail"
    assert bool(caught.value.details) == ("AUTH" in mechanism)
    assert len(hook.identities) == 1

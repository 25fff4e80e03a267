"""OAUTHBEARER (RFC 7628) and XOAUTH2."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto.adapters.blocking import run
from smtpproto.errors import GrammarError, RemoteProtocolError
from smtpproto.grammar.secret import Secret
from smtpproto.sasl import BearerToken, Denied, Identity, TokenClaim, TokenRefused, offers, usable
from smtpproto.sasl.prepare import saslprep

from .parties import NAMES, Users, channel, client, outcome, server, step

BOTH = ["OAUTHBEARER", "XOAUTH2"]
TOKEN = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="
USER = "user@example.com"
SERVER = channel(host="server.example.com", port=587)

# RFC 7628 4.1: in IMAP, and the same in SMTP.
IMAP = (
    "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQzAWF1dGg9QmVhcmVyI"
    "HZGOWRmdDRxbVRjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB"
)
SMTP = (
    "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9NTg3AWF1dGg9QmVhcmVyI"
    "HZGOWRmdDRxbVRjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB"
)
# 4.3
QUERY = "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQzAWF1dGg9AQE="
ANSWER = (
    "eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIiwic2NvcGUiOiJleGFtcGxlX3Njb3BlIiwib3BlbmlkLWNvbmZpZ3VyYXRp"
    "b24iOiJodHRwczovL2V4YW1wbGUuY29tLy53ZWxsLWtub3duL29wZW5pZC1jb25maWd1cmF0aW9uIn0="
)
# 4.4
MALFORMED = (
    "bix1c2VyPXNvbWV1c2VyQGV4YW1wbGUuY29tLAFhdXRoPUJlYXJlciB2RjlkZnQ0cW1UYzJOdmIzUmxja0JoZEhSaGRt"
    "bHpkR0V1WTI5dENnPT0BAQ=="
)
NO = (
    "eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIiwic2NoZW1lcyI6ImJlYXJlciBtYWMiLCJzY29wZSI6Imh0dHBzOi8vbWFp"
    "bC5leGFtcGxlLmNvbS8ifQ=="
)


@pytest.mark.req("RFC7628-3.1-01", "RFC7628-3.1-03")
@pytest.mark.parametrize(("port", "message"), [(143, IMAP), (587, SMTP)])
def test_the_examples(port: int, message: str) -> None:
    octets = b64decode(message)
    where = channel(host="server.example.com", port=port)
    said = client("OAUTHBEARER", BearerToken(USER, TOKEN), where).initial()
    assert said is not None and b64encode(said.reveal()).decode() == message
    users = Users(tokens={TOKEN: USER})
    assert step(server("OAUTHBEARER", users), octets) == Identity(USER, "", "OAUTHBEARER")
    assert users.asked == [
        TokenClaim(token=Secret(TOKEN), username=USER, host="server.example.com", port=port)
    ]


def test_the_example_of_who_asks_what_token_is_wanted() -> None:
    wanted = TokenRefused(
        scope="example_scope",
        openid_configuration="https://example.com/.well-known/openid-configuration",
    )
    users = Users(tokens={"": USER}, refused=wanted)
    assert isinstance(step(server("OAUTHBEARER", users), b64decode(QUERY)), bytes)
    users = Users(refused=wanted)
    theirs = server("OAUTHBEARER", users)
    assert step(theirs, b64decode(QUERY)) == b64decode(ANSWER)
    assert isinstance(step(theirs, b"\1"), Denied)
    assert users.asked[0].token == Secret("")


def test_the_example_of_a_no() -> None:
    """The message there is malformed: "user=" in place of "a="."""
    with pytest.raises(GrammarError):
        step(server("OAUTHBEARER", Users()), b64decode(MALFORMED))
    exchange = client("OAUTHBEARER", BearerToken(USER, TOKEN))
    exchange.initial()
    assert exchange.step(b64decode(NO)) == Secret(b"\1")
    assert dict(exchange.details) == {
        "status": "invalid_token",
        "schemes": "bearer mac",
        "scope": "https://mail.example.com/",
    }


@pytest.mark.req("XOAUTH2-01")
def test_the_message_of_xoauth2() -> None:
    said = client("XOAUTH2", BearerToken("u", "t")).initial()
    assert said == Secret(b"user=u\x01auth=Bearer t\x01\x01")


@pytest.mark.parametrize(
    ("username", "host", "port", "message"),
    [
        ("", "", 0, b"n,,\1auth=Bearer t\1\1"),
        ("a,b=c", "", 25, b"n,a=a=2Cb=3Dc,\1port=25\1auth=Bearer t\1\1"),
        ("u\u0308", "h", 0, "n,a=\u00fc,\1host=h\1auth=Bearer t\1\1".encode()),
        ("", "b\u00fccher.example", 0, b"n,,\1auth=Bearer t\1\1"),
    ],
)
def test_what_a_client_knows(username: str, host: str, port: int, message: bytes) -> None:
    known = channel(host=host, port=port)
    assert client("OAUTHBEARER", BearerToken(username, "t"), known).initial() == Secret(message)


TOKENS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1)


@given(NAMES, TOKENS, st.integers(1, 65535), st.booleans(), st.sampled_from(BOTH))
def test_what_a_client_says_a_server_understands(
    name: str, token: str, port: int, asked: bool, mechanism: str
) -> None:
    where, user = channel(host="mx.example.org", port=port), saslprep(name)
    users = Users(tokens={token: user})
    ours = client(mechanism, BearerToken(name, token), where)
    assert outcome(ours, server(mechanism, users), asked=asked) == Identity(user, "", mechanism)
    (claim,) = users.asked
    assert (claim.token, claim.username) == (Secret(token), user)
    seen = (where.host, port) if mechanism == "OAUTHBEARER" else ("", 0)
    assert (claim.host, claim.port) == seen


@pytest.mark.parametrize("mechanism", BOTH)
def test_who_claims_to_be_another(mechanism: str) -> None:
    token = BearerToken("bob", "t")
    users = Users(tokens={"t": "ann"})
    assert isinstance(outcome(client(mechanism, token), server(mechanism, users)), Denied)
    users.proxies = [("ann", "bob")]
    said = outcome(client(mechanism, token), server(mechanism, users))
    assert said == Identity("ann", "bob", mechanism)


def test_a_token_may_say_who_it_is() -> None:
    users = Users(tokens={"t": "ann"})
    said = outcome(client("OAUTHBEARER", BearerToken("", "t")), server("OAUTHBEARER", users))
    assert said == Identity("ann", "", "OAUTHBEARER")
    with pytest.raises(GrammarError):
        client("XOAUTH2", BearerToken("", "t"))


@pytest.mark.parametrize("mechanism", BOTH)
@pytest.mark.parametrize("token", ["", "q9 x", "q9\1x", "q9\r\nx", "q9\u00e4", b"q9\xff"])
def test_what_no_token_has(mechanism: str, token: str | bytes) -> None:
    with pytest.raises(GrammarError) as caught:
        client(mechanism, BearerToken("ann", token))
    assert "q9" not in str(caught.value)


@pytest.mark.parametrize("mechanism", BOTH)
def test_what_no_name_has(mechanism: str) -> None:
    with pytest.raises(GrammarError):
        client(mechanism, BearerToken("a\1b", "t"))


# -- the server's side -----------------------------------------------------------------------

AUTH = b"auth=Bearer t\1"


@pytest.mark.req("RFC7628-3.1-02")
@pytest.mark.parametrize(
    "message",
    [
        b"n,," + b"\1" + AUTH + b"\1",
        b"y,,\1" + AUTH + b"\1",
        b"n,a=ann,\1" + AUTH + b"\1",
        b"n,,\1foo=bar\1" + AUTH + b"\1",
        b"n,,\1" + AUTH + b"foo=\1FOO==\1foo=\t\r\n ~\1\1",
        b"n,,\1foo=1\1foo=2\1" + AUTH + b"\1",
        b"n,,\1auth=bEaReR  t\1\1",
        b"n,,\1port=65535\1host=\1" + AUTH + b"\1",
    ],
)
def test_messages(message: bytes) -> None:
    said = step(server("OAUTHBEARER", Users(tokens={"t": "ann"})), message)
    assert said == Identity("ann", "", "OAUTHBEARER")


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\1",  # nothing but the dummy (RFC 7628 3.1)
        b"\1\1",
        b"n,,",
        b"n,,\1",
        b"n,,\1" + AUTH,
        b"n,,\1" + AUTH + b"\1\1",
        b"n,,\1" + AUTH + b"\1x",
        b"n,," + AUTH + b"\1",
        b"n,\1" + AUTH + b"\1",
        b",,\1" + AUTH + b"\1",
        b"N,,\1" + AUTH + b"\1",
        b"p=tls-unique,,\1" + AUTH + b"\1",
        b"F,n,,\1" + AUTH + b"\1",
        b"n,a=,\1" + AUTH + b"\1",
        b"n,ann,\1" + AUTH + b"\1",
        b"n,a=a,b,\1" + AUTH + b"\1",
        b"n,a=a=b,\1" + AUTH + b"\1",
        b"n,a=a=2cb,\1" + AUTH + b"\1",
        b"n,a=\xff,\1" + AUTH + b"\1",
        b"n,a=\x07,\1" + AUTH + b"\1",
        b"n,,\1=x\1" + AUTH + b"\1",
        b"n,,\1f0o=x\1" + AUTH + b"\1",
        b"n,,\1foo\1" + AUTH + b"\1",
        b"n,,\1foo=\0\1" + AUTH + b"\1",
        b"n,,\1foo=\xc3\xa4\1" + AUTH + b"\1",
        b"n,,\1" + AUTH * 2 + b"\1",
        b"n,,\1host=a\1host=b\1" + AUTH + b"\1",
        b"n,,\1port=0\1" + AUTH + b"\1",
        b"n,,\1port=025\1" + AUTH + b"\1",
        b"n,,\1port=65536\1" + AUTH + b"\1",
        b"n,,\1port=\1" + AUTH + b"\1",
        b"n,,\1port=x\1" + AUTH + b"\1",
    ],
)
def test_messages_that_are_none(message: bytes) -> None:
    users = Users(tokens={"t": "ann"})
    with pytest.raises(GrammarError):
        step(server("OAUTHBEARER", users), message)
    assert users.asked == []


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\1",
        b"user=ann\1\1",
        b"user=\1" + AUTH + b"\1",
        b"user=ann\1" + AUTH,
        b"user=ann\1" + AUTH + b"\1\1",
        b"user=ann\1x=y\1" + AUTH + b"\1",
        b"user=\xff\1" + AUTH + b"\1",
        b"User=ann\1" + AUTH + b"\1",
        b"n,a=ann,\1" + AUTH + b"\1",
    ],
)
def test_messages_that_are_none_of_xoauth2(message: bytes) -> None:
    users = Users(tokens={"t": "ann"})
    with pytest.raises(GrammarError):
        step(server("XOAUTH2", users), message)
    assert users.asked == []


@pytest.mark.parametrize("auth", [b"", b"auth=\1", b"auth=Bearer\1", b"auth=Bearer \1"])
@pytest.mark.parametrize("more", [b"", b"foo=bar\1"])
def test_without_a_token_nobody_comes_in(auth: bytes, more: bytes) -> None:
    """Not even if the authenticator says so, who cannot mean it."""
    theirs = server("OAUTHBEARER", Users(tokens={"": "ann"}))
    said = step(theirs, b"n,a=ann,\1" + more + auth + b"\1")
    assert isinstance(said, bytes) and json.loads(said) == {"status": "invalid_token"}
    assert isinstance(step(theirs, b"\1"), Denied)


@pytest.mark.parametrize("auth", [b"MAC t", b"Bearert", b"Basic YW5uOnNlY3JldA==", b"Bearer t t"])
def test_other_schemes(auth: bytes) -> None:
    users = Users(tokens={"t": "ann"})
    assert isinstance(step(server("OAUTHBEARER", users), b"n,,\1auth=" + auth + b"\1\1"), bytes)
    said = step(server("XOAUTH2", users), b"user=ann\1auth=" + auth + b"\1\1")
    assert isinstance(said, bytes)
    assert [claim.token for claim in users.asked] == [Secret("")] * 2


@pytest.mark.req("RFC7628-3.2.2-01")
@pytest.mark.parametrize(
    ("refused", "told", "google"),
    [
        (None, {"status": "invalid_token"}, {"status": "401", "schemes": "bearer"}),
        (
            TokenRefused(status="insufficient_scope", scope="mail"),
            {"status": "insufficient_scope", "scope": "mail"},
            {"status": "403", "schemes": "bearer", "scope": "mail"},
        ),
        (
            TokenRefused(status="invalid_request", openid_configuration="https://x.example/"),
            {"status": "invalid_request", "openid-configuration": "https://x.example/"},
            {"status": "400", "schemes": "bearer"},
        ),
    ],
)
@pytest.mark.parametrize("dummy", [b"\1", b"", AUTH])
def test_why_not(refused: TokenRefused | None, told: object, google: object, dummy: bytes) -> None:
    """And whatever the client answers, it is no."""
    users = Users(tokens={"t": "ann"}, refused=refused)
    for name, expected in (("OAUTHBEARER", told), ("XOAUTH2", google)):
        theirs, ours = server(name, users), client(name, BearerToken("ann", "wrong"))
        said = run(theirs.step(ours.initial()))
        assert isinstance(said, bytes) and json.loads(said) == expected
        ours.step(said)
        assert dict(ours.details) == expected
        assert isinstance(step(theirs, dummy), Denied)
        again = client(name, BearerToken("ann", "t")).initial()
        assert isinstance(run(theirs.step(again)), Denied)


@pytest.mark.req("RFC7628-3.2-01")
def test_who_means_another_server() -> None:
    class Strict(Users):
        def check_token(self, claim: TokenClaim) -> str | None:
            here = (claim.host, claim.port) == (SERVER.host, SERVER.port)
            return "ann" if here else None

    token = BearerToken("ann", "t")
    here = outcome(client("OAUTHBEARER", token, SERVER), server("OAUTHBEARER", Strict()))
    assert isinstance(here, Identity)
    for elsewhere in (channel(host="evil.example", port=587), channel(host=SERVER.host, port=25)):
        ours = client("OAUTHBEARER", token, elsewhere)
        assert isinstance(outcome(ours, server("OAUTHBEARER", Strict())), Denied)


# -- the client's side -----------------------------------------------------------------------


@pytest.mark.parametrize(("mechanism", "dummy"), [("OAUTHBEARER", b"\1"), ("XOAUTH2", b"")])
def test_a_no_stays_a_no(mechanism: str, dummy: bytes) -> None:
    exchange = client(mechanism, BearerToken("ann", "t"))
    exchange.finish()
    assert exchange.step(b'{"status":"invalid_token"}') == Secret(dummy)
    with pytest.raises(RemoteProtocolError):
        exchange.finish()
    with pytest.raises(RemoteProtocolError):
        exchange.step(b"{}")


@pytest.mark.parametrize("mechanism", BOTH)
def test_a_server_may_ask_once(mechanism: str) -> None:
    exchange = client(mechanism, BearerToken("ann", "t"))
    assert exchange.step(b"") == exchange.initial()
    exchange.finish()
    assert exchange.step(b"") != exchange.initial()
    with pytest.raises(RemoteProtocolError):
        exchange.finish()


@pytest.mark.parametrize(
    ("challenge", "details"),
    [
        (b"no", {}),
        (b"\xff", {}),
        (b"[]", {}),
        (b'"status"', {}),
        (b"null", {}),
        (b"[" * 8000, {}),
        (b'{"status":' * 800, {}),
        (b'{"status":' + b"9" * 5000 + b"}", {}),
        (b'{"status":"' + b"x" * 9000 + b'"}', {}),
        (b'{"status":["x"],"scope":null,"more":"x"}', {}),
        (
            b'{"status":400,"scope":"a\\nb\\u001b\\ud800"}',
            {"status": "400", "scope": r"a\nb\x1b\ud800"},
        ),
        (b'{"status":1e999,"schemes":NaN,"scope":"s"}', {"scope": "s"}),
        ('{"status":"401"}'.encode("utf-16"), {}),
    ],
)
@pytest.mark.parametrize("mechanism", BOTH)
def test_json_of_a_hostile_server(
    mechanism: str, challenge: bytes, details: dict[str, str]
) -> None:
    exchange = client(mechanism, BearerToken("ann", "t"))
    exchange.step(challenge)
    assert dict(exchange.details) == details


@given(st.binary(max_size=300) | st.text(max_size=100).map(lambda text: json.dumps(text).encode()))
def test_any_challenge_is_a_no(challenge: bytes) -> None:
    exchange = client("OAUTHBEARER", BearerToken("ann", "t"))
    exchange.step(b"")
    assert exchange.step(challenge) == Secret(b"\1")
    with pytest.raises(RemoteProtocolError):
        exchange.finish()


# -- when they are used ----------------------------------------------------------------------


@pytest.mark.req("RFC7628-3-01")
def test_never_in_clear() -> None:
    token, clear = BearerToken("ann", "t"), channel(secure=False)
    assert usable(token, BOTH, clear) == ()
    offered = offers(Users(), clear)
    assert "PLAIN" in offered and not set(BOTH) & set(offered)
    assert set(BOTH) <= set(offers(Users(), channel()))


@pytest.mark.req("XOAUTH2-04")
def test_the_standard_comes_first() -> None:
    first, second = usable(BearerToken("ann", "t"), ["XOAUTH2", "PLAIN", "OAUTHBEARER"], channel())
    assert (first.name, second.name) == ("OAUTHBEARER", "XOAUTH2")

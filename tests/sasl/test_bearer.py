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
from smtpproto.sasl import (
    BearerToken,
    Channel,
    Denied,
    Identity,
    TokenClaim,
    TokenRefused,
    offers,
    usable,
)
from smtpproto.sasl.prepare import saslprep

from .exchanges import NAMES, Users, log_in, make_channel, make_client, make_server, step

BOTH = ["OAUTHBEARER", "XOAUTH2"]
TOKEN = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="
USER = "user@example.com"
SERVER = make_channel(host="server.example.com", port=587)

# RFC 7628 4.1: the example for IMAP, and the same for SMTP.
IMAP_MESSAGE = (
    "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQzAWF1dGg9QmVhcmVyI"
    "HZGOWRmdDRxbVRjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB"
)
SMTP_MESSAGE = (
    "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9NTg3AWF1dGg9QmVhcmVyI"
    "HZGOWRmdDRxbVRjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB"
)
# RFC 7628 4.3: a client asks what the server wants, and the answer.
QUERY = "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQzAWF1dGg9AQE="
ANSWER = (
    "eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIiwic2NvcGUiOiJleGFtcGxlX3Njb3BlIiwib3BlbmlkLWNvbmZpZ3VyYXRp"
    "b24iOiJodHRwczovL2V4YW1wbGUuY29tLy53ZWxsLWtub3duL29wZW5pZC1jb25maWd1cmF0aW9uIn0="
)
# RFC 7628 4.4: a message, and the refusal.
MALFORMED = (
    "bix1c2VyPXNvbWV1c2VyQGV4YW1wbGUuY29tLAFhdXRoPUJlYXJlciB2RjlkZnQ0cW1UYzJOdmIzUmxja0JoZEhSaGRt"
    "bHpkR0V1WTI5dENnPT0BAQ=="
)
REFUSAL = (
    "eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIiwic2NoZW1lcyI6ImJlYXJlciBtYWMiLCJzY29wZSI6Imh0dHBzOi8vbWFp"
    "bC5leGFtcGxlLmNvbS8ifQ=="
)


@pytest.mark.req("RFC7628-3.1-01", "RFC7628-3.1-03")
@pytest.mark.parametrize(("port", "message"), [(143, IMAP_MESSAGE), (587, SMTP_MESSAGE)])
def test_both_sides_reproduce_the_examples_of_rfc_7628_4_1(port: int, message: str) -> None:
    octets = b64decode(message)
    channel = make_channel(host="server.example.com", port=port)
    initial = make_client("OAUTHBEARER", BearerToken(USER, TOKEN), channel).initial()
    assert initial is not None and b64encode(initial.reveal()).decode() == message
    users = Users(tokens={TOKEN: USER})
    assert step(make_server("OAUTHBEARER", users), octets) == Identity(USER, "", "OAUTHBEARER")
    assert users.calls == [
        TokenClaim(token=Secret(TOKEN), username=USER, host="server.example.com", port=port)
    ]


def test_a_client_without_a_token_learns_what_the_server_wants() -> None:
    wanted = TokenRefused(
        scope="example_scope",
        openid_configuration="https://example.com/.well-known/openid-configuration",
    )
    users = Users(tokens={"": USER}, refused=wanted)
    assert isinstance(step(make_server("OAUTHBEARER", users), b64decode(QUERY)), bytes)
    users = Users(refused=wanted)
    server = make_server("OAUTHBEARER", users)
    assert step(server, b64decode(QUERY)) == b64decode(ANSWER)
    assert isinstance(step(server, b"\1"), Denied)
    assert users.calls[0].token == Secret("")


def test_the_refusal_of_rfc_7628_4_4_is_read_and_its_message_refused() -> None:
    """The message in this example is malformed: it has "user=" instead of "a="."""
    with pytest.raises(GrammarError):
        step(make_server("OAUTHBEARER", Users()), b64decode(MALFORMED))
    client = make_client("OAUTHBEARER", BearerToken(USER, TOKEN))
    client.initial()
    assert client.step(b64decode(REFUSAL)) == Secret(b"\1")
    assert dict(client.details) == {
        "status": "invalid_token",
        "schemes": "bearer mac",
        "scope": "https://mail.example.com/",
    }


@pytest.mark.req("XOAUTH2-01")
def test_xoauth2_sends_the_user_name_and_the_token() -> None:
    initial = make_client("XOAUTH2", BearerToken("u", "t")).initial()
    assert initial == Secret(b"user=u\x01auth=Bearer t\x01\x01")


@pytest.mark.parametrize(
    ("username", "host", "port", "message"),
    [
        ("", "", 0, b"n,,\1auth=Bearer t\1\1"),
        ("a,b=c", "", 25, b"n,a=a=2Cb=3Dc,\1port=25\1auth=Bearer t\1\1"),
        ("u\u0308", "h", 0, "n,a=\u00fc,\1host=h\1auth=Bearer t\1\1".encode()),
        ("", "b\u00fccher.example", 0, b"n,,\1auth=Bearer t\1\1"),
    ],
)
def test_the_client_sends_user_host_and_port_if_it_knows_them(
    username: str, host: str, port: int, message: bytes
) -> None:
    known = make_channel(host=host, port=port)
    assert make_client("OAUTHBEARER", BearerToken(username, "t"), known).initial() == Secret(
        message
    )


TOKENS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1)


@given(NAMES, TOKENS, st.integers(1, 65535), st.booleans(), st.sampled_from(BOTH))
def test_any_user_name_and_token_log_in_and_reach_the_authenticator(
    name: str, token: str, port: int, on_request: bool, mechanism: str
) -> None:
    channel, user = make_channel(host="mx.example.org", port=port), saslprep(name)
    users = Users(tokens={token: user})
    client = make_client(mechanism, BearerToken(name, token), channel)
    assert log_in(client, make_server(mechanism, users), on_request=on_request) == Identity(
        user, "", mechanism
    )
    (claim,) = users.calls
    assert (claim.token, claim.username) == (Secret(token), user)
    seen = (channel.host, port) if mechanism == "OAUTHBEARER" else ("", 0)
    assert (claim.host, claim.port) == seen


@pytest.mark.parametrize("mechanism", BOTH)
def test_a_token_of_another_user_needs_permission_to_act_as(mechanism: str) -> None:
    token = BearerToken("bob", "t")
    users = Users(tokens={"t": "ann"})
    assert isinstance(log_in(make_client(mechanism, token), make_server(mechanism, users)), Denied)
    users.proxies = [("ann", "bob")]
    result = log_in(make_client(mechanism, token), make_server(mechanism, users))
    assert result == Identity("ann", "bob", mechanism)


def test_oauthbearer_needs_no_user_name_and_xoauth2_does() -> None:
    users = Users(tokens={"t": "ann"})
    result = log_in(
        make_client("OAUTHBEARER", BearerToken("", "t")), make_server("OAUTHBEARER", users)
    )
    assert result == Identity("ann", "", "OAUTHBEARER")
    with pytest.raises(GrammarError):
        make_client("XOAUTH2", BearerToken("", "t"))


@pytest.mark.parametrize("mechanism", BOTH)
@pytest.mark.parametrize("token", ["", "q9 x", "q9\1x", "q9\r\nx", "q9\u00e4", b"q9\xff"])
def test_the_client_refuses_an_invalid_token_and_does_not_show_it(
    mechanism: str, token: str | bytes
) -> None:
    with pytest.raises(GrammarError) as caught:
        make_client(mechanism, BearerToken("ann", token))
    assert "q9" not in str(caught.value)


@pytest.mark.parametrize("mechanism", BOTH)
def test_the_client_refuses_a_control_character_in_the_user_name(mechanism: str) -> None:
    with pytest.raises(GrammarError):
        make_client(mechanism, BearerToken("a\1b", "t"))


# -- the server's side ---------------------------------------------------------------------------

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
def test_the_server_accepts_valid_messages(message: bytes) -> None:
    result = step(make_server("OAUTHBEARER", Users(tokens={"t": "ann"})), message)
    assert result == Identity("ann", "", "OAUTHBEARER")


@pytest.mark.req("RFC7628-3.1-01")
@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\1",  # only the dummy response (RFC 7628 3.1)
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
def test_the_server_refuses_malformed_messages(message: bytes) -> None:
    users = Users(tokens={"t": "ann"})
    with pytest.raises(GrammarError):
        step(make_server("OAUTHBEARER", users), message)
    assert users.calls == []


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
def test_the_server_refuses_malformed_messages_of_xoauth2(message: bytes) -> None:
    users = Users(tokens={"t": "ann"})
    with pytest.raises(GrammarError):
        step(make_server("XOAUTH2", users), message)
    assert users.calls == []


@pytest.mark.parametrize("auth", [b"", b"auth=\1", b"auth=Bearer\1", b"auth=Bearer \1"])
@pytest.mark.parametrize("more", [b"", b"foo=bar\1"])
def test_a_login_without_a_token_fails_even_if_the_authenticator_accepts(
    auth: bytes, more: bytes
) -> None:
    server = make_server("OAUTHBEARER", Users(tokens={"": "ann"}))
    challenge = step(server, b"n,a=ann,\1" + more + auth + b"\1")
    assert isinstance(challenge, bytes) and json.loads(challenge) == {"status": "invalid_token"}
    assert isinstance(step(server, b"\1"), Denied)


@pytest.mark.parametrize("auth", [b"MAC t", b"Bearert", b"Basic YW5uOnNlY3JldA==", b"Bearer t t"])
def test_a_token_of_another_scheme_is_treated_as_no_token(auth: bytes) -> None:
    users = Users(tokens={"t": "ann"})
    assert isinstance(
        step(make_server("OAUTHBEARER", users), b"n,,\1auth=" + auth + b"\1\1"), bytes
    )
    challenge = step(make_server("XOAUTH2", users), b"user=ann\1auth=" + auth + b"\1\1")
    assert isinstance(challenge, bytes)
    assert [claim.token for claim in users.calls] == [Secret("")] * 2


@pytest.mark.req("RFC7628-3.2.2-01")
@pytest.mark.parametrize(
    ("refused", "expected_fields", "expected_google"),
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
def test_a_refused_token_fails_the_login_and_the_client_learns_why(
    refused: TokenRefused | None, expected_fields: object, expected_google: object, dummy: bytes
) -> None:
    users = Users(tokens={"t": "ann"}, refused=refused)
    for name, expected in (("OAUTHBEARER", expected_fields), ("XOAUTH2", expected_google)):
        server, client = make_server(name, users), make_client(name, BearerToken("ann", "wrong"))
        challenge = run(server.step(client.initial()))
        assert isinstance(challenge, bytes) and json.loads(challenge) == expected
        client.step(challenge)
        assert dict(client.details) == expected
        assert isinstance(step(server, dummy), Denied)
        again = make_client(name, BearerToken("ann", "t")).initial()
        assert isinstance(run(server.step(again)), Denied)


@pytest.mark.req("RFC7628-3.2-01")
@pytest.mark.parametrize(
    ("host", "port", "meant"),
    [
        (SERVER.host, SERVER.port, True),
        (SERVER.host.upper(), SERVER.port, True),
        (f"{SERVER.host}.", SERVER.port, True),
        ("", 0, True),
        ("", SERVER.port, True),
        (SERVER.host, 0, True),
        ("evil.example", SERVER.port, False),
        ("evil.example", 0, False),
        (SERVER.host, 25, False),
        ("", 25, False),
    ],
)
def test_a_token_meant_for_another_server_is_refused_unasked(
    host: str, port: int, meant: bool
) -> None:
    users = Users(tokens={"t": "ann"})
    client = make_client("OAUTHBEARER", BearerToken("ann", "t"), make_channel(host=host, port=port))
    end = log_in(client, make_server("OAUTHBEARER", users, SERVER))
    assert isinstance(end, Identity if meant else Denied)
    assert bool(users.calls) is meant
    assert meant or client.details == {"status": "invalid_request"}


def test_a_server_may_have_other_names_and_ports() -> None:
    class Aliased(Users):
        def is_dialled_as(self, host: str, port: int, channel: Channel) -> bool:
            return (host, port) == ("alias.example", 1587)

    users = Aliased(tokens={"t": "ann"})
    for host, kind in (("alias.example", Identity), (SERVER.host, Denied)):
        channel = make_channel(host=host, port=1587)
        client = make_client("OAUTHBEARER", BearerToken("ann", "t"), channel)
        assert isinstance(log_in(client, make_server("OAUTHBEARER", users, SERVER)), kind)


def test_a_server_that_is_called_localhost_does_not_know_its_name() -> None:
    users, local = Users(tokens={"t": "ann"}), make_channel(host="localhost", port=SERVER.port)
    client = make_client("OAUTHBEARER", BearerToken("ann", "t"), SERVER)
    assert isinstance(log_in(client, make_server("OAUTHBEARER", users, local)), Identity)


# -- the client's side ---------------------------------------------------------------------------


@pytest.mark.parametrize(("mechanism", "dummy"), [("OAUTHBEARER", b"\1"), ("XOAUTH2", b"")])
def test_a_server_cannot_accept_or_go_on_after_a_refusal(mechanism: str, dummy: bytes) -> None:
    client = make_client(mechanism, BearerToken("ann", "t"))
    client.finish()
    assert client.step(b'{"status":"invalid_token"}') == Secret(dummy)
    with pytest.raises(RemoteProtocolError):
        client.finish()
    with pytest.raises(RemoteProtocolError):
        client.step(b"{}")


@pytest.mark.parametrize("mechanism", BOTH)
def test_one_empty_challenge_requests_the_initial_response(mechanism: str) -> None:
    client = make_client(mechanism, BearerToken("ann", "t"))
    assert client.step(b"") == client.initial()
    client.finish()
    assert client.step(b"") != client.initial()
    with pytest.raises(RemoteProtocolError):
        client.finish()


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
def test_only_known_and_escaped_details_are_kept_of_the_servers_json(
    mechanism: str, challenge: bytes, details: dict[str, str]
) -> None:
    client = make_client(mechanism, BearerToken("ann", "t"))
    client.step(challenge)
    assert dict(client.details) == details


@given(st.binary(max_size=300) | st.text(max_size=100).map(lambda text: json.dumps(text).encode()))
def test_any_challenge_after_the_message_is_a_refusal(challenge: bytes) -> None:
    client = make_client("OAUTHBEARER", BearerToken("ann", "t"))
    client.step(b"")
    assert client.step(challenge) == Secret(b"\1")
    with pytest.raises(RemoteProtocolError):
        client.finish()


# -- when tokens are used ------------------------------------------------------------------------


@pytest.mark.req("RFC7628-3-01/client", "RFC7628-3-01/server")
def test_tokens_are_never_used_in_clear() -> None:
    token, clear = BearerToken("ann", "t"), make_channel(secure=False)
    assert usable(token, BOTH, clear) == ()
    offered = offers(Users(), clear)
    assert "PLAIN" in offered and not set(BOTH) & set(offered)
    assert set(BOTH) <= set(offers(Users(), make_channel()))


@pytest.mark.req("XOAUTH2-04")
def test_oauthbearer_is_preferred_to_xoauth2() -> None:
    first, second = usable(
        BearerToken("ann", "t"), ["XOAUTH2", "PLAIN", "OAUTHBEARER"], make_channel()
    )
    assert (first.name, second.name) == ("OAUTHBEARER", "XOAUTH2")

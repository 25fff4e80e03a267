"""ANONYMOUS (RFC 4505)."""

from __future__ import annotations

import stringprep
from base64 import b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto.errors import GrammarError, RemoteProtocolError
from smtpproto.grammar.secret import Secret
from smtpproto.sasl import Anonymous, Authenticator, Denied, Identity, offers

from .exchanges import Users, log_in, make_channel, make_client, make_server, step

ANONYMOUS = Identity("anonymous", "", "ANONYMOUS")
LONGEST = "\U0001f600" * 255


def test_both_sides_reproduce_the_example_of_rfc_4505() -> None:
    message = b64decode("c2lyaGM=")
    assert make_client("ANONYMOUS", Anonymous("sirhc")).initial() == Secret(message)
    users, server = Users(anonymous=True), make_server("ANONYMOUS", Users(anonymous=True))
    assert step(server, None) == b""
    assert step(server, message) == ANONYMOUS
    assert step(make_server("ANONYMOUS", users), message) == ANONYMOUS
    assert users.calls == ["sirhc"]


@pytest.mark.req("RFC4505-3-01/client", "RFC4505-3-01/server", "RFC4505-2-01")
@pytest.mark.parametrize(
    "trace", ["", "ann@example.org", "\u00ad\u00a0 \u2168", "e\u0301", "\u0627\u0628", LONGEST]
)
def test_the_authenticator_receives_the_trace_unchanged(trace: str) -> None:
    users = Users(anonymous=True)
    client, server = make_client("ANONYMOUS", Anonymous(trace)), make_server("ANONYMOUS", users)
    assert log_in(client, server) == ANONYMOUS
    assert users.calls == [trace]


@pytest.mark.req("RFC4505-3-01/client", "RFC4505-3-01/server", "RFC4505-2-01")
@pytest.mark.parametrize(
    "trace",
    ["a\0b", "\x7f", "\u0085", "\ue000", "\ufffd", "\u200e", "\u0627a\u0628", LONGEST + "a"],
)
def test_both_sides_refuse_an_invalid_trace(trace: str) -> None:
    users = Users(anonymous=True)
    with pytest.raises(GrammarError):
        make_client("ANONYMOUS", Anonymous(trace))
    with pytest.raises(GrammarError):
        step(make_server("ANONYMOUS", users), trace)
    assert users.calls == []


@given(st.text(), st.booleans())
def test_the_server_accepts_each_trace_that_a_client_sends(trace: str, on_request: bool) -> None:
    try:
        client = make_client("ANONYMOUS", Anonymous(trace))
    except GrammarError:
        return
    assert not any(map(stringprep.in_table_c21_c22, trace))
    users = Users(anonymous=True)
    assert log_in(client, make_server("ANONYMOUS", users), on_request=on_request) == ANONYMOUS
    assert users.calls == [trace]


@given(st.binary())
def test_the_server_raises_only_grammar_errors(octets: bytes) -> None:
    users = Users(anonymous=True)
    try:
        result = step(make_server("ANONYMOUS", users), octets)
    except GrammarError:
        assert users.calls == []
        return
    assert result == ANONYMOUS and users.calls == [octets.decode()]


@pytest.mark.req("RFC4505-5-01")
def test_anonymous_login_needs_the_authenticators_permission() -> None:
    assert isinstance(step(make_server("ANONYMOUS", Users()), "sirhc"), Denied)
    assert offers(Authenticator(), make_channel()) == ()


def test_anonymous_is_offered_without_tls() -> None:
    assert "ANONYMOUS" in offers(Users(), make_channel(secure=False))


def test_the_client_refuses_a_challenge() -> None:
    with pytest.raises(RemoteProtocolError):
        make_client("ANONYMOUS", Anonymous()).step(b"who?")

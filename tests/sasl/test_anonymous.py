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

from .parties import Users, channel, client, outcome, server, step

NOBODY = Identity("anonymous", "", "ANONYMOUS")
LONG = "\U0001f600" * 255


def test_the_example() -> None:
    message = b64decode("c2lyaGM=")
    assert client("ANONYMOUS", Anonymous("sirhc")).initial() == Secret(message)
    users, theirs = Users(anonymous=True), server("ANONYMOUS", Users(anonymous=True))
    assert step(theirs, None) == b""
    assert step(theirs, message) == NOBODY
    assert step(server("ANONYMOUS", users), message) == NOBODY
    assert users.asked == ["sirhc"]


@pytest.mark.parametrize(
    "trace", ["", "ann@example.org", "\u00ad\u00a0 \u2168", "e\u0301", "\u0627\u0628", LONG]
)
def test_a_trace_arrives_as_it_is(trace: str) -> None:
    users = Users(anonymous=True)
    assert outcome(client("ANONYMOUS", Anonymous(trace)), server("ANONYMOUS", users)) == NOBODY
    assert users.asked == [trace]


@pytest.mark.parametrize(
    "trace", ["a\0b", "\x7f", "\u0085", "\ue000", "\ufffd", "\u200e", "\u0627a\u0628", LONG + "a"]
)
def test_what_no_trace_has(trace: str) -> None:
    users = Users(anonymous=True)
    with pytest.raises(GrammarError):
        client("ANONYMOUS", Anonymous(trace))
    with pytest.raises(GrammarError):
        step(server("ANONYMOUS", users), trace)
    assert users.asked == []


@given(st.text(), st.booleans())
def test_both_sides_agree_on_traces(trace: str, asked: bool) -> None:
    try:
        ours = client("ANONYMOUS", Anonymous(trace))
    except GrammarError:
        return
    assert not any(map(stringprep.in_table_c21_c22, trace))
    users = Users(anonymous=True)
    assert outcome(ours, server("ANONYMOUS", users), asked=asked) == NOBODY
    assert users.asked == [trace]


@given(st.binary())
def test_only_our_error_escapes(octets: bytes) -> None:
    users = Users(anonymous=True)
    try:
        said = step(server("ANONYMOUS", users), octets)
    except GrammarError:
        assert users.asked == []
        return
    assert said == NOBODY and users.asked == [octets.decode()]


def test_not_everywhere() -> None:
    assert isinstance(step(server("ANONYMOUS", Users()), "sirhc"), Denied)
    assert offers(Authenticator(), channel()) == ()
    assert "ANONYMOUS" in offers(Users(), channel(secure=False))
    with pytest.raises(RemoteProtocolError):
        client("ANONYMOUS", Anonymous()).step(b"who?")

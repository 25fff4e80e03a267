"""SASLprep (RFC 4013)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto.errors import GrammarError
from smtpproto.grammar.secret import Secret
from smtpproto.sasl import Identity, Login
from smtpproto.sasl.prepare import saslprep

from .exchanges import Users, make_client, make_server, step


@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        ("I\u00adX", "IX"),  # the examples of RFC 4013 3
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        ("a\u00a0b\u3000c", "a b c"),
        ("e\u0301", "\u00e9"),
        ("\u0627\u0628", "\u0627\u0628"),
        ("\u0627\u0031\u0628", "\u0627\u0031\u0628"),
        ("\U0001fae0", "\U0001fae0"),  # a character that Unicode added after RFC 3454
        ("", ""),
    ],
)
def test_text_is_mapped_and_normalized(text: str, prepared: str) -> None:
    assert saslprep(text) == prepared


@pytest.mark.parametrize(
    "text", ["\x07", "\x7f", "a\0b", "\u0627\u0031", "\u0627a\u0628", "\u200e", "\ue000", "\ufffd"]
)
def test_prohibited_characters_are_refused(text: str) -> None:
    with pytest.raises(GrammarError):
        saslprep(text)


@given(st.text())
def test_preparing_twice_changes_nothing_and_only_grammar_errors_escape(text: str) -> None:
    try:
        prepared = saslprep(text)
    except GrammarError:
        return
    assert saslprep(prepared) == prepared


MAPPED = [
    ("I\u00adX", "IX"), ("a\u1806b", "ab"), ("a\u00a0b", "a b"), ("a\u3000b", "a b"),
    ("\u00aa", "a"), ("\u2168", "IX"), ("e\u0301", "\u00e9"),
]  # fmt: skip
# One character of each prohibited table, and texts in two writing directions (RFC 4013 2.3, 2.4).
PROHIBITED = [
    "\x07", "\x7f", "\u0085", "\u2028", "\ue000", "\U000f0000", "\ufdd0", "\ufffd", "\u2ff0",
    "\u200e", "\u202a", "\U000e0001", "\u0627a\u0628", "\u06271", "1\u0627",
]  # fmt: skip


@pytest.mark.req("RFC4013-2.1-01/client", "RFC4013-2.2-01/client")
@pytest.mark.parametrize(("text", "prepared"), MAPPED)
def test_a_client_sends_user_names_prepared(text: str, prepared: str) -> None:
    message = make_client("PLAIN", Login(text, "secret")).initial()
    assert message == Secret(f"\0{prepared}\0secret")


@pytest.mark.req("RFC4013-2.1-01/server", "RFC4013-2.2-01/server")
@pytest.mark.parametrize(("text", "prepared"), MAPPED)
def test_a_server_prepares_the_names_and_passwords_that_it_receives(
    text: str, prepared: str
) -> None:
    users = Users(passwords={prepared: prepared})
    assert isinstance(step(make_server("PLAIN", users), f"\0{text}\0{text}"), Identity)
    assert users.calls == [(prepared, Secret(prepared))]


@pytest.mark.req("RFC4013-2.3-01/client", "RFC4013-2.4-01/client")
@pytest.mark.parametrize("text", PROHIBITED)
def test_a_client_refuses_names_and_passwords_with_prohibited_characters(text: str) -> None:
    with pytest.raises(GrammarError):
        make_client("PLAIN", Login(text, "secret"))
    with pytest.raises(GrammarError):
        make_client("CRAM-MD5", Login("ann", text))


@pytest.mark.req("RFC4013-2.3-01/server", "RFC4013-2.4-01/server")
@pytest.mark.parametrize("text", PROHIBITED)
def test_a_server_refuses_names_and_passwords_with_prohibited_characters(text: str) -> None:
    users = Users()
    for message in (f"\0ann\0{text}", f"\0{text}\0secret"):
        with pytest.raises(GrammarError):
            step(make_server("PLAIN", users), message)
    assert users.calls == []

"""The AUTH command (RFC 4954 4)."""

from __future__ import annotations

import pytest

from smtpproto.errors import GrammarError
from smtpproto.grammar import extension_command as x
from smtpproto.grammar.command_line import parse_command
from smtpproto.grammar.secret import Secret


@pytest.mark.req("RFC4422-3.1-01")
def test_a_mechanism_name_has_1_to_20_upper_case_characters() -> None:
    for name in ("A", "A" * 20, "SCRAM-SHA-256", "X_1"):
        assert x.Auth(name).mechanism == name
    for name in ("", "A" * 21, "plain", "A.B", "A B", "É", "PLAIN\n"):
        with pytest.raises(GrammarError):
            x.Auth(name)


@pytest.mark.req("RFC4954-4-01", "RFC4954-4-13", "RFC4954-4-15/client", "RFC4954-4-15/server")
@pytest.mark.parametrize(
    "response",
    ["!!!", "A", "AA", "AAA", "AA=", "AAAA=", "AAAA==", "=AAA", "AAA=BBB", "==", "AA==AA==",
     "AA AA", "-_==", "é", "*"],
)  # fmt: skip
def test_an_initial_response_that_is_not_base64_is_refused_with_501(response: str) -> None:
    with pytest.raises(GrammarError) as caught:
        parse_command(f"AUTH PLAIN {response}".encode())
    assert caught.value.reply is not None
    assert (caught.value.reply.code, str(caught.value.reply.enhanced)) == (501, "5.5.2")


@pytest.mark.req("RFC4954-4-01")
def test_an_empty_initial_response_differs_from_none() -> None:
    empty, absent = parse_command(b"AUTH EXTERNAL ="), parse_command(b"AUTH EXTERNAL")
    assert isinstance(empty, x.Auth)
    assert isinstance(absent, x.Auth)
    assert empty.initial == Secret(b"")
    assert absent.initial is None
    assert empty != absent

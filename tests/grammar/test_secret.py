"""Secrets: compared and used, but never shown (RFC 4954 8)."""

from __future__ import annotations

import base64
import copy
import pickle

import pytest

from smtpproto.errors import GrammarError
from smtpproto.grammar import extension_command as x
from smtpproto.grammar.command_line import parse_command
from smtpproto.grammar.secret import Secret


def test_a_secret_can_be_compared_but_not_pickled_or_copied() -> None:
    secret = Secret("pä55")
    assert secret.reveal() == "pä55".encode()
    assert secret == Secret("pä55".encode())
    assert hash(secret) == hash(Secret("pä55"))
    assert secret != Secret("other")
    assert not hasattr(secret, "__dict__")
    for leak in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="Secret"):
            leak(secret)


@pytest.mark.parametrize(
    "same", ["pä55", "pä55".encode(), bytearray("pä55".encode()), Secret("pä55")]
)
def test_a_secret_is_equal_to_the_same_text_and_octets(same: object) -> None:
    """Otherwise ``password == "secret"`` would be False without a word."""
    assert Secret("pä55") == same and same == Secret("pä55")
    assert Secret("pä55 ") != same


@pytest.mark.parametrize("other", [None, 4, "p\udce455", "p?55", ["pä55"]])
def test_a_secret_is_not_equal_to_anything_else(other: object) -> None:
    assert Secret("pä55") != other and other != Secret("pä55")


def test_a_secret_has_the_hash_of_its_text() -> None:
    assert Secret("pä55") in {"pä55"} and "pä55" in {Secret("pä55")}
    hash(Secret(b"\xff"))


def test_secrets_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[object] = []
    monkeypatch.setattr("hmac.compare_digest", lambda *values: compared.append(values))
    for other in ("a", b"a", Secret("a")):
        assert not Secret("b") == other  # noqa: SIM201 - this is what is tested
    assert compared == [(b"b", b"a")] * 3


def test_a_secret_appears_only_in_the_wire_form() -> None:
    password = "s3cret-Pa55"
    response = f"\0ann\0{password}".encode()
    encoded = base64.b64encode(response).decode()
    secret, auth = Secret(response), x.Auth("PLAIN", Secret(response))
    with pytest.raises(GrammarError) as error:
        parse_command(f"AUTH PLAIN {encoded}!".encode())
    shown = [
        repr(secret), str(secret), f"{secret}", f"{secret!s}", f"{secret!r}", f"{secret:}",
        "%s" % secret, "%r" % (secret,), format(secret), repr([secret]), repr({"a": secret}),  # noqa: UP031
        repr(auth), str(auth), f"{auth}", f"{auth!r}", "%s" % auth, repr([auth]),  # noqa: UP031
        repr(parse_command(f"AUTH PLAIN {encoded}".encode())),
        str(error.value), repr(error.value), str(error.value.reply),
    ]  # fmt: skip
    for text in shown:
        assert password not in text
        assert encoded not in text
        assert "s3cret" not in text
    assert str(auth) == "AUTH PLAIN ***"
    assert repr(secret) == "Secret(***)"
    assert bytes(auth) == f"AUTH PLAIN {encoded}".encode()  # only the wire form contains it
    assert str(x.Auth("PLAIN")) == "AUTH PLAIN"
    assert str(x.Auth("PLAIN", Secret(b""))) == "AUTH PLAIN ***"

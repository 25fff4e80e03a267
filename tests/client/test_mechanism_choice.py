"""The mechanism that a client chooses for a login."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from smtpproto import (
    Anonymous,
    BearerToken,
    External,
    LocalProtocolError,
    Login,
    NotOffered,
)
from smtpproto.sasl import MECHANISMS, Channel, Credential, usable
from tests.support.dialogue import GOODBYE, hello, play

ANN = Login("ann", "secret")


CLEAR = Channel(random=bytes)


TLS = Channel(random=bytes, secure=True)


BOUND = Channel(random=bytes, secure=True, bindings={"tls-exporter": b"x"})


ALL = [mechanism.name for mechanism in MECHANISMS]


def names(credential: Credential, channel: Channel, offered: list[str] = ALL) -> list[str]:
    return [mechanism.name for mechanism in usable(credential, offered, channel)]


# -- which mechanisms a credential may use -------------------------------------------------------


@pytest.mark.req("SASL-LOGIN-01", "XOAUTH2-04")
def test_the_strongest_usable_mechanism_comes_first() -> None:
    scram = ["SCRAM-SHA-256", "SCRAM-SHA-1"]
    plus = [f"{name}-PLUS" for name in scram]
    simple = ["CRAM-MD5", "PLAIN", "LOGIN"]
    assert names(ANN, BOUND) == plus + scram + simple
    assert names(ANN, TLS) == scram + simple
    assert names(BearerToken("ann", "t"), TLS) == ["OAUTHBEARER", "XOAUTH2"]
    assert names(External(), TLS) == ["EXTERNAL"]
    assert names(Anonymous(), TLS) == names(Anonymous(), CLEAR) == ["ANONYMOUS"]
    assert names(ANN, TLS, ["LOGIN", "PLAIN"])[0] == "PLAIN"


@pytest.mark.req("RFC7628-3-01/client", "XOAUTH2-03")
@pytest.mark.parametrize("offered", [ALL, ["OAUTHBEARER", "XOAUTH2", "EXTERNAL"]], ids=len)
@pytest.mark.parametrize("credential", [BearerToken("ann", "t"), External()], ids=type)
def test_tokens_and_external_are_never_used_in_clear(
    credential: Credential, offered: list[str]
) -> None:
    """Not even with *login_in_clear*."""
    assert names(credential, CLEAR, offered) == []
    script = hello(f"AUTH {' '.join(offered)}") + GOODBYE  # without AUTH
    with pytest.raises(NotOffered):
        logged_in(script, credential, login_in_clear=True)


def test_a_login_with_authzid_uses_no_mechanism_that_cannot_send_it() -> None:
    as_bob = Login("ann", "x", "bob")
    assert not {"LOGIN", "CRAM-MD5"} & set(names(as_bob, TLS))
    for mechanism in ("LOGIN", "CRAM-MD5"):
        with pytest.raises(NotOffered):
            logged_in(f"{hello(f'AUTH {mechanism}')}{GOODBYE}", as_bob, login_in_clear=True)


def logged_in(script: str, login: Credential, **options: Any) -> list[str]:
    """Log in against *script*, and return the trace."""
    lines: list[str] = []
    play(script, login=login, trace=lambda _, line: lines.append(line), **options)
    return lines


def response(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


PLAIN = f"C: AUTH PLAIN {response(chr(0) + 'ann' + chr(0) + 'secret')}\n"


IN_CLEAR: dict[str, Any] = {"login_in_clear": True}


@pytest.mark.req("RFC4422-6.1.2-01/client")
def test_only_mechanisms_in_the_option_are_used() -> None:
    script = hello("AUTH CRAM-MD5 LOGIN PLAIN")
    lines = logged_in(f"{script}{PLAIN}S: 235 ok{GOODBYE}", ANN, mechanisms="plain", **IN_CLEAR)
    assert "AUTH PLAIN ***" in lines
    with pytest.raises(NotOffered, match=r"check: .*mechanisms"):
        logged_in(f"{script}{GOODBYE}", ANN, mechanisms=["SCRAM-SHA-256"], **IN_CLEAR)


def test_an_unknown_mechanism_in_the_option_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="FROBNICATE"):
        logged_in("", ANN, mechanisms=["FROBNICATE"])


def test_the_error_lists_the_mechanisms_that_the_server_offers() -> None:
    with pytest.raises(NotOffered) as caught:
        logged_in(f"{hello('AUTH GSSAPI NTLM')}{GOODBYE}", ANN, **IN_CLEAR)
    assert "GSSAPI NTLM" in str(caught.value) and caught.value.phase == "login"


def test_a_token_is_not_fetched_if_no_mechanism_can_use_it() -> None:
    def source() -> str:
        raise LookupError("the identity provider is down")

    token = BearerToken("ann", source)
    with pytest.raises(NotOffered):
        logged_in(f"{hello('AUTH PLAIN')}{GOODBYE}", token, **IN_CLEAR)
    assert "source" not in repr(token)


# -- in clear ------------------------------------------------------------------------------------


@pytest.mark.req("RFC8314-5.1-01", "RFC4954-9-03/client", "SASL-LOGIN-02/client")
@pytest.mark.parametrize("offered", [ALL, ["LOGIN"]], ids=len)
@pytest.mark.parametrize("credential", [ANN, BearerToken("ann", "t"), External()], ids=type)
def test_no_credential_is_sent_in_clear_by_default(
    credential: Credential, offered: list[str]
) -> None:
    """The client starts no mechanism, whichever ones the server offers."""
    script = hello(f"AUTH {' '.join(offered)}") + GOODBYE
    with pytest.raises(LocalProtocolError, match="login_in_clear"):
        logged_in(script, credential)


def test_anonymous_may_log_in_in_clear() -> None:
    trace = response("sirhc")
    logged_in(f"{hello('AUTH ANONYMOUS')}C: AUTH ANONYMOUS {trace}\nS: 235 ok{GOODBYE}",
              Anonymous("sirhc"))  # fmt: skip

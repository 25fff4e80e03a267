"""Which mechanism a client logs in with, and what it does when the server does not like one."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from smtpproto import (
    Anonymous,
    BadCredentials,
    BearerToken,
    Client,
    External,
    LocalProtocolError,
    Login,
    LoginRefused,
    NotOffered,
    RemoteProtocolError,
    SMTPError,
)
from smtpproto.sasl import MECHANISMS, Channel, Credential, usable

from ..support.dialogue import GOODBYE, hello, play

ANN = Login("ann", "secret")
CLEAR = Channel(random=bytes)
TLS = Channel(random=bytes, secure=True)
BOUND = Channel(random=bytes, secure=True, bindings={"tls-exporter": b"x"})
ALL = [mechanism.name for mechanism in MECHANISMS]


def names(credential: Credential, channel: Channel, offered: list[str] = ALL) -> list[str]:
    return [mechanism.name for mechanism in usable(credential, offered, channel)]


@pytest.mark.req("SASL-LOGIN-01", "XOAUTH2-04")
def test_the_strongest_first() -> None:
    scram = ["SCRAM-SHA-256", "SCRAM-SHA-1"]
    plus = [f"{name}-PLUS" for name in scram]
    simple = ["CRAM-MD5", "PLAIN", "LOGIN"]
    assert names(ANN, BOUND) == plus + scram + simple
    assert names(ANN, TLS) == scram + simple
    assert names(BearerToken("ann", "t"), TLS) == ["OAUTHBEARER", "XOAUTH2"]
    assert names(External(), TLS) == ["EXTERNAL"]
    assert names(Anonymous(), TLS) == names(Anonymous(), CLEAR) == ["ANONYMOUS"]
    assert names(ANN, TLS, ["LOGIN", "PLAIN"])[0] == "PLAIN"


@pytest.mark.req("RFC7628-3-01", "XOAUTH2-03")
@pytest.mark.parametrize("credential", [BearerToken("ann", "t"), External()], ids=type)
def test_what_is_never_used_in_clear(credential: Credential) -> None:
    """Not even by those who allow logins in clear."""
    assert names(credential, CLEAR) == []
    script = hello(f"AUTH {' '.join(ALL)}") + GOODBYE  # and no AUTH in between
    with pytest.raises(NotOffered):
        logged_in(script, credential, login_in_clear=True)


def test_whom_to_act_as_is_never_left_unsaid() -> None:
    assert not {"LOGIN", "CRAM-MD5"} & set(names(Login("ann", "x", "bob"), TLS))


def logged_in(script: str, login: Credential, **options: Any) -> list[str]:
    """Log in against *script*; the trace."""
    lines: list[str] = []

    async def nothing(client: Client) -> None: ...

    play(script, nothing, login=login, trace=lambda _, line: lines.append(line), **options)
    return lines


def response(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


PLAIN = f"C: AUTH PLAIN {response(chr(0) + 'ann' + chr(0) + 'secret')}\n"
IN_CLEAR: dict[str, Any] = {"login_in_clear": True}


@pytest.mark.req("RFC4422-6.1.2-01")
def test_only_mechanisms_that_are_allowed_are_used() -> None:
    script = hello("AUTH CRAM-MD5 LOGIN PLAIN")
    lines = logged_in(f"{script}{PLAIN}S: 235 ok{GOODBYE}", ANN, mechanisms="plain", **IN_CLEAR)
    assert "AUTH PLAIN ***" in lines
    with pytest.raises(NotOffered, match=r"check: .*mechanisms"):
        logged_in(f"{script}{GOODBYE}", ANN, mechanisms=["SCRAM-SHA-256"], **IN_CLEAR)


def test_a_client_with_a_mechanism_that_nobody_knows() -> None:
    with pytest.raises(ValueError, match="FROBNICATE"):
        logged_in("", ANN, mechanisms=["FROBNICATE"])


@pytest.mark.req("RFC4954-6-04", "RFC4954-4-27")
@pytest.mark.parametrize("code", [504, 534])
def test_a_mechanism_that_is_too_weak_is_followed_by_the_next(code: int) -> None:
    script = hello("AUTH CRAM-MD5 PLAIN LOGIN")
    refused = f"C: AUTH CRAM-MD5\nS: {code} not that one\n"
    logged_in(f"{script}{refused}{PLAIN}S: 235 ok{GOODBYE}", ANN, **IN_CLEAR)


@pytest.mark.req("RFC4954-6-04")
def test_the_last_refusal_is_the_one_that_is_told() -> None:
    script = hello("AUTH CRAM-MD5 PLAIN")
    refused = "C: AUTH CRAM-MD5\nS: 504 5.5.4 unknown\n"
    with pytest.raises(LoginRefused) as caught:
        logged_in(f"{script}{refused}{PLAIN}S: 534 5.7.9 too weak{GOODBYE}", ANN, **IN_CLEAR)
    assert (caught.value.reply.code, caught.value.command) == (534, "AUTH PLAIN")


def test_a_wrong_password_is_not_tried_in_other_ways() -> None:
    script = hello("AUTH PLAIN LOGIN")
    with pytest.raises(BadCredentials):
        logged_in(f"{script}{PLAIN}S: 535 5.7.8 no{GOODBYE}", ANN, **IN_CLEAR)


def test_nothing_in_common() -> None:
    with pytest.raises(NotOffered) as caught:
        logged_in(f"{hello('AUTH GSSAPI NTLM')}{GOODBYE}", ANN, **IN_CLEAR)
    assert "GSSAPI NTLM" in str(caught.value) and caught.value.phase == "login"


@pytest.mark.req("RFC8314-5.1-01", "RFC4954-9-03", "SASL-LOGIN-02")
@pytest.mark.parametrize("credential", [ANN, BearerToken("ann", "t"), External()], ids=type)
def test_no_login_in_clear_unless_that_is_said(credential: Credential) -> None:
    """Of all mechanisms that a server may offer, none is begun."""
    script = hello(f"AUTH {' '.join(ALL)}") + GOODBYE
    with pytest.raises(LocalProtocolError, match="login_in_clear"):
        logged_in(script, credential)


def test_nobody_in_particular_may_log_in_in_clear() -> None:
    trace = response("sirhc")
    logged_in(f"{hello('AUTH ANONYMOUS')}C: AUTH ANONYMOUS {trace}\nS: 235 ok{GOODBYE}",
              Anonymous("sirhc"))  # fmt: skip


def test_a_token_that_cannot_be_had_is_the_callers_error() -> None:
    def source() -> str:
        raise LookupError("the identity provider is down")

    token = BearerToken("ann", source)
    with pytest.raises(NotOffered):  # who asks for none does not need one
        logged_in(f"{hello('AUTH PLAIN')}{GOODBYE}", token, **IN_CLEAR)
    assert "source" not in repr(token)


def test_every_login_error_is_one_of_ours() -> None:
    with pytest.raises(SMTPError):
        logged_in(f"{hello()}{GOODBYE}", ANN, **IN_CLEAR)


def test_a_yes_to_a_no_is_not_believed() -> None:
    """A challenge that makes no sense is answered by "*": to say 235 to that is no login."""
    script = f"{hello('AUTH PLAIN')}{PLAIN}S: 334 !!!\nC: *\nS: 235 welcome\n"
    with pytest.raises(RemoteProtocolError):
        logged_in(script, ANN, **IN_CLEAR)  # and not a word more

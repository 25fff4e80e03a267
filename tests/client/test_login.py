"""Logging in: the AUTH dialogue, and what the error of a refused login says (RFC 4954)."""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode

import pytest

from smtpproto import (
    BadCredentials,
    EncryptionRequired,
    LocalProtocolError,
    Login,
    LoginRefused,
    Refusal,
    RemoteProtocolError,
    SMTPError,
)
from smtpproto.client.config import ClientOptions
from tests.support.dialogue import GOODBYE, hello, play

AUTH = hello("AUTH GSSAPI PLAIN")


IN_CLEAR: ClientOptions = {
    "login": Login("ann", "secret"),
    "login_in_clear": True,
    "mechanisms": "PLAIN",
}


SECRET_RESPONSE = "AGFubgBzZWNyZXQ="  # of PLAIN, with the password "secret"


# -- the dialogue --------------------------------------------------------------------------------


def test_the_initial_response_is_part_of_the_auth_command() -> None:
    play(f"{AUTH}C: AUTH PLAIN {SECRET_RESPONSE}\nS: 235 ok\n{GOODBYE}", **IN_CLEAR)


@pytest.mark.req("RFC4954-4-09")
@pytest.mark.parametrize("challenge", ["334", "334 "])
def test_the_response_is_sent_again_if_the_server_still_asks_for_it(challenge: str) -> None:
    play(
        f"""{AUTH}
        C: AUTH PLAIN {SECRET_RESPONSE}
        S: {challenge}
        C: {SECRET_RESPONSE}
        S: 235 ok
        {GOODBYE}""",
        **IN_CLEAR,
    )


@pytest.mark.req("RFC4954-4-10")
def test_a_response_too_long_for_the_line_waits_for_the_challenge() -> None:
    password = "x" * 500
    response = b64encode(f"\0ann\0{password}".encode()).decode()
    options: ClientOptions = {**IN_CLEAR, "login": Login("ann", password)}
    play(f"{AUTH}C: AUTH PLAIN\nS: 334 \nC: {response}\nS: 235 ok\n{GOODBYE}", **options)


@pytest.mark.req("RFC4954-4-14", "RFC4954-4-15/client")
@pytest.mark.parametrize(
    "challenge",
    ["!!!", "=AAA", "AAA=BBB=", "AAA=AAA=", "AAA", "AA", "A", "AA AA", "AAAA AAAA", "AAAA\tAAAA",
     "AAAA=", "AAAA====", "AA=A", "=", "AAA-", "AAA_", "AAAA.", "AAA\u00e9"],
)  # fmt: skip
def test_a_challenge_that_is_not_base64_cancels_the_login(challenge: str) -> None:
    """White space and misplaced padding are errors, too; CRAM-MD5 would answer any octets."""
    options: ClientOptions = {**IN_CLEAR, "mechanisms": "CRAM-MD5"}
    with pytest.raises(RemoteProtocolError, match="malformed challenge"):
        play(
            f"""{hello("AUTH CRAM-MD5")}
            C: AUTH CRAM-MD5
            S: 334 {challenge}
            C: *
            S: 501 cancelled
            {GOODBYE}""",
            **options,
        )


@pytest.mark.req("RFC4954-8-01/client", "RFC4954-8-02/client")
@pytest.mark.parametrize("offer", ["AUTH CRAM-MD5", "auth cram-md5", "Auth GSSAPI Cram-Md5"])
@pytest.mark.parametrize("challenge", ["PHhAeT4=", "pHHaEt4="])
def test_keywords_and_mechanisms_are_read_in_any_case_and_base64_is_not(
    offer: str, challenge: str
) -> None:
    """The two challenges differ only in case, so their digests differ."""
    digest = hmac.digest(b"secret", b64decode(challenge), "md5").hex()
    response = b64encode(f"ann {digest}".encode()).decode()
    options: ClientOptions = {**IN_CLEAR, "mechanisms": "cram-md5"}
    exchange = f"C: AUTH CRAM-MD5\nS: 334 {challenge}\nC: {response}\nS: 235 ok\n"
    play(f"{hello(offer)}{exchange}{GOODBYE}", **options)


def test_a_second_challenge_of_plain_cancels_the_login() -> None:
    exchange = f"S: 334 \nC: {SECRET_RESPONSE}\n"
    with pytest.raises(RemoteProtocolError):
        play(
            f"""{AUTH}
            C: AUTH PLAIN {SECRET_RESPONSE}
            {exchange}S: 334
            C: *
            S: 501 cancelled
            {GOODBYE}""",
            **IN_CLEAR,
        )


def test_235_to_a_cancelled_login_is_not_accepted() -> None:
    """The client sends nothing more on such a connection, not even QUIT."""
    script = f"{AUTH}C: AUTH PLAIN {SECRET_RESPONSE}\nS: 334 !!!\nC: *\nS: 235 welcome\n"
    with pytest.raises(RemoteProtocolError):
        play(script, **IN_CLEAR)


# -- what the client refuses ---------------------------------------------------------------------


@pytest.mark.req("RFC4954-9-03/client", "RFC4616-5-01/client")
def test_a_password_is_not_sent_without_verified_tls() -> None:
    with pytest.raises(LocalProtocolError, match="verified TLS"):
        play(AUTH + GOODBYE, login=("ann", "secret"))


def test_a_login_to_a_server_without_auth_raises_smtperror() -> None:
    with pytest.raises(SMTPError):
        play(f"{hello()}{GOODBYE}", **IN_CLEAR)


# -- what the server refuses ---------------------------------------------------------------------


def test_the_error_for_a_wrong_password_does_not_show_it() -> None:
    with pytest.raises(Refusal) as caught:
        play(f"{AUTH}C: AUTH PLAIN {SECRET_RESPONSE}\nS: 535 5.7.8 no\n{GOODBYE}", **IN_CLEAR)
    assert caught.value.command == "AUTH PLAIN"
    assert "secret" not in str(caught.value)


def refused(reply: str) -> LoginRefused:
    """Log in to a server that answers *reply*; the password must not be in the error."""
    with pytest.raises(LoginRefused) as caught:
        play(f"{AUTH}C: AUTH PLAIN {SECRET_RESPONSE}\nS: {reply}\n{GOODBYE}", **IN_CLEAR)
    assert caught.value.reply.code == int(reply[:3])
    assert caught.value.command == "AUTH PLAIN"
    assert "secret" not in str(caught.value)
    assert SECRET_RESPONSE not in str(caught.value)
    return caught.value


@pytest.mark.req("RFC4954-6-08")
@pytest.mark.parametrize("code", [538, 523, 524])
def test_a_server_that_requires_tls_raises_encryption_required(code: int) -> None:
    assert type(refused(f"{code} 5.7.11 Encryption required")) is EncryptionRequired


@pytest.mark.req("RFC4954-6-05")
def test_535_raises_bad_credentials() -> None:
    error = refused("535 5.7.8 Authentication credentials invalid")
    assert type(error) is BadCredentials
    assert "password" in error.check


@pytest.mark.req("RFC4954-6-03")
@pytest.mark.parametrize("reply", ["454 4.7.0 Temporary failure", "500 5.5.6 Line too long"])
def test_other_replies_raise_login_refused_and_do_not_blame_the_password(reply: str) -> None:
    error = refused(reply)
    assert type(error) is LoginRefused
    assert "password" not in error.check
    assert error.reply.transient == reply.startswith("4")

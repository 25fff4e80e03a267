"""Leniencies of a client in AUTH: prompts of LOGIN, and 503 "already authenticated"."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest

from smtpproto import (
    ClientProtocol,
    Leniencies,
    Login,
    LoginRefused,
    RemoteProtocolError,
    Reply,
    Tolerance,
)
from smtpproto.client.auth import _Attempt
from smtpproto.sasl import BY_NAME
from tests.sasl.exchanges import make_channel
from tests.support.dialogue import GOODBYE, hello, play

ANN = Login("ann", "secret")
NAME, PASSWORD = "YW5u", "c2VjcmV0"
ACCEPTING = [Tolerance.ACCEPT, Tolerance.REPORT]


def try_login(script: str, leniencies: Leniencies | None = None) -> None:
    """Log in in clear against *script*."""
    play(script, login=ANN, login_in_clear=True, leniencies=leniencies or Leniencies())


def login_dialogue(first: str, second: str) -> str:
    return f"""{hello("AUTH LOGIN")}
        C: AUTH LOGIN
        S: 334 {first}
        C: {NAME}
        S: 334 {second}
        C: {PASSWORD}
        S: 235 ok
        {GOODBYE}"""


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Username:", "Password:"),
        ("", ""),
        ("ok", "go on"),
        ("VXNlcm5hbWU6", "Password:"),
        ("VXNlcg==x", "\u00fc"),
        ("UGFzc3dvcmQ6", "VXNlcm5hbWU6"),  # in the wrong order
    ],
)
@pytest.mark.parametrize("tolerance", ACCEPTING)
def test_the_prompts_of_login_may_be_any_text(
    first: str, second: str, tolerance: Tolerance
) -> None:
    leniencies = Leniencies(login_prompts=tolerance)
    try_login(login_dialogue(first, second), leniencies=leniencies)


def test_a_prompt_that_is_not_base64_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "smtpproto.client"):
        try_login(login_dialogue("Username:", "UGFzc3dvcmQ6"))
    tolerated = [r.getMessage() for r in caplog.records if "tolerated" in r.getMessage()]
    assert tolerated == ["reply to AUTH LOGIN tolerated: login_prompts"]


@pytest.mark.parametrize(
    "leniencies", [Leniencies.strict(), Leniencies(login_prompts=Tolerance.REJECT)]
)
def test_without_the_leniency_a_prompt_must_be_base64(leniencies: Leniencies) -> None:
    script = f"{hello('AUTH LOGIN')}C: AUTH LOGIN\nS: 334 Username:\nC: *\nS: 501 ok\n{GOODBYE}"
    with pytest.raises(RemoteProtocolError, match="malformed challenge"):
        try_login(script, leniencies=leniencies)


def test_a_challenge_of_another_mechanism_must_be_base64() -> None:
    script = (
        f"{hello('AUTH CRAM-MD5')}C: AUTH CRAM-MD5\nS: 334 hello there\nC: *\nS: 501 ok\n{GOODBYE}"
    )
    with pytest.raises(RemoteProtocolError, match="malformed challenge"):
        try_login(script)


# -- 503 -----------------------------------------------------------------------------------------

PLAIN = "C: AUTH PLAIN AGFubgBzZWNyZXQ=\n"


def refused_by(reply: str, mechanism: str = "PLAIN", command: str = PLAIN) -> str:
    return f"{hello(f'AUTH {mechanism}')}{command}S: {reply}\n{GOODBYE}"


@pytest.mark.parametrize(
    "text",
    ["5.5.1 Error: already authenticated", "Already Authenticated", "You are already logged in",
     "already authenticated"],
)  # fmt: skip
@pytest.mark.parametrize("tolerance", ACCEPTING)
def test_503_already_authenticated_counts_as_logged_in(text: str, tolerance: Tolerance) -> None:
    leniencies = Leniencies(already_authenticated=tolerance)
    try_login(refused_by(f"503 {text}"), leniencies=leniencies)


def test_503_already_authenticated_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "smtpproto.client"):
        try_login(refused_by("503 already authenticated"))
    messages = [record.getMessage() for record in caplog.records]
    assert "reply to AUTH PLAIN tolerated: already_authenticated" in messages


@pytest.mark.parametrize(
    "reply",
    ["503 5.5.1 Error: authentication not enabled", "503 send EHLO first", "503",
     "535 already authenticated", "454 already authenticated", "530 already authenticated"],
)  # fmt: skip
def test_any_other_refusal_of_auth_is_a_refused_login(reply: str) -> None:
    with pytest.raises(LoginRefused):
        try_login(refused_by(reply))


def test_without_the_leniency_503_is_a_refused_login() -> None:
    with pytest.raises(LoginRefused):
        try_login(refused_by("503 already authenticated"), leniencies=Leniencies.strict())


def test_503_after_a_challenge_is_a_refused_login() -> None:
    command = f"C: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: {NAME}\n"
    with pytest.raises(LoginRefused):
        try_login(refused_by("503 already authenticated", "LOGIN", command))


@pytest.mark.parametrize("secure", [False, True])
def test_503_does_not_stand_for_the_proof_of_a_server_that_tls_has_not_verified(
    secure: bool,
) -> None:
    """An attacker between client and server could send it. SCRAM would notice him."""
    link = SimpleNamespace(machine=ClientProtocol())
    for name, believed in (("SCRAM-SHA-256", secure), ("PLAIN", True), ("LOGIN", True)):
        channel = make_channel(secure=secure)
        attempt = _Attempt(link, ANN, BY_NAME[name], channel)  # type: ignore[arg-type]
        attempt.exchange.initial()
        assert attempt.was_logged_in(Reply(503, None, "already authenticated")) is believed

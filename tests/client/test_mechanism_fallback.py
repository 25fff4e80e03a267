"""When a client tries another mechanism, or another channel binding, after a refused login."""

from __future__ import annotations

import pytest

from smtpproto import BadCredentials, ClientConfig, LoginRefused, Reply, TLSMode
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.client.auth import _Attempt
from smtpproto.client.connection import start_client
from smtpproto.sasl import BY_NAME
from smtpproto.testing.script import ScriptedStream
from tests.sasl.exchanges import make_channel
from tests.support.dialogue import GOODBYE, hello, play
from tests.support.logins import ANN, OFFER, base64, log_in

PLAIN = base64("\0ann\0secret")
WEAK = "5.7.9 Authentication mechanism is too weak"


@pytest.mark.req("RFC4954-4-27", "RFC4954-6-04")
@pytest.mark.parametrize("code", [504, 534])
def test_504_or_534_makes_the_client_try_the_next_mechanism(code: int) -> None:
    script = OFFER.format("LOGIN PLAIN CRAM-MD5") + (
        f"C: AUTH CRAM-MD5\nS: {code} {WEAK}\n"
        f"C: AUTH PLAIN {PLAIN}\nS: {code} {WEAK}\n"
        "C: AUTH LOGIN\nS: 334 \nC: YW5u\nS: 334 \nC: c2VjcmV0\nS: 235 ok"
    )
    assert log_in(script, ANN) is None


@pytest.mark.req("RFC4954-6-04", "RFC4954-4-27")
@pytest.mark.parametrize("code", [504, 534])
def test_a_client_that_logs_in_when_it_opens_tries_the_next_mechanism_too(code: int) -> None:
    refused = f"C: AUTH CRAM-MD5\nS: {code} not that one\n"
    accepted = f"C: AUTH PLAIN {PLAIN}\nS: 235 ok"
    play(
        f"{hello('AUTH CRAM-MD5 PLAIN LOGIN')}{refused}{accepted}{GOODBYE}",
        login=ANN,
        login_in_clear=True,
    )


@pytest.mark.req("RFC4954-6-04")
def test_the_refusal_of_the_last_mechanism_is_raised() -> None:
    first = "C: AUTH CRAM-MD5\nS: 504 5.5.4 unknown\n"
    second = f"C: AUTH PLAIN {PLAIN}\nS: 534 5.7.9 too weak"
    with pytest.raises(LoginRefused) as caught:
        play(
            f"{hello('AUTH CRAM-MD5 PLAIN')}{first}{second}{GOODBYE}",
            login=ANN,
            login_in_clear=True,
        )
    assert (caught.value.reply.code, caught.value.command) == (534, "AUTH PLAIN")


@pytest.mark.parametrize("offered", ["AUTH PLAIN LOGIN", "AUTH LOGIN PLAIN"])
def test_a_wrong_password_is_not_tried_with_another_mechanism(offered: str) -> None:
    wrong = f"C: AUTH PLAIN {PLAIN}\nS: 535 5.7.8 no"
    with pytest.raises(BadCredentials):
        play(f"{hello(offered)}{wrong}{GOODBYE}", login=ANN, login_in_clear=True)


@pytest.mark.parametrize("code", [421, 432, 454, 500, 501, 523, 524, 530, 535, 538, 550])
def test_after_any_other_refusal_no_other_mechanism_is_tried(code: int) -> None:
    """The mechanism is not the cause of these refusals."""
    first = f"C: AUTH PLAIN {PLAIN}\nS: {code} 5.7.0 No\n"
    script = OFFER.format("PLAIN LOGIN") + first
    stream = ScriptedStream(script.replace("192.0.2.2", "127.0.0.1"))
    config = ClientConfig(login=ANN, login_in_clear=True, tls=TLSMode.NONE)
    with pytest.raises(LoginRefused):
        try:
            run(start_client(Runtime(), stream, "mx", config, TLSMode.NONE))
        except AssertionError as error:  # QUIT, which the script does not expect
            assert "'QUIT'" in str(error)
            raise error.__context__ or error from None


@pytest.mark.parametrize(
    ("code", "unbound"), [(535, True), (501, True), (454, False), (334, False)]
)
def test_535_or_501_before_a_challenge_means_that_the_binding_is_not_supported(
    code: int, unbound: bool
) -> None:
    channel = make_channel(bindings={"tls-exporter": b"key"})
    mechanism = BY_NAME["SCRAM-SHA-256-PLUS"]
    attempt = _Attempt(None, ANN, mechanism, channel)  # type: ignore[arg-type]
    assert attempt.refuses_binding(Reply(code, None, "x")) == unbound
    attempt._challenged = True
    assert not attempt.refuses_binding(Reply(code, None, "x"))

"""Whether a client tries another mechanism, or another channel binding, after a refused login."""

from __future__ import annotations

import pytest

from smtpproto import ClientConfig, LoginRefused, Reply, TLSMode
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.client.auth import _Attempt
from smtpproto.client.connection import start_client
from smtpproto.testing.script import ScriptedStream
from tests.support.logins import ANN, OFFER, REFUSED, base64, log_in

PLAIN = base64("\0ann\0secret")


@pytest.mark.req("RFC4954-6-04")
@pytest.mark.parametrize("code", [504, 534])
def test_after_504_or_534_the_client_tries_another_mechanism(code: int) -> None:
    first = f"C: AUTH PLAIN {PLAIN}\nS: {code} 5.5.4 Not this one\n"
    assert log_in(f"{OFFER.format('PLAIN LOGIN')}{first}C: AUTH LOGIN\n{REFUSED}", ANN) is not None


@pytest.mark.parametrize("code", [421, 432, 454, 500, 501, 523, 524, 530, 535, 538, 550])
def test_after_any_other_refusal_no_other_mechanism_is_tried(code: int) -> None:
    """The password is wrong, or no mechanism is at fault."""
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
    attempt = _Attempt(None, None, None, "tls-exporter")  # type: ignore[arg-type]
    assert attempt.unbound(Reply(code, None, "x")) == unbound
    attempt._challenged = True
    assert not attempt.unbound(Reply(code, None, "x"))

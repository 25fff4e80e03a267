"""Failed logins on a server: their replies, delays and log."""

from __future__ import annotations

import logging

import pytest
from attrs import evolve

from smtpproto import Authenticator, Handler, Limits, Secret
from tests.support.scripted_client import LOGIN
from tests.support.server_dialogue import HELLO_WITH_AUTH, PLAIN_IN_CLEAR, QUIT, play
from tests.support.server_logins import AS_BOB, CONFIG, WRONG_PASSWORD, log_in, plain


@pytest.mark.req("RFC4954-9-02", "RFC4954-9-04")
def test_failed_logins_are_delayed_and_the_third_is_followed_by_421() -> None:
    replies, delays = log_in(WRONG_PASSWORD, WRONG_PASSWORD, "NOOP", WRONG_PASSWORD, "NOOP")
    assert [line[:9] for line in replies] == [
        "535 5.7.8", "535 5.7.8", "250 2.0.0", "535 5.7.8", "421 4.7.0",
    ]  # fmt: skip
    assert delays == [1.0] * 3


def test_limits_set_the_delay_and_the_number_of_failed_logins() -> None:
    config = evolve(CONFIG, limits=Limits(failed_login_delay=7.5, failed_logins=4))
    replies, delays = log_in(WRONG_PASSWORD, WRONG_PASSWORD, WRONG_PASSWORD, LOGIN, config=config)
    assert replies[-1].startswith("235") and delays == [7.5] * 3
    with pytest.raises(ValueError, match="failed_login_delay"):
        Limits(failed_login_delay=-1)


def test_a_successful_login_is_not_delayed() -> None:
    assert log_in(LOGIN)[1] == []


def test_a_malformed_response_is_delayed_like_a_wrong_password() -> None:
    replies, delays = log_in("AUTH PLAIN AAAA", "AUTH PLAIN =")
    assert [line[:9] for line in replies] == ["535 5.7.8"] * 2 and len(delays) == 2


@pytest.mark.req("RFC4954-6-02", "RFC4616-2-05", "RFC4616-2-01", "RFC4616-2-04", "RFC4616-2-06")
@pytest.mark.parametrize(
    ("response", "line"),
    [
        ("AHRyb3VibGUAc2VjcmV0", "454 4.7.0 Temporary authentication failure"),
        ("Ym9iAGFubgBzZWNyZXQ=", "535 5.7.8 Authentication credentials invalid"),
        ("YW5uAHNlY3JldA==", "535 5.7.8 Authentication credentials invalid"),
        ("AGFubgA=", "535 5.7.8 Authentication credentials invalid"),
        ("AP8Ac2VjcmV0", "535 5.7.8 Authentication credentials invalid"),
    ],
    ids=["authenticator raises", "acts as bob", "one NUL", "no password", "not UTF-8"],
)
def test_a_failed_login_is_answered_with_535_and_a_failed_authenticator_with_454(
    response: str, line: str
) -> None:
    play(f"{HELLO_WITH_AUTH}C: AUTH PLAIN {response}\nS: {line}{QUIT}", Handler(), PLAIN_IN_CLEAR)


@pytest.mark.req("RFC4422-3.6-01")
def test_a_wrong_password_and_an_unknown_user_get_the_same_reply() -> None:
    invalid = "S: 535 5.7.8 Authentication credentials invalid\n"
    wrong = [("", "ann", "wrong"), ("", "nobody", "secret")]
    lines = "".join(f"C: AUTH PLAIN {plain(*parts)}\n{invalid}" for parts in wrong)
    play(f"{HELLO_WITH_AUTH}{lines}{QUIT}", Handler(), PLAIN_IN_CLEAR)


@pytest.mark.req("RFC4954-4-19")
@pytest.mark.parametrize("name", ["an\x07n", "\u00ad", "\u0627a"])
def test_a_name_that_saslprep_forbids_never_reaches_the_authenticator(name: str) -> None:
    class Unasked(Authenticator):
        def check_password(self, username: str, password: Secret) -> bool:
            raise AssertionError("asked")

    config = evolve(PLAIN_IN_CLEAR, authenticator=Unasked())
    invalid = "S: 535 5.7.8 Authentication credentials invalid\n"
    for parts in (("", name, "x"), (name, "ann", "x"), ("", "ann", name)):
        response = plain(*parts)
        play(f"{HELLO_WITH_AUTH}C: AUTH PLAIN {response}\n{invalid}{QUIT}", Handler(), config)


def test_the_reason_of_a_failure_is_logged_and_not_sent(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "smtpproto"):
        replies, _ = log_in(WRONG_PASSWORD, AS_BOB)
    assert len(set(replies)) == 1
    assert "wrong user name or password: 'ann'" in caplog.text
    assert "not authorized to act as another" in caplog.text
    assert not any(secret in caplog.text for secret in ("secret", "AGFub", "Ym9i"))


@pytest.mark.req("RFC4954-6-02")
def test_an_authenticator_that_raises_is_answered_with_454_and_its_text_is_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(Authenticator):
        def check_password(self, username: str, password: Secret) -> bool:
            raise LookupError("SELECT ... WHERE password = " + password.reveal().decode())

    replies, delays = log_in(LOGIN, config=evolve(CONFIG, authenticator=Broken()))
    assert replies == ["454 4.7.0 Temporary authentication failure"] and delays == [1.0]
    assert (
        "the authenticator failed: LookupError" in caplog.text and "check_password" in caplog.text
    )
    assert "secret" not in caplog.text

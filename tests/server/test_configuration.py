"""Configurations that a server refuses to start with."""

from __future__ import annotations

from typing import Any

import pytest
import trustme
from attrs import evolve

from smtpproto import Authenticator, Handler, Limits, ServerConfig
from smtpproto.server.setup import check_server
from tests.support.accounts import Accounts
from tests.support.certificates import NAME, server_context

CONTEXT = server_context(trustme.CA().issue_cert(NAME))


@pytest.mark.req("RFC6409-7-01")
@pytest.mark.parametrize(
    "config",
    [ServerConfig(submission=True), ServerConfig(require_auth=True)],
    ids=["submission", "require_auth"],
)
def test_required_logins_need_an_authenticator_and_tls_or_auth_in_clear(
    config: ServerConfig,
) -> None:
    useless: list[Authenticator | None] = [None, Authenticator()]
    for authenticator in useless:
        with pytest.raises(ValueError, match="authenticator"):
            check_server(Handler, evolve(config, authenticator=authenticator), 587)
    with pytest.raises(ValueError, match="TLS"):  # otherwise AUTH is never offered
        check_server(Handler, evolve(config, authenticator=Accounts()), 587)
    check_server(Handler, evolve(config, authenticator=Accounts(), context=CONTEXT), 587)
    check_server(Handler, evolve(config, authenticator=Accounts(), auth_in_clear=True), 587)


@pytest.mark.req("RFC2033-5-01", "RFC2033-4-01/server")
def test_lmtp_must_not_use_port_25() -> None:
    for config in (ServerConfig(lmtp=True), ServerConfig(lmtp=True, context=CONTEXT)):
        with pytest.raises(ValueError, match="RFC 2033 5"):
            check_server(Handler, config, 25)
    check_server(Handler, ServerConfig(lmtp=True), 24)


@pytest.mark.parametrize(
    "extensions", [{"BINARYMIME": "", "CHUNKING": None}, {"SIZE": "x"}, {"FOO": ""}]
)
def test_extensions_that_cannot_be_offered_raise_value_error(
    extensions: dict[str, str | None],
) -> None:
    with pytest.raises(ValueError):
        check_server(Handler, ServerConfig(extensions=extensions), 25)


@pytest.mark.parametrize(
    ("keyword", "parameters", "instead"),
    [
        ("AUTH", "PLAIN", "set authenticator"),
        ("ETRN", "", "define the hook etrn"),
        ("EXPN", "", "define the hook expn"),
        ("LIMITS", "RCPTMAX=10", "set limits="),
        ("SIZE", "70000", "set limits="),
        ("STARTTLS", "", "set context"),
        ("XCLIENT", "NAME ADDR", "set xclient_from"),
        ("XFORWARD", "NAME", "set xforward_from"),
    ],
)
def test_what_other_options_or_hooks_offer_can_be_withdrawn_but_not_added(
    keyword: str, parameters: str, instead: str
) -> None:
    added = ServerConfig(extensions={keyword: parameters})
    with pytest.raises(ValueError, match=f"extensions cannot add {keyword}; {instead}"):
        check_server(Handler, added, 25)
    check_server(Handler, ServerConfig(extensions={keyword: None}), 25)


@pytest.mark.req("RFC4865-4.2-01")
def test_only_submission_servers_may_offer_futurerelease() -> None:
    held = {"FUTURERELEASE": "86400 2030-01-01T00:00:00Z"}
    with pytest.raises(ValueError, match="submission"):
        check_server(Handler, ServerConfig(extensions=held, authenticator=Accounts()), 25)
    config = ServerConfig(
        extensions=held, submission=True, authenticator=Accounts(), context=CONTEXT
    )
    check_server(Handler, config, 587)


def test_tls_options_without_a_context_raise_value_error() -> None:
    with pytest.raises(ValueError, match="need a context"):
        ServerConfig(implicit_tls=True)
    with pytest.raises(ValueError, match="need a context"):
        ServerConfig(require_tls=True)


def test_a_message_size_below_64_kib_raises_value_error() -> None:
    with pytest.raises(ValueError, match="65536"):
        Limits(message_size=1)


@pytest.mark.parametrize("options", [{}, {"context": CONTEXT}, {"auth_in_clear": True}])
def test_an_authenticator_that_verifies_nothing_is_a_value_error(options: dict[str, Any]) -> None:
    for useless in (
        ServerConfig(authenticator=Authenticator(), **options),
        ServerConfig(authenticator=Accounts(), mechanisms=[], **options),
    ):
        with pytest.raises(ValueError, match=r"authenticator=PlainPasswords\("):
            check_server(Handler, useless, 2525)


def test_an_authenticator_without_tls_is_a_value_error() -> None:
    """Otherwise AUTH would never be offered, without a word."""
    with pytest.raises(ValueError, match="authenticator needs TLS: set context, or auth_in_clear"):
        check_server(Handler, ServerConfig(authenticator=Accounts()), 2525)
    check_server(Handler, ServerConfig(authenticator=Accounts(), context=CONTEXT), 2525)
    check_server(Handler, ServerConfig(authenticator=Accounts(), auth_in_clear=True), 2525)

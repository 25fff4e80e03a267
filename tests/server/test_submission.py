"""What is said no to before a server starts."""

from __future__ import annotations

import pytest
from attrs import evolve

from smtpproto import Authenticator, Handler, ServerConfig
from smtpproto.server.setup import check_server

from ..conversation.test_tls_server import GOOD
from ..support.scripted_client import Accounts


@pytest.mark.req("RFC6409-7-01")
@pytest.mark.parametrize("config", [ServerConfig(submission=True), ServerConfig(require_auth=True)])
def test_who_wants_logins_has_to_check_them(config: ServerConfig) -> None:
    strangers: list[Authenticator | None] = [None, Authenticator()]
    for stranger in strangers:
        with pytest.raises(ValueError, match="authenticator"):
            check_server(Handler, evolve(config, authenticator=stranger), 587)
    with pytest.raises(ValueError, match="TLS"):  # or AUTH is never offered
        check_server(Handler, evolve(config, authenticator=Accounts()), 587)
    check_server(Handler, evolve(config, authenticator=Accounts(), context=GOOD), 587)
    check_server(Handler, evolve(config, authenticator=Accounts(), auth_in_clear=True), 587)


@pytest.mark.req("RFC2033-5-01")
def test_lmtp_is_not_for_port_25() -> None:
    with pytest.raises(ValueError, match="25"):
        check_server(Handler, ServerConfig(lmtp=True), 25)
    check_server(Handler, ServerConfig(lmtp=True), 24)


@pytest.mark.parametrize(
    "extensions", [{"BINARYMIME": "", "CHUNKING": None}, {"SIZE": "x"}, {"FOO": ""}]
)
def test_offers_that_make_no_sense_do_not_start(extensions: dict[str, str | None]) -> None:
    with pytest.raises(ValueError):
        check_server(Handler, ServerConfig(extensions=extensions), 25)


@pytest.mark.req("RFC4865-4.2-01")
def test_mail_is_held_by_submission_servers_only() -> None:
    held = {"FUTURERELEASE": "86400 2030-01-01T00:00:00Z"}
    with pytest.raises(ValueError, match="submission"):
        check_server(Handler, ServerConfig(extensions=held, authenticator=Accounts()), 25)
    config = ServerConfig(extensions=held, submission=True, authenticator=Accounts(), context=GOOD)
    check_server(Handler, config, 587)

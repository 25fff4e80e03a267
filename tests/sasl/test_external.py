"""EXTERNAL (RFC 4422 A)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto.errors import GrammarError, RemoteProtocolError
from smtpproto.grammar.secret import Secret
from smtpproto.sasl import Authenticator, Denied, External, Identity, offers, usable
from smtpproto.sasl.prepare import saslprep

from .exchanges import (
    CERTIFICATE,
    NAMES,
    Users,
    log_in,
    make_channel,
    make_client,
    make_server,
    step,
)

WITH_CERTIFICATE = make_channel(certificate=CERTIFICATE)


@pytest.mark.req("RFC4422-A-01/client", "RFC4422-A-01/server")
@given(st.just("") | NAMES, st.booleans())
def test_external_logs_in_the_user_of_the_certificate_as_the_authzid(
    authzid: str, on_request: bool
) -> None:
    prepared = saslprep(authzid)
    client = make_client("EXTERNAL", External(authzid))
    assert client.initial() == Secret(prepared)
    users = Users(certificates={CERTIFICATE: "ann"}, proxies=[("ann", prepared)])
    server = make_server("EXTERNAL", users, WITH_CERTIFICATE)
    result = log_in(client, server, on_request=on_request)
    assert result == Identity("ann", prepared, "EXTERNAL")


def test_acting_as_another_user_needs_permission() -> None:
    users = Users(certificates={CERTIFICATE: "ann"})
    server = make_server("EXTERNAL", users, WITH_CERTIFICATE)
    assert step(server, "ann") == Identity("ann", "", "EXTERNAL")
    assert isinstance(step(make_server("EXTERNAL", users, WITH_CERTIFICATE), "bob"), Denied)


@pytest.mark.req("RFC4422-A-02")
def test_external_needs_a_verified_certificate_under_tls() -> None:
    users = Users(certificates={CERTIFICATE: "ann"})
    assert isinstance(step(make_server("EXTERNAL", users, make_channel()), ""), Denied)
    assert "EXTERNAL" not in offers(users, make_channel())
    assert "EXTERNAL" not in offers(users, make_channel(secure=False, certificate=CERTIFICATE))
    assert "EXTERNAL" in offers(users, WITH_CERTIFICATE)
    assert "EXTERNAL" not in offers(Authenticator(), WITH_CERTIFICATE)


def test_the_client_uses_external_only_under_tls() -> None:
    (mechanism,) = usable(External(), ["EXTERNAL"], make_channel())
    assert mechanism.name == "EXTERNAL"
    assert usable(External(), ["EXTERNAL"], make_channel(secure=False)) == ()


@pytest.mark.parametrize("user", ["", None, True, b"ann"])
def test_a_certificate_without_a_user_name_is_denied(user: object) -> None:
    class Odd(Authenticator):
        def certificate_user(self, certificate: bytes) -> str | None:
            return user  # type: ignore[return-value]

    assert isinstance(step(make_server("EXTERNAL", Odd(), WITH_CERTIFICATE), ""), Denied)


@pytest.mark.parametrize("authzid", [b"\xff", b"\0", b"ann\0", b"\x07", "\u00ad".encode()])
def test_the_server_refuses_an_invalid_authzid(authzid: bytes) -> None:
    users = Users(certificates={CERTIFICATE: "ann"})
    with pytest.raises(GrammarError):
        step(make_server("EXTERNAL", users, WITH_CERTIFICATE), authzid)


def test_the_client_refuses_an_invalid_authzid_and_a_challenge() -> None:
    with pytest.raises(GrammarError):
        make_client("EXTERNAL", External("a\0b"))
    with pytest.raises(RemoteProtocolError):
        make_client("EXTERNAL", External()).step(b"who?")

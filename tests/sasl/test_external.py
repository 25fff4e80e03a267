"""EXTERNAL (RFC 4422 A)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto.errors import GrammarError, RemoteProtocolError
from smtpproto.grammar.secret import Secret
from smtpproto.sasl import Authenticator, Denied, External, Identity, offers, usable
from smtpproto.sasl.prepare import saslprep

from .parties import CERTIFICATE, NAMES, Users, channel, client, outcome, server, step

KNOWN = channel(certificate=CERTIFICATE)


@pytest.mark.req("RFC4422-A-01")
@given(st.just("") | NAMES, st.booleans())
def test_the_certificate_says_who_it_is_and_the_client_whom_it_acts_as(
    authzid: str, asked: bool
) -> None:
    whom = saslprep(authzid)
    ours = client("EXTERNAL", External(authzid))
    assert ours.initial() == Secret(whom)
    users = Users(certificates={CERTIFICATE: "ann"}, proxies=[("ann", whom)])
    said = outcome(ours, server("EXTERNAL", users, KNOWN), asked=asked)
    assert said == Identity("ann", whom, "EXTERNAL")


def test_whom_one_may_act_as() -> None:
    users = Users(certificates={CERTIFICATE: "ann"})
    assert step(server("EXTERNAL", users, KNOWN), "ann") == Identity("ann", "", "EXTERNAL")
    assert isinstance(step(server("EXTERNAL", users, KNOWN), "bob"), Denied)


@pytest.mark.req("RFC4422-A-02")
def test_no_certificate_no_login() -> None:
    users = Users(certificates={CERTIFICATE: "ann"})
    assert isinstance(step(server("EXTERNAL", users, channel()), ""), Denied)
    assert "EXTERNAL" not in offers(users, channel())
    assert "EXTERNAL" not in offers(users, channel(secure=False, certificate=CERTIFICATE))
    assert "EXTERNAL" in offers(users, KNOWN)
    assert "EXTERNAL" not in offers(Authenticator(), KNOWN)


def test_it_is_used_under_tls_only() -> None:
    assert [row.name for row in usable(External(), ["EXTERNAL"], channel())] == ["EXTERNAL"]
    assert usable(External(), ["EXTERNAL"], channel(secure=False)) == ()


@pytest.mark.parametrize("user", ["", None, True, b"ann"])
def test_nobody_s_certificate(user: object) -> None:
    class Odd(Authenticator):
        def certificate_user(self, certificate: bytes) -> str | None:
            return user  # type: ignore[return-value]

    assert isinstance(step(server("EXTERNAL", Odd(), KNOWN), ""), Denied)


@pytest.mark.parametrize("authzid", [b"\xff", b"\0", b"ann\0", b"\x07", "\u00ad".encode()])
def test_identities_that_are_none(authzid: bytes) -> None:
    users = Users(certificates={CERTIFICATE: "ann"})
    with pytest.raises(GrammarError):
        step(server("EXTERNAL", users, KNOWN), authzid)


def test_what_a_client_does_not_say() -> None:
    with pytest.raises(GrammarError):
        client("EXTERNAL", External("a\0b"))
    with pytest.raises(RemoteProtocolError):
        client("EXTERNAL", External()).step(b"who?")

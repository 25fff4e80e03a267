"""Logins and their options: faults that a hostile review found, and their mends."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from smtpproto import (
    BadCredentials,
    ClientCertificate,
    ClientConfig,
    GrammarError,
    HashedPasswords,
    RemoteProtocolError,
    Secret,
    ServerConfig,
    TLSMode,
    TLSVerify,
)
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.client.connection import Client, start_client
from smtpproto.client.target import make_target
from smtpproto.sasl import BearerToken, Login
from smtpproto.testing.script import ScriptedStream
from tests.support.logins import ANN

PASSWORD = "hunter2"


def opened(script: str, **options: Any) -> Client:
    stream = ScriptedStream(script)
    config = ClientConfig(hello="c.example", login=ANN, login_in_clear=True, **options)
    try:
        return run(start_client(Runtime(), stream, "mx.example.org", config, TLSMode.NONE))
    finally:
        stream.finish()


PLAIN = """\
S: 220 mx.example.org
C: EHLO c.example
S: 250-mx.example.org
S: 250 AUTH PLAIN
C: AUTH PLAIN AGFubgBzZWNyZXQ=
"""


# -- what is no credential -----------------------------------------------------------------------


@pytest.mark.parametrize("value", [7, 10**30, None, 1.5, ["x"]], ids=repr)
def test_a_secret_of_a_wrong_type(value: Any) -> None:
    """``bytes(7)`` are seven NULs: a PIN that is a number would be another password."""
    for make in (Secret, lambda it: Login("ann", it), lambda it: BearerToken("ann", it)):
        with pytest.raises(TypeError, match="a secret must be bytes or str"):
            make(value)


def test_a_key_is_encrypted_by_octets_too() -> None:
    certificate = ClientCertificate("cert.pem", password=PASSWORD.encode())
    assert certificate.password == Secret(PASSWORD)
    assert PASSWORD not in repr(certificate)


@pytest.mark.parametrize(
    "options",
    [
        {"login": ["ann", PASSWORD]},
        {"login": f"ann:{PASSWORD}"},
        {"login": {"ann": PASSWORD}},
        {"certificate": ("cert.pem", "key.pem", PASSWORD)},
        {"verify": True},
        {"verify": False},
    ],
    ids=str,
)
def test_client_options_of_a_wrong_type(options: dict[str, Any]) -> None:
    """They are refused when they are given, and not shown: there may be a password in them."""
    with pytest.raises(TypeError, match=next(iter(options))) as caught:
        ClientConfig(**options)
    assert PASSWORD not in repr(caught.value)


def test_a_verifier_is_no_class() -> None:
    """Nothing would be offered, and nobody would know why."""
    with pytest.raises(TypeError, match="authenticator"):
        ServerConfig(authenticator=HashedPasswords)  # type: ignore[arg-type]


@pytest.mark.parametrize("fingerprints", [("ab" * 32,), (b"short",), (b"",)], ids=str)
def test_fingerprints_that_no_certificate_has(fingerprints: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        TLSVerify(fingerprints=fingerprints)


# -- a password is not looked up in DNS ----------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        f"ann:{PASSWORD}@mail.example.org",
        f"smtp:ann:{PASSWORD}@mail.example.org",
        f"smtps:/ann:{PASSWORD}@mail.example.org:465",
        f"ann:{PASSWORD}\N{LATIN SMALL LETTER E WITH ACUTE}@mail.example.org",
    ],
)
def test_a_url_without_its_beginning_is_no_host(host: str) -> None:
    with pytest.raises(GrammarError, match="smtp://") as caught:
        make_target(host)
    assert PASSWORD not in repr(caught.value) + str(caught.value)


# -- errors --------------------------------------------------------------------------------------


def test_an_error_of_a_login_can_be_pickled() -> None:
    script = PLAIN + "S: 535 5.7.8 No\nC: QUIT\nS: 221 2.0.0 Bye\n"
    with pytest.raises(BadCredentials) as caught:
        opened(script)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.details) == (str(caught.value), {})


@pytest.mark.parametrize("end", ["", "S: <silence>\n", "S: <reset>\n", "S: what?\n"])
def test_a_server_that_hangs_up_at_the_cancellation(end: str) -> None:
    """Why it was cancelled is what counts: it is not the link that failed first."""
    script = PLAIN + "S: 334 QUFB\nC: *\n" + end
    with pytest.raises(RemoteProtocolError, match="a challenge in PLAIN") as caught:
        opened(script)
    assert caught.value.command == "AUTH PLAIN"


@pytest.mark.parametrize(
    ("script", "phase", "command"),
    [
        ("S: what?\n", "greeting", ""),
        (PLAIN + "S: what?\n", "login", "AUTH PLAIN ***"),
        (PLAIN + "S: 2356 what?\n", "login", "AUTH PLAIN ***"),
    ],
)
def test_what_is_no_reply_is_told_with_its_place(script: str, phase: str, command: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        opened(script)
    assert (caught.value.phase, caught.value.command) == (phase, command)

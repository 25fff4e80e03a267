"""gsasl logs in to our server: with channel binding (RFC 9266), and anonymously."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from OpenSSL import SSL

from smtpproto import ScramKeys, StoredKeys
from smtpproto.sasl import Identity
from tests.interop.login_server import LoginInbox
from tests.interop.our_server import LOGIN, serving
from tests.interop.programs import Certificate, find_program, run

KEYS = [
    str(ScramKeys.derive(LOGIN[1], salt=bytes(16), hash_name=name)) for name in ("SHA-256", "SHA-1")
]
TRACE = "ann@a.test"
PLUS = ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS"]

pytestmark = pytest.mark.peer("gsasl")


class KeysAndAnonymous(StoredKeys):
    """Has Ann's keys, and accepts anonymous users with the trace :data:`TRACE`."""

    def allow_anonymous(self, trace: str) -> bool:
        return trace == TRACE


@pytest.fixture
def login_inbox() -> LoginInbox:
    """An empty inbox that records logins."""
    return LoginInbox()


@pytest.fixture(params=["blocking", "asyncio", "trio"])
def gsasl(
    request: pytest.FixtureRequest, login_inbox: LoginInbox, certificate: Certificate
) -> Iterator[Callable[..., str]]:
    """Return a function that logs in to our server with gsasl, and returns its output."""
    path, context = find_program("gsasl"), SSL.Context(SSL.TLS_SERVER_METHOD)
    context.use_certificate_chain_file(certificate.chain)
    context.use_privatekey_file(certificate.chain)
    # gsasl does not recognise STARTTLS in the last line, so an extension must follow it.
    options: Any = {"context": context, "extensions": {"DSN": ""}}
    with serving(
        request.param, login_inbox, authenticator=KeysAndAnonymous({LOGIN[0]: KEYS}), **options
    ) as port:
        server = ("--smtp", f"--connect=127.0.0.1:{port}", f"--x509-ca-file={certificate.ca}")

        def log_in(*login: str) -> str:
            return run(path, *server, "--verbose", *login, check=False)

        yield log_in


def password_login(mechanism: str, password: str = LOGIN[1]) -> list[str]:
    """Return the options for a login by *mechanism*."""
    return [f"--mechanism={mechanism}", f"--authentication-id={LOGIN[0]}", f"--password={password}"]


@pytest.mark.parametrize("mechanism", PLUS)
def test_a_login_with_channel_binding_succeeds(
    mechanism: str, gsasl: Callable[..., str], login_inbox: LoginInbox
) -> None:
    assert "235 2.7.0 Authentication successful" in gsasl(*password_login(mechanism))
    assert login_inbox.logins == [Identity(LOGIN[0], mechanism=mechanism)]
    assert "535 5.7.8 Authentication credentials invalid" in gsasl(
        *password_login(mechanism, "guess")
    )
    assert len(login_inbox.logins) == 1


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-1"])
def test_a_login_without_channel_binding_succeeds(
    mechanism: str, gsasl: Callable[..., str], login_inbox: LoginInbox
) -> None:
    """With --no-cb, gsasl says that it has no channel binding. Otherwise our server would conclude
    that its offer was changed on the way."""
    assert "235 2.7.0 Authentication successful" in gsasl(*password_login(mechanism), "--no-cb")
    assert login_inbox.logins == [Identity(LOGIN[0], mechanism=mechanism)]


def test_an_anonymous_login_needs_the_right_trace(
    gsasl: Callable[..., str], login_inbox: LoginInbox
) -> None:
    output = gsasl("--mechanism=ANONYMOUS", f"--anonymous-token={TRACE}")
    assert "235 2.7.0 Authentication successful" in output
    assert login_inbox.logins == [Identity("anonymous", mechanism="ANONYMOUS")]
    output = gsasl("--mechanism=ANONYMOUS", "--anonymous-token=eve@a.test")
    assert "535 5.7.8 Authentication credentials invalid" in output
    assert len(login_inbox.logins) == 1

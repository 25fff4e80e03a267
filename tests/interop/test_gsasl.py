"""gsasl logs in to our server: bound to the TLS connection (RFC 9266), and as nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from OpenSSL import SSL

from smtpproto import ScramKeys, StoredKeys
from smtpproto.sasl import Identity
from tests.interop.peers import LOGIN, serving
from tests.interop.programs import Certificate, program, run
from tests.interop.test_auth_clients import Desk

KEYS = [
    str(ScramKeys.derive(LOGIN[1], salt=bytes(16), hash_name=name)) for name in ("SHA-256", "SHA-1")
]
TRACE = "ann@a.test"
BOUND = ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS"]

pytestmark = pytest.mark.peer("gsasl")


class Open(StoredKeys):
    """Ann's keys; and anybody may come in who leaves :data:`TRACE`."""

    def allow_anonymous(self, trace: str) -> bool:
        return trace == TRACE


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture(params=["blocking", "asyncio", "trio"])
def gsasl(
    request: pytest.FixtureRequest, desk: Desk, certificate: Certificate
) -> Iterator[Callable[..., str]]:
    """Runs gsasl against our server; gives what it printed."""
    path, context = program("gsasl"), SSL.Context(SSL.TLS_SERVER_METHOD)
    context.use_certificate_chain_file(certificate.chain)
    context.use_privatekey_file(certificate.chain)
    # It sees STARTTLS in lines only that are not the last.
    options: Any = {"context": context, "extensions": {"DSN": ""}}
    with serving(request.param, desk, authenticator=Open({LOGIN[0]: KEYS}), **options) as port:
        server = ("--smtp", f"--connect=127.0.0.1:{port}", f"--x509-ca-file={certificate.ca}")

        def log_in(*login: str) -> str:
            return run(path, *server, "--verbose", *login, check=False)

        yield log_in


def by(mechanism: str, password: str = LOGIN[1]) -> list[str]:
    return [f"--mechanism={mechanism}", f"--authentication-id={LOGIN[0]}", f"--password={password}"]


@pytest.mark.parametrize("mechanism", BOUND)
def test_bound_to_the_connection(mechanism: str, gsasl: Callable[..., str], desk: Desk) -> None:
    assert "235 2.7.0 Authentication successful" in gsasl(*by(mechanism))
    assert desk.logins == [Identity(LOGIN[0], mechanism=mechanism)]
    assert "535 5.7.8 Authentication credentials invalid" in gsasl(*by(mechanism, "guess"))
    assert len(desk.logins) == 1


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-1"])
def test_not_bound(mechanism: str, gsasl: Callable[..., str], desk: Desk) -> None:
    """It does not say that it could be: else it would be taken for one whose offer was changed."""
    assert "235 2.7.0 Authentication successful" in gsasl(*by(mechanism), "--no-cb")
    assert desk.logins == [Identity(LOGIN[0], mechanism=mechanism)]


def test_nobody(gsasl: Callable[..., str], desk: Desk) -> None:
    said = gsasl("--mechanism=ANONYMOUS", f"--anonymous-token={TRACE}")
    assert "235 2.7.0 Authentication successful" in said
    assert desk.logins == [Identity("anonymous", mechanism="ANONYMOUS")]
    said = gsasl("--mechanism=ANONYMOUS", "--anonymous-token=eve@a.test")
    assert "535 5.7.8 Authentication credentials invalid" in said
    assert len(desk.logins) == 1

"""Dovecot's submission server, started in the foreground, and its word for Postfix on logins."""

from __future__ import annotations

import contextlib
import hmac
import json
import pwd
import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

from tests.interop.peers import LOGIN, Inbox, serving
from tests.interop.programs import (
    Certificate,
    configuration,
    free_ports,
    missing,
    program,
    require_root,
    running,
    workplace,
)

STRANGE = ("jürgen,=x", "grüße, =y")  # what SCRAM has to escape, and what it has not
_SUBMISSION = Path("/usr/lib/dovecot/submission")  # a package of its own
_USER = "mail"  # every Unix has it
_KEY = b"0123456789abcdef" * 2
_ALIVE = 600  # seconds, of a token
_AGE = 60  # seconds, of a new one: Dovecot refuses those of the future, and time(2) lags behind


@frozen
class Submission:
    """A Dovecot that runs: a submission server for who knows :data:`LOGIN` or :data:`STRANGE`, for
    who has a :func:`token`, and for the certificate's user. *port* wants STARTTLS, *implicit* has
    TLS from the first octet.

    It relays to our server, which gives to *relayed* what arrives, as coming from the user.
    """

    port: int
    implicit: int
    relayed: Inbox
    log: Path


def token(username: str, key: bytes = _KEY) -> str:
    """A bearer token that Dovecot takes, unless made with another key: a JSON Web Token."""
    issued = int(time.time()) - _AGE
    claims = {"sub": username, "iat": issued, "exp": issued + _ALIVE}
    parts = ({"alg": "HS256", "typ": "JWT"}, claims)
    signed = b".".join(_base64url(json.dumps(part).encode()) for part in parts)
    return (signed + b"." + _base64url(hmac.digest(key, signed, "sha256"))).decode()


def _base64url(octets: bytes) -> bytes:
    return urlsafe_b64encode(octets).rstrip(b"=")


@contextlib.contextmanager
def started(certificate: Certificate, sasl: Path) -> Iterator[Submission]:
    """Run it; *sasl* is the socket where Postfix asks it."""
    binary = program("dovecot")
    require_root("Dovecot")
    if not _SUBMISSION.exists():
        missing("Dovecot's submission server")
    relayed = Inbox()
    with (
        workplace() as directory,
        serving("asyncio", relayed, xclient_from=["127.0.0.1"]) as relay,
    ):
        port, implicit = free_ports(2)
        values = {"port": port, "implicit": implicit, "relay": relay, "sasl": sasl}
        _furnish(directory, {**values, "chain": certificate.chain, "ca": certificate.ca})
        command: list[str | Path] = [binary, "-F", "-c", directory / "submission.conf"]
        log = directory / "log"
        with running("Dovecot", command, log, port=port):
            yield Submission(port, implicit, relayed, log)


def _furnish(directory: Path, values: dict[str, object]) -> None:
    user = pwd.getpwnam(_USER)
    values |= {"directory": directory, "uid": user.pw_uid, "gid": user.pw_gid}
    for name in ("submission.conf", "oauth2.conf"):
        (directory / name).write_text(configuration(name, values))
    users = ("{}:{{PLAIN}}{}::::::\n".format(*login) for login in (LOGIN, STRANGE))
    (directory / "users").write_text("".join(users))
    keys = directory / "keys/default/HS256"
    keys.mkdir(parents=True)
    (keys / "default").write_bytes(b64encode(_KEY))
    (directory / "home").mkdir()
    (directory / "home").chmod(0o777)

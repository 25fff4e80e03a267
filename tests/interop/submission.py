"""Dovecot's submission server in the foreground, which also checks logins for Postfix."""

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

from tests.interop.our_server import LOGIN, Inbox, serving
from tests.interop.programs import (
    Certificate,
    configuration,
    find_program,
    free_ports,
    require_root,
    running,
    shared_directory,
    skip_missing,
)

SPECIAL_LOGIN = ("jürgen,=x", "grüße, =y")  # SCRAM escapes "," and "=" in the name only
_SUBMISSION = Path("/usr/lib/dovecot/submission")  # in a separate package
_USER = "mail"  # every Unix has it
_KEY = b"0123456789abcdef" * 2
_LIFETIME = 600  # seconds, of a token
_AGE = 60  # seconds, of a new token: Dovecot refuses one from the future, and time(2) may lag


@frozen
class Submission:
    """A running Dovecot: a submission server that requires STARTTLS on *port*, and has implicit TLS
    on *implicit*.

    It accepts LOGIN, :data:`SPECIAL_LOGIN`, a :func:`token`, and the certificate of the user.
    It relays to our server, which puts each message in *relayed*, with the user's name.
    """

    port: int
    implicit: int
    relayed: Inbox
    log: Path


def token(username: str, key: bytes = _KEY) -> str:
    """Return a bearer token, a JSON Web Token. Dovecot accepts it if *key* is the default."""
    issued = int(time.time()) - _AGE
    claims = {"sub": username, "iat": issued, "exp": issued + _LIFETIME}
    parts = ({"alg": "HS256", "typ": "JWT"}, claims)
    signed = b".".join(_base64url(json.dumps(part).encode()) for part in parts)
    return (signed + b"." + _base64url(hmac.digest(key, signed, "sha256"))).decode()


def _base64url(octets: bytes) -> bytes:
    return urlsafe_b64encode(octets).rstrip(b"=")


@contextlib.contextmanager
def started(certificate: Certificate, sasl: Path) -> Iterator[Submission]:
    """Run Dovecot while the block runs. It checks logins for Postfix on the socket *sasl*."""
    binary = find_program("dovecot")
    require_root("Dovecot")
    if not _SUBMISSION.exists():
        skip_missing("Dovecot's submission server")
    relayed = Inbox()
    with (
        shared_directory() as directory,
        serving("asyncio", relayed, xclient_from=["127.0.0.1"]) as relay,
    ):
        port, implicit = free_ports(2)
        values = {"port": port, "implicit": implicit, "relay": relay, "sasl": sasl}
        _write_files(directory, {**values, "chain": certificate.chain, "ca": certificate.ca})
        command: list[str | Path] = [binary, "-F", "-c", directory / "submission.conf"]
        log = directory / "log"
        with running("Dovecot", command, log, port=port):
            yield Submission(port, implicit, relayed, log)


def _write_files(directory: Path, values: dict[str, object]) -> None:
    user = pwd.getpwnam(_USER)
    values |= {"directory": directory, "uid": user.pw_uid, "gid": user.pw_gid}
    for name in ("submission.conf", "oauth2.conf"):
        (directory / name).write_text(configuration(name, values))
    users = ("{}:{{PLAIN}}{}::::::\n".format(*login) for login in (LOGIN, SPECIAL_LOGIN))
    (directory / "users").write_text("".join(users))
    keys = directory / "keys/default/HS256"
    keys.mkdir(parents=True)
    (keys / "default").write_bytes(b64encode(_KEY))
    (directory / "home").mkdir()
    (directory / "home").chmod(0o777)

"""OpenDKIM verifies what we sign, and we verify what it signs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from smtpproto.policy import Canonicalization
from tests.interop.programs import find_program, run, shared_directory
from tests.policy.signing import BODY, HEADER, rsa, rsa_key, sign, verify_one, zone

pytestmark = pytest.mark.peer("opendkim")

NOW = 1.7e9
# OpenDKIM drops all blanks after a colon when it reads a file.
FIELDS = HEADER.replace(b":  ", b": ")
FORMS = [(a, b) for a in Canonicalization for b in Canonicalization]
BODIES = {
    "text": BODY,
    "empty": b"",
    "empty lines": b"\r\n\r\n\r\n",
    "blanks": b"  a \t b \r\n \t \r\nc\r\n \r\n",
    "long": b"x y  z\r\n" * 20_000,
}


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    with shared_directory() as made:
        (made / "key.pem").write_bytes(rsa_key().pem())
        (made / "keys").write_text(f"r._domainkey.example.org {rsa_key().record()}\n")
        yield made


def opendkim(directory: Path, message: bytes, *lines: str) -> str:
    """Return what OpenDKIM says of *message*, configured by *lines*."""
    program = find_program("opendkim")
    (directory / "conf").write_text("\n".join(["RequireSafeKeys no", *lines, ""]))
    (directory / "message").write_bytes(message)
    return run(program, "-x", directory / "conf", "-t", directory / "message", "-vv", check=False)


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("forms", FORMS, ids=lambda forms: "-".join(it.value for it in forms))
def test_opendkim_verifies_what_we_sign(
    directory: Path, forms: tuple[Canonicalization, Canonicalization], body: str
) -> None:
    message = FIELDS + b"\r\n" + BODIES[body]
    signed = sign(message, rsa(), now=NOW, header_form=forms[0], body_form=forms[1])
    options = ["Mode v", f"TestPublicKeys {directory / 'keys'}", "AlwaysAddARHeader yes"]
    assert "dkim=pass (2048-bit key) header.d=example.org" in opendkim(directory, signed, *options)
    changed = signed.replace(b"Lunch", b"Supper")
    assert "dkim=fail" in opendkim(directory, changed, *options)


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("forms", FORMS, ids=lambda forms: "-".join(it.value for it in forms))
def test_we_verify_what_opendkim_signs(
    directory: Path, forms: tuple[Canonicalization, Canonicalization], body: str
) -> None:
    message = FIELDS + b"\r\n" + BODIES[body]
    said = opendkim(
        directory,
        message,
        "Mode s",
        "Domain example.org",
        "Selector r",
        f"KeyFile {directory / 'key.pem'}",
        f"Canonicalization {forms[0].value}/{forms[1].value}",
        "OversignHeaders From",
    )
    [value] = re.findall(r"hname='DKIM-Signature' hvalue='([^']*)'", said)
    field = f"DKIM-Signature: {value}\n".replace("\n", "\r\n").encode()
    check = verify_one(field + message, zone())
    assert check.passed, check.reason
    assert not verify_one(field + message + b"x", zone()).passed

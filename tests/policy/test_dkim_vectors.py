"""The public messages that other projects sign and verify: those of RFC 6376 and RFC 8463 too."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from smtpproto.dns import Kind
from smtpproto.policy import DKIMCheck, DKIMResult, verify_dkim
from smtpproto.testing.zone import Zone
from tests.policy.signing import KEYS, run

ROOT = Path(__file__).parents[2]
VECTORS = Path(os.environ.get("SMTPPROTO_VECTORS", ROOT.parent / "shared/vectors")) / "dkim"
MAIL_AUTH = sorted(VECTORS.glob("mail-auth/*.txt"))
DKIMPY = VECTORS / "dkimpy"
pytestmark = pytest.mark.skipif(not VECTORS.exists(), reason=f"no vectors in {VECTORS}")

ED25519 = b"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="  # RFC 8463 A.2


def zone_of(records: dict[str, bytes]) -> Zone:
    return Zone({name: {Kind.TXT: [record]} for name, record in records.items()})


def results(message: bytes, records: dict[str, bytes], now: float = 1.6e9) -> list[DKIMCheck]:
    return run(verify_dkim(message, zone_of(records), KEYS, now=now))


def football(rsa: str = "test.txt") -> dict[str, bytes]:
    """Return the records of the examples of RFC 8463, with the RSA key of a file of dkimpy."""
    domain = "_domainkey.football.example.com"
    record = (DKIMPY / rsa).read_bytes().strip()
    return {f"test.{domain}": record, f"brisbane.{domain}": ED25519}


@pytest.mark.parametrize("path", MAIL_AUTH, ids=lambda path: path.stem)
def test_the_messages_of_mail_auth_pass(path: Path) -> None:
    head, _, message = path.read_bytes().replace(b"\r\n", b"\n").partition(b"\n\n")
    lines = [line.decode().split(" ", 1) for line in head.splitlines()]
    records = {name: record.encode() for name, record in lines}
    found = results(message, records, now=1667843700)
    assert {it.signature and it.signature.key_name for it in found} == set(records)
    assert all(it.passed for it in found), [it.reason for it in found]


@pytest.mark.parametrize("name", ["rfc6376.signed.msg", "rfc6376.signed.rsa.msg"])
def test_the_message_of_the_rfcs_passes(name: str) -> None:
    message = (DKIMPY / name).read_bytes()
    found = results(message, football())
    assert found and all(it.passed for it in found), [it.reason for it in found]


@pytest.mark.parametrize(
    "name",
    [
        "1024_testkey_wo_markers.pub.txt",
        "2048_testkey_PKCS8.key.pub.txt",
        "test_bad.txt",
        "badk.txt",
        "badversion.txt",
        "test_tlsrpt.txt",
    ],
)
def test_other_keys_do_not_verify_it(name: str) -> None:
    message = (DKIMPY / "rfc6376.signed.rsa.msg").read_bytes()
    [result] = results(message, football(name))
    bad = name.startswith(("test_", "bad"))
    assert result.result is (DKIMResult.PERMERROR if bad else DKIMResult.FAIL)


def test_an_ed25519_message_of_exim_passes() -> None:
    record = (DKIMPY / "eximtest.dns").read_bytes().strip()
    message = (DKIMPY / "ed25519test2.msg").read_bytes()
    [result] = results(message, {"sed._domainkey.test.ex": record})
    assert result.signature is not None
    assert result.result is DKIMResult.PASS

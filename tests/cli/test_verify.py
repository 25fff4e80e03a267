"""``smtpproto send``: how the server is verified."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import trustme

from smtpproto import Envelope, Handler, Session
from smtpproto.adapters import blocking
from smtpproto.cli import main
from tests.support.certificates import der, self_signed, server_context

CA = trustme.CA()
LEAF = CA.issue_cert("mail.example.org")
PRINT = hashlib.sha256(der(LEAF)).hexdigest()


class Inbox(Handler):
    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def message(self, session: Session, envelope: Envelope, body: bytes) -> None:
        assert session.tls is not None
        self.bodies.append(body)


def send(leaf: trustme.LeafCert, directory: Path, *options: str) -> tuple[int, int]:
    """Exit status, and how many messages arrived."""
    message, inbox = directory / "message.eml", Inbox()
    message.write_bytes(b"From: a@a.test\nTo: b@b.test\n\nhi\n")
    (directory / "ca").write_bytes(CA.cert_pem.bytes())
    with blocking.serve(inbox, context=server_context(leaf)) as server:
        where = ["--host=localhost", f"--port={server.port}", "--tls=required"]
        status = main(["send", *where, *options, str(message)])
    return status, len(inbox.bodies)


@pytest.mark.parametrize(
    "options",
    [
        ["--ca=ca", "--server-name=mail.example.org"],
        [f"--fingerprint={PRINT}"],
        [f"--fingerprint={'0' * 64}", f"--fingerprint={bytes.fromhex(PRINT).hex(':').upper()}"],
        ["--verify=none"],
    ],
    ids=lambda options: options[0][:10],
)
def test_it_is_enough(options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert send(LEAF, tmp_path, *options) == (0, 1)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ([], "CERTIFICATE_VERIFY_FAILED"),
        (["--verify=name"], "CERTIFICATE_VERIFY_FAILED"),
        (["--ca=ca"], "CERTIFICATE_VERIFY_FAILED"),
        ([f"--fingerprint={PRINT}"], "another fingerprint"),
        (["--fingerprint=ab"], "not a SHA-256 fingerprint"),
    ],
)
def test_it_is_not(
    options: list[str],
    why: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert send(self_signed("mail.example.org"), tmp_path, *options) == (2, 0)
    assert why in capsys.readouterr().err


def test_one_way_at_a_time(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["send", "--ca=ca", "--verify=none"])
    assert "not allowed with" in capsys.readouterr().err

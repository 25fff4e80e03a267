"""The options of ``smtpproto send`` that say how the server is verified."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme

from smtpproto.adapters import blocking
from smtpproto.cli import main
from smtpproto.delivery import ExitStatus
from tests.support.certificates import fingerprint, self_signed, server_context
from tests.support.handlers import Inbox

CA = trustme.CA()
LEAF = CA.issue_cert("mail.example.org")
FINGERPRINT = fingerprint(LEAF)


def send_over_tls(leaf: trustme.LeafCert, directory: Path, *options: str) -> tuple[int, int]:
    """Send a message to a server that shows *leaf*. Return the exit status, and the number of
    messages that arrived under TLS."""
    message, inbox = directory / "message.eml", Inbox()
    message.write_bytes(b"From: a@a.test\nTo: b@b.test\n\nhi\n")
    (directory / "ca").write_bytes(CA.cert_pem.bytes())
    with blocking.serve(inbox, context=server_context(leaf)) as server:
        where = ["--host=localhost", f"--port={server.port}", "--tls=required"]
        status = main(["send", *where, *options, str(message)])
    return status, sum(session.tls is not None for session, _, _ in inbox.messages)


@pytest.mark.parametrize(
    "options",
    [
        ["--ca=ca", "--server-name=mail.example.org"],
        [f"--fingerprint={FINGERPRINT}"],
        [
            f"--fingerprint={'0' * 64}",
            f"--fingerprint={bytes.fromhex(FINGERPRINT).hex(':').upper()}",
        ],
        ["--verify=none"],
    ],
    ids=["CA", "fingerprint", "fingerprints", "none"],
)
def test_the_server_is_verified(
    options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert send_over_tls(LEAF, tmp_path, *options) == (0, 1)


@pytest.mark.parametrize(
    ("options", "status", "reason"),
    [
        ([], ExitStatus.PROTOCOL, "CERTIFICATE_VERIFY_FAILED"),
        (["--verify=name"], ExitStatus.PROTOCOL, "CERTIFICATE_VERIFY_FAILED"),
        (["--ca=ca"], ExitStatus.PROTOCOL, "CERTIFICATE_VERIFY_FAILED"),
        ([f"--fingerprint={FINGERPRINT}"], ExitStatus.PROTOCOL, "another fingerprint"),
        (["--fingerprint=ab"], ExitStatus.USAGE, "not a SHA-256 fingerprint"),
    ],
    ids=["default", "name", "CA", "fingerprint", "bad fingerprint"],
)
def test_the_server_is_not_verified(
    options: list[str],
    status: int,
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert send_over_tls(self_signed("mail.example.org"), tmp_path, *options) == (status, 0)
    assert reason in capsys.readouterr().err


def test_only_one_of_the_options_is_allowed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["send", "--ca=ca", "--verify=none"]) == ExitStatus.USAGE
    assert "not allowed with" in capsys.readouterr().err

"""``smtpproto check``: what it prints about a message, and its exit status."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from smtpproto.cli import main
from smtpproto.delivery import ExitStatus
from tests.support.name_server import NameServer, serving

MESSAGE = b"From: Ann <ann@example.test>\n\nhello\n"
RECORDS = {
    "example.test": [("TXT", '"v=spf1 ip4:198.51.100.1 -all"')],
    "mx.example.test": [("A", "198.51.100.1")],
    "1.100.51.198.in-addr.arpa": [("PTR", "mx.example.test.")],
    "_dmarc.example.test": [("TXT", '"v=DMARC1; p=reject"')],
}
CLIENT = ("--client", "198.51.100.1", "--hello", "mx.example.test", "--sender", "ann@example.test")


@pytest.fixture
def server() -> Iterator[NameServer]:
    with serving(NameServer(RECORDS)) as server:
        yield server


def _check(
    server: NameServer, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, str, str]:
    status = main(["check", "--resolver", f"127.0.0.1:{server.port}", *arguments])
    output = capsys.readouterr()
    return status, output.out, output.err


def test_a_message_in_a_file_is_examined(
    server: NameServer, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "message.eml"
    path.write_bytes(MESSAGE)
    status, out, err = _check(server, capsys, str(path), *CLIENT)
    assert (status, err) == (1, "")  # it is not signed
    assert "pass for 198.51.100.1" in out and "there is no signature" in out


@pytest.mark.parametrize("name", [[], ["-"]], ids=["none", "dash"])
def test_a_message_on_standard_input_is_examined(
    name: list[str],
    server: NameServer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(MESSAGE)))
    status, out, _ = _check(server, capsys, "--json", *name)
    assert status == 1 and json.loads(out)["about"] == "message from example.test"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--client", "192.0.2.1"], "--client needs --sender"),
        (["--sender", "a@b.test"], "need --client"),
        (["--client", "192.0.2.1", "--sender", "nobody"], "not an address: 'nobody'"),
        (["gone.eml"], "gone.eml"),
    ],
)
def test_arguments_that_cannot_be_used_are_named(
    arguments: list[str], named: str, server: NameServer, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, err = _check(server, capsys, *arguments)
    assert status == (ExitStatus.NOINPUT if arguments == ["gone.eml"] else ExitStatus.USAGE)
    assert named in err

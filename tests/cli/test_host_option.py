"""``--host`` of ``send`` and ``serve``: Unix sockets, and refused URLs."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from smtpproto.adapters import blocking
from smtpproto.cli import main
from smtpproto.delivery import ExitStatus
from tests.cli.server_process import STORED, WARNING
from tests.support.handlers import Inbox

needs_unix_sockets = pytest.mark.skipif(
    not hasattr(socket, "AF_UNIX"), reason="this system has no Unix sockets"
)


@needs_unix_sockets
def test_a_path_is_that_of_a_unix_socket(
    message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inbox, path = Inbox(), str(tmp_path / "x.sock")
    with blocking.serve(inbox, path):
        assert main(["send", "--host", path, message]) == 0
    assert inbox.bodies == [STORED]
    assert capsys.readouterr().err == WARNING


@needs_unix_sockets
@pytest.mark.parametrize("command", ["send", "serve"])
def test_a_path_with_a_port_is_refused(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--host", str(tmp_path / "x"), "--port", "2525"]) == ExitStatus.USAGE
    assert "--host is the path of a Unix socket, which has no port" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["send", "serve"])
def test_a_url_is_refused(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It may contain a password, and every user of the machine can read the command line."""
    assert main([command, "--host", "smtp://ann:secret@mx.example"]) == ExitStatus.USAGE
    assert "not a URL" in capsys.readouterr().err

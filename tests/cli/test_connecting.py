"""Where the commands connect and listen, beside host and port."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from smtpproto import Envelope, Handler, Session
from smtpproto.adapters import blocking
from smtpproto.cli import main

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets here")


class Inbox(Handler):
    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def message(self, session: Session, envelope: Envelope, body: bytes) -> None:
        self.bodies.append(body)


@pytest.fixture
def message(tmp_path: Path) -> str:
    path = tmp_path / "message.eml"
    path.write_bytes(b"From: ann@example.org\r\nTo: bob@example.org\r\n\r\nhello\r\n")
    return str(path)


def test_a_message_to_a_unix_socket(
    message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inbox, path = Inbox(), str(tmp_path / "x.sock")
    with blocking.serve(inbox, path):
        assert main(["send", "--host", path, message]) == 0
    assert inbox.bodies == [Path(message).read_bytes()]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("command", ["send", "serve"])
def test_a_path_and_a_port(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--host", str(tmp_path / "x"), "--port", "2525"]) == 2
    assert "--port is not for the path of a Unix socket" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["send", "serve"])
def test_no_url_for_all_to_see(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A password on a command line is seen by everybody on the machine."""
    with pytest.raises(SystemExit):
        main([command, "--host", "smtp://ann:secret@mx.example"])
    assert "not a URL" in capsys.readouterr().err

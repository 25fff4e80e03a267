"""``smtpproto serve``: what it prints and stores, its signals and its TLS."""

from __future__ import annotations

import argparse
import signal
import socket
import ssl
from pathlib import Path

import pytest
import trustme

from smtpproto.cli import main
from smtpproto.cli.serve import _context
from smtpproto.delivery import ExitStatus
from tests.cli.server_process import assert_one_line, send, serving


def test_control_characters_are_printed_escaped(tmp_path: Path) -> None:
    path = tmp_path / "message"
    path.write_bytes(b"Subject: gr\xc3\xbcn\tx\n\n\x1b[2J\x07 \xff \xe2\x80\xae\n")
    with serving("--raw") as server:
        assert send(server.port, "--from=a@a.test", "--to=b@b.test", "--tls=none", str(path)) == 0
        _, out, _ = server.stop()
    assert out.splitlines()[1:-1] == ["Subject: grün\tx", "", r"\x1b[2J\x07 \xff \u202e"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_server_and_idle_clients_get_421(number: int) -> None:
    with serving("--hostname", "mx.b.test") as server:
        with socket.create_connection(("127.0.0.1", server.port), 20) as idle:
            assert idle.recv(1000).startswith(b"220 mx.b.test ")
            server.process.send_signal(number)
            assert idle.recv(1000).startswith(b"421 4.3.2 mx.b.test ")
        out, err = server.process.communicate(timeout=20)
        assert (server.process.returncode, out, err) == (0, "", "")


def test_a_second_signal_ends_the_server_during_a_message() -> None:
    with (
        serving() as server,
        socket.create_connection(("127.0.0.1", server.port), 20) as client,
        client.makefile("rb") as lines,
    ):
        lines.readline()
        client.sendall(b"HELO c.test\r\nMAIL FROM:<>\r\nRCPT TO:<b@b.test>\r\nDATA\r\nhalf")
        assert [lines.readline()[:3] for _ in range(4)] == [b"250", b"250", b"250", b"354"]
        server.process.send_signal(signal.SIGTERM)
        for _ in range(100_000):  # until the first signal has arrived
            if not _listens(server.port):
                break
        else:
            raise AssertionError("the server still listens")
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == -signal.SIGTERM


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 20).close()
    except OSError:
        return False
    return True


def test_a_message_above_max_size_is_not_sent(
    message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving("--max-size", "65536") as server, open(message, "ab") as file:
        file.write(b"x\n" * 65536)
        file.flush()
        assert send(server.port, message) == ExitStatus.UNAVAILABLE
    assert "accepts at most 65536" in capsys.readouterr().err


def test_a_port_in_use_is_reported_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["serve", "--port", str(taken.getsockname()[1])]) == ExitStatus.UNAVAILABLE
    assert_one_line(capsys, "smtpproto serve: ", "in use")


@pytest.mark.req("RFC8314-4.2-01")
def test_clients_are_not_asked_for_a_certificate(tmp_path: Path) -> None:
    """The command has no login by certificate, so one would be of no use."""
    issued = trustme.CA().issue_cert("localhost")
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both")
    context = _context(argparse.Namespace(certificate=str(tmp_path / "both"), key=None))
    assert context is not None
    assert context.verify_mode is ssl.CERT_NONE

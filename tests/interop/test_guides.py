"""What the how-tos on systemd, HAProxy and Dovecot show works with these programs."""

from __future__ import annotations

import re
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from smtpproto import Envelope
from smtpproto.adapters import blocking
from tests.interop.dovecot import Dovecot
from tests.interop.programs import find_program, run, running, shared_directory

DOCS = Path(__file__).parents[2] / "docs"


def blocks(page: str, language: str) -> list[str]:
    """Return the blocks of *page* in this *language*."""
    text = (DOCS / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.mark.peer("systemd")
@pytest.mark.parametrize("page", ["howto/systemd.md", "tutorials/mail-server.md"])
def test_systemd_finds_nothing_wrong_in_the_unit(page: str, tmp_path: Path) -> None:
    [unit] = blocks(page, "ini")
    file = tmp_path / "smtpproto.service"
    file.write_text(re.sub(r"/srv/mail/venv/bin/\w+", sys.executable, unit))
    assert run(find_program("systemd-analyze"), "verify", "--man=no", file) == ""


@pytest.mark.peer("haproxy")
def test_the_server_behind_haproxy_sees_the_client(capsys: pytest.CaptureFixture[str]) -> None:
    [text] = blocks("howto/haproxy.md", "text")
    names: dict[str, Any] = {}
    code = blocks("howto/haproxy.md", "python")[0].replace("2525", "0")
    exec(code, names)
    with (
        names["server"] as server,
        shared_directory() as directory,
        socket.create_server(("127.0.0.1", 0)) as front,
    ):
        port = front.getsockname()[1]
        text = text.replace("bind :25", f"bind fd@{front.fileno()}")
        text = re.sub(r"192\.0\.2\.\d+:2525", f"127.0.0.1:{server.port}", text)
        (directory / "haproxy.cfg").write_text(text)
        command: list[str | Path] = [find_program("haproxy"), "-db", "-f"]
        command.append(directory / "haproxy.cfg")
        with (
            running("HAProxy", command, directory / "log", inherited=[front.fileno()]),
            blocking.connect("127.0.0.1", port, source="127.0.0.2", tls="none") as client,
        ):
            client.send(b"hello\r\n", Envelope("ann@example.org", "bob@example.org"))
    assert capsys.readouterr().out == "from 127.0.0.2\n"


@pytest.mark.peer("dovecot")
def test_dovecot_tells_the_recipients_apart(
    dovecot: Dovecot, capsys: pytest.CaptureFixture[str]
) -> None:
    [code] = blocks("howto/lmtp-dovecot.md", "python")
    exec(code.replace("/run/dovecot/lmtp", str(dovecot.socket)), {})
    said = capsys.readouterr().out.splitlines()
    assert sorted(said) == ["full@box.test 552 never", "nobody@box.test 550 never"]
    dovecot.mailboxes.next("alice")


@pytest.mark.peer("dovecot")
def test_dovecot_reads_the_configuration(tmp_path: Path) -> None:
    [text] = blocks("howto/lmtp-dovecot.md", "dovecot")
    file = tmp_path / "dovecot.conf"
    file.write_text(text)
    shown = run(find_program("doveconf"), "-n", "-c", file)
    assert "unix_listener lmtp {\n    mode = 0600\n    user = vmail\n" in shown

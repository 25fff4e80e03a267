"""docs/howto/command-line.md: its commands run, and print what the page shows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

import smtpproto
from smtpproto.adapters import blocking
from smtpproto.cli import COMMANDS, main, make_parser
from tests.support.handlers import Inbox

PAGE = (Path(smtpproto.__file__).parent.parent / "docs/howto/command-line.md").read_text()
SHOWN = re.findall(r"^```console\n\$ smtpproto (.*?)\n(.*?)```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("command", [command for command, _ in SHOWN])
def test_each_command_of_the_page_is_understood(command: str) -> None:
    words = shlex.split(command.partition(" >")[0])
    assert make_parser(COMMANDS).parse_args(words).command == words[0]


def test_the_message_of_the_page_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    [(command, output)] = [it for it in SHOWN if "--attach" in it[0]]
    monkeypatch.chdir(tmp_path)
    Path("notes.txt").write_text("one\n")
    inbox = Inbox()
    with blocking.serve(inbox) as server:
        words = shlex.split(command.replace("--port 2525", f"--port {server.port}"))
        assert main([words[0], "--host=127.0.0.1", *words[1:]]) == 0
    assert capsys.readouterr().out == output
    assert b"notes.txt" in inbox.bodies[0]

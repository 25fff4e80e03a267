"""``smtpproto serve`` in a process of its own, and ``smtpproto send`` in this one."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import frozen

from smtpproto.cli import main

MESSAGE = b"From: Ann <ann@a.test>\nTo: bob@b.test\nCc: carol@b.test\nSubject: x\n\n.\nbody\n"
STORED = MESSAGE.replace(b"\n", b"\r\n")
PASSWORD = "open sesame"
WARNING = (
    "smtpproto send: warning: no Date field; set it, as smtpproto.compose does\n"
    "smtpproto send: warning: no Message-ID; set it, as smtpproto.compose does\n"
)


@frozen
class ServerProcess:
    """A server that listens on *port* of 127.0.0.1."""

    process: subprocess.Popen[str]
    port: int

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        """Send a signal. Return the exit status, and the output after the line with the port."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, out, err


@contextlib.contextmanager
def serving(*options: str, **environment: str) -> Iterator[ServerProcess]:
    """Run ``smtpproto serve`` on a free port, with these options and variables."""
    command = [sys.executable, "-m", "smtpproto", "serve", "--port", "0", *options]
    pipe, own = subprocess.PIPE, {"PYTHONUTF8": "1"}
    if (path := os.environ.get("PYTHONPATH")) is not None:  # the library may not be installed
        own["PYTHONPATH"] = path
    with subprocess.Popen(
        command,
        stdout=pipe,
        stderr=pipe,
        text=True,
        env=environment | own,
    ) as process:
        assert process.stdout is not None
        words = process.stdout.readline().split()
        assert words[:-1] == ["listening", "on", "127.0.0.1", "port"]
        try:
            yield ServerProcess(process, int(words[-1]))
        finally:
            process.kill()


def send(port: int, *options: str) -> int:
    """Run ``smtpproto send`` to *port*. Return its exit status."""
    return main(["send", "--host", "127.0.0.1", "--port", str(port), *options])


def stored(maildir: Path) -> list[bytes]:
    """Return the content of all messages in *maildir*, without the trace fields."""
    messages = [path.read_bytes() for path in (maildir / "new").iterdir()]
    return [
        re.sub(rb"\AReturn-Path: .*\r\nReceived: .*\r\n(\t.*\r\n)+", b"", one) for one in messages
    ]


def assert_one_line(capsys: pytest.CaptureFixture[str], *words: str) -> None:
    """Check that the output is one line on standard error, which has these words."""
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert shown.err.startswith("smtpproto")
    for word in words:
        assert word in shown.err

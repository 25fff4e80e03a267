"""``smtpproto mta`` in a process of its own: it stores mail or passes it on."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from smtpproto import Envelope, ForwardPath, Handler, RcptParameters, Reply, Session
from smtpproto.adapters import blocking
from smtpproto.cli import main
from smtpproto.delivery import ExitStatus
from tests.cli.server_process import ServerProcess, send

MESSAGE = b"From: ann@a.test\nTo: bob@b.test\nSubject: x\n\nhello\n"


class NextHop(Handler):
    """Refuses each recipient once, for now."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.got: list[bytes] = []

    def rcpt(
        self, session: Session, recipient: ForwardPath, parameters: RcptParameters
    ) -> Reply | None:
        known = str(recipient) in self.seen
        self.seen.add(str(recipient))
        return None if known else Reply(450, "4.7.1", "Greylisted")

    def message(self, session: Session, envelope: Envelope, body: bytes) -> None:
        self.got.append(body)


@contextlib.contextmanager
def running(directory: Path, port: int, *options: str, more: str = "") -> Iterator[ServerProcess]:
    """Run ``smtpproto mta`` with mailboxes in *directory*, and a smart host at *port*.
    *more* is the end of its file."""
    (directory / "mail/bob").mkdir(parents=True, exist_ok=True)
    (directory / "mail.toml").write_text(
        f"""hostname = "mx.b.test"
queue = "queue.db"
relay_from = "127.0.0.1"
[[listen]]
port = 0
[routes]
"b.test" = {{ maildir = "mail/{{user}}" }}
"*" = {{ smart_host = "127.0.0.1", port = {port}, tls = "none" }}
[retry]
steps = [3600]
{more}
"""
    )
    file = str(directory / "mail.toml")
    command = [sys.executable, "-m", "smtpproto", "mta", "--config", file, *options]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        words = process.stdout.readline().split()
        assert words[:-1] == ["listening", "on", "127.0.0.1", "port"]
        try:
            yield ServerProcess(process, int(words[-1]))
        finally:
            process.kill()


@pytest.fixture
def letter(tmp_path: Path) -> str:
    (tmp_path / "letter").write_bytes(MESSAGE)
    return str(tmp_path / "letter")


def log_has(mta: ServerProcess, *texts: str) -> None:
    """Read the log until each of *texts* was in it, in any order."""
    assert mta.process.stderr is not None
    left = set(texts)
    while left:
        line = mta.process.stderr.readline()
        assert line, f"the log ended without {left}"
        left = {text for text in left if text not in line}


def test_mail_is_stored_or_passed_on_and_what_waits_is_there_after_a_restart(
    tmp_path: Path, letter: str, capsys: pytest.CaptureFixture[str]
) -> None:
    hop, queue = NextHop(), str(tmp_path / "queue.db")
    with blocking.serve(hop) as server:
        with running(tmp_path, server.port) as mta:
            to = ["--to", "bob+x@b.test", "--to", "cat@c.test", "--to", "nobody@b.test"]
            assert send(mta.port, "--from", "ann@a.test", *to, letter) == ExitStatus.NOUSER
            out = capsys.readouterr().out
            assert "refused   nobody@b.test  550 5.1.1 No such mailbox" in out
            assert out.count("250 2.0.0 Queued as") == 2
            log_has(mta, "bob+x@b.test delivered", "cat@c.test is tried again later")
            assert main(["queue", "explain", "0", "--queue", queue]) == 0
            assert "refused it for now: 450 4.7.1 Greylisted" in capsys.readouterr().out
            assert mta.stop()[0] == 0
        [stored] = (tmp_path / "mail/bob/new").iterdir()
        assert stored.read_bytes().startswith(
            b"Return-Path: <ann@a.test>\nDelivered-To: bob+x@b.test\nReceived: from "
        )
        with running(tmp_path, server.port) as mta:
            assert main(["queue", "retry", "--to", "@c.test", "--queue", queue]) == 0
            log_has(mta, "cat@c.test relayed")
            assert mta.stop(signal.SIGINT)[0] == 0
    [body] = hop.got
    assert body.endswith(MESSAGE.replace(b"\n", b"\r\n"))


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there is no such signal here")
def test_sighup_reads_the_routes_again_and_keeps_them_if_the_file_is_wrong(
    tmp_path: Path, letter: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuses(mta: ServerProcess) -> bool:
        status = send(mta.port, "--from", "ann@a.test", "--to", "eve@new.test", letter)
        return status == ExitStatus.NOUSER and "No such mailbox" in capsys.readouterr().out

    with running(tmp_path, 1) as mta:
        path = tmp_path / "mail.toml"
        correct = path.read_text()
        path.write_text(
            correct.replace('"b.test" = ', '"new.test" = { maildir = "mail/{user}" }\n"b.test" = ')
        )
        mta.process.send_signal(signal.SIGHUP)
        log_has(mta, "WARNING reloaded")
        assert refuses(mta)
        path.write_text("hostname = 1")
        mta.process.send_signal(signal.SIGHUP)
        log_has(mta, "not reloaded, everything stays as it was")
        assert refuses(mta)


def test_what_it_does_can_be_watched(
    tmp_path: Path, letter: str, capsys: pytest.CaptureFixture[str]
) -> None:
    more = "[status]\nport = 0\n[metrics]\nport = 0"
    with running(tmp_path, 1, "--log", "json", more=more) as mta:
        assert send(mta.port, "--from", "ann@a.test", "--to", "bob@b.test", letter) == 0
        assert mta.process.stderr is not None
        urls, event = [], {"event": ""}
        while event.get("event") != "delivery":
            event = json.loads(mta.process.stderr.readline())
            if event["message"].startswith("serving "):
                urls.append(event["message"].split()[1])
        assert (event["recipient"], event["result"]) == ("bob@b.test", "delivered")
        status, metrics = (urlopen(url).read().decode() for url in urls)
        assert "<h1>mx.b.test</h1>" in status
        assert 'smtpproto_deliveries_total{result="delivered"} 1.0\n' in metrics
        assert "smtpproto_sessions_total 1.0\n" in metrics


def test_a_configuration_that_is_wrong_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mail.toml").write_text("hostname = 1\n")
    assert main(["mta", "--config", str(tmp_path / "mail.toml")]) == ExitStatus.CONFIG
    assert capsys.readouterr().err.count("\n") == 1
    assert main(["mta", "--config", str(tmp_path / "none.toml")]) == ExitStatus.NOINPUT
    assert "none.toml" in capsys.readouterr().err


def test_the_check_of_a_file_can_be_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mail.toml"
    text = f'hostname = "mx.example.org"\nqueue = "{tmp_path}/q.db"\n[[listen]]\nport = 2525\n'
    file.write_text(text)
    assert main(["mta", "--config", str(file), "--check", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [*found] == ["file", "correct", "listen"]
    assert (found["correct"], [it["port"] for it in found["listen"]]) == (True, [2525])
    file.write_text(f"{text}wrong = 1\n")
    assert main(["mta", "--config", str(file), "--check", "--json"]) == ExitStatus.CONFIG
    assert "wrong" in json.loads(capsys.readouterr().err)["error"]["message"]
    assert main(["mta", "--config", str(file), "--json"]) == ExitStatus.USAGE

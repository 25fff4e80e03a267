"""``smtpproto send --step-by-step`` and ``--quit-after``."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from smtpproto.adapters import blocking
from smtpproto.cli import main
from smtpproto.delivery import ExitStatus
from tests.cli.server_process import PASSWORD, assert_one_line, send, serving
from tests.support.handlers import Inbox

COMMANDS = ["EHLO", "MAIL FROM", "RCPT TO:<bob", "RCPT TO:<carol", "BDAT", "QUIT"]


class Keyboard:
    """Standard input, which notes what was shown when a line was asked for."""

    def __init__(self, text: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.shown = list[str]()
        self._typed = io.StringIO(text)
        self._capsys = capsys

    def readline(self) -> str:
        self.shown.append(self._capsys.readouterr().err)
        return self._typed.readline()


def steps(
    text: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> list[str]:
    """Return what was shown before each wait. *text* is what a person types."""
    monkeypatch.setattr("sys.stdin", keyboard := Keyboard(text, capsys))
    inbox = Inbox()
    with blocking.serve(inbox) as server:
        assert send(server.port, "--step-by-step", message) == 0
    assert len(inbox.bodies) == 1
    return keyboard.shown


def test_each_command_waits_for_enter_and_is_shown_before(
    message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = steps("\n" * 20, message, monkeypatch, capsys)
    last = [text.splitlines()[-1] for text in shown]
    pairs = zip(last, COMMANDS, strict=True)
    assert [line for line, it in pairs if not line.startswith(f"C: {it}")] == []
    assert "S: 250" in shown[1] and "S: 250" in shown[2]


def test_the_end_of_input_sends_the_rest(
    message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(steps("\n", message, monkeypatch, capsys)) == 2


@pytest.mark.parametrize(
    "options", [[], ["-"], ["--from=a@a.test", "--to=b@b.test", "--subject=x", "--body=-"]]
)
def test_standard_input_cannot_be_the_message_and_the_keyboard(
    options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["send", "--step-by-step", *options]) == ExitStatus.USAGE
    assert_one_line(capsys, "reads Enter from standard input; name a FILE")


def test_nothing_is_sent_after_the_phase_that_quits(
    tmp_path: Path, pem: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "password").write_text(PASSWORD)
    login = ("--login=ann", f"--password-file={tmp_path / 'password'}")
    tls = (f"--certificate={pem / 'certificate'}", f"--key={pem / 'key'}")
    trusting = ("--json", f"--ca={pem / 'ca'}", "--server-name=localhost", *login)
    found = {}
    with serving(*tls, *login) as server:
        for phase in ("hello", "tls", "login"):
            assert send(server.port, f"--quit-after={phase}", *trusting) == 0
            found[phase] = json.loads(capsys.readouterr().out)
        assert send(server.port, "--quit-after=hello", "--trace") == 0
    shown = capsys.readouterr()
    sent = [line.split()[1] for line in shown.err.splitlines() if line.startswith("C: ")]
    assert sent == ["EHLO", "QUIT"]
    assert "TLS: none\nlogin: none\noffers: PIPELINING" in shown.out
    assert [(it["tls"] is not None, it["mechanism"] is not None) for it in found.values()] == [
        (False, False),
        (True, False),
        (True, True),
    ]
    assert found["login"]["tls"]["verified"] is True
    assert "AUTH" in found["login"]["extensions"]


def test_quitting_after_a_login_needs_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["send", "--quit-after=login"]) == ExitStatus.USAGE
    assert_one_line(capsys, "--quit-after login needs --login USER")


def test_tls_that_is_not_offered_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with blocking.serve(Inbox()) as server:
        assert send(server.port, "--quit-after=tls") == ExitStatus.UNAVAILABLE
    assert_one_line(capsys, "does not offer STARTTLS", "this port needs --tls implicit")

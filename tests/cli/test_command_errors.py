"""Errors of all commands: their text, their exit status, and their JSON."""

from __future__ import annotations

import errno
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from smtpproto import Reply
from smtpproto.cli import main
from smtpproto.cli.command_errors import (
    INTERRUPTED,
    MEANINGS,
    CommandError,
    ConfigError,
    UsageError,
    status_of,
    text_of,
    values_of,
)
from smtpproto.delivery import ExitStatus
from smtpproto.errors import (
    BadCredentials,
    ConnectFailed,
    ConnectionLost,
    ContentLost,
    GrammarError,
    LocalProtocolError,
    LoginRefused,
    NoRoute,
    NotOffered,
    QueueFailed,
    QueueFull,
    Refusal,
    RemoteProtocolError,
    SMTPError,
    StatesFailed,
    TimedOut,
    TLSFailed,
)
from tests.cli.server_process import assert_one_line

USAGE, DATAERR, NOINPUT = ExitStatus.USAGE, ExitStatus.DATAERR, ExitStatus.NOINPUT
CANTCREAT = ExitStatus.CANTCREAT


def _classes(base: type[SMTPError]) -> Iterator[type[SMTPError]]:
    yield base
    for kind in base.__subclasses__():
        if kind.__module__.startswith("smtpproto."):
            yield from _classes(kind)


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (["send", "--login=ann"], USAGE, "needs --password-env or --password-file"),
        (["send", "--password-env=WORD"], USAGE, "add --login USER"),
        (["send", "--login=ann", "--password-env=WORD"], USAGE, "variable WORD is not set"),
        (
            ["send", "--login=ann", "--password-file=nowhere"],
            NOINPUT,
            "cannot read nowhere: No such file or directory; check: --password-file",
        ),
        (["send", "--login=ann", "--password-file=empty"], USAGE, "must not be empty"),
        (["send", "--ca=nowhere"], NOINPUT, "cannot read nowhere: No such file or directory; "),
        (["send", "--ca=message.eml"], DATAERR, "CA certificates from message.eml: NO_CERT"),
        (["send", "nowhere"], NOINPUT, "cannot read nowhere: No such file or directory; check: FI"),
        (["send", "."], NOINPUT, "cannot read .: Is a directory; check: FILE"),
        (["send", "empty"], DATAERR, "no Sender or From field"),
        (["send", "--from=ann", "--to=b@b.test", "message.eml"], USAGE, "check: --from"),
        (["send", "--hello=a b", "message.eml"], USAGE, "check: --hello"),
        (["serve", "--implicit-tls"], USAGE, "--implicit-tls requires TLS"),
        (["serve", "--login=ann", "--password-file=message.eml"], USAGE, "--login requires TLS"),
        (["serve", "--key=nowhere"], USAGE, "--key needs --certificate"),
        (["serve", "--certificate=nowhere"], NOINPUT, "from nowhere: No such file"),
        (["serve", "--certificate=message.eml", "--key=empty"], DATAERR, "message.eml and empty: "),
        (["serve", "--hostname=a b"], USAGE, "--hostname: not a host: 'a b': a label must be"),
        (["serve", "--maildir=message.eml"], CANTCREAT, "message.eml: File exists; check: --mail"),
        (["check", "nowhere"], NOINPUT, "cannot read nowhere: No such file or directory; check: M"),
        (["mta", "--config=nowhere"], NOINPUT, "nowhere: No such file or directory; check: --conf"),
        (["queue", "list", "--queue=nowhere"], NOINPUT, "nowhere; check: --queue"),
    ],
)
def test_an_error_is_one_line_that_names_the_option(
    options: list[str],
    status: int,
    words: str,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(Path(message).parent)
    monkeypatch.delenv("WORD", raising=False)
    Path("empty").touch()
    assert main(options) == status
    assert_one_line(capsys, f"smtpproto {options[0]}: ", words)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "COMMAND"),
        (["send", "--port=65536"], "not a port number: '65536'"),
        (["send", "--port=x"], "not a port number: 'x'; use 0 to 65535"),
        (["send", "--tls=perhaps"], "invalid choice"),
        (["send", "--password-env=A", "--password-file=B"], "not allowed with"),
        (["serve", "--max-size=10"], "must be 65536 octets or more"),
        (["serve", "--max-size=x"], "'x'"),
    ],
)
def test_an_invalid_value_is_one_line_that_says_where_to_look(
    options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(options) == USAGE
    assert_one_line(capsys, words, "; see: smtpproto")


def test_an_error_is_json_if_the_command_answers_in_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "--json", str(tmp_path / "none")]) == NOINPUT
    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("\n")) == ("", 1)
    error = json.loads(shown.err)["error"]
    assert [*error] == [
        "command",
        "status",
        "meaning",
        "message",
        "phase",
        "reply",
        "check",
        "diagnosis",
    ]
    assert (error["command"], error["status"]) == ("check", NOINPUT)
    assert error["meaning"] == MEANINGS[NOINPUT]


def test_an_error_of_the_library_is_json_with_its_parts() -> None:
    error = BadCredentials("refused\x07", Reply(535, "5.7.8", "No"), phase="login", check="it")
    assert values_of(error, "send")["error"] == {
        "command": "send",
        "status": 77,
        "meaning": MEANINGS[77],
        "message": "refused\\x07",
        "phase": "login",
        "reply": "535 5.7.8 No",
        "check": "it",
        "diagnosis": error.diagnosis.as_dict() | {"what": "Refused\\x07."},
    }


def test_causes_and_what_to_try_are_shown_where_a_person_looks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    send = ["send", "--port", "1", "--to", "bob@example.org", "--from", "ann@example.org"]
    send += ["--body", "x", "--subject", "x"]
    assert main(send) == ExitStatus.UNAVAILABLE
    assert_one_line(capsys, "cannot connect to localhost, port 1")
    monkeypatch.setattr("smtpproto.cli.is_terminal", lambda stream: True)
    assert main(send) == ExitStatus.UNAVAILABLE
    first, *rest = capsys.readouterr().err.splitlines()
    assert "cannot connect" in first
    assert rest[:2] == ["Likely causes:", "  1. No program listens on this port of the host."]
    assert any(it.startswith("     Try: ") for it in rest)


def test_a_usage_error_is_json_if_json_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == USAGE
    assert "DOMAIN" in json.loads(capsys.readouterr().err)["error"]["message"]


def test_an_error_in_the_program_has_status_70_and_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise TypeError("a \x1b bug")

    monkeypatch.setattr("smtpproto.cli.queue_command.open_control", fail)
    assert main(["queue", "list", "--queue=x"]) == ExitStatus.SOFTWARE
    shown = capsys.readouterr().err
    assert shown.startswith("Traceback")
    assert shown.endswith("queue: internal error, please report it: TypeError: a \\x1b bug\n")


def test_ctrl_c_has_the_status_that_a_shell_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("smtpproto.cli.queue_command.open_control", interrupt)
    assert main(["queue", "list", "--queue=x"]) == INTERRUPTED


def _lookup(number: int) -> ConnectFailed:
    error = ConnectFailed("cannot resolve")
    error.__context__ = socket.gaierror(number, "no")
    return error


REFUSED, LATER = Reply(550, "5.1.1", "No"), Reply(450, "4.2.1", "Later")
STATUSES = [
    (CommandError("x"), 69),
    (UsageError("x"), 64),
    (ConfigError("x"), 78),
    (Refusal("x", REFUSED), 67),
    (Refusal("x", LATER), 75),
    (LoginRefused("x", Reply(535, "5.7.8", "No")), 77),
    (ConnectFailed("x"), 69),
    (_lookup(socket.EAI_NONAME), 68),
    (_lookup(socket.EAI_AGAIN), 75),
    (ConnectionLost("x"), 75),
    (TimedOut("x"), 75),
    (TLSFailed("x"), 76),
    (RemoteProtocolError("x"), 76),
    (NotOffered("x"), 69),
    (LocalProtocolError("x", phase="login"), 77),
    (LocalProtocolError("x"), 70),
    (NoRoute("x"), 75),
    (NoRoute("x", reply=Reply(556, "5.1.10", "Null MX")), 68),
    (QueueFailed("x"), 74),
    (QueueFull("x"), 75),
    (ContentLost("x"), 74),
    (StatesFailed("x"), 74),
    (GrammarError("x"), 64),
    (FileNotFoundError(errno.ENOENT, "x"), 66),
    (PermissionError(errno.EACCES, "x"), 77),
    (OSError(errno.EADDRINUSE, "x"), 69),
    (OSError(errno.ENOSPC, "x"), 74),
    (ValueError("x"), 70),
]


@pytest.mark.parametrize(("error", "status"), STATUSES, ids=lambda it: repr(it)[:20])
def test_each_error_has_a_status_of_sysexits(error: Exception, status: int) -> None:
    assert status_of(error) == status
    assert status in MEANINGS


@pytest.mark.parametrize("kind", [*_classes(SMTPError)], ids=lambda it: it.__name__)
def test_no_error_of_the_library_but_a_misuse_counts_as_an_internal_error(
    kind: type[SMTPError],
) -> None:
    error = kind.__new__(kind)
    error.__dict__.update(message="", phase="", reply=REFUSED, status=REFUSED.enhanced)
    internal = kind in (SMTPError, LocalProtocolError)
    assert (status_of(error) == ExitStatus.SOFTWARE) is internal


def test_a_system_error_is_told_without_its_number() -> None:
    error = FileNotFoundError(errno.ENOENT, "No such file or directory", "a\x1bb")
    assert text_of(error) == "a\\x1bb: No such file or directory"


PASSWORD = "hunter2"


@pytest.mark.parametrize("as_json", [[], ["--json"]])
@pytest.mark.parametrize("scheme", ["", "smtp://"])
@pytest.mark.parametrize(
    "words",
    [
        "send {}",
        "send --url={}",
        "send --urll={}",
        "send --host={}",
        "send --port={}",
        "send --tls={}",
        "send --ca={}",
        "probe {}",
        "doctor {}",
        "check {}",
        "queue {}",
        "serve --host={}",
        "completion {}",
        "{}",
    ],
)
def test_no_error_repeats_the_password_of_a_url(
    words: str, scheme: str, as_json: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words.format(f"{scheme}ann:{PASSWORD}@127.0.0.1:1").split(), *as_json])
    assert PASSWORD not in "".join(capsys.readouterr())

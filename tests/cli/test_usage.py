"""Usage errors, and --help, of all commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from smtpproto.cli import main
from tests.cli.server_process import assert_one_line


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["send", "--login=ann"], "needs --password-env or --password-file"),
        (["send", "--password-env=WORD"], "add --login USER"),
        (["send", "--login=ann", "--password-env=WORD"], "variable WORD is not set"),
        (["send", "--login=ann", "--password-file=nowhere"], "No such file"),
        (["send", "--login=ann", "--password-file=empty"], "must not be empty"),
        (["send", "--ca=nowhere"], "cannot read CA certificates from nowhere: No such file"),
        (["send", "--ca=message.eml"], "cannot read CA certificates from message.eml: NO_CERT"),
        (["send", "nowhere"], "No such file"),
        (["send", "empty"], "no Sender or From field"),
        (["send", "--from=ann", "--to=b@b.test", "message.eml"], "check: --from, --to"),
        (["send", "--hello=a b", "message.eml"], "check: --from, --to, --hello"),
        (["serve", "--implicit-tls"], "--implicit-tls requires TLS"),
        (["serve", "--login=ann", "--password-file=message.eml"], "--login requires TLS"),
        (["serve", "--key=nowhere"], "--key needs --certificate"),
        (["serve", "--certificate=nowhere"], "from nowhere: No such file"),
        (["serve", "--certificate=message.eml", "--key=empty"], "from message.eml and empty: "),
        (["serve", "--hostname=a b"], "--hostname: not a host: 'a b': a label must be letters"),
        (["serve", "--maildir=message.eml"], "File exists"),
    ],
)
def test_a_usage_error_is_reported_in_one_line(
    options: list[str],
    words: str,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(Path(message).parent)
    monkeypatch.delenv("WORD", raising=False)
    Path("empty").touch()
    assert main(options) == 2
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
def test_an_invalid_value_is_reported_by_argparse(
    options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(options)
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("command", ["demo", "serve", "send", "password", "dkim-key"])
def test_each_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    assert f"usage: smtpproto {command}" in capsys.readouterr().out

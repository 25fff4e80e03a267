"""``smtpproto password``, and ``serve --users`` with the lines that it prints."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from smtpproto import Authenticator, HashedPasswords, ScramKeys, Secret, StoredKeys
from smtpproto.cli import main
from smtpproto.cli.command_errors import CommandError
from smtpproto.cli.serve import _authenticator, add_options
from smtpproto.delivery import ExitStatus

PASSWORD = "a horse of course"


@pytest.fixture
def password_option(monkeypatch: pytest.MonkeyPatch) -> str:
    """Set a variable to PASSWORD, and return the option that names it."""
    monkeypatch.setenv("WORD", PASSWORD)
    return "--password-env=WORD"


def printed_line(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return the line that the command prints."""
    assert main(["password", *arguments]) == 0
    shown = capsys.readouterr()
    assert shown.err == "" and shown.out.count("\n") == 1
    assert PASSWORD not in shown.out
    return shown.out


def authenticator(users: Path) -> Authenticator | None:
    """Return the authenticator of ``serve --users``."""
    parser = argparse.ArgumentParser()
    add_options(parser)
    return _authenticator(parser.parse_args([f"--users={users}"]))


@pytest.mark.parametrize("kind", ["SCRAM-SHA-256", "SCRAM-SHA-1"])
def test_scram_keys_are_read_by_serve(
    kind: str, password_option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = printed_line(capsys, "ann", f"--kind={kind}", "--iterations=5000", password_option)
    name, _, keys = line.rstrip("\n").partition(":")
    assert name == "ann" and ScramKeys.parse(keys).iterations == 5000
    assert (
        printed_line(capsys, "ann", f"--kind={kind}", "--iterations=5000", password_option) != line
    )  # new salt
    (tmp_path / "users").write_text(f"{line}\n")
    users = authenticator(tmp_path / "users")
    assert isinstance(users, StoredKeys)
    assert users.check_password("ann", Secret(PASSWORD))
    assert not users.check_password("ann", Secret("wrong"))


def test_scrypt_hashes_are_read_by_serve(
    password_option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "users").write_text(printed_line(capsys, "ann", "--kind=scrypt", password_option))
    users = authenticator(tmp_path / "users")
    assert isinstance(users, HashedPasswords)
    assert users.check_password("ann", Secret(PASSWORD))


def test_the_password_is_asked_twice(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = iter([PASSWORD, PASSWORD, PASSWORD, "another"])
    monkeypatch.setattr("getpass.getpass", lambda prompt: next(answers))
    assert printed_line(capsys, "ann").startswith("ann:SCRAM-SHA-256$10000:")
    assert main(["password", "ann"]) == ExitStatus.DATAERR
    assert "the two passwords differ" in capsys.readouterr().err


def test_an_error_without_a_terminal_names_the_options(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Input ends in a script, and after Ctrl-D."""

    def ask(prompt: str) -> str:
        raise EOFError

    monkeypatch.setattr("getpass.getpass", ask)
    assert main(["password", "ann"]) == ExitStatus.NOINPUT
    assert "--password-file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a:b"], "colon"),
        (["ann", "--iterations=4095"], "--iterations"),
        (["ann", "--iterations=1000001"], "--iterations"),
        (["ann", "--iterations=5000", "--kind=scrypt"], "SCRAM"),
    ],
)
def test_a_usage_error_has_its_status(
    arguments: list[str], words: str, password_option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["password", *arguments, password_option]) == ExitStatus.USAGE
    assert words in capsys.readouterr().err


def test_a_users_file_with_scram_keys_and_scrypt_hashes_is_refused(
    password_option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = printed_line(capsys, "ann", password_option) + printed_line(
        capsys, "bob", "--kind=scrypt", password_option
    )
    (tmp_path / "users").write_text(both)
    with pytest.raises(CommandError, match="use one kind"):
        authenticator(tmp_path / "users")


def test_an_invalid_line_is_reported_without_its_keys(tmp_path: Path) -> None:
    (tmp_path / "users").write_text("ann:SCRAM-SHA-256$nonsense\n")
    with pytest.raises(CommandError, match="'ann'") as caught:
        authenticator(tmp_path / "users")
    assert "nonsense" not in str(caught.value)

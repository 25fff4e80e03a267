"""``smtpproto password``, and ``serve --users`` with what it prints."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from smtpproto import Authenticator, HashedPasswords, ScramKeys, Secret, StoredKeys
from smtpproto.cli import main
from smtpproto.cli.options import UsageError
from smtpproto.cli.serve import _authenticator, add_options

PASSWORD = "a horse of course"


@pytest.fixture
def word(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("WORD", PASSWORD)
    return "--password-env=WORD"


def line(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["password", *arguments]) == 0
    shown = capsys.readouterr()
    assert shown.err == "" and shown.out.count("\n") == 1
    assert PASSWORD not in shown.out
    return shown.out


def authenticator(users: Path) -> Authenticator | None:
    parser = argparse.ArgumentParser()
    add_options(parser)
    return _authenticator(parser.parse_args([f"--users={users}"]))


@pytest.mark.parametrize("kind", ["SCRAM-SHA-256", "SCRAM-SHA-1"])
def test_keys_of_scram(
    kind: str, word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = line(capsys, "ann", f"--kind={kind}", "--iterations=5000", word)
    name, _, keys = printed.rstrip("\n").partition(":")
    assert name == "ann" and ScramKeys.parse(keys).iterations == 5000
    assert line(capsys, "ann", f"--kind={kind}", "--iterations=5000", word) != printed  # salt
    (tmp_path / "users").write_text(f"{printed}\n")
    users = authenticator(tmp_path / "users")
    assert isinstance(users, StoredKeys)
    assert users.check_password("ann", Secret(PASSWORD))
    assert not users.check_password("ann", Secret("wrong"))


def test_hashes_by_scrypt(word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "users").write_text(line(capsys, "ann", "--kind=scrypt", word))
    users = authenticator(tmp_path / "users")
    assert isinstance(users, HashedPasswords)
    assert users.check_password("ann", Secret(PASSWORD))


def test_it_asks_twice(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    said = iter([PASSWORD, PASSWORD, PASSWORD, "another"])
    monkeypatch.setattr("getpass.getpass", lambda prompt: next(said))
    assert line(capsys, "ann").startswith("ann:SCRAM-SHA-256$10000:")
    assert main(["password", "ann"]) == 2
    assert "another one" in capsys.readouterr().err


def test_nobody_answers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As from a script, or behind Ctrl-D."""

    def ask(prompt: str) -> str:
        raise EOFError

    monkeypatch.setattr("getpass.getpass", ask)
    assert main(["password", "ann"]) == 2
    assert "--password-file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["a:b"], "colon"),
        (["ann", "--iterations=4095"], "--iterations"),
        (["ann", "--iterations=1000001"], "--iterations"),
        (["ann", "--iterations=5000", "--kind=scrypt"], "SCRAM"),
    ],
)
def test_wrong_usage(
    arguments: list[str], told: str, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["password", *arguments, word]) == 2
    assert told in capsys.readouterr().err


def test_a_file_of_users_of_two_kinds(
    word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = line(capsys, "ann", word) + line(capsys, "bob", "--kind=scrypt", word)
    (tmp_path / "users").write_text(both)
    with pytest.raises(UsageError, match="not of both"):
        authenticator(tmp_path / "users")


def test_a_file_of_users_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "users").write_text("ann:SCRAM-SHA-256$nonsense\n")
    with pytest.raises(UsageError, match="'ann'") as caught:
        authenticator(tmp_path / "users")
    assert "nonsense" not in str(caught.value)

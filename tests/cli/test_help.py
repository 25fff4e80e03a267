"""``--help`` and ``--version``."""

from __future__ import annotations

import argparse
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import smtpproto
from smtpproto.cli import COMMANDS, main, make_parser
from smtpproto.cli.command_errors import MEANINGS
from smtpproto.cli.versions import EXTRAS

PROJECT = Path(smtpproto.__file__).parent.parent / "pyproject.toml"
NOT_COUNTED = {"all", "dev", "docs"}  # others, or for developers


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Yield *parser* and those of its commands and their actions."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for its in action.choices.values():
                yield from parsers(its)


ALL = {parser.prog: parser for parser in parsers(make_parser(COMMANDS))}


@pytest.mark.parametrize("name", ALL)
def test_the_help_fits_a_terminal_of_80_columns(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = ALL[name].format_help()
    assert [line for line in text.splitlines() if len(line) >= 80] == []


@pytest.mark.parametrize("name", ALL)
def test_each_option_and_argument_is_explained(name: str) -> None:
    parser = ALL[name]
    assert parser.description
    assert [it.dest for it in parser._actions if not it.help and it.dest not in SUBCOMMANDS] == []


SUBCOMMANDS = {"command", "action"}


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_prints_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    assert f"usage: smtpproto {command}" in capsys.readouterr().out


def test_the_help_lists_each_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    shown = capsys.readouterr().out
    for status, meaning in MEANINGS.items():
        assert f"{status:>5}  {meaning}\n" in shown


def test_an_option_cannot_be_shortened_because_a_new_one_may_begin_so_too(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["doctor", "example.org", "--js"]) == 64
    assert "unrecognized arguments: --js" in capsys.readouterr().err


def test_the_version_names_the_extras(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    first, second, *others = capsys.readouterr().out.splitlines()
    assert first == f"smtpproto {smtpproto.__version__}"
    assert second.startswith("Python 3.")
    assert [line.split()[1].rstrip(":") for line in others] == [*EXTRAS]


def test_the_version_can_be_json(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(EXTRAS, "none", ["no-such-package-anywhere"])
    with pytest.raises(SystemExit, match="0"):
        main(["--version", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert [*found] == ["smtpproto", "python", "platform", "openssl", "attrs", "extras"]
    assert found["extras"]["none"] == {"no-such-package-anywhere": None}


def test_the_version_knows_each_extra() -> None:
    """If this fails, add your extra to ``EXTRAS`` in ``smtpproto/cli/versions.py``."""
    with PROJECT.open("rb") as file:
        extras = tomllib.load(file)["project"]["optional-dependencies"]
    declared = {
        name: sorted(it.split(";")[0].split("[")[0].split(">")[0].split("=")[0] for it in its)
        for name, its in extras.items()
        if name not in NOT_COUNTED
    }
    assert {name: sorted(its) for name, its in EXTRAS.items()} == declared

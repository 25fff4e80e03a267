"""Manual pages: each command has one, with all that its help says, and roff finds no fault."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import smtpproto
from smtpproto.cli import COMMANDS
from smtpproto.cli.command_errors import MEANINGS
from tests.cli.test_help import ALL
from tests.interop.programs import find_program

DOCS = Path(smtpproto.__file__).parent.parent / "docs"
sys.path.insert(0, str(DOCS))
PAGES: dict[str, str] = importlib.import_module("building.man_pages").pages()


def test_each_command_has_a_page_and_one_lists_them() -> None:
    assert {*PAGES} == {"smtpproto.1", *(f"smtpproto-{name}.1" for name in COMMANDS)}
    for name in COMMANDS:
        assert f".BR smtpproto\\-{name.replace('-', chr(92) + '-')} (1)" in PAGES["smtpproto.1"]


@pytest.mark.parametrize("prog", ALL)
def test_a_page_describes_each_option(prog: str) -> None:
    page = PAGES["-".join(prog.split()[:2]) + ".1"]
    for action in ALL[prog]._actions:
        for option in action.option_strings if action.dest != "help" else ():
            assert f"\\fB{option.replace('-', chr(92) + '-')}\\fR" in page


def test_the_page_of_the_program_lists_each_exit_status_and_the_environment() -> None:
    page = PAGES["smtpproto.1"]
    for status in MEANINGS:
        assert f"\n\\fB{status}\\fR\n" in page
    assert re.findall(r"^\.SH (.*)", page, re.MULTILINE)[-3:] == [
        "EXIT STATUS",
        "ENVIRONMENT",
        "SEE ALSO",
    ]


def test_roff_has_no_warning_about_a_page(tmp_path: Path) -> None:
    groff = find_program("groff")
    done = subprocess.run([sys.executable, DOCS / "man.py", tmp_path], check=True, timeout=60)
    files = sorted((tmp_path / "man1").iterdir())
    assert (done.returncode, [file.name for file in files]) == (0, sorted(PAGES))
    told = subprocess.run(
        [groff, "-man", "-ww", "-z", "-Tutf8", *files], capture_output=True, timeout=60, check=True
    )
    assert told.stderr == b""


def test_text_that_looks_like_a_request_is_printed() -> None:
    escape = importlib.import_module("building.man_pages")._escape
    assert escape(".so 'x' a\\b --c") == "\\&.so \\(aqx\\(aq a\\eb \\-\\-c"

"""``smtpproto completion``: what bash proposes, and scripts for zsh and fish."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from smtpproto.cli import main

ASK = """
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_shtab_smtpproto smtpproto "${@: -1}" "${@: -2:1}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.skipif(
    shutil.which("bash") is None and "CI" not in os.environ, reason="there is no bash"
)
@pytest.mark.parametrize(
    ("words", "proposed"),
    [
        (["d"], ["demo", "dkim-key", "doctor"]),
        (["send", "--su"], ["--subject"]),
        (["queue", "re"], ["release", "retry"]),
        (["queue", "hold", "--rea"], ["--reason"]),
        (["password", "--kind", "SCRAM"], ["SCRAM-SHA-1", "SCRAM-SHA-256"]),
    ],
)
def test_bash_proposes_commands_options_and_choices(
    words: list[str], proposed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out + ASK
    command = ["bash", "-c", script, "bash", "smtpproto", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    assert sorted(done.stdout.split()) == proposed


@pytest.mark.parametrize(
    ("shell", "words"),
    [("zsh", "#compdef smtpproto"), ("fish", "complete -c smtpproto")],
)
def test_zsh_and_fish_get_scripts(
    shell: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", shell]) == 0
    shown = capsys.readouterr().out
    assert words in shown and "dkim-key" in shown


def test_an_error_without_shtab_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 69
    assert 'pip install "smtpproto-sansio[cli]"' in capsys.readouterr().err

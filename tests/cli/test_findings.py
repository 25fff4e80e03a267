"""Findings in colour: the same text, with its severities and hints in styles."""

from __future__ import annotations

import argparse
import re

import pytest

from smtpproto.cli.command_errors import ANSWER_IS_NO
from smtpproto.cli.findings import report
from smtpproto.doctor import Examination, Finding, Severity, Subject

ARGS = argparse.Namespace(json=False, strict=False)
FOUND = [
    Finding(subject=Subject.SPF, severity=it, about=it.value, what="error    words " * 9)
    for it in Severity
]
HINTS = Finding(
    subject=Subject.MX,
    severity=Severity.ERROR,
    about="a.test",
    what="[bold]x",
    why="w",
    mend="m",
    record="a.test. IN MX 10 mx.a.test.",
    detail="  error    in a detail",
)
EXAMINATION = Examination(about="a.test", findings=(*FOUND, HINTS))


def test_findings_are_the_same_text_in_colour(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(EXAMINATION, ARGS) == ANSWER_IS_NO
    assert capsys.readouterr().out == f"{EXAMINATION}\n"
    monkeypatch.setenv("FORCE_COLOR", "1")
    report(EXAMINATION, ARGS)
    shown = capsys.readouterr().out
    assert re.sub(r"\x1b\[[0-9;]*m", "", shown) == f"{EXAMINATION}\n"


def test_colours_show_severities_titles_and_hints(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    report(EXAMINATION, ARGS)
    styled = re.findall(r"\x1b\[[1-9][0-9;]*m(.*?)\x1b\[0m", capsys.readouterr().out)
    assert styled[0].startswith("a.test: ")
    hints = ["Why: ", "Do: ", "Publish: "]
    severities = ["error", "warning", "note", "ok"]
    assert styled[1:] == [Subject.MX.title, "error", *hints, Subject.SPF.title, *severities]

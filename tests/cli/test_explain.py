"""``smtpproto explain``: what it prints, and its exit status."""

from __future__ import annotations

import io
import json
import sys

import pytest

from smtpproto.cli import main
from tests.cli.server_process import assert_one_line

RELAYING = "550 5.7.1 Relaying denied"


def test_a_reply_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", RELAYING]) == 0
    out = capsys.readouterr().out
    assert "  reply: 550 5.7.1 Relaying denied\n" in out
    assert "  1. You have not logged in" in out and "Who must act: you.\n" in out


def test_the_words_of_a_reply_need_no_quotes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", *RELAYING.split()]) == 0
    assert "Relaying denied" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["-"]])
def test_a_reply_is_read_from_standard_input(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"host mx said: {RELAYING}\n"))
    assert main(["explain", *arguments]) == 0
    assert "Relaying denied" in capsys.readouterr().out


def test_json_has_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--json", RELAYING]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["fault"] == "relaying-denied" and found["reply"] == RELAYING
    assert found["causes"][0]["who"] == "you"


def test_a_text_without_a_code_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "mail", "does", "not", "arrive"]) == 65
    assert_one_line(capsys, "smtpproto explain: ", "there is no reply code in the text")

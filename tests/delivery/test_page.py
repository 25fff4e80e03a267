"""The code, the configuration and the table of docs/howto/delivery.md are right."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from smtpproto.cli import main
from smtpproto.delivery import Place, exit_reply
from smtpproto.grammar.address import ForwardPath

PAGE = (Path(__file__).parents[2] / "docs/howto/delivery.md").read_text()
SNIPPETS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
[TOML] = re.findall(r"^```toml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("snippet", SNIPPETS, ids=range(len(SNIPPETS)))
def test_each_snippet_runs(
    snippet: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mail/bob").mkdir(parents=True)
    names: dict[str, Any] = {
        "message": b"From: ann@example.org\r\nTo: bob@example.net\r\n\r\nhello\r\n"
    }
    lines = "\n    ".join(snippet.replace('"0.0.0.0", 25', '"127.0.0.1", 0').splitlines())
    exec(f"async def run():\n    {lines}", names)
    asyncio.run(names["run"]())
    assert ("tell" in snippet) is ("new mail for bob@example.net" in capsys.readouterr().out)


def test_the_configuration_is_correct(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start = 'hostname = "mx.example.org"\nqueue = "queue.db"\n[[listen]]\nport = 25\n'
    (tmp_path / "mail.toml").write_text(start + TOML)
    assert main(["mta", "--config", str(tmp_path / "mail.toml"), "--check"]) == 0
    assert capsys.readouterr().err == ""


def test_the_tables_are_true() -> None:
    values = {**Place("").values(ForwardPath.of("Ann+Lists@Example.org"))}
    for name, value in re.findall(r"^\| `\{(\w+)\}` .* \| `(\S+)` \|$", PAGE, re.MULTILINE):
        assert values.pop(name) == value
    assert not values
    rows = re.findall(r"^\| (\d.*) \| (refused|tried)", PAGE, re.MULTILINE)
    told = {
        int(status): 5 if verdict == "refused" else 4
        for row, verdict in rows
        for status in re.findall(r"\d+", row)
    }
    assert told == {it: exit_reply(it).code // 100 for it in range(64, 79)}

"""The code, the configuration and the addresses in docs/howto/aliases.md are right."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from smtpproto import ForwardPath, ReversePath
from smtpproto.cli.mta_config import read_configuration
from smtpproto.mta import SRS
from tests.mta.test_srs import NOW

PAGE = (Path(__file__).parents[2] / "docs/howto/aliases.md").read_text()
SNIPPETS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
[TOML] = re.findall(r"^```toml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


class Database:
    async def fetch(self, query: str, key: str) -> list[dict[str, str]]:
        return [{"target": "ann@example.org"}] if key == "info@example.com" else []


@pytest.mark.parametrize("snippet", SNIPPETS, ids=range(len(SNIPPETS)))
def test_each_snippet_runs(snippet: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    snippet = re.sub(r'"0\.0\.0\.0", 25', '"127.0.0.1", 0', snippet)
    check = "result = await mail._mail.intake.recipients.expand(recipient)"
    lines = "\n    ".join(snippet.replace("        ...", f"        {check}").splitlines())
    known = "info@example.com" if "database" in snippet else "team@example.org"
    names: dict[str, Any] = {
        "deliver": bool, "knows": bool, "database": Database(),
        "recipient": ForwardPath.of(known),
    }  # fmt: skip
    exec(f"async def main():\n    {lines}\n    return result", names)
    assert asyncio.run(names["main"]()).targets[0].path == "ann@example.org"


def test_the_configuration_is_correct(tmp_path: Path) -> None:
    (tmp_path / "srs.secrets").write_text("secret\n")
    start = 'hostname = "mx.example.org"\nqueue = "q.db"\nlisten = [{ port = 25 }]\n'
    (tmp_path / "mail.toml").write_text(start + TOML)
    assert read_configuration(tmp_path / "mail.toml").mta._config.srs is not None


def test_the_rewritten_senders_on_the_page_are_what_srs_makes() -> None:
    srs = SRS("example.org", secrets=["tops3cr3t"])
    pairs = re.findall(r"^    (\S+@\S+) +(SRS\S+)$", PAGE, re.MULTILINE)
    assert len(pairs) == 2
    for sender, made in pairs:
        assert srs.forward(ReversePath.of(sender), NOW) == made

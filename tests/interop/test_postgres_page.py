"""The code and the configuration in docs/howto/postgres.md are right."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from smtpproto.adapters.dnspython import DNSResolver
from smtpproto.cli import main
from tests.interop.postgresql import PostgreSQL

pytestmark = pytest.mark.peer("postgresql")

PAGE = (Path(__file__).parents[2] / "docs/howto/postgres.md").read_text()


def part(kind: str, server: PostgreSQL) -> str:
    """Return the only block of its kind, with the URL of *server* and a free port."""
    [text] = re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    text = text.replace("postgresql://mail@db.example.org/mail", server.url)
    return re.sub(r'"0\.0\.0\.0", (port = )?\d+', r'"127.0.0.1", \g<1>0', text)


def test_the_program_on_the_page_runs(
    postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DNSResolver, "__init__", lambda _: None)
    names: dict[str, Any] = {}
    lines = "\n    ".join(part("python", postgresql).splitlines())
    exec(f"async def main():\n    {lines}", names)
    asyncio.run(names["main"]())


def test_the_configuration_on_the_page_is_correct(
    postgresql: PostgreSQL,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(DNSResolver, "__init__", lambda _: None)
    file = tmp_path / "mail.toml"
    file.write_text(part("toml", postgresql))
    assert main(["mta", "--check", "--config", str(file)]) == 0
    assert "is correct" in capsys.readouterr().out

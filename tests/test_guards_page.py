"""The code, the configuration and the bounds in docs/howto/guards.md are right."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from attrs import fields

from smtpproto.adapters.sqlite_states import SQLiteStates
from smtpproto.cli.mta_config import read_configuration
from smtpproto.policy import DNSList
from smtpproto.transfer import Guards
from tests.test_public_face import check_imports

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/howto/guards.md").read_text()
AGENT, ALONE = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
[TOML] = re.findall(r"^```toml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
START = 'hostname = "mx.example.org"\nqueue = "queue.db"\n[[listen]]\nport = 25\n'


def test_the_agent_runs_and_the_file_says_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    check_imports(AGENT)
    lines = AGENT.replace('"0.0.0.0", 25', '"127.0.0.1", 0').replace("\n", "\n    ")
    exec(f"async def main():\n    global guards\n    {lines}", names)
    asyncio.run(names["main"]())
    (tmp_path / "mail.toml").write_text(START + TOML)
    found: Guards = read_configuration(tmp_path / "mail.toml").mta._config.guards
    assert found.store == SQLiteStates(tmp_path / "queue.db.guards")
    for option in fields(Guards):
        if (name := option.name) != "store":
            assert getattr(found, name) == getattr(names["guards"], name), name


def test_the_functions_alone_grant_what_the_page_says(capsys: pytest.CaptureFixture[str]) -> None:
    check_imports(ALONE)
    exec(ALONE, {})
    said = re.findall(r"^print\(.*\)  # (.*)$", ALONE, re.MULTILINE)
    assert capsys.readouterr().out.splitlines() == said


def test_the_tests_that_show_the_bounds_exist() -> None:
    shown = re.findall(r"`(tests/[\w/]+\.py)::(?:\w+::)?(\w+)`", PAGE)
    assert len(shown) == 5
    contract = (ROOT / "smtpproto/testing/state_contract.py").read_text()
    for path, name in shown:
        assert f"def {name}(" in (ROOT / path).read_text() + contract


def test_the_options_of_lists_are_in_the_table() -> None:
    names = [it.name for it in fields(DNSList)][1:]
    assert re.findall(r"^\| `(\w+)` \| [^|]* \|$", PAGE, re.MULTILINE) == names

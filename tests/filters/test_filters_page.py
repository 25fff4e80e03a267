"""The code and the configuration in docs/howto/filters.md are right."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from attrs import fields

from smtpproto.cli.mta_config import read_configuration
from smtpproto.filters import FilterVerdict, FunctionFilter, Milter, Spamd
from smtpproto.grammar.reply import Reply
from smtpproto.mta import FilterAction, FilterEvent
from tests.cli.test_mta_config import LISTEN, START
from tests.support.filter_peers import FilterNetwork, ask, message

PAGE = (Path(__file__).parents[2] / "docs/howto/filters.md").read_text()
SNIPPETS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
[TOML] = re.findall(r"^```toml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("snippet", SNIPPETS, ids=range(len(SNIPPETS)))
def test_each_snippet_runs(snippet: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    snippet = snippet.replace('"*": ', "").replace('"0.0.0.0", 25', '"127.0.0.1", 0')
    body = "\n    ".join(snippet.splitlines())
    names: dict[str, object] = {}
    exec(f"async def main():\n    {body}\n    return locals()", names)
    found = asyncio.run(names["main"]())  # type: ignore[operator]
    if "no_programs" in found:
        asked = FunctionFilter(found["no_programs"])
        verdicts = [
            ask(asked, FilterNetwork(None), message(b"A: b\r\n", *body))
            for body in ([b"a.ex", b'e"'], [b"a.ex", b"e"])
        ]
        refused = Reply(550, "5.7.1", "No programs, please")
        assert [it.refusal for it in verdicts] == [refused, None]


def test_the_configuration_is_that_of_the_code(tmp_path: Path) -> None:
    (tmp_path / "mail.toml").write_text(START + LISTEN + TOML)
    config = read_configuration(tmp_path / "mail.toml").mta._config
    assert config.filters == (
        Spamd("127.0.0.1:783", refuse_at=15, trusted=False),
        Milter("unix:/run/clamav/clamav-milter.ctl", on_failure="accept"),
    )


def test_the_line_of_the_log_is_that_of_the_event() -> None:
    event = FilterEvent(
        id="01kdvdna00z5kvvbyz1sske4zr",
        filter=Spamd("127.0.0.1:783").name,
        action=FilterAction.REFUSED,
        detail="550 5.7.1 This message looks like spam; spam, 1002.3/5",
    )
    assert f"\n    {event}\n" in PAGE


def test_the_arguments_of_a_verdict_are_on_the_page() -> None:
    for it in fields(FilterVerdict):
        assert f"`{it.name}`" in PAGE

"""The code in docs/howto/compose.md runs and shows what the page says."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from smtpproto import GrammarError, compose
from smtpproto.adapters import blocking
from tests.support.handlers import Inbox
from tests.test_public_face import check_imports

PAGE = (Path(__file__).parents[2] / "docs/howto/compose.md").read_text()
SNIPPETS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_snippets_run(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "figures.pdf").write_bytes(b"%PDF")
    (home / "logo.png").write_bytes(b"png")
    inbox, names = Inbox(), dict[str, object]()
    with blocking.serve(inbox) as server:
        here = f'"localhost", {server.port}, tls="none"'
        for snippet in SNIPPETS:
            check_imports(snippet)
            exec(snippet.replace('"mail.example.org", 587, login=("ann", "secret")', here), names)
    assert f"```\n{capsys.readouterr().out.strip()}\n```" in PAGE
    assert b"figures.pdf" in inbox.bodies[0]


def test_the_errors_on_the_page_are_those_that_are_raised(home: Path) -> None:
    for parts in (
        {"attachments": ["figures.pdf"]},
        {"to": "bob"},
        {"text": "", "html": '<img src="cid:logo">'},
    ):
        with pytest.raises(GrammarError) as caught:
            compose("ann@example.org", **parts)
        assert str(caught.value).replace(os.getcwd(), "/home/ann") in PAGE

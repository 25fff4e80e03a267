"""The code in the README runs and does what it says."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from email.message import EmailMessage
from pathlib import Path

import pytest

from smtpproto import Envelope, Handler, Session, TLSMode
from smtpproto.adapters import blocking

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
SNIPPETS = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


class AcceptingHandler(Handler):
    """Accepts every message."""

    def message(self, session: Session, envelope: Envelope, body: bytes) -> None: ...


def _message() -> EmailMessage:
    """Return a message of Ann to Bob."""
    message = EmailMessage()
    message["From"], message["To"] = "ann@example.org", "bob@example.org"
    message.set_content("hello\n")
    return message


def test_the_readme_has_the_commands_that_ci_runs() -> None:
    """.ci/run finds them in the README by the same words."""
    indented = [
        line.strip() for line in README.splitlines() if line.startswith("    python -m venv")
    ]
    assert [line.rpartition(" && ")[2] for line in indented] == [
        ".venv/bin/smtpproto demo",
        ".venv/bin/python -m pytest -n auto",
    ]


@pytest.mark.parametrize("snippet", SNIPPETS, ids=range(len(SNIPPETS)))
def test_each_snippet_of_the_readme_runs(snippet: str, capsys: pytest.CaptureFixture[str]) -> None:
    names = {"message": _message(), "__name__": "readme", "TLSMode": TLSMode}
    with blocking.serve(AcceptingHandler()) as server:
        snippet = snippet.replace(
            '"mail.example.org", 587, login=("ann", "secret")',
            f'"localhost", {server.port}, tls=TLSMode.NONE',
        )
        if "async with connect" in snippet:
            lines = "\n    ".join(snippet.splitlines())
            exec(f"async def main():\n    {lines}", names)
            asyncio.run(names["main"]())  # type: ignore[operator]
        else:
            exec(snippet, names)
    output = capsys.readouterr().out
    if "ServerProtocol" in snippet:
        assert "450 4.7.1 Come back later" in output
    if "print(plan(" in snippet:
        assert output in README


def test_tables_md_matches_the_code() -> None:
    command = [sys.executable, "docs/tables.py", "--check"]
    subprocess.run(command, cwd=ROOT, check=True)

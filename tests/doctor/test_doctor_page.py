"""The example and the code in docs/howto/doctor.md are right."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from smtpproto.adapters.dnspython import DNSResolver
from smtpproto.dns import Answer, Kind
from tests.doctor.messages import examine
from tests.doctor.sick import sick_message, sick_world
from tests.test_public_face import check_imports

PAGE = (Path(__file__).parents[2] / "docs/howto/doctor.md").read_text()
[SNIPPET] = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def test_the_example_is_what_the_doctor_says() -> None:
    assert f"```\n{sick_world().examine()}\n```" in PAGE
    assert f"```\n{examine(sick_message())}\n```" in PAGE


def test_the_snippet_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    zone = sick_world().zone

    async def lookup(resolver: DNSResolver, name: str, kind: Kind) -> Answer:
        return await zone.lookup(name, kind)

    monkeypatch.setattr(DNSResolver, "lookup", lookup)
    check_imports(SNIPPET)
    exec(SNIPPET, {})
    assert "did you mean ip4?" in capsys.readouterr().out

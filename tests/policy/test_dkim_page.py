"""The code in docs/reference/policy/dkim.md runs."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from smtpproto.adapters.dnspython import DNSResolver
from smtpproto.dns import Answer, Kind, Status
from smtpproto.policy import DKIMResult
from tests.policy.signing import MESSAGE
from tests.test_public_face import check_imports

PAGE = (Path(__file__).parents[2] / "docs/reference/policy/dkim.md").read_text()
SNIPPETS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def test_the_snippets_make_a_key_sign_and_verify(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names: dict[str, Any] = {}
    records: dict[str, bytes] = {}

    async def lookup(resolver: DNSResolver, name: str, kind: Kind) -> Answer:
        return Answer(status=Status.FOUND, records=(records[name],))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(DNSResolver, "lookup", lookup)
    for snippet in SNIPPETS:
        check_imports(snippet)
        exec(snippet, names)
    for line in capsys.readouterr().out.splitlines():
        name, _, _, texts = line.split(" ", 3)
        records[name.removesuffix(".")] = "".join(re.findall('"(.*?)"', texts)).encode()
    signed = asyncio.run(names["signed"](MESSAGE))
    asyncio.run(names["show"]([signed[:100], signed[100:]]))
    expected = "pass example.org the signature is right\n"
    assert capsys.readouterr().out == expected * 2


def test_the_page_has_each_status() -> None:
    described = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert sorted(described) == sorted(it.value for it in DKIMResult)

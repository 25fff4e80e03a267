"""The code and the tree in docs/reference/policy/spf.md are right."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from smtpproto.adapters.blocking import Runtime, run
from smtpproto.adapters.dnspython import DNSResolver
from smtpproto.dns import Answer, Kind
from smtpproto.policy import SPFResult
from smtpproto.testing import Zone
from tests.test_public_face import check_imports

from .spf_zones import ELSEWHERE, check, hosts, txt, zone
from .test_spf_bounds import MOST

PAGE = (Path(__file__).parents[2] / "docs/reference/policy/spf.md").read_text()
SNIPPETS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
[TREE] = re.findall(r"^```\n(fail:.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def run_snippets(variables: dict[str, Any]) -> None:
    for snippet in SNIPPETS:
        check_imports(snippet)
        exec(snippet, variables)


def example() -> Zone:
    return zone(
        "v=spf1 a:gone.example.org include:spf.example.net mx -all",
        example_org=hosts("mx.example.org"),
        mx_example_org=ELSEWHERE,
        spf_example_net=txt("v=spf1 ip4:198.51.100.0/24 ~all"),
    )


def test_the_tree_is_that_of_a_check() -> None:
    assert f"{check(example())}\n" == TREE


def test_the_snippets_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = example()

    async def lookup(resolver: DNSResolver, name: str, kind: Kind) -> Answer:
        return await names.lookup(name, kind)

    monkeypatch.setattr(DNSResolver, "lookup", lookup)
    variables: dict[str, Any] = {}
    run_snippets(variables)
    assert capsys.readouterr().out == "-all of example.org matches 192.0.2.1\n"
    bounded = variables["checked"](variables["request"], DNSResolver(), Runtime())
    assert run(bounded).result is SPFResult.FAIL
    assert variables["field"].startswith(b"Received-SPF: fail (mx.example.com: -all of example.org")


def test_the_bound_is_right() -> None:
    assert f"at most {MOST} questions" in PAGE

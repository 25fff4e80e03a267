"""The code and the table in docs/policy/tls.md are right."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from smtpproto.policy.tls_policy import RULES, TLSLevel
from smtpproto.transfer import TLSPolicies
from tests.test_public_face import check_imports

PAGE = (Path(__file__).parents[2] / "docs/policy/tls.md").read_text()
[SNIPPET] = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
TABLE = PAGE.partition("| message |")[2].partition("\n\n")[0].splitlines()[2:]
WORDS = {
    TLSLevel.REFUSED: "to this host",
    TLSLevel.DANE: "fits them",
    TLSLevel.VERIFIED: "verified by name",
    TLSLevel.ENCRYPTED: "any certificate",
    TLSLevel.NONE: "no TLS",
    TLSLevel.OPPORTUNISTIC: "if it works",
}


def test_the_snippet_makes_an_mta(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    check_imports(SNIPPET)
    exec(SNIPPET, names)
    assert isinstance(names["mail"]._config.tls_policies, TLSPolicies)


def test_the_table_of_the_page_is_that_of_the_code() -> None:
    rules = [rule for rule in RULES if rule.conditions != _TOGETHER]
    assert len(TABLE) == len(rules)
    for line, rule in zip(TABLE, rules, strict=True):
        assert WORDS[rule.level] in line.split("|")[4], (line, rule)


_TOGETHER = {"tls_optional": True, "route": TLSLevel.ENCRYPTED}  # one line with the next rule

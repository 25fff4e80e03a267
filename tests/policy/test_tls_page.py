"""The code and the table in docs/reference/policy/tls.md are right."""

from __future__ import annotations

import asyncio
import hashlib
import re
from pathlib import Path
from typing import Any

import pytest

from smtpproto import Handler, TLSFailed
from smtpproto.adapters.asyncio import serve
from smtpproto.dns import TLSA, Kind
from smtpproto.policy.tls_policy import RULES, TLSLevel
from smtpproto.testing import Zone
from smtpproto.transfer import TLSPolicies
from tests.support.certificates import LEAF, der, server_context
from tests.test_public_face import check_imports

PAGE = (Path(__file__).parents[2] / "docs/reference/policy/tls.md").read_text()
SNIPPET, WITHOUT_MTA = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
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


@pytest.mark.parametrize("fits", [True, False])
def test_the_second_snippet_connects_only_if_a_record_fits(fits: bool) -> None:
    names: dict[str, Any] = {}
    check_imports(WITHOUT_MTA)
    exec(WITHOUT_MTA, names)
    digest = hashlib.sha256(der(LEAF)).digest() if fits else bytes(32)
    zone = Zone(
        {
            "mx.example.org": {Kind.A: ["127.0.0.1"]},
            "_25._tcp.mx.example.org": {Kind.TLSA: [TLSA(3, 0, 1, digest)]},
        },
        authentic=True,
    )
    real = names["connect"]

    async def main() -> bool:
        async with serve(Handler(), "127.0.0.1", 0, context=server_context(LEAF)) as server:
            port = server.addresses[0][1]
            names["connect"] = lambda _, __, **options: real("127.0.0.1", port, **options)
            demands = names["demands_by"](zone)
            async with await names["connect_as_demanded"]("mx.example.org", demands) as client:
                return bool(client.tls.verified)

    if fits:
        assert asyncio.run(main())
    else:
        with pytest.raises(TLSFailed, match="no TLSA record fits"):
            asyncio.run(main())


def test_the_table_of_the_page_is_that_of_the_code() -> None:
    rules = [rule for rule in RULES if rule.conditions != _TOGETHER]
    assert len(TABLE) == len(rules)
    for line, rule in zip(TABLE, rules, strict=True):
        assert WORDS[rule.level] in line.split("|")[4], (line, rule)


_TOGETHER = {"tls_optional": True, "route": TLSLevel.ENCRYPTED}  # one line with the next rule

"""The code and the story in docs/reference/policy/dmarc.md are right."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from smtpproto.adapters.blocking import run
from smtpproto.dns import Kind
from smtpproto.policy import AuthenticationResults, MethodResult
from tests.test_public_face import check_imports

from .dmarc_zones import check, dkim, spf, zone
from .signing import KEYS

PAGE = (Path(__file__).parents[2] / "docs/reference/policy/dmarc.md").read_text()
[SNIPPET, TAGGED, LISTED] = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
[STORY] = re.findall(r"^```\n(fail:.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def test_the_snippet_tells_the_story(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    check_imports(SNIPPET)
    exec(SNIPPET, names)
    found = zone({"example.org": "v=DMARC1; p=reject"}, "news.example.org")
    header = b"From: Ann <ann@news.example.org>\r\n"
    assert run(names["checked"](header, spf("example.net"), [], found))
    assert capsys.readouterr().out == STORY


def test_the_snippet_uses_a_list_of_public_suffixes() -> None:
    pytest.importorskip("publicsuffixlist")
    names: dict[str, Any] = {}
    check_imports(LISTED)
    exec(LISTED, names)
    assert names["inspect"].organizational_domain("a.example.co.uk") == "example.co.uk"


def test_the_snippet_tags_or_refuses_a_message() -> None:
    names: dict[str, Any] = {}
    check_imports(TAGGED)
    exec(TAGGED, names)
    found = zone({"a.test": "v=DMARC1; p=reject"})
    message = b"Authentication-Results: mx.example.com; spf=pass\r\nFrom: b@a.test\r\n\r\nhello\r\n"
    arguments = ("192.0.2.1", "mx.a.test", "b@a.test", found, KEYS)
    with pytest.raises(PermissionError, match=r"^550 5\.7\.26 a\.test does not answer"):
        run(names["tagged"](message, *arguments))
    found.records["a.test"] = {Kind.TXT: [b"v=spf1 ip4:192.0.2.1"]}
    tagged = run(names["tagged"](message, *arguments))
    assert tagged.startswith(b"Authentication-Results: mx.example.com;\r\n spf=pass ")
    assert tagged.endswith(b"header.from=a.test\r\nFrom: b@a.test\r\n\r\nhello\r\n")


@pytest.mark.parametrize(
    ("signatures", "expected"),
    [
        ([dkim("a.test")], "dmarc=pass header.from=a.test"),
        (
            [],
            'dmarc=fail reason="neither SPF nor DKIM has passed for a.test or a domain aligned with'
            ' it" header.from=a.test policy.dmarc=quarantine',
        ),
    ],
)
def test_the_result_in_authentication_results(signatures: list[Any], expected: str) -> None:
    result = check("a.test", zone({"a.test": "v=DMARC1; p=reject; t=y"}), None, signatures)
    field = bytes(AuthenticationResults("mx.test", (MethodResult.of_dmarc(result),)))
    text = field.decode().replace("\r\n", "")
    assert text == f"Authentication-Results: mx.test; {expected}"
    [read] = AuthenticationResults.parse(field.decode().partition(":")[2].rstrip()).results
    assert read.value_of("header", "from") == "a.test"

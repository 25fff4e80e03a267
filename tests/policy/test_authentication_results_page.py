"""The code and the field in docs/reference/policy/authentication-results.md are right."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from smtpproto.policy import DKIMCheck, DKIMResult
from tests.test_public_face import check_imports

from .spf_zones import check, zone

PAGE = (Path(__file__).parents[2] / "docs/reference/policy/authentication-results.md").read_text()
[SNIPPET] = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
[FIELD] = re.findall(r"^```\n(Auth.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def test_the_snippet_writes_the_field_and_removes_a_forged_one() -> None:
    names: dict[str, Any] = {}
    check_imports(SNIPPET)
    exec(SNIPPET, names)
    spf = check(zone("v=spf1 -all"))
    header = b"Authentication-Results: mx.example.com; spf=pass\r\nSubject: a\r\n"
    assert names["tagged"](header, spf, []).decode().replace("\r\n", "\n") == f"{FIELD}Subject: a\n"
    dkim = DKIMCheck(result=DKIMResult.NEUTRAL, reason="malformed")
    assert b';\r\n dkim=neutral reason="malformed"\r\n' in names["tagged"](b"", spf, [dkim])

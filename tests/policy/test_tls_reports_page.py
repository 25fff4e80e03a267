"""The code in docs/reference/policy/tls-reports.md runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tests.test_public_face import check_imports

PAGE = (Path(__file__).parents[2] / "docs/reference/policy/tls-reports.md").read_text()
SNIPPETS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def test_the_snippets_make_a_report_and_read_it() -> None:
    names: dict[str, Any] = {}
    for snippet in SNIPPETS:
        check_imports(snippet)
        exec(snippet, names)
    [octets] = names["reports_of_the_day"]("2027-01-15", 1_800_000_000)
    assert names["failures"](octets) == 1
    assert names["reports_of_the_day"]("2027-01-16", 1_800_086_400) == []

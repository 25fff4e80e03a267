"""The code in docs/reference/policy/dmarc-reports.md is right."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from smtpproto.adapters.blocking import run
from smtpproto.policy import AggregateReport, write_report
from tests.test_public_face import check_imports

from .dmarc_zones import zone
from .test_aggregate_report import message, one

PAGE = (Path(__file__).parents[2] / "docs/reference/policy/dmarc-reports.md").read_text()
SNIPPETS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


class Mail:
    def __init__(self) -> None:
        self.sent: list[Any] = []

    async def send(self, message: Any) -> None:
        self.sent.append(message)


def test_the_snippets_read_and_send_reports() -> None:
    names: dict[str, Any] = {}
    for snippet in SNIPPETS:
        check_imports(snippet)
        exec(snippet, names)
    assert names["failing"](write_report(one())) == {}
    names["counts"].add(message(sender="b.test"))
    mail = Mail()
    run(names["send_reports"](mail, zone({"a.test": "v=DMARC1; p=reject"}), 1, 2))
    [sent] = mail.sent
    assert b"\r\nTo: <reports@a.test>\r\n" in sent
    assert AggregateReport.parse(bytes(sent)).domain == "a.test"
    assert names["failing"](bytes(sent)) == {"192.0.2.1": 1}

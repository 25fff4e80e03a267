"""The example and the code in docs/howto/probe.md are right."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from smtpproto.testing import SMTPD, Refuse
from tests.doctor.broken_servers import CASES
from tests.doctor.test_probe import probe
from tests.test_public_face import check_imports

PAGE = (Path(__file__).parents[2] / "docs/howto/probe.md").read_text()
[SNIPPET] = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def plain(text: str) -> str:
    """Return *text* without what depends on the version of trustme."""
    return re.sub(r"trustme v[\d.]+", "trustme", " ".join(text.split()))


def test_the_example_is_what_a_probe_says() -> None:
    [case] = [it for it in CASES if it.name == "a certificate for another name"]
    found = probe(case.server, addresses=("192.0.2.1",), recipients=("bob@example.org",))
    assert plain(str(found)) in plain(PAGE)


def test_the_snippet_runs(capsys: pytest.CaptureFixture[str]) -> None:
    check_imports(SNIPPET)
    with SMTPD(trouble=Refuse("RCPT", reply="554 5.7.1 Relay access denied")) as smtpd:
        exec(SNIPPET.replace("2525", str(smtpd.port)), {})
    assert "relaying-denied\nrefuses a message for bob@example.org" in capsys.readouterr().out

"""Prometheus's own checks of our metrics, and of the rules in docs/howto/watching.md."""

from __future__ import annotations

import subprocess
import textwrap
from pathlib import Path

import pytest

from smtpproto.adapters.blocking import MTA, run
from smtpproto.adapters.prometheus_client import Metrics
from smtpproto.mta import MemoryQueue
from tests.interop.programs import TIMEOUT, find_program
from tests.support.queued import held
from tests.watching.reading import get

pytestmark = pytest.mark.peer("prometheus")

PAGE = (Path(__file__).parents[2] / "docs/howto/watching.md").read_text()


def promtool(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    command = [find_program("promtool"), "check", *arguments]
    return subprocess.run(
        command, input=text, capture_output=True, text=True, timeout=TIMEOUT, check=False
    )


def test_prometheus_has_nothing_against_the_metrics() -> None:
    metrics = Metrics()
    with MTA("mx.example.org", MemoryQueue(), {}) as mail:
        run(mail.queue.put([held("ann@example.org", "bob@example.net")]))
        with metrics.serve(mail, 0) as url:
            text = get(url.removesuffix("metrics"), "/metrics")[1]
    done = promtool("metrics", text=text)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_prometheus_reads_the_rules_on_the_page(tmp_path: Path) -> None:
    rules = PAGE[PAGE.index("    groups:\n") : PAGE.index("\nIn a program, pass")]
    (tmp_path / "rules.yml").write_text(textwrap.dedent(rules))
    done = promtool("rules", str(tmp_path / "rules.yml"))
    assert (done.returncode, "SUCCESS: 2 rules found" in done.stdout) == (0, True)

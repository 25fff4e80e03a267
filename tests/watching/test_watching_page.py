"""The code, the configuration, the figures and the log in docs/howto/watching.md are right."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from smtpproto import Reply
from smtpproto.adapters.blocking import MTA, run
from smtpproto.adapters.dnspython import DNSResolver
from smtpproto.adapters.prometheus_client import Metrics
from smtpproto.cli import main
from smtpproto.cli.queue_command import stats_lines
from smtpproto.mta import (
    DeliveryEvent,
    DomainStats,
    FilterAction,
    FilterEvent,
    GuardEvent,
    Later,
    MemoryQueue,
    MessageQueued,
    QueueEvent,
    QueueStats,
    Result,
    Settlement,
    State,
)
from smtpproto.testing.simulation import EPOCH
from smtpproto.transfer import JSONFormatter
from tests.support.queued import attempt, delivery, held, message

PAGE = (Path(__file__).parents[2] / "docs/howto/watching.md").read_text()
SNIPPETS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
[TOML] = re.findall(r"^```toml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Yield the names that snippets use, in a directory of their own; the log stays as it was."""

    async def no_answer(*_: object) -> None:
        raise AssertionError("nothing needs the DNS")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(DNSResolver, "lookup", no_answer)
    log = logging.getLogger("smtpproto")
    handlers, level = [*log.handlers], log.level
    yield {}
    log.handlers[:] = handlers
    log.setLevel(level)


@pytest.mark.parametrize("snippet", SNIPPETS, ids=range(len(SNIPPETS)))
def test_each_snippet_runs(
    snippet: str, names: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    snippet = re.sub(r"\(mail, \d+\)", "(mail, 0)", snippet)
    if "async with" not in snippet:
        exec(snippet, names)
        return
    lines = "\n    ".join(snippet.splitlines())
    exec(f"async def main():\n    {lines}", names)
    asyncio.run(names["main"]())
    assert capsys.readouterr().out.startswith("http://127.0.0.1:")


def test_the_configuration_is_correct(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mail.toml").write_text(TOML)
    status = main(["mta", "--config", str(tmp_path / "mail.toml"), "--check"])
    assert (status, capsys.readouterr().err) == (0, "")


def test_the_page_has_each_metric_with_its_type_and_label() -> None:
    metrics = Metrics()
    metrics.count(FilterEvent(id="m1", filter="spamd", action=FilterAction.HELD))
    metrics.count(GuardEvent(guard="lists", client="192.0.2.1", reply=Reply(554)))
    with MTA("mx.example.org", MemoryQueue(), {}) as mail, metrics.watch(mail):
        run(mail.queue.put([held("bob@example.net")]))
        found = set()
        for family in metrics.registry.collect():
            total = "_total" if family.type == "counter" else ""
            labels = {name for it in family.samples for name in it.labels} - {"le"}
            found.add((family.name + total, ",".join(sorted(labels)), family.type))
    row = re.compile(r"^\| `(smtpproto_\w+)(?:\{([\w,]+)\})?` \| (\w+) \|", re.MULTILINE)
    assert {*row.findall(PAGE)} == found


def test_the_log_on_the_page_is_what_events_lead_to() -> None:
    name = "01kdvdna00z5kvvbyz1sske4zr"
    tried = attempt(
        Result.REFUSED,
        Reply(450, "4.7.1", "Greylisted"),
        at=EPOCH + 1,
        seconds=0.07,
        host="mx1.example.net",
        address="192.0.2.25",
        command="RCPT",
    )
    later = Later(due=EPOCH + 64)
    events: list[tuple[float, QueueEvent]] = [
        (
            EPOCH + 0.004,
            MessageQueued(
                message=message(name, size=1420, client="192.0.2.7, 50123, user ann"),
                deliveries=(delivery(name),),
            ),
        ),
        (
            EPOCH + 1.071,
            DeliveryEvent(
                settlement=Settlement(delivery=delivery(name), decision=later, attempt=tried)
            ),
        ),
    ]
    for at, event in events:
        record = logging.LogRecord("smtpproto.queue", logging.INFO, "", 0, "%s", (event,), None)
        record.created = at
        assert f"    {JSONFormatter().format(record)}\n" in PAGE


def test_the_stats_on_the_page_are_what_the_command_prints() -> None:
    greylisted = attempt(
        Result.REFUSED,
        Reply(450, "4.7.1", "Greylisted"),
        host="mx.greylists.example",
        address="192.0.2.25",
        command="RCPT",
    )
    dead = attempt(
        Result.UNREACHED,
        Reply(451, "4.4.1", "The connection to the host failed"),
        host="mx.example.net",
        address="192.0.2.9",
    )
    one = DomainStats(
        deliveries={State.WAITING: 3},
        oldest=EPOCH - 7920,
        oldest_id="a",
        due=EPOCH + 843,
        last=greylisted,
    )
    other = DomainStats(
        deliveries={State.WAITING: 1}, oldest=EPOCH - 240, oldest_id="b", due=EPOCH + 56, last=dead
    )
    stats = QueueStats(
        messages=4,
        octets=584,
        deliveries={State.WAITING: 4},
        domains={"greylists.example": one, "example.net": other},
    )
    lines = "\n".join(stats_lines(stats, EPOCH)).splitlines()
    printed = "\n".join(f"    {line}".rstrip() for line in lines)
    assert printed in PAGE

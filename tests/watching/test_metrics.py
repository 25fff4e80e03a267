"""What Prometheus reads of an MTA: names, values, and bounds of the labels."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from smtpproto import Reply
from smtpproto.adapters.blocking import MTA, run
from smtpproto.adapters.prometheus_client import Metrics
from smtpproto.mta import (
    DeliveryEvent,
    Done,
    Fate,
    FilterAction,
    FilterEvent,
    GuardEvent,
    Hold,
    Later,
    MemoryQueue,
    MessageQueued,
    Result,
    Settlement,
)
from smtpproto.mta.queue import make_id, time_of_id
from tests.support.queued import attempt, delivery, held, message
from tests.watching.reading import get

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def samples(text: str) -> dict[tuple[str, str], float]:
    """Return the values of a page in the format of OpenMetrics, by name and labels."""
    return {
        (it.name, ",".join(f"{name}={value}" for name, value in it.labels.items())): it.value
        for family in text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
        for it in family.samples
        if not it.name.endswith("_created")
    }


def settled(decision: Any, name: str = "m1", **facts: Any) -> DeliveryEvent:
    its = attempt(**facts) if facts else None
    return DeliveryEvent(
        settlement=Settlement(delivery=delivery(name), decision=decision, attempt=its)
    )


def test_prometheus_reads_what_was_counted_and_what_is_in_the_queue() -> None:
    metrics, name = Metrics(), make_id(1000.0, bytes(10))
    for event in (
        MessageQueued(message=message(), deliveries=(delivery(),)),
        MessageQueued(message=message("m2"), deliveries=(delivery("m2"),), about="m1"),
        settled(Done(Fate.RELAYED), name, result=Result.RELAYED, at=1060.0, seconds=2),
        settled(Done(Fate.FAILED), result=Result.REFUSED, reply=Reply(550)),
        settled(Later(due=1), result=Result.UNREACHED),
        settled(Hold("why"), result=Result.UNKNOWN),
        settled(Done(Fate.EXPIRED)),
        FilterEvent(id="m3", filter="spamd", action=FilterAction.REFUSED),
        GuardEvent(guard="greylist", client="192.0.2.1", reply=Reply(451)),
    ):
        metrics.count(event)
    with MTA("mx.example.org", MemoryQueue(), {}) as mail:
        run(mail.queue.put([held("al@a.test", "bo@a.test", "ce@c.test", content=b"x" * 7)]))
        with metrics.serve(mail, 0) as url:
            response, text = get(url.removesuffix("metrics"), "/metrics", Accept=OPENMETRICS)
            plain = get(url.removesuffix("metrics"), "/metrics")[0]
            assert get(url.removesuffix("metrics"))[0].status == 404
    assert response.headers["Content-Type"].startswith("application/openmetrics-text")
    assert plain.headers["Content-Type"].startswith("text/plain")
    found = samples(text)
    assert found["smtpproto_messages_total", "kind=mail"] == 1
    assert found["smtpproto_guard_refusals_total", "guard=greylist"] == 1
    assert found["smtpproto_messages_total", "kind=report"] == 1
    for result in ("relayed", "failed", "expired", "deferred", "held"):
        assert found["smtpproto_deliveries_total", f"result={result}"] == 1
    for attempted in ("relayed", "refused", "unreached", "unknown"):
        assert found["smtpproto_attempts_total", f"result={attempted}"] == 1
    assert found["smtpproto_filter_actions_total", "action=refused,filter=spamd"] == 1
    assert found["smtpproto_delivery_delay_seconds_sum", ""] == 62
    assert found["smtpproto_delivery_delay_seconds_bucket", "le=300.0"] == 1
    assert found["smtpproto_delivery_delay_seconds_bucket", "le=60.0"] == 0
    assert found["smtpproto_queue_messages", ""] == 1
    assert found["smtpproto_queue_size_bytes", ""] == 7
    assert found["smtpproto_queue_deliveries", "state=held"] == 3
    assert found["smtpproto_queue_deliveries", "state=waiting"] == 0
    assert found["smtpproto_queue_domain_deliveries", "domain=a.test"] == 2
    assert found["smtpproto_queue_oldest_message_age_seconds", ""] > 0
    assert found["smtpproto_sessions_total", ""] == 0


def test_labels_are_bounded_whatever_the_mail() -> None:
    metrics = Metrics(top=3)
    with MTA("mx.example.org", MemoryQueue(), {}) as mail:
        recipients = [f"user{number}@d{number}.test" for number in range(50)]
        run(mail.queue.put([held(*recipients)]))
        with metrics.serve(mail, 0) as url:

            def labels() -> set[tuple[str, str]]:
                path = "/metrics"
                return {*samples(get(url.removesuffix("metrics"), path, Accept=OPENMETRICS)[1])}

            before = labels()
            for number in range(50):
                metrics.count(settled(Done(Fate.RELAYED), f"m{number}", result=Result.RELAYED))
            assert labels() == before
    assert len([name for name, _ in before if name == "smtpproto_queue_domain_deliveries"]) == 3
    assert not [its for _, its in before if "@" in its]


def test_a_program_can_have_the_metrics_among_its_own() -> None:
    registry = CollectorRegistry(auto_describe=True)
    metrics = Metrics(registry)
    with MTA("mx.example.org", MemoryQueue(), {}) as mail, metrics.watch(mail):
        assert registry.get_sample_value("smtpproto_queue_messages") == 0
    assert registry.get_sample_value("smtpproto_queue_messages") is None
    assert registry.get_sample_value("smtpproto_messages_total", {"kind": "mail"}) == 0


@pytest.mark.parametrize("name", ["", "m1", "i" * 26, "0" * 27])
def test_an_id_of_another_kind_has_no_time(name: str) -> None:
    assert time_of_id(name) is None


def test_an_id_has_its_time_to_the_millisecond() -> None:
    assert time_of_id(make_id(1_800_000_000.1234, b"\xff" * 10)) == 1_800_000_000.123

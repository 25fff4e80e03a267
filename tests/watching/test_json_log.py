"""The log as JSON: an object a line, whatever others sent."""

from __future__ import annotations

import io
import json
import logging
from typing import Any

import pytest

from smtpproto import Reply
from smtpproto.mta import (
    DeliveryEvent,
    Done,
    Fate,
    FilterAction,
    FilterEvent,
    GuardEvent,
    Hold,
    Later,
    MessageQueued,
    Result,
    Settlement,
)
from smtpproto.transfer import JSONFormatter
from tests.support.queued import attempt, delivery, message

HOSTILE = 'a"}\n{"level": "ERROR\r\x1b[2J\u202e\ud800'


def logged(message: str, *args: object, **options: Any) -> dict[str, Any]:
    """Return what a line of the log has for a record."""
    stream, logger = io.StringIO(), logging.Logger("smtpproto.queue")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JSONFormatter())
    logger.addHandler(handler)
    logger.info(message, *args, **options)
    [line] = stream.getvalue().splitlines()
    assert line.isascii()
    values: dict[str, Any] = json.loads(line)
    assert (values["logger"], values["level"]) == ("smtpproto.queue", "INFO")
    return values


def test_a_message_that_is_queued_has_its_facts() -> None:
    event = MessageQueued(message=message(client="192.0.2.7, 50123"), deliveries=(delivery(),))
    values = logged("%s", event)
    assert values["message"] == str(event)
    assert values["time"].endswith("Z")
    del values["time"], values["level"], values["logger"], values["message"]
    assert values == {
        "event": "queued",
        "id": "m1",
        "sender": "ann@example.org",
        "recipients": ["bob@example.net"],
        "recipient_count": 1,
        "size": 1000,
        "client": "192.0.2.7, 50123",
    }


def test_the_recipients_of_a_message_are_bounded() -> None:
    deliveries = tuple(delivery(number=number) for number in range(1000))
    values = logged("%s", MessageQueued(message=message(), deliveries=deliveries))
    assert (len(values["recipients"]), values["recipient_count"]) == (100, 1000)


@pytest.mark.parametrize(
    ("decision", "facts"),
    [
        (Done(Fate.FAILED), {"result": "failed"}),
        (
            Later(due=60, warned=True),
            {"result": "deferred", "due": "1970-01-01T00:01:00.000Z", "warned": True},
        ),
        (Hold("\x1b"), {"result": "held", "reason": "\\x1b"}),
    ],
)
def test_a_delivery_has_its_facts(decision: Any, facts: dict[str, Any]) -> None:
    its = attempt(Result.REFUSED, Reply(450, "4.7.1", "Later"), host="mx.test", command="RCPT")
    settlement = Settlement(delivery=delivery(), decision=decision, attempt=its)
    values = logged("%s", DeliveryEvent(settlement=settlement))
    assert facts.items() <= values.items()
    assert (values["event"], values["recipient"], values["attempts"]) == (
        "delivery",
        "bob@example.net",
        1,
    )
    assert values["attempt"] == {
        "at": "1970-01-01T00:00:00.000Z",
        "seconds": 0,
        "result": "refused",
        "host": "mx.test",
        "code": 450,
        "reply": "450 4.7.1 Later",
        "command": "RCPT",
    }


def test_what_a_filter_did_has_its_facts() -> None:
    event = FilterEvent(id="m1", filter="spamd", action=FilterAction.HELD, detail="\x1b[1m")
    facts = {"event": "filter", "id": "m1", "filter": "spamd", "action": "held"}
    assert (facts | {"detail": "\\x1b[1m"}).items() <= logged("%s", event).items()


def test_what_a_guard_refused_has_its_facts() -> None:
    reply = Reply(450, "4.7.1", "Try again")
    event = GuardEvent(guard="user", client="192.0.2.1", reply=reply, recipient="bob@a.test")
    facts = {"event": "guard", "guard": "user", "client": "192.0.2.1", "recipient": "bob@a.test"}
    assert (facts | {"code": 450}).items() <= logged("%s", event).items()
    assert "bob@a.test refused by user: 450" in str(event)


def test_text_of_others_cannot_make_lines_or_move_the_cursor() -> None:
    its = attempt(Result.UNREACHED, host=HOSTILE, error=HOSTILE)
    settlement = Settlement(delivery=delivery(), decision=Hold(HOSTILE[:-1]), attempt=its)
    event = DeliveryEvent(settlement=settlement)
    for values in (logged("%s", event), logged("%s", HOSTILE), logged("%s: %s", HOSTILE, event)):
        texts = [*values.values(), *values.get("attempt", {}).values()]
        assert all(it.isprintable() for it in texts if isinstance(it, str))
        assert values["level"] == "INFO"


def test_an_exception_is_in_the_same_line() -> None:
    values = logged("it failed", exc_info=ValueError("x"))
    assert values["exception"] == "ValueError: x"

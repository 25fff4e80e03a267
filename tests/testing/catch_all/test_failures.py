"""Failures that are switched on and off while a catch-all server runs."""

from __future__ import annotations

import json
import smtplib
from collections.abc import Iterator

import pytest

from smtpproto.testing.catch_all import CatchAll
from tests.testing.catch_all.asking import PLAIN, Asked
from tests.watching.reading import get


@pytest.fixture
def running() -> Iterator[CatchAll]:
    """Return a catch-all server that runs."""
    with CatchAll() as it:
        yield it


def send(to: CatchAll, *recipients: str) -> dict[str, tuple[int, bytes]]:
    with smtplib.SMTP("127.0.0.1", to.port, timeout=20) as client:
        return client.sendmail("ann@a.test", recipients or ["bob@b.test"], PLAIN)


def interface(of: CatchAll) -> Asked:
    return Asked(of._mail, of._failures)


def switch_on(server: CatchAll, **values: object) -> None:
    interface(server).values("/api/failures", "POST", values)


def test_mail_is_kept_with_its_dialogue(running: CatchAll) -> None:
    send(running)
    [message] = running._mail.newest()
    assert message.received.content == PLAIN
    assert message.received.rcpt_tos == ["bob@b.test"]
    _, dialogue = get(running.url, "/api/messages/1/transcript")
    assert "C: RCPT TO:<bob@b.test>\n" in dialogue
    assert f"C: [{len(PLAIN)} octets of content]\n" in dialogue


def test_a_recipient_is_refused_as_often_as_it_was_asked_for(running: CatchAll) -> None:
    switch_on(running, kind="refuse", at="RCPT", to="bob@b.test", times=1)
    assert send(running, "bob@b.test", "carol@c.test")["bob@b.test"] == (550, b"5.1.1 No such user")
    assert send(running, "bob@b.test", "carol@c.test") == {}
    [failure] = interface(running).values("/api/failures")["list"]
    assert failure == {
        "id": 1,
        "kind": "refuse",
        "description": "refuse RCPT for bob@b.test with 550 5.1.1 No such user, 1 time",
        "happened": 1,
        "over": True,
    }


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"kind": "greylist"}, smtplib.SMTPRecipientsRefused),
        ({"kind": "refuse", "at": "DATA", "reply": "451 4.3.0 Later"}, smtplib.SMTPDataError),
        ({"kind": "refuse", "at": "."}, smtplib.SMTPDataError),
        ({"kind": "drop", "at": "MAIL"}, smtplib.SMTPServerDisconnected),
        ({"kind": "refuse", "at": "connect"}, smtplib.SMTPConnectError),
    ],
)
def test_failures_end_when_they_are_switched_off(
    running: CatchAll, values: dict[str, object], error: type[Exception]
) -> None:
    switch_on(running, **values)
    with pytest.raises(error):
        send(running)
    asked = interface(running)
    assert asked.values("/api/failures/1", "DELETE") == {"removed": 1}
    assert asked.ask("/api/failures/1", "DELETE").status == 404
    send(running)
    assert len(running._mail.newest()) == 1


def test_the_newest_of_two_refusals_counts(running: CatchAll) -> None:
    switch_on(running, kind="refuse", at="DATA", reply="451 4.3.0 First")
    switch_on(running, kind="refuse", at="DATA", reply="452 4.3.1 Second", times=1)
    for code in (452, 451):
        with pytest.raises(smtplib.SMTPDataError) as raised:
            send(running)
        assert raised.value.smtp_code == code
    assert interface(running).values("/api/failures", "DELETE") == {"removed": 2}
    send(running)


def test_the_server_stops_during_a_delay(running: CatchAll) -> None:
    switch_on(running, kind="delay", at="EHLO", seconds=3600)
    client = smtplib.SMTP("127.0.0.1", running.port, timeout=20)
    client.putcmd("ehlo", "a.test")
    running._server.stop()
    client.close()


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ([], "a failure is an object"),
        ({}, "kind must be one of refuse, greylist, delay, drop"),
        ({"kind": ["refuse"]}, "kind must be one of"),
        ({"kind": "refuse"}, 'refuse needs at, for example "RCPT"'),
        ({"kind": "refuse", "at": "RCTP"}, "Refuse: no such point: 'RCTP'"),
        ({"kind": "refuse", "at": 7}, "at must be text"),
        ({"kind": "refuse", "at": "RCPT", "times": 0}, "times must be a number from 1 on"),
        ({"kind": "refuse", "at": "RCPT", "times": True}, "times must be a number"),
        ({"kind": "refuse", "at": "RCPT", "reply": "250 OK"}, "a refusal needs a code from 400 on"),
        ({"kind": "refuse", "at": "RCPT", "reply": "oh no"}, "reply"),
        ({"kind": "refuse", "at": "RCPT", "to": "not an address"}, "address"),
        ({"kind": "refuse", "at": "MAIL", "to": "bob@b.test"}, "no recipient is known at MAIL"),
        ({"kind": "delay", "at": "RCPT"}, "seconds must be more than 0, and at most 3600"),
        ({"kind": "delay", "at": "RCPT", "seconds": 1e300}, "at most 3600"),
        ({"kind": "drop", "at": "RCPT", "seconds": 1}, "drop takes at, skip, stored, times"),
        ({"kind": "greylist", "stored": 1}, "greylist takes reply; not stored"),
    ],
)
def test_a_failure_that_cannot_be_is_explained(values: object, error: str) -> None:
    asked = Asked()
    page = asked.ask("/api/failures", "POST", json.dumps(values).encode())
    assert page.status == 400
    assert error in json.loads(str(page.body))["error"]
    assert asked.values("/api/failures")["list"] == []


def test_there_are_at_most_a_hundred_failures() -> None:
    asked = Asked()
    for _ in range(100):
        asked.values("/api/failures", "POST", {"kind": "greylist"})
    assert asked.ask("/api/failures", "POST", b'{"kind": "greylist"}').status == 400

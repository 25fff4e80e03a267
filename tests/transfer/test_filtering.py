"""Filters look at messages before they enter the queue, and change them."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from smtpproto import Envelope, Reply, SendRefused, Session
from smtpproto.filters import (
    AddField,
    ChangeField,
    FilterMessage,
    FilterVerdict,
    FunctionFilter,
    Milter,
)
from smtpproto.filters.message_filter import to_filters
from smtpproto.mta import FilterAction, FilterEvent, MemoryQueue, QueueEvent
from smtpproto.mta.queue import State
from smtpproto.policy import ARCResult, ARCSealer, ARCVerifier, DKIMSigner, Inspection
from smtpproto.transfer import MTAConfig
from smtpproto.transfer.observed_store import teller
from smtpproto.transfer.receive import Check, Receiver
from tests.policy.signing import KEYS, ed25519, run, verify, zone
from tests.support.filter_peers import FilterNetwork, ScriptedMilter
from tests.support.receiving import ANN, BOB, INSIDE, Site
from tests.transfer.test_authentication import LOGIN, MAIL, OWN, example

TAG = FilterVerdict(edits=[AddField("X-Tag", "1"), ChangeField("Subject", "changed")])


def filtered(*filters: Any, **options: Any) -> Site:
    events: list[QueueEvent] = []
    facts = {"filters": to_filters(filters), "tell": events.append, **options.pop("facts", {})}
    site = Site(facts=facts, **options)
    site.events = events  # type: ignore[attr-defined]
    return site


def events(site: Site) -> list[FilterEvent]:
    found: list[FilterEvent] = site.events  # type: ignore[attr-defined]
    return found


def accepted(site: Site, content: bytes = MAIL, recipients: Any = BOB) -> bytes:
    """Send a message; return what is in the queue."""
    assert site.send(Envelope(ANN, recipients), content).accepted
    [(entry, found)] = site.queued()
    assert entry.message.size == len(found)
    return found


def refused(site: Site) -> str:
    with pytest.raises(SendRefused) as caught:
        site.send(Envelope(ANN, BOB), MAIL)
    assert site.queued() == []
    [reply] = caught.value.outcome.refused.values()
    return str(reply)


def test_a_filter_sees_the_message_as_it_will_be_stored() -> None:
    seen: list[tuple[FilterMessage, bytes, bytes]] = []

    async def look(message: FilterMessage) -> None:
        whole = b"".join([it async for it in message.content()])
        seen.append((message, whole, b"".join([it async for it in message.body()])))

    inspect = {"inspect": Inspection(keys=KEYS), "resolver": example()}
    site = filtered(look, facts=inspect)
    found = accepted(site)
    [(message, whole, body)] = seen
    assert found == whole
    assert whole.startswith(OWN)
    assert b"\r\nReceived: " in whole
    assert (body, message.body_size, message.size) == (b"hello\r\n", 7, len(whole))
    [(entry, _)] = site.queued()
    assert (message.id, message.hostname) == (entry.message.id, "mx.example.org")
    assert (message.trusted, message.session.peer[0]) == (False, "192.0.2.1")
    [event] = events(site)
    assert str(event) == f"{message.id}: accepted by look"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\r\n",
        b"\r\nbody",
        b"Subject: a",
        b"Subject: a\r\n",
        b"Subject: a\r\n\r\n",
        b" blank\r\n",
        MAIL + b"x" * 900 + b"\r\n",
        MAIL + (b"x" * 900 + b"\r\n") * 3000,
        b"X: " + b"y\r\n " * 50_000 + b"z\r\n" + MAIL,
    ],
    ids=range(10),
)
def test_a_message_that_no_filter_changes_stays_as_it_is(content: bytes) -> None:
    plain, same = accepted(Site(), content), accepted(filtered(lambda _: None), content)
    assert same.partition(b"From")[0].count(b"Received: ") == 1
    assert same.rpartition(b"+0000\r\n")[2] == plain.rpartition(b"+0000\r\n")[2]


def test_filters_see_the_changes_of_those_before_and_so_does_the_check() -> None:
    seen = []

    def second(message: FilterMessage) -> FilterVerdict:
        assert str(message.envelope) == f"{ANN} to cleo@example.org, dan@example.net"
        assert message.header.startswith(b"X-Tag: 1\r\nReceived: ")
        return FilterVerdict(edits=[ChangeField("x-tag", "2")], hold="odd")

    class Checked(Receiver):
        def check(self, session: Session, envelope: Envelope, header: bytes) -> Check:
            seen.append((envelope, header))
            return None

    first = FilterVerdict(
        edits=[AddField("X-Tag", "1"), ChangeField("Subject", "changed")],
        added=["cleo@example.org", "dan@example.net"],
        removed=[BOB],
    )
    site = filtered(lambda _: first, second, lambda _: None, receiver=Checked)
    found = accepted(site)
    assert found.startswith(b"x-tag: 2\r\nReceived: ")
    assert found.endswith(b"Subject: changed\r\n\r\nhello\r\n")
    [(entry, _)] = site.queued()
    assert [str(it.recipient) for it in entry.deliveries] == ["cleo@example.org", "dan@example.net"]
    assert {(it.state, it.reason) for it in entry.deliveries} == {(State.HELD, "odd")}
    [(envelope, header)] = seen
    assert len(envelope.recipients) == 2
    assert header.startswith(b"x-tag: 2")
    actions = [FilterAction.ACCEPTED, FilterAction.HELD, FilterAction.ACCEPTED]
    assert [it.action for it in events(site)] == actions


def test_a_filter_may_change_the_sender() -> None:
    site = filtered(lambda _: FilterVerdict(sender=Envelope("", BOB).sender))
    accepted(site)
    [(entry, _)] = site.queued()
    assert entry.message.sender == ""


def never(_: FilterMessage) -> None:
    pytest.fail("a filter after the last one was asked")


@pytest.mark.parametrize(
    "verdict",
    [FilterVerdict(discard=True), FilterVerdict(removed=[BOB])],
    ids=["discard", "no recipient"],
)
def test_a_discarded_message_is_accepted_and_nowhere(verdict: FilterVerdict) -> None:
    site = filtered(lambda _: verdict, never)
    outcome = site.send(Envelope(ANN, BOB), MAIL)
    [reply] = outcome.accepted.values()
    assert str(reply).startswith("250 2.0.0 Queued as ")
    assert site.queued() == []
    [event] = events(site)
    assert event.action is FilterAction.DISCARDED


def test_a_refusal_reaches_the_client() -> None:
    site = filtered(lambda _: FilterVerdict(refusal=Reply(550, "5.7.1", "No")), never)
    assert refused(site) == "550 5.7.1 No"
    [event] = events(site)
    assert str(event).endswith(": refused by <lambda>: 550 5.7.1 No")
    with pytest.raises(ValueError, match="must be 4yz or 5yz"):
        FilterVerdict(refusal=Reply(250, None, "Yes"))


# -- failures --------------------------------------------------------------------------------------


async def hang(_: FilterMessage) -> None:
    await simulation.sleep(1000)


def fail(_: FilterMessage) -> None:
    raise ZeroDivisionError("oops")


def wrong(_: FilterMessage) -> Any:
    return "yes"


def too_much(_: FilterMessage) -> FilterVerdict:
    return FilterVerdict(edits=[AddField("X", b"x" * 1_000_000)] * 2)


simulation = FilterNetwork(None)
FAILURES = [
    (hang, "took longer than 60 seconds"),
    (fail, "oops"),
    (wrong, "the verdict of wrong cannot be of the type str"),
    (too_much, "filters made a header section of more than"),
    (Milter("127.0.0.1:8891"), "nothing listens"),
]


@pytest.mark.parametrize(("failing", "text"), FAILURES, ids=range(len(FAILURES)))
def test_a_filter_that_fails_defers_messages_or_is_passed_over(
    failing: Any, text: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "smtpproto.queue")
    monkeypatch.setattr(f"{__name__}.simulation", FilterNetwork(None))
    site = filtered(failing, never, simulation=simulation)
    assert refused(site) == "451 4.7.1 A filter is not available; try again later"
    [event] = events(site)
    assert event.action is FilterAction.REFUSED
    assert f"the filter failed: {text}" in event.detail
    caplog.clear()
    caplog.set_level(logging.INFO, "smtpproto.queue")
    teller()(event)
    assert [it.levelname for it in caplog.records] == ["WARNING"]

    monkeypatch.setattr(f"{__name__}.simulation", FilterNetwork(None))
    if isinstance(failing, Milter):
        lenient: Any = Milter("127.0.0.1:8891", on_failure="accept")
    else:
        lenient = FunctionFilter(failing, on_failure="accept")
    site = filtered(lenient, lambda _: TAG, simulation=simulation)
    assert b"X-Tag" in accepted(site)
    assert [it.action for it in events(site)] == [FilterAction.ACCEPTED] * 2
    assert text in str(events(site)[0])


def test_a_full_store_keeps_nothing_of_a_message_with_a_long_header(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[Any] = []

    class Small(MemoryQueue):
        def body(self) -> Any:
            made.append(super().body())
            return made[-1]

    site = filtered(lambda _: TAG, store=Small(capacity=80_000))
    lines = b"X-Line: 1\r\n" * 6500  # too many to be put before what is stored
    with pytest.raises(SendRefused, match=r"452 4\.3\.1"):
        site.send(Envelope(ANN, BOB), lines + b"\r\n" + b"hello\r\n" * 5000)
    assert len(made) == 2
    for body in made:
        with pytest.raises(ValueError, match="was discarded"):
            body.octets()


def test_a_milter_that_listens_filters() -> None:
    milter = ScriptedMilter({})
    site = filtered(Milter("127.0.0.1:8891"), simulation=FilterNetwork(lambda: milter))
    accepted(site)
    assert milter.names()[-2:] == ["eob", "quit"]
    assert b"[192.0.2.1]" in next(it.values for it in milter.told if it.name == "connect")


# -- whose messages --------------------------------------------------------------------------------


def test_a_filter_may_be_for_strangers_only() -> None:
    only = FunctionFilter(lambda _: TAG, trusted=False)
    assert b"X-Tag" in accepted(filtered(only))
    assert b"X-Tag" not in accepted(filtered(only, relay_from=INSIDE))
    assert b"X-Tag" in accepted(filtered(lambda _: TAG, relay_from=INSIDE))


def test_what_filters_have_changed_is_signed() -> None:
    signer = {"signer": DKIMSigner(ed25519("example.com"))}
    content = MAIL + b"hello\r\n" * 20_000
    found = accepted(filtered(lambda _: TAG, facts=signer, **LOGIN), content)
    assert b"Subject: changed" in found
    [check] = verify(found, zone("example.com"))
    assert check.passed, check.reason


def test_what_filters_have_changed_is_sealed() -> None:
    facts = {
        "inspect": Inspection(keys=KEYS),
        "resolver": example(),
        "sealer": ARCSealer(ed25519("mx.example.org")),
    }
    site = filtered(lambda _: TAG, facts=facts, relay_for=["example.net"])
    found = accepted(site, recipients="bob@example.net")
    assert b"Subject: changed" in found
    verifier = ARCVerifier()
    verifier.feed(found)
    check = run(verifier.check(zone("mx.example.org"), KEYS, now=site.simulation.utc()))
    assert check.result is ARCResult.PASS, check.reason


@pytest.mark.parametrize("filters", ["unix:/x", [3], Milter("/x"), [Milter]], ids=range(4))
def test_only_filters_are_filters(filters: Any) -> None:
    with pytest.raises(TypeError, match="filter"):
        MTAConfig(hostname="mx.example.org", filters=filters)

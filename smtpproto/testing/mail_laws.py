"""The laws of a mail agent, checked on what has happened in a simulated internet.

A message has *doubts* where its client could not know whether it was accepted: the connection was
lost after the end of the message, or the client's process died during the delivery. Only there may
a recipient get it twice, or get it although its sender was told that it failed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from attrs import define, field

from ..grammar.address import ForwardPath
from ..grammar.dsn import Notify
from ..grammar.scheduling import ByMode
from ..mta.queue import Delivery, Message, Result
from ..mta.report import read_report
from ..mta.settlement import Ended, Fate
from ..mta.status import Action
from ..mta.store import Entry
from .mail_host import MailHost, Record, Submission, key_of
from .simulated_mta import MTAQueue, SimulatedMTA

__all__ = ["Evidence", "Told"]

_RECEIVED = re.compile(rb"^Received:", re.MULTILINE | re.IGNORECASE)
_HOUR = 3600.0
_MOST_REPORTS = 2  # of a recipient: of a delay, and of the end

Told = tuple[str, str, Action]
"""The key of a message, the address of a recipient, and what its sender was told."""


@define(eq=False)
class Evidence:
    """What has happened, by message and recipient. :meth:`check` raises AssertionError for what
    must not."""

    record: Record
    mtas: Sequence[SimulatedMTA]
    hosts: Sequence[MailHost]
    submissions: Sequence[Submission]
    delivered: Counter[tuple[str, str]] = field(init=False)
    """By the key of a message and the address of the recipient: copies in mailboxes."""
    told: Counter[Told] = field(factory=Counter, init=False)
    """How often an agent has reported it."""
    held: dict[tuple[str, str], set[str]] = field(factory=dict, init=False)
    """The names of the agents that have, or had, a message for a recipient in their queue, or for
    an address to which their aliases led from there."""

    ways: Counter[tuple[str, str]] = field(factory=Counter, init=False)
    """In how many ways aliases led from, or to, an address."""

    _reported: set[tuple[str, str]] = field(init=False)  # by key and address of who was told

    def __attrs_post_init__(self) -> None:
        self.delivered = self.record.delivered
        self._reported = {
            (arrival.key, str(path))
            for arrival in self.record.arrivals
            if arrival.is_report
            for path in arrival.envelope.recipients
        }
        for mta in self.mtas:
            self.told.update(_reports_of(mta.queue))
            for entry in mta.queue.entries:
                for delivery in _all_of(entry):
                    key = mta.queue.keys[entry.message.id]
                    for path in (delivery.recipient, *delivery.via):
                        self.held.setdefault((key, str(path)), set()).add(mta.name)
                    for path in delivery.via[:1] and (delivery.recipient, delivery.via[0]):
                        self.ways[key, str(path)] += 1

    def check(self) -> None:
        """Raise AssertionError if one of the laws does not hold."""
        for mta in self.mtas:
            self.check_kept(mta)
            self.check_ends(mta)
            self.check_hops(mta)
            self.check_schedule(mta)
            self.check_demands(mta)
        self.check_once()
        self.check_content()
        self.check_reports()
        self.check_windows()

    # -- nothing is lost -----------------------------------------------------------------------

    def check_kept(self, mta: SimulatedMTA) -> None:
        """Each message that was accepted is in the queue, or was settled there for each of its
        recipients."""
        entries = {entry.message.id: entry for entry in mta.queue.entries}
        for name, accepted in mta.queue.confirmed.items():
            key = mta.queue.keys.get(name)
            assert name in entries, f"{mta.name} has lost message {name} ({key})"
            recipients = {str(delivery.recipient) for delivery in _all_of(entries[name])}
            assert recipients == accepted, f"{mta.name} has lost recipients of {key}"

    def check_ends(self, mta: SimulatedMTA) -> None:
        """What was passed on is where it was passed to; of what has failed, the sender was told."""
        for entry, ended in _ended_of(mta):
            key, recipient = mta.queue.keys[entry.message.id], ended.delivery.recipient
            if ended.fate in (Fate.RELAYED, Fate.DELIVERED):
                text = f"{mta.name} passed on {key} for {recipient}, and nobody has it"
                assert self.has_arrived(key, recipient, mta), text
            elif ended.fate in (Fate.FAILED, Fate.EXPIRED):
                self._check_failure(mta, entry.message, ended, key)

    def has_arrived(self, key: str, recipient: ForwardPath, sender: SimulatedMTA) -> bool:
        """Return whether a mailbox, or the queue of another agent than *sender*, got a message."""
        place = key, str(recipient)
        return (
            place in self.delivered
            or place in self._reported
            or bool(self.held.get(place, set()) - {sender.name})
        )

    def _check_failure(self, mta: SimulatedMTA, message: Message, ended: Ended, key: str) -> None:
        delivery, last = ended.delivery, ended.delivery.last
        if ended.fate is Fate.FAILED:
            assert last is not None, f"{key} failed without an attempt"
            why = last.reply
            assert why is not None and why.permanent, f"{key} failed for good by {why}"
        else:
            assert ended.at >= message.expires, f"{key} was given up before its time"
        given = (*delivery.via, delivery.recipient)[0]
        was_told = (key, str(given), Action.FAILED) in self.told
        assert was_told == _is_told_of_failure(message, delivery), (
            f"{mta.name} {'has' if was_told else 'has not'} told of {key} for {delivery.recipient}"
        )

    # -- once ----------------------------------------------------------------------------------

    def check_once(self) -> None:
        """Nobody gets a message twice, nor is its sender told twice that it failed, nor told so of
        a message that arrived, but for doubts, and if aliases lead there in several ways."""
        doubts = self.record.doubts
        failed = Counter(
            {
                (key, recipient): number
                for (key, recipient, action), number in self.told.items()
                if action is Action.FAILED
            }
        )
        for key, recipient in self.delivered.keys() | failed.keys():
            copies, reports = self.delivered[key, recipient], failed[key, recipient]
            text = f"{key} for {recipient} arrived {copies} times, and failed {reports} times"
            most = max(self.ways[key, recipient], 1)
            assert copies + reports <= most + doubts[key], text

    # -- what was asked for --------------------------------------------------------------------

    def check_content(self) -> None:
        """Each copy is what was submitted, and what its host can take."""
        submitted = {submission.key: submission.content for submission in self.submissions}
        seven_bit = {
            host.name
            for host in self.hosts
            if host.behaviour.extensions.get("8BITMIME", "") is None
        }
        for arrival in self.record.arrivals:
            content, key = arrival.content, arrival.key
            assert content.isascii() or arrival.host not in seven_bit, f"{key} has 8-bit octets"
            if not arrival.is_report and key in submitted:
                assert content.endswith(submitted[key]), f"{key} has changed on its way"

    def check_demands(self, mta: SimulatedMTA) -> None:
        """Nothing is passed on before its release (HOLDFOR), after its time (BY) or without TLS
        (REQUIRETLS)."""
        for entry in mta.queue.entries:
            message, key = entry.message, mta.queue.keys[entry.message.id]
            by, needs_tls = message.parameters.by, message.parameters.requiretls
            returns = by is not None and by.mode is ByMode.RETURN
            for attempt in (it for delivery in _all_of(entry) for it in delivery.log):
                if attempt.result is Result.RELAYED:
                    assert attempt.at >= message.not_before, f"{key} was passed on too early"
                    late = returns and attempt.at > message.expires
                    assert not late, f"{key} was passed on too late"
                    secret = attempt.tls or not needs_tls or message.sender.mailbox is None
                    assert secret, f"{key} was passed on without TLS"

    # -- reports -------------------------------------------------------------------------------

    def check_reports(self) -> None:
        """Nobody is told of a report, nor of a message without a sender, nor too often."""
        most: Counter[str] = Counter()
        made: Counter[str] = Counter()
        for mta in self.mtas:
            for entry in mta.queue.entries:
                content, key = _content_of(mta, entry), mta.queue.keys[entry.message.id]
                if _is_report(content):
                    made[key] += not content.startswith(b"Received:")
                    assert content.count(b"report-type=delivery-status") == 1, (
                        f"a report of a report about {key}"
                    )
                elif entry.message.sender.mailbox is not None:
                    most[key] += _MOST_REPORTS * len(_all_of(entry))
        for key, number in made.items():
            assert number <= most[key], f"{number} reports about {key}"

    # -- loops, time, limits -------------------------------------------------------------------

    def check_hops(self, mta: SimulatedMTA) -> None:
        """No message has gone further than the bound on hops allows."""
        for content in mta.queue.contents.values():
            header = content.partition(b"\r\n\r\n")[0]
            assert len(_RECEIVED.findall(header)) <= mta.config.max_hops + 1, key_of(content)

    def check_schedule(self, mta: SimulatedMTA) -> None:
        """Nothing is tried more often than the schedule allows, nor given up much too late."""
        most = _most_attempts(mta) + self.record.crashes[mta.name]
        late = mta.config.retry.longest + _HOUR * (2 + self.record.crashes[mta.name])
        for entry in mta.queue.entries:
            for delivery in _all_of(entry):
                key = mta.queue.keys[entry.message.id]
                assert delivery.attempts <= most, f"{delivery.attempts} attempts for {key}"
        for entry, ended in _ended_of(mta):
            key = mta.queue.keys[entry.message.id]
            assert ended.at <= entry.message.expires + late, f"{key} was given up too late"

    def check_windows(self) -> None:
        """No agent has more connections to a host than the window of one domain allows."""
        for host in self.hosts:
            for mta in self.mtas:
                most = host.most_open[mta.machine.address]
                assert most <= mta.config.limits.largest_window, (
                    f"{most} connections to {host.name}"
                )


def _all_of(entry: Entry) -> list[Delivery]:
    return [*entry.deliveries, *(ended.delivery for ended in entry.ended)]


def _ended_of(mta: SimulatedMTA) -> Iterator[tuple[Entry, Ended]]:
    for entry in mta.queue.entries:
        for ended in entry.ended:
            yield entry, ended


def _content_of(mta: SimulatedMTA, entry: Entry) -> bytes:
    return mta.queue.contents[entry.message.id]


def _is_report(content: bytes) -> bool:
    return b"report-type=delivery-status" in content.partition(b"\r\n\r\n")[0]


def _reports_of(queue: MTAQueue) -> Iterator[Told]:
    """Yield what the agent with *queue* has reported."""
    for name, content in queue.contents.items():
        if not _is_report(content) or content.startswith(b"Received:"):
            continue
        report = read_report(content)
        assert report is not None and not report.status.faults, content.decode()
        for status in report.recipients:
            yield queue.keys[name], status.final_recipient.value, status.action


def _is_told_of_failure(message: Message, delivery: Delivery) -> bool:
    notify = delivery.parameters.notify
    return message.sender.mailbox is not None and (notify is None or Notify.FAILURE in notify)


def _most_attempts(mta: SimulatedMTA) -> int:
    """Return how many attempts the shortest waits allow until a message expires."""
    schedule, seconds, number = mta.config.retry, 0.0, 1
    while seconds <= schedule.expiry:
        seconds += schedule.wait(number, 0.0)
        number += 1
    return number

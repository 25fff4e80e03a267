"""What an MTA finds out about messages, counted and reported to the domains of their authors
(RFC 9990)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial

from attrs import define, evolve, field, frozen
from attrs.validators import ge

from ..dns import Resolver
from ..grammar.address import Mailbox
from ..grammar.envelope import Envelope
from ..grammar.reply import Reply
from ..mta.settlement import Hold
from ..option_types import checked
from ..policy.aggregate_report import AggregateReport
from ..policy.aggregate_writing import AggregateCounts, report_mail
from ..policy.dmarc import DMARCResult
from ..policy.dmarc_record import DMARCPolicy
from ..policy.message_check import MessageCheck
from ..policy.report_address import report_destinations
from ..ports import Runtime, Semaphore
from .reporting import Job, Reporting, SendMail

__all__ = ["DMARCReporting", "DMARCReports"]

_log = logging.getLogger("smtpproto.policy")

_ADDRESSES = 10  # to which a report goes, of those in a record
_ROWS = 25_000  # of a report; about 20 MB of XML


@checked
@frozen
class DMARCReporting(Reporting):
    """Who reports to domains what was found out about their mail, and how much."""

    rows: int = field(default=100_000, validator=ge(1), kw_only=True)
    """Different rows of a day, of all reports together; messages that need more are left out."""
    octets: int = field(default=10 * 1024 * 1024, validator=ge(1), kw_only=True)
    """Octets of a mail with a report; if it were larger, or had more than 25 000 rows, the rarest
    rows are left out."""


@define(eq=False)
class DMARCReports:
    """Counts the checks of messages until they are reported. Tasks, or threads, may use it at the
    same time."""

    _runtime: Runtime
    _resolver: Resolver
    options: DMARCReporting | None
    """None: nothing is counted."""
    _counts: AggregateCounts = field(init=False)
    _turn: Semaphore = field(init=False)  # of threads

    def __attrs_post_init__(self) -> None:
        self._turn, self._counts = self._runtime.semaphore(1), self._new_counts()

    def use(self, resolver: Resolver, options: DMARCReporting | None) -> None:
        """Use these from now on. What was counted is kept."""
        self._resolver, self.options = resolver, options

    def _new_counts(self) -> AggregateCounts:
        return AggregateCounts() if self.options is None else AggregateCounts(self.options.rows)

    async def count(
        self, envelope: Envelope, check: MessageCheck, verdict: Reply | Hold | None
    ) -> None:
        """Count a message, to which *verdict* was the answer.

        A message without a sender that passes is not counted: such are the reports of others, and
        a report about them would be answered by another one, day after day.
        """
        passed = check.dmarc.result is DMARCResult.PASS
        is_report = passed and envelope.sender.mailbox is None
        refused_for_now = isinstance(verdict, Reply) and verdict.transient
        if self.options is None or is_report or refused_for_now:
            return
        await self._turn.acquire()
        try:
            self._counts.add(check, None if passed else _applied(verdict))
        finally:
            self._turn.release()

    async def take(self, begin: int, end: int, send: SendMail) -> list[Job]:
        """See :meth:`.Collector.take`."""
        options = self.options
        await self._turn.acquire()
        counts, self._counts = self._counts, self._new_counts()
        self._turn.release()
        if options is None:
            return []
        if counts.left_out:
            _log.warning("%d messages are in no report: too many rows", counts.left_out)
        reports = counts.reports(
            organization=options.organization,
            email=str(options.contact),
            begin=begin,
            end=end,
            unique=self._runtime.random(8).hex(),
        )
        return [Job(f"DMARC of {it.domain}", self._sending(it, options, send)) for it in reports]

    def _sending(
        self, report: AggregateReport, options: DMARCReporting, send: SendMail
    ) -> _Sending:
        uris = report.record.aggregate_uris[:_ADDRESSES]
        return _Sending(self._runtime, self._resolver, report, options, send, uris)


def _applied(verdict: Reply | Hold | None) -> DMARCPolicy:
    """Return what was done with a message."""
    if isinstance(verdict, Hold):
        return DMARCPolicy.QUARANTINE
    refused = verdict is not None and not verdict.positive
    return DMARCPolicy.REJECT if refused else DMARCPolicy.NONE


@define(eq=False)
class _Sending:
    """Sends a report to the addresses that may have it."""

    _runtime: Runtime
    _resolver: Resolver
    _report: AggregateReport
    _options: DMARCReporting
    _send: SendMail
    _uris: Sequence[str]  # to which it was not sent yet

    async def __call__(self) -> bool:
        found = await report_destinations(self._report.domain, self._uris, self._resolver)
        boxes = [*dict.fromkeys(box for it in found for box in it.mailboxes)][:_ADDRESSES]
        if boxes:
            message = await self._runtime.in_thread(partial(self._message, boxes))
            await self._send(message, boxes)
        self._uris = [it.uri for it in found if it.temporary]
        return not self._uris

    def _message(self, boxes: Sequence[Mailbox]) -> bytes:
        """Return the mail, with as many rows as fit."""
        report, options = self._report, self._options
        rows = sorted(report.rows, key=lambda row: -row.count)[:_ROWS]
        while True:
            message = report_mail(
                evolve(report, rows=tuple(rows)),
                submitter=options.submitter,
                sender=options.contact,
                recipients=boxes,
                now=self._runtime.utc(),
            )
            if len(message) <= options.octets or len(rows) == 1:
                return message
            rows = rows[: len(rows) // 2]

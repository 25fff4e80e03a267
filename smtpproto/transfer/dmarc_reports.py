"""What an MTA finds out about messages, counted and reported to the domains of their authors
(RFC 9990)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial

from attrs import define, evolve, field

from ..dns import Resolver
from ..grammar.address import Mailbox
from ..grammar.envelope import Envelope
from ..grammar.reply import Reply
from ..mta.settlement import Hold
from ..policy.aggregate_report import AggregateReport
from ..policy.aggregate_writing import AggregateCounts, report_mail
from ..policy.dmarc import DMARCResult
from ..policy.dmarc_record import DMARCPolicy
from ..policy.message_check import Inspection, MessageCheck
from ..policy.report_address import report_destinations
from ..ports import Runtime, Semaphore
from .reporting import DailyReports, Job, SendMail

__all__ = ["DMARCReports"]

_log = logging.getLogger("smtpproto.policy")

_ADDRESSES = 10  # to which a report goes, of those in a record
_ROWS = 25_000  # of a report; about 20 MB of XML


@define(eq=False)
class DMARCReports:
    """Counts the checks of messages until they are reported. Tasks, or threads, may use it at the
    same time."""

    _runtime: Runtime
    _resolver: Resolver
    _given: DailyReports | None
    _inspect: Inspection | None
    _counts: AggregateCounts = field(init=False)
    _turn: Semaphore = field(init=False)  # of threads

    def __attrs_post_init__(self) -> None:
        self._turn, self._counts = self._runtime.semaphore(1), self._new_counts()

    def use(
        self, resolver: Resolver, options: DailyReports | None, inspect: Inspection | None
    ) -> None:
        """Use these from now on. What was counted is kept."""
        self._resolver, self._given, self._inspect = resolver, options, inspect

    @property
    def options(self) -> DailyReports | None:
        """See :attr:`.Collector.options`."""
        return self._given if self._given is not None and self._given.dmarc else None

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

    def _sending(self, report: AggregateReport, options: DailyReports, send: SendMail) -> _Sending:
        uris = report.record.aggregate_uris[:_ADDRESSES]
        find = None if self._inspect is None else self._inspect.organizational_domain
        return _Sending(self._runtime, self._resolver, report, options, send, uris, find)


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
    _options: DailyReports
    _send: SendMail
    _uris: Sequence[str]  # to which it was not sent yet
    _organizational_domain: Callable[[str], str] | None

    async def __call__(self) -> bool:
        found = await report_destinations(
            self._report.domain,
            self._uris,
            self._resolver,
            organizational_domain=self._organizational_domain,
        )
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

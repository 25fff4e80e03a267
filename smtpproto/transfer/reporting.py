"""When an MTA sends reports by itself: after each day in UTC, spread over hours (RFC 8460 4.1)."""

from __future__ import annotations

import heapq
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol

from attrs import define, field, frozen
from attrs.validators import ge, min_len

from ..grammar.address import Mailbox
from ..grammar.domain import Domain
from ..grammar.reply import GrammarError, SMTPError
from ..option_types import checked
from ..policy.fetch import Post
from ..ports import Event, Runtime

__all__ = ["DailyReports"]

_log = logging.getLogger("smtpproto.policy")

DAY, HOUR = 86400, 3600.0
_SPREAD = 4 * HOUR  # over which the reports of a day are spread (RFC 8460 4.1)
_BUSY = 20  # hours of a day in which reports may be sent; what does not fit is left out
_AGAIN = (600.0, 1800.0, 5400.0, 16200.0, 48600.0)  # 20 hours; RFC 8460 5.5 advises up to 24
_TIMEOUT = 300.0  # seconds for one attempt

SendMail = Callable[[bytes, Sequence[Mailbox]], Awaitable[None]]
"""Puts a message for some addresses into the queue. Raises QueueFailed."""


def _to_contact(value: Mailbox | str) -> Mailbox:
    mailbox = Mailbox.parse(value) if isinstance(value, str) else value
    if not (isinstance(mailbox.domain, Domain) and str(mailbox).isascii()):
        raise GrammarError(f"contact must be an ASCII address at a domain: {str(mailbox)!r}")
    return mailbox


@checked
@frozen
class DailyReports:
    """Who tells domains each day what was found, and how much is told."""

    organization: str = field(validator=min_len(1))
    """The name of the organization that reports."""
    contact: Mailbox = field(converter=_to_contact)
    """The author of the reports, in their From field, and whom to ask about them. ``sign`` of the
    MTA must have a key for its domain."""
    tls: bool = field(default=True, kw_only=True)
    """Whether to report how TLS with the hosts of domains worked (RFC 8460)."""
    dmarc: bool = field(default=True, kw_only=True)
    """Whether to report what ``inspect`` of the MTA has found about the mail of domains (RFC
    9990)."""
    post: Post | None = field(default=None, kw_only=True)
    """Sends reports about TLS by HTTPS, for example ``HTTPSFetch()``. None: they go by mail
    only."""
    hourly: int = field(default=1000, validator=ge(1), kw_only=True)
    """Reports of a kind an hour at most; those of a day that do not fit into 20 hours are left
    out."""
    rows: int = field(default=100_000, validator=ge(1), kw_only=True)
    """Different rows of a day, of all reports of DMARC together; a domain may have a quarter of
    them. Messages that need more are left out."""
    octets: int = field(default=10 * 1024 * 1024, validator=ge(1), kw_only=True)
    """Octets of a mail with a report of DMARC; if it were larger, or had more than 25 000 rows, the
    rarest rows are left out."""

    @property
    def submitter(self) -> str:
        """The domain that reports."""
        return str(self.contact.domain).lower()


@define(eq=False)
class Job:
    """A report to send."""

    about: str
    """For the log."""
    send: Callable[[], Awaitable[bool]]
    """Sends it; returns False if that is to be tried again."""


class Collector(Protocol):
    """Counts what happens, and makes reports of it."""

    @property
    def options(self) -> DailyReports | None:
        """None: nothing is counted."""
        ...

    async def take(self, begin: int, end: int, send: SendMail) -> list[Job]:
        """Return the reports on what was counted from *begin* to *end*, in seconds since the epoch,
        and begin anew."""
        ...


@define(order=True)
class _Due:
    at: float
    number: int
    job: Job = field(order=False)
    pauses: tuple[float, ...] = field(default=_AGAIN, order=False)


@define(eq=False)
class ReportSchedule:
    """Sends the reports of its collectors: see :meth:`run`."""

    _runtime: Runtime
    _collectors: Sequence[Collector]
    _wake: Event = field(init=False)
    _due: list[_Due] = field(factory=list, init=False)  # a heap
    _number: int = field(default=0, init=False)
    _began: float = field(default=0.0, init=False)  # when the present period did
    _stopping: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._wake, self._began = self._runtime.event(), self._runtime.utc()

    def wake(self) -> None:
        """Note that options were changed. Threads may call this."""
        self._wake.set()

    def stop(self) -> None:
        """Let :meth:`run` send all that is left, and return. Threads may call this."""
        self._stopping = True
        self._wake.set()

    async def run(self, send: SendMail) -> None:
        """Send reports after each day until :meth:`stop`; then at once those that are left, and
        those on the part of the day. *send* takes the mail."""
        while not self._stopping:
            today = self._runtime.utc() // DAY * DAY
            if self._began < today:
                await self._end_period(today, send)
            while self._due and self._due[0].at <= self._runtime.utc():
                await self._attempt(heapq.heappop(self._due))
            await self._wake.wait(self._pause())
        await self._end_period(self._runtime.utc(), send)
        for it in self._due:
            await self._attempt(it)

    def _pause(self) -> float | None:
        """Return for how many seconds there is nothing to do; the time of day may jump."""
        if self._stopping:
            return 0.0
        if not self._due and not any(it.options for it in self._collectors):
            return None
        now = self._runtime.utc()
        ends = (now // DAY + 1) * DAY
        return min(max(min([ends, *(it.at for it in self._due[:1])]) - now, 0.0), HOUR)

    async def _end_period(self, end: float, send: SendMail) -> None:
        """Make the reports on what was counted until now, which is in the second before *end*."""
        begin, self._began = int(self._began), end
        for collector in self._collectors:
            jobs = await collector.take(begin, max(int(end) - 1, begin), send)
            if collector.options is not None:
                self._plan(jobs, collector.options.hourly)

    def _plan(self, jobs: Sequence[Job], hourly: int) -> None:
        """Spread *jobs* over hours, each at a random time in its share."""
        most = hourly * _BUSY
        if len(jobs) > most:
            _log.warning("%d reports are left out: there are too many", len(jobs) - most)
        now, jobs = self._runtime.utc(), jobs[:most]
        for number, job in enumerate(jobs):
            share = number + int.from_bytes(self._runtime.random(4)) / 2**32
            self._push(now + share * max(_SPREAD / len(jobs), HOUR / hourly), job, _AGAIN)

    def _push(self, at: float, job: Job, pauses: Iterable[float]) -> None:
        self._number += 1
        heapq.heappush(self._due, _Due(at, self._number, job, tuple(pauses)))

    async def _attempt(self, it: _Due) -> None:
        """Send a report; if that fails, let it wait for a while."""
        try:
            done = await self._runtime.within(_TIMEOUT, it.job.send())
        except SMTPError as error:
            _log.warning("sending the report on %s failed: %s", it.job.about, error)
            done = False
        except Exception:  # of a key, or of a resolver
            _log.exception("sending the report on %s failed", it.job.about)
            done = False
        if done:
            return
        if self._stopping or not it.pauses:
            _log.warning("the report on %s is given up", it.job.about)
        else:
            self._push(self._runtime.utc() + it.pauses[0], it.job, it.pauses[1:])

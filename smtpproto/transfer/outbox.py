"""What came of deliveries, on its way into the store, with the reports that follow from it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from math import inf

from attrs import define, evolve, field, frozen

from ..errors import QueueFailed, QueueFull
from ..grammar.printable import printable
from ..limits import REPORT_RECIPIENTS
from ..mail import Source
from ..mail.preparation import Content
from ..mta.bounce import Reporter
from ..mta.queue import Message, make_id
from ..mta.settlement import Done, Fate, Hold, Later, Settlement
from ..mta.store import Queued, QueueStore
from ..policy import DKIMSigner
from ..ports import Runtime
from .backoff import Backoff
from .gathering import Gathering

__all__ = ["Outbox", "Written"]

_log = logging.getLogger("smtpproto.queue")

_SIGNING = 30.0  # seconds that the signatures of a report may take

_Entries = dict[str, tuple[Message, list[Settlement]]]  # by the ids of messages
_Pair = tuple[Sequence[Settlement], Sequence[Queued]]  # of a message, and the reports on it


@frozen(kw_only=True)
class Written:
    """What came of a write."""

    due: float | None = None
    """When the first of what is in the queue now is due; None if all has ended."""
    error: QueueFailed | None = None


@define(eq=False)
class Outbox:
    """Settlements that are not written yet. Only :meth:`write` may run in another task than the
    rest."""

    _runtime: Runtime
    _store: QueueStore
    reporter: Reporter
    """It can be replaced at any time."""
    signer: DKIMSigner | None = None
    """Signs the reports; None: they are not signed. It can be replaced at any time."""
    _waiting: _Entries = field(factory=dict, init=False)
    _taken: _Entries = field(factory=dict, init=False)  # by the write that runs
    _gathering: Gathering = field(factory=Gathering, init=False)
    _backoff: Backoff = field(factory=Backoff, init=False)

    def __bool__(self) -> bool:
        return bool(self._waiting or self._taken or self._gathering)

    @property
    def failing(self) -> bool:
        """Whether the last write failed."""
        return self._backoff.failing

    def claimed(self, message: Message, number: int) -> None:
        """Expect settlements of *number* deliveries of *message*, which were claimed."""
        self._gathering.claimed(message, number)

    def add(self, message: Message, settlements: Iterable[Settlement]) -> None:
        """Add settlements of *message*, one for each delivery that was claimed. Failures may wait
        for others, so that one report tells of all."""
        ready = self._gathering.add(message, [*settlements], self._runtime.now())
        self._put(message, ready)

    def _put(self, message: Message, settlements: Sequence[Settlement]) -> None:
        if settlements:
            self._waiting.setdefault(message.id, (message, []))[1].extend(settlements)

    def hurry(self) -> None:
        """Let failures wait no longer for others."""
        self._release(inf)

    def _release(self, now: float) -> None:
        for overdue in self._gathering.overdue(now):
            self._put(*overdue)

    def pause(self) -> float:
        """Return for how many seconds to wait with the next write."""
        if self._taken:
            return inf
        now = self._runtime.now()
        return self._backoff.left(now) if self._waiting else self._gathering.pause(now)

    def begins(self) -> bool:
        """Return whether to write now. If so, :meth:`write` and :meth:`ended` must follow."""
        self._release(self._runtime.now())
        if self.pause() > 0:
            return False
        self._taken, self._waiting = self._waiting, {}
        return True

    async def write(self) -> Written:
        """Write what waited, and the reports that follow from it, in one commit."""
        try:
            return Written(due=await self._write())
        except QueueFailed as error:
            return Written(error=error)

    def ended(self, written: Written) -> None:
        """Take note of what came of a write. What could not be written waits for the next one."""
        if written.error is not None:
            self._backoff.failed(written.error, self._runtime.now())
            later, self._waiting = self._waiting, self._taken
            for message, settlements in later.values():
                self._put(message, settlements)
        else:
            self._backoff.succeeded()
        self._taken = {}

    async def _write(self) -> float | None:
        pairs = [await self._with_reports(*entry) for entry in self._taken.values()]
        try:
            await self._settle(pairs)
        except (ValueError, QueueFull) as error:
            # One of them may be wrong, or all too much for a full disk. What ends makes room there.
            _log.error("the queue refuses what came of some deliveries: %s", error)
            by_name = zip([*self._taken], pairs, strict=True)
            for name, pair in sorted(by_name, key=lambda it: len(it[1][1])):  # reports come last
                await self._settle_one(name, pair)
                del self._taken[name]
        return min((due for pair in pairs for due in _due(*pair)), default=None)

    async def _settle(self, pairs: Sequence[_Pair]) -> None:
        every = [settlement for settlements, _ in pairs for settlement in settlements]
        new = [report for _, reports in pairs for report in reports]
        await self._store.settle(every, self._runtime.utc(), new)

    async def _settle_one(self, name: str, pair: _Pair) -> None:
        """Write what came of one message, which must not keep the others from being written."""
        try:
            await self._settle([pair])
        except ValueError as error:
            _log.error("what came of message %s cannot be written: %s", name, error)

    # -- reports -----------------------------------------------------------------------------

    async def _with_reports(self, message: Message, settlements: Sequence[Settlement]) -> _Pair:
        """Return *settlements*, and the reports that follow from them. If one cannot be made, what
        it would report is held in the queue instead, so that somebody sees it."""
        try:
            return settlements, await self._reports(message, settlements)
        except QueueFailed:
            raise
        except Exception as error:
            _log.exception("the report on message %s could not be made", message.id)
            reason = f"the report on it could not be made: {type(error).__name__}: {error}"
            return [_held(settlement, reason) for settlement in settlements], ()

    async def _reports(
        self, message: Message, settlements: Sequence[Settlement]
    ) -> Sequence[Queued]:
        octets = self.reporter.octets_needed(message, settlements)
        if not octets:
            self._log_undeliverable(message, settlements)
            return ()
        content = await self._content(message, octets)
        due = [it for it in settlements if self.reporter.action(message, it) is not None]
        starts = range(0, len(due), REPORT_RECIPIENTS)
        parts = [due[start : start + REPORT_RECIPIENTS] for start in starts]
        reports = [self._report(message, part, content) for part in parts]
        return [await self._signed(report) for report in reports if report is not None]

    def _report(self, message: Message, due: Sequence[Settlement], content: bytes) -> Queued | None:
        now = self._runtime.utc()
        report_id = make_id(now, self._runtime.random(10))
        return self.reporter.report(message, due, content, now=now, report_id=report_id)

    async def _signed(self, report: Queued) -> Queued:
        """Return *report* with its signatures. Without them it may still arrive, so a key that does
        not work does not keep it back."""
        if self.signer is None:
            return report
        assert isinstance(report.content, bytes)
        signing = self.signer.sign(report.content, now=report.message.arrived)
        try:
            content = await self._runtime.within(_SIGNING, signing) + report.content
        except Exception:
            _log.exception("the report on message %s is sent unsigned", report.about)
            return report
        return evolve(report, content=content, message=evolve(report.message, size=len(content)))

    async def _content(self, message: Message, octets: int) -> bytes:
        """Return the first *octets* of the content; none if the store has lost it."""
        try:
            return await _first(await self._store.content(message), octets)
        except QueueFailed as error:
            _log.error("the content of message %s cannot be read: %s", message.id, error)
            return b""

    def _log_undeliverable(self, message: Message, settlements: Sequence[Settlement]) -> None:
        """Tell the log what failed and is reported to nobody (RFC 3461 5.2)."""
        failed = [str(it.delivery.recipient) for it in settlements if _has_failed(it)]
        if failed:
            more = f" and {len(failed) - 1} more" if len(failed) > 1 else ""
            text = "message %s from <%s> could not be delivered to %s%s; nobody is told"
            _log.warning(
                text, message.id, printable(str(message.sender)), printable(failed[0]), more
            )


def _due(settlements: Iterable[Settlement], reports: Iterable[Queued]) -> Iterator[float]:
    """Yield when deliveries are due that were settled, and those of *reports*."""
    for settlement in settlements:
        if isinstance(settlement.decision, Later):
            yield settlement.decision.due
    for report in reports:
        yield from (delivery.due for delivery in report.deliveries)


def _has_failed(settlement: Settlement) -> bool:
    return settlement.decision in (Done(Fate.FAILED), Done(Fate.EXPIRED))


def _held(settlement: Settlement, reason: str) -> Settlement:
    if isinstance(settlement.decision, Later) or not _has_failed(settlement):
        return settlement
    return evolve(settlement, decision=Hold(reason))


async def _first(source: Source, octets: int) -> bytes:
    """Return the first *octets* of *source*."""
    if isinstance(source, bytes):
        return source[:octets]
    gathered = bytearray()
    slices = Content(source, binary=True).async_slices()  # type: ignore[arg-type]  # not an email
    try:
        async for piece in slices:
            gathered += piece
            if len(gathered) >= octets:
                break
    finally:
        await slices.aclose()
    return bytes(gathered[:octets])

"""Bugs planted in a mail store and in our own code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from attrs import define, frozen

from smtpproto import (
    Envelope,
    Outcome,
    Reply,
    Session,
)
from smtpproto.client.deadline import Deadline
from smtpproto.client.pool import Pool
from smtpproto.client.submit import _Submission
from smtpproto.mta import Attempt, Result, judge
from smtpproto.mta.judge import Judge
from smtpproto.mta.settlement import Done, Fate
from smtpproto.ports import call_contained, is_awaitable
from smtpproto.protocol.server import ServerProtocol
from smtpproto.server.content import ContentWriter
from smtpproto.server.conversation import Conversation
from smtpproto.server.hooks import HookCaller
from smtpproto.testing import Cancelled, SimulatedSemaphore, Simulation
from smtpproto.testing.fault_points import FaultName
from tests.testing.mail_store import FULL, SPAM, Store, Stored, key_of

# -- bugs in handlers ------------------------------------------------------------------------------


class CountsAcrossAnAwait(Store):
    async def message(self, session: Session, envelope: Envelope, body: bytes) -> Reply | None:
        if key_of(body).startswith("spam"):
            return SPAM
        count = self.count
        await self.pause()
        self.keep(envelope, body)
        self.count = count + 1
        return None


class ChecksTheQuotaBeforeAnAwait(Store):
    most = 2

    async def message(self, session: Session, envelope: Envelope, body: bytes) -> Any:
        if self.count >= self.most or key_of(body).startswith("spam"):
            return FULL
        await self.pause()
        self.keep(envelope, body)
        self.count += 1
        return None


class KeepsOnceMoreIfItIsCancelled(Store):
    async def message(self, session: Session, envelope: Envelope, body: bytes) -> Any:
        try:
            return await super().message(session, envelope, body)
        except Cancelled:
            self.keep(envelope, body)
            self.count += 1
            raise


class KeepsBeforeItFails(Store):
    async def message(self, session: Session, envelope: Envelope, body: bytes) -> Any:
        reply = await super().message(session, envelope, body)
        await self.pause()  # to tell somebody
        return reply


class AcceptsBeforeItKeeps(Store):
    async def message(self, session: Session, envelope: Envelope, body: bytes) -> Reply | None:
        if key_of(body).startswith("spam"):
            return SPAM
        self.simulation.start(super().message(session, envelope, body))
        return None


class KeepsRecipientsOfTheLastTransaction(Store):
    async def rcpt(self, session: Session, recipient: Any, parameters: Any) -> None:
        self.recipients = getattr(self, "recipients", {})
        self.recipients.setdefault(session.peer, []).append(str(recipient))

    def keep(self, envelope: Envelope, body: bytes) -> None:
        (peer,) = [it for it, paths in self.recipients.items() if paths][:1]
        recipients = tuple(self.recipients.pop(peer))
        self.kept.append(Stored(str(envelope.sender), recipients, key_of(body)))


class SharesTheSenderAmongSessions(Store):
    async def mail(self, session: Session, sender: Any, parameters: Any) -> None:
        self.sender = str(sender)

    def keep(self, envelope: Envelope, body: bytes) -> None:
        recipients = tuple(str(path) for path in envelope.recipients)
        self.kept.append(Stored(self.sender, recipients, key_of(body)))


class KeepsTheLockIfItIsCancelled(Store):
    async def message(self, session: Session, envelope: Envelope, body: bytes) -> Reply | None:
        if key_of(body).startswith("spam"):
            return SPAM
        await self.lock.acquire()
        await self.pause()
        self.keep(envelope, body)
        self.count += 1
        self.lock.release()
        return None


class SwallowsItsTimeout(Store):
    async def message(self, session: Session, envelope: Envelope, body: bytes) -> Any:
        try:
            return await super().message(session, envelope, body)
        except BaseException:
            return None


class LocksInBothOrders(Store):
    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self.other = self.simulation.semaphore(1)

    async def both(self, first: SimulatedSemaphore, second: SimulatedSemaphore) -> None:
        await first.acquire()
        try:
            await self.pause()
            await second.acquire()
            second.release()
        finally:
            first.release()

    async def mail(self, session: Session, sender: Any, parameters: Any) -> None:
        await self.both(self.lock, self.other)

    async def rcpt(self, session: Session, recipient: Any, parameters: Any) -> None:
        await self.both(self.other, self.lock)


class IteratesOverWhatOthersChange(Store):
    async def mail(self, session: Session, sender: Any, parameters: Any) -> None:
        self.senders: set[str] = getattr(self, "senders", set())
        self.senders.add(str(sender))
        for _ in self.senders:
            await self.pause()
            await self.pause()


class WaitsForTheTimeOfDay(Store):
    last = 0.0

    async def mail(self, session: Session, sender: Any, parameters: Any) -> None:
        while self.simulation.utc() < self.last + 1:  # a rate limit
            await self.simulation.sleep(1)
        self.last = self.simulation.utc()


class CountsASessionAfterAnAwait(Store):
    async def connect(self, session: Session) -> None:
        await super().connect(session)
        self.files += 1

    async def close(self, session: Session) -> None:
        self.files -= 1
        await super().close(session)


class RemembersAMessageBeforeItIsKept(Store):
    async def message(self, session: Session, envelope: Envelope, body: bytes) -> Any:
        self.seen: set[bytes] = getattr(self, "seen", set())
        if body in self.seen:
            return None  # a duplicate
        self.seen.add(body)
        reply = await super().message(session, envelope, body)
        if reply is not None:
            self.seen.discard(body)
        return reply


class LeavesTheFileOfAnAbortedMessage(Store):
    async def data(self, session: Session, envelope: Envelope) -> Any:
        return _File(self, session, envelope)


@define
class _File:
    store: Store
    session: Session
    envelope: Envelope
    octets: bytes = b""

    async def write(self, data: bytes) -> None:
        if not self.octets:
            self.store.files += 1
        await self.store.pause()
        self.octets += data

    async def commit(self) -> Any:
        self.store.files -= 1
        return await self.store.message(self.session, self.envelope, self.octets)

    async def abort(self) -> None:
        await self.store.pause()


# -- bugs in our own code --------------------------------------------------------------------------


async def _run_without_finally(self: Conversation) -> None:
    self._patience.start()
    may_send = await self._serve()
    await self._close(linger=may_send)
    self._account.close()


async def _finish_like_any_hook(self: HookCaller, hook: Any, *arguments: object) -> None:
    value = call_contained(hook, *arguments)
    if is_awaitable(value):
        await self._runtime.within(self.timeouts.hook, value)


async def _verdict_of_a_failure_is_none(self: ContentWriter, sink: Any) -> Any:
    try:
        return await self._hooks.call(sink.commit, seconds=self._hooks.timeouts.commit)
    except Exception:
        return None


_read_outcome = _Submission._read_outcome


async def _lost_reply_is_a_refusal(self: _Submission, *arguments: Any) -> Outcome:
    outcome = await _read_outcome(self, *arguments)
    return self.refused(Reply(451, "4.4.2", "Connection lost")) if outcome.unknown else outcome


_receive = ServerProtocol.receive


def _loses_a_cr_at_the_end_of_a_read(self: ServerProtocol, data: bytes) -> None:
    _receive(self, data.removesuffix(b"\r"))


def _loses_a_dot_at_the_start_of_a_read(self: ServerProtocol, data: bytes) -> None:
    _receive(self, data.removeprefix(b".") or data)


async def _take_without_removing(self: Pool) -> Any:
    return self._idle[-1] if self._idle else None


async def _send_without_finally(self: Pool, message: Any, envelope_for: Any) -> Outcome:
    await self._semaphore.acquire()
    outcome = await self._send(message, envelope_for, Deadline(self._runtime.now, None))
    self._semaphore.release()
    return outcome


_decide = Judge.decide


def _unknown_is_relayed(
    self: Judge, message: Any, delivery: Any, attempt: Attempt, **more: Any
) -> Any:
    if attempt.result is Result.UNKNOWN:
        return Done(Fate.RELAYED)
    return _decide(self, message, delivery, attempt, **more)


def _each_refusal_is_permanent(attempt: Attempt) -> bool:
    return attempt.result is Result.REFUSED


@frozen
class Bug:
    """A bug, in the handler *make* or in what *patch* puts into our code."""

    name: str
    faults: Sequence[FaultName] = ()
    """Those with which it is found; none: the order of the steps is enough."""
    make: Callable[[Simulation], Store] = Store
    patch: tuple[object, str, Any] | None = None
    is_of_agent: bool = False
    """Whether it is found by :func:`play_agent`."""


def theirs(make: type[Store], *faults: FaultName) -> Bug:
    return Bug(make.__name__, faults, make)


def ours(name: str, owner: type, attribute: str, value: Any, *faults: FaultName) -> Bug:
    return Bug(name, faults, patch=(owner, attribute, value))


def agents(name: str, owner: object, attribute: str, value: Any, *faults: FaultName) -> Bug:
    return Bug(name, faults, patch=(owner, attribute, value), is_of_agent=True)


BUGS = [
    theirs(AcceptsBeforeItKeeps),
    theirs(ChecksTheQuotaBeforeAnAwait),
    theirs(CountsASessionAfterAnAwait, "cancel"),
    theirs(CountsAcrossAnAwait),
    theirs(IteratesOverWhatOthersChange),
    theirs(KeepsBeforeItFails, "hang"),
    theirs(KeepsOnceMoreIfItIsCancelled, "hang"),
    theirs(KeepsRecipientsOfTheLastTransaction),
    theirs(KeepsTheLockIfItIsCancelled, "cancel"),
    theirs(LeavesTheFileOfAnAbortedMessage, "cut", "half_close"),
    theirs(LocksInBothOrders),
    theirs(RemembersAMessageBeforeItIsKept, "hang"),
    theirs(SharesTheSenderAmongSessions),
    theirs(SwallowsItsTimeout, "hang"),
    theirs(WaitsForTheTimeOfDay, "jump"),
    ours("connection-lost-to-a-cancel", Conversation, "run", _run_without_finally, "cancel"),
    ours("close-hook-is-cancelled", HookCaller, "finish", _finish_like_any_hook, "cancel"),
    ours("failed-hook-accepts", ContentWriter, "_verdicts", _verdict_of_a_failure_is_none, "hang"),
    ours("lost-reply-refuses", _Submission, "_read_outcome", _lost_reply_is_a_refusal, "cut"),
    ours("read-loses-last-cr", ServerProtocol, "receive", _loses_a_cr_at_the_end_of_a_read),
    ours("read-loses-first-dot", ServerProtocol, "receive", _loses_a_dot_at_the_start_of_a_read),
    ours("pool-lends-twice", Pool, "_take_idle", _take_without_removing),
    ours("pool-loses-a-slot", Pool, "_send_in_turn", _send_without_finally, "cancel", "cut"),
    agents("unknown-is-relayed", Judge, "decide", _unknown_is_relayed, "cut"),
    agents("each-refusal-is-permanent", judge, "is_permanent", _each_refusal_is_permanent),
]

"""Sends many messages over a pool, at a rate, so that a run can stop at any time and be resumed.

What to do is decided here. Before an attempt the journal learns that it begins, and after it what
came of it. So a run that dies in between leaves recipients of whom nobody knows whether they were
accepted, and never a recipient who was accepted and would be tried again.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from heapq import heappop, heappush
from typing import Protocol, TypeGuard, cast

from attrs import evolve, field, frozen

from ..errors import (
    GrammarError,
    LocalProtocolError,
    LoginRefused,
    SendRefused,
    SMTPError,
)
from ..grammar.address import ForwardPath
from ..grammar.envelope import Envelope
from ..grammar.reply import Reply
from ..limits import BULK_RETRIES
from ..mail.preparation import Source, prepare, repeater
from ..option_types import checked, require_type
from ..outcome import Outcome
from ..policy import Limit, Rate
from ..ports import Runtime

__all__ = ["BulkOptions", "JournalPort", "SendEvent", "SendResult", "events_of"]

BulkMessage = Source | tuple[Source, Envelope]
"""A message, or a message with its envelope."""

_FAILURES = 5  # connections in a row that failed, after which the run ends


class SendResult(enum.Enum):
    """What came of a message for one recipient."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    """The server refused it for good, or also at the last attempt."""
    UNKNOWN = "unknown"
    """The connection, or an earlier run, ended before the reply: the server may have accepted it.
    """
    FAILED = "failed"
    """It cannot be sent, or no attempt came to a reply."""
    DEFERRED = "deferred"
    """Not yet: it will be tried again in this run. Every other result is the last one."""
    SKIPPED = "skipped"
    """An earlier message or run has come to an end for this recipient."""

    @property
    def final(self) -> bool:
        """Whether nothing more will come for this recipient of the message."""
        return self is not SendResult.DEFERRED


@frozen(kw_only=True)
class SendEvent:
    """What came of a message for one recipient."""

    recipient: ForwardPath
    result: SendResult
    reply: Reply | None = None
    """The reply that accepted or refused it; None if there was none."""
    error: SMTPError | None = field(default=None, eq=False)
    """What failed, where there was no reply."""
    attempts: int = 0
    """How often it was tried in this run."""

    def __str__(self) -> str:
        told = self.reply or (None if self.error is None else self.error.message)
        why = "" if told is None else f" ({told})"
        return f"{self.result.value}: {self.recipient}{why}"


class JournalPort(Protocol):
    """Where a run notes what came of each recipient. :class:`smtpproto.Journal` is a file."""

    def last(self, recipient: ForwardPath) -> str:
        """Return what was recorded last of *recipient*: "sending", the value of a
        :class:`SendResult`, or "" if nothing was."""
        ...

    def record(self, time: float, result: str, recipients: Mapping[ForwardPath, str]) -> None:
        """Record *result* of *recipients*, each with the text of a reply or ""; return when it is
        safe. *time* is in seconds since the epoch."""
        ...


def _to_rate(text: str | None) -> Rate | None:
    limit = None if text is None else Limit.parse(text)
    if limit is not None and (limit.rate is None or limit.at_once is not None):
        raise ValueError(f'not a rate: {text!r}; write it as "10/s" or "1000/h burst 20"')
    return None if limit is None else limit.rate


def _to_delays(values: Iterable[float]) -> tuple[float, ...]:
    delays = tuple(values)
    if not all(delay >= 0 for delay in delays):
        raise ValueError("retries must be seconds of 0 or more")
    return delays


@checked
@frozen(kw_only=True)
class BulkOptions:
    """The options of ``send_each``."""

    rate: Rate | None = field(default=None, converter=_to_rate)
    """The most messages in a time, for example ``"10/s"``."""
    retries: Sequence[float] = field(default=BULK_RETRIES, converter=_to_delays)
    """The seconds after which a message that was refused for now is tried again, once for each."""
    resend_unknown: bool = False
    """Whether to send again where the server may have accepted the message already."""


@frozen(order=True)
class _Attempt:
    """A message that is to be tried at *due*; *number* keeps the order."""

    due: float
    number: int
    message: Source = field(order=False)
    envelope: Envelope = field(order=False)
    tried: int = field(order=False)


class Sends(Protocol):
    """The methods of a pool that a run needs."""

    async def connect(self) -> None:
        """Open a connection for the next message, unless there is one already."""
        ...

    async def send(self, message: Source, envelope: Envelope | None = None) -> Outcome:
        """Send one message."""
        ...


async def events_of(
    pool: Sends,
    runtime: Runtime,
    messages: Iterable[BulkMessage],
    journal: JournalPort | None,
    options: BulkOptions,
) -> AsyncGenerator[SendEvent, None]:
    """Send *messages*, one at a time; yield what came of each recipient.

    A message that was refused for now, or lost with its connection, is tried again after the
    others. Raises LoginRefused if the login fails, and the error of the connection if five attempts
    in a row found no usable one. A later run with the same journal goes on.
    """
    run = _Run(pool, runtime, journal or _NoJournal(), options)
    fresh: Iterator[_Attempt] = run.attempts(messages)
    while (attempt := await run.next(fresh)) is not None:
        skipped = [it for it in dict.fromkeys(attempt.envelope.recipients) if run.is_done(it)]
        for recipient in skipped:
            yield SendEvent(recipient=recipient, result=SendResult.SKIPPED)
        if (rest := _without(attempt, skipped)) is None:
            continue
        await run.wait_for_turn()
        # If the caller is cancelled meanwhile, the message in flight still comes to its end.
        for event in await runtime.finish_within(None, run.attempt(rest)):
            yield event
        run.raise_if_hopeless()


def _is_pair(given: BulkMessage) -> TypeGuard[tuple[Source, Envelope]]:
    """Return whether *given* is a message and its envelope, not octets in pieces."""
    return isinstance(given, tuple) and len(given) == 2 and isinstance(given[1], Envelope)


def _without(attempt: _Attempt, skipped: Sequence[ForwardPath]) -> _Attempt | None:
    rest = [it for it in dict.fromkeys(attempt.envelope.recipients) if it not in skipped]
    if not rest:
        return None
    return evolve(attempt, envelope=_to_only(attempt.envelope, rest))


def _to_only(envelope: Envelope, recipients: Sequence[ForwardPath]) -> Envelope:
    given = {path: envelope.rcpt_parameters[path] for path in recipients
             if path in envelope.rcpt_parameters}  # fmt: skip
    return evolve(envelope, recipients=recipients, rcpt_parameters=given)


class _Run:
    """The state of one run."""

    def __init__(
        self, pool: Sends, runtime: Runtime, journal: JournalPort, options: BulkOptions
    ) -> None:
        self._pool, self._runtime = pool, runtime
        self._journal, self._options = journal, options
        self._later: list[_Attempt] = []
        self._done: set[ForwardPath] = set()  # in this run
        self._bucket: tuple[float, ...] = ()
        self._failures = 0
        self._fatal: SMTPError | None = None

    # -- which message is next -------------------------------------------------------------------

    def attempts(self, messages: Iterable[BulkMessage]) -> Iterator[_Attempt]:
        """Yield the first attempt of each message. Raises GrammarError for a message without
        envelope."""
        for number, given in enumerate(messages):
            if _is_pair(given):
                message, envelope = given
            else:
                message = cast("Source", given)
                _, envelope = prepare(message)
            require_type("the envelope of a message", envelope, Envelope, "an Envelope")
            yield _Attempt(0.0, number, message, envelope, 0)

    async def next(self, fresh: Iterator[_Attempt]) -> _Attempt | None:
        """Return the next attempt: one that is due, else a new message, else the first one that is
        due later. None: nothing is left."""
        if self._later and self._later[0].due <= self._runtime.now():
            return heappop(self._later)
        if (attempt := next(fresh, None)) is not None:
            return attempt
        if not self._later:
            return None
        attempt = heappop(self._later)
        await self._runtime.sleep(max(attempt.due - self._runtime.now(), 0.0))
        return attempt

    def is_done(self, recipient: ForwardPath) -> bool:
        """Return whether nothing more is to be sent to *recipient*."""
        last = self._journal.last(recipient)
        if recipient in self._done:
            return True
        if last in ("sending", SendResult.UNKNOWN.value):
            return not self._options.resend_unknown
        return last in (SendResult.ACCEPTED.value, SendResult.REFUSED.value)

    async def wait_for_turn(self) -> None:
        """Wait until the rate allows one more message."""
        if (rate := self._options.rate) is None:
            return
        now = self._runtime.now()
        if wait := rate.wait(rate.left(self._bucket, now)):
            await self._runtime.sleep(wait)
            now = self._runtime.now()
        self._bucket = rate.take(rate.left(self._bucket, now), 1, now).state

    # -- one attempt ---------------------------------------------------------------------------

    async def attempt(self, attempt: _Attempt) -> list[SendEvent]:
        """Send the message once, and note before and after it what that means."""
        envelope, may_repeat = attempt.envelope, repeater(attempt.message)
        try:
            await self._pool.connect()  # before it, nothing was sent
            await self._record("sending", dict.fromkeys(envelope.recipients, ""))
            outcome = await self._pool.send(attempt.message, envelope)
        except SendRefused as error:
            outcome = error.outcome
        except SMTPError as error:
            return await self._failed(attempt, error, may_repeat())
        self._failures = 0
        found = self._events(attempt, outcome, may_repeat())
        await self._settle(attempt, found)
        return found

    def _events(self, attempt: _Attempt, outcome: Outcome, repeatable: bool) -> list[SendEvent]:
        tried, retry = attempt.tried + 1, outcome.retry
        more = repeatable and attempt.tried < len(self._options.retries)

        def event(path: ForwardPath, result: SendResult, reply: Reply | None) -> SendEvent:
            error = outcome.error if result is SendResult.UNKNOWN else None
            return SendEvent(
                recipient=path, result=result, reply=reply, error=error, attempts=tried
            )

        found = [event(*it) for it in _each(outcome.accepted, SendResult.ACCEPTED)]
        for path, reply in outcome.refused.items():
            again = more and path in retry
            found.append(event(path, SendResult.DEFERRED if again else SendResult.REFUSED, reply))
        return found + [event(path, SendResult.UNKNOWN, None) for path in outcome.unknown]

    async def _failed(
        self, attempt: _Attempt, error: SMTPError, repeatable: bool
    ) -> list[SendEvent]:
        """Note that nothing of the message was accepted, because of *error*."""
        login = isinstance(error, LoginRefused) or error.phase == "login"
        permanent = isinstance(error, GrammarError | LocalProtocolError)
        more = repeatable and attempt.tried < len(self._options.retries)
        if login:
            self._fatal = error
        elif not permanent:
            self._failures += 1
            if self._failures >= _FAILURES:
                self._fatal = error
        again = self._fatal is not None or (more and not permanent)
        result = SendResult.DEFERRED if again else SendResult.FAILED
        found = [
            SendEvent(recipient=path, result=result, error=error, attempts=attempt.tried + 1)
            for path in attempt.envelope.recipients
        ]
        await self._settle(attempt, found)
        return [] if self._fatal is not None else found

    async def _settle(self, attempt: _Attempt, found: Sequence[SendEvent]) -> None:
        """Record what came of an attempt, and plan the next one."""
        for result in SendResult:
            these = [it for it in found if it.result is result]
            if these:
                told = {it.recipient: str(it.reply or "") for it in these}
                await self._record(result.value, told)
        self._done.update(it.recipient for it in found if it.result.final)
        again = [it.recipient for it in found if not it.result.final]
        if again and self._fatal is None:
            due = self._runtime.now() + self._options.retries[attempt.tried]
            envelope = _to_only(attempt.envelope, again)
            heappush(
                self._later,
                evolve(attempt, due=due, envelope=envelope, tried=attempt.tried + 1),
            )

    async def _record(self, result: str, recipients: Mapping[ForwardPath, str]) -> None:
        time = self._runtime.utc()
        await self._runtime.in_thread(lambda: self._journal.record(time, result, recipients))

    def raise_if_hopeless(self) -> None:
        """Raise the error that ends the run, if there is one."""
        if self._fatal is not None:
            raise self._fatal


def _each(
    replies: Mapping[ForwardPath, Reply], result: SendResult
) -> list[tuple[ForwardPath, SendResult, Reply | None]]:
    return [(path, result, reply) for path, reply in replies.items()]


class _NoJournal:
    """Forgets everything."""

    def last(self, recipient: ForwardPath) -> str:
        return ""

    def record(self, time: float, result: str, recipients: Mapping[ForwardPath, str]) -> None:
        pass

"""The transactions that send a message (RFC 5321 3.3): MAIL, RCPT, DATA or BDAT, content."""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import Iterable, Sequence

from attrs import define, evolve, field

from ..client_events import Sent
from ..errors import NotOffered, RemoteProtocolError, SendRefused, SMTPError, TransportError
from ..grammar.address import ForwardPath
from ..grammar.command import Data, Rset
from ..grammar.printable import printable
from ..grammar.reply import Reply
from ..limits import Tolerance
from ..mail.planning import BDAT_SIZE, Plan, PlannedTransaction
from ..option_types import maker
from ..outcome import Outcome, RecipientReplies
from .link import Link

_log = logging.getLogger("smtpproto.client")

_DATA, _RSET = Data(), Rset()
_IN_FLIGHT = 4  # unanswered chunks; few, so that a refused one stops the message soon
_NOT_READ = Reply(451, "4.3.0", "The content could not be read again")
_NEVER_SENT = Reply(421, "4.4.2", "The connection was lost before this was sent")

# After a refusal, the remaining replies only keep both sides in step. If reading them fails, the
# refusal is still the outcome.
_ignore_link_errors = contextlib.suppress(TransportError, RemoteProtocolError)


async def submit(link: Link, plan: Plan) -> Outcome:
    """Send one message and return its outcome.

    Raises SendRefused if the server refused it for every recipient. Raises TransportError if the
    link failed before the end of the message, RemoteProtocolError if the server refused RSET, and
    whatever the message's source raised, unless an earlier transaction may have delivered the
    message.
    """
    if link.needs_reset:  # the last message was cancelled, or the server refused its RSET
        reply = await link.request(_RSET)
        if link.needs_reset:
            link.abandon()
            text = "the server refused RSET"
            raise RemoteProtocolError(text, command="RSET", reply=reply)
    outcome, decided_by = None, ""
    for transaction in plan.transactions:
        submission = _Submission(link, plan, transaction)
        try:
            part = await submission.run()
        except Exception as error:
            if outcome is None or not (outcome.accepted or outcome.unknown):
                raise
            # Raising it would hide that an earlier transaction delivered the message.
            _log.error("a message failed after part of it was sent: %s", printable(repr(error)))
            lost = isinstance(error, TransportError | RemoteProtocolError)
            part = submission.refused(_NEVER_SENT if lost else _NOT_READ)
            part = evolve(part, error=error if isinstance(error, SMTPError) else None)
        outcome = part if outcome is None else outcome | part
        decided_by = submission.decided_by
    assert outcome is not None  # a plan has a transaction
    if not outcome.accepted and not outcome.unknown:
        reply = outcome.reply or next(iter(outcome.refused.values()))
        raise SendRefused(reply, outcome, command=decided_by)
    return outcome


@define(eq=False, repr=False)
class _Submission:
    """One transaction.

    With PIPELINING the commands are sent together and their replies read afterwards; without it,
    each command waits for the reply to the one before. The same code does both.
    """

    link: Link
    plan: Plan
    transaction: PlannedTransaction
    decided_by: str = field(default="MAIL", init=False)
    """The command whose reply decided the outcome."""
    _rcpts: list[Sent] = field(factory=list, init=False)
    _size: int = field(default=0, init=False)  # octets of content written

    async def run(self) -> Outcome:
        """Run the transaction and return its outcome.

        Raises TransportError or RemoteProtocolError if nothing was accepted, and whatever the
        message's source raises.
        """
        if self.link.closing_reply is not None:
            return self.refused(self.link.closing_reply)
        if self.link.ended:
            return self.refused(_NEVER_SENT)
        try:
            outcome = await self._transact()
        except Exception as error:  # may come from the message's source, between two chunks
            if isinstance(error, TransportError | RemoteProtocolError):
                error.command = error.command or self.decided_by
            await self._reset()
            raise
        if self.link.needs_reset:
            await self._reset()
        return outcome

    async def _reset(self) -> None:
        """Send RSET if the transaction is still open, so that the next message can follow."""
        if self.link.needs_reset:
            with _ignore_link_errors:
                await self.link.request(_RSET)

    async def _transact(self) -> Outcome:
        link, data = self.link, None
        sender = last = await link.begin(self.transaction.mail)
        try:
            data = await self._say_group(sender)
            last = data or (self._rcpts or [sender])[-1]
            await link.reply_to(last)
        except (TransportError, RemoteProtocolError):
            if not self._is_refused(sender):
                raise
        reply = sender.reply
        assert reply is not None
        if not reply.positive:
            await self._finish_unwanted_data(data)
            self._rcpts.clear()
            return self.refused(reply)
        self.decided_by = "RCPT"
        if link.closing_reply is not None and self._rcpts[-1].reply is link.closing_reply:
            return self.refused(link.closing_reply)
        if not any(sent.reply.positive for sent in self._rcpts if sent.reply):
            await self._finish_unwanted_data(data)
            return self._outcome()
        if data is None:
            return await self._send_by_bdat()
        self.decided_by = "DATA"
        assert data.reply is not None
        return await self._send_by_data() if data.reply.positive else self.refused(data.reply)

    async def _say_group(self, sender: Sent) -> Sent | None:
        """Queue RCPT for each recipient, and DATA unless the plan has chunks; return the entry of
        DATA. Stop when a reply has put them out of order, for example one to *sender*."""
        link, machine = self.link, self.link.machine
        allowed, rcpts = sender.reply is None, self.transaction.rcpts
        for command in rcpts if self.plan.chunked else (*rcpts, _DATA):
            if not machine.has_room:
                await link.wait_for_room()
                allowed = machine.allows(command.verb)
            if not allowed:
                return None
            sent = link.say(command)
            if command is _DATA:
                return sent
            self._rcpts.append(sent)
        return None

    def _is_refused(self, sender: Sent) -> bool:
        """Return whether the replies that have arrived refuse the message for all recipients."""
        if sender.reply is not None and not sender.reply.positive:
            return True
        replies = [sent.reply for sent in self._rcpts]
        all_asked = len(replies) == len(self.transaction.rcpts)
        return all_asked and not any(reply is None or reply.positive for reply in replies)

    async def _finish_unwanted_data(self, data: Sent | None) -> None:
        """If the reply to a pipelined DATA that has no recipients is 354, send the final dot, which
        the server waits for (RFC 2920 3.1)."""
        if data is not None and data.reply is not None and data.reply.positive:
            with _ignore_link_errors:
                await self.link.reply_to((await self.link.end_body())[-1])

    # -- content -----------------------------------------------------------------------------

    async def _send_by_data(self) -> Outcome:
        self.decided_by = "end of data"
        try:
            ends = await self._write_content()
        except (TransportError, RemoteProtocolError) as error:
            return self.refused(self._refusal_before(error))
        except BaseException:  # a dot would end an incomplete message, so send nothing more
            self.link.abandon()
            raise
        return await self._read_outcome(ends, ())

    async def _write_content(self) -> tuple[Sent, ...]:
        """Write the content and queue its end; return the entries that its replies will name."""
        link, content = self.link, self.plan.content
        if content.is_async:
            async with contextlib.aclosing(content.async_slices()) as parts:
                async for part in parts:
                    await self._write_slice(part)
        else:
            for part in content.slices():
                await self._write_slice(part)
        if link.trace is not None:
            link.trace("C", f"[{self._size} octets of content]")
        return await link.end_body()

    async def _write_slice(self, part: bytes) -> None:
        """Write a slice of content; the preparation of the content has made its lines."""
        self._size += len(part)
        self.link.machine.send_body(part, lines=True)
        await self.link.flush()

    async def _send_by_bdat(self) -> Outcome:
        """Send the content in chunks, up to ``_IN_FLIGHT`` of them before their replies; stop after
        a refusal."""
        link, unanswered, size = self.link, deque[Sent](), 0
        sent: tuple[Sent, ...] = ()
        self.decided_by = "BDAT"
        async with contextlib.aclosing(self.plan.content.chunks(BDAT_SIZE)) as chunks:
            async for data, last in chunks:
                while unanswered and (len(unanswered) >= _IN_FLIGHT or not link.machine.ready):
                    reply = await link.reply_to(unanswered.popleft())
                    if not reply.positive:
                        return await self._refused_chunk(reply, unanswered)
                size += len(data)
                try:
                    if (refusal := await self._refused_meanwhile(unanswered)) is not None:
                        return await self._refused_chunk(refusal, unanswered)
                    self._check_size(size)
                    sent = await link.send_chunk(data, last=last)
                    if last:
                        break
                    unanswered.extend(sent)
                    await link.flush()
                except (TransportError, RemoteProtocolError) as error:
                    return self.refused(self._refusal_before(error, unanswered))
        return await self._read_outcome(sent, unanswered)

    async def _refused_meanwhile(self, unanswered: deque[Sent]) -> Reply | None:
        """Take the replies to earlier chunks that have arrived; return the first refusal."""
        await self.link.look()
        while unanswered and (reply := unanswered[0].reply) is not None:
            unanswered.popleft()
            if not reply.positive:
                return reply
        return None

    def _check_size(self, size: int) -> None:
        """Raise NotOffered before a chunk that exceeds the server's SIZE.

        Some servers read the rest of such a chunk as commands. RSET discards the chunks before it.
        """
        limit = self.link.machine.extensions.size
        if limit is not None and size > limit:
            text = f"the message has more than {limit} octets, the most that the server accepts"
            raise NotOffered(text, status="5.3.4", command="BDAT", check="the size of the message")

    def _refusal_before(
        self, error: TransportError | RemoteProtocolError, unanswered: Iterable[Sent] = ()
    ) -> Reply:
        """Return the refusal that the server sent in the middle of the content, before *error*;
        raise *error* if there is none."""
        self.link.abandon()
        replies = (*(sent.reply for sent in unanswered), error.reply)
        for reply in replies:
            if reply is not None and not reply.positive:
                return reply
        raise error

    async def _refused_chunk(self, reply: Reply, unanswered: Iterable[Sent]) -> Outcome:
        """Return the outcome of a chunk refused with *reply*, after reading the replies to the
        chunks sent after it (RFC 3030 2)."""
        with _ignore_link_errors:
            for sent in unanswered:
                await self.link.reply_to(sent)
        return self.refused(reply)

    async def _read_outcome(self, ends: tuple[Sent, ...], unanswered: Iterable[Sent]) -> Outcome:
        """Read the replies to the chunks before the end and to the end itself.

        *ends* has one entry, or in LMTP one for each recipient. From here on the server may have
        the whole message, even if the link breaks while the end is written.
        """
        lost: SMTPError | None = None
        try:
            for sent in unanswered:
                reply = await self.link.reply_to(sent)
                if not reply.positive:
                    return await self._refused_chunk(reply, ends)
            await self.link.reply_to(ends[-1])
        except (TransportError, RemoteProtocolError) as error:
            lost = error
        outcome = self._outcome(ends)
        if lost is None:
            return outcome
        lost.complete("transaction")
        reason, number = printable(str(lost)), len(outcome.unknown)
        self.link.trace_line("*", f"the outcome is unknown: {reason}")
        _log.warning("the outcome of a message is unknown for %d recipients: %s", number, reason)
        return evolve(outcome, error=lost)

    # -- outcomes ----------------------------------------------------------------------------

    def refused(self, reply: Reply) -> Outcome:
        """Return the outcome in which *reply* refuses every recipient not yet refused by RCPT.

        A 421 also replaces transient refusals.
        """
        rcpt = self._replies_to_rcpt()
        decided = {one.path: reply for one in self.transaction.rcpts}
        for path, earlier in rcpt.items():
            if earlier.permanent or (earlier.transient and self.link.closing_reply is not reply):
                decided[path] = earlier
        return self._make(decided.items(), rcpt, reply)

    def _outcome(self, ends: Sequence[Sent] = ()) -> Outcome:
        """Return the outcome that follows from the replies to RCPT and from those to the message,
        which *ends* has; it is empty if no message was sent."""
        rcpt = self._replies_to_rcpt()
        finals = {sent.recipient: sent.reply for sent in ends if sent.reply is not None}
        shared = finals.get(None)  # with LMTP, each recipient has a reply of its own
        decided = [
            (path, asked if asked.code >= 400 else shared or finals.get(path))
            for path, asked in rcpt.items()
        ]
        return self._make(decided, rcpt, next(reversed(finals.values()), None))

    def _replies_to_rcpt(self) -> dict[ForwardPath, Reply]:
        rcpts = zip(self.transaction.rcpts, self._rcpts, strict=False)
        return {rcpt.path: sent.reply for rcpt, sent in rcpts if sent.reply is not None}

    def _make(
        self,
        decided: Iterable[tuple[ForwardPath, Reply | None]],
        rcpt: dict[ForwardPath, Reply],
        reply: Reply | None,
    ) -> Outcome:
        """Return the outcome for the recipients *decided*, each with its reply, or None if it is
        unknown. If 552 to RCPT counts as 452 and that is to be reported, log how often."""
        accepted, refused, unknown = {}, {}, {}
        for path, final in decided:
            if final is None:
                unknown[path] = rcpt[path]
            elif final.code < 400:
                accepted[path] = final
            else:
                refused[path] = final
        leniency = self.link.machine.settings.leniencies.recipient_552
        if leniency is Tolerance.REPORT and any(each.positive for each in rcpt.values()):
            number = sum(each.code == 552 for each in rcpt.values())
            if number:
                _log.info("552 to %d recipients tolerated: recipient_552", number)
        return _make_outcome(
            self.plan.envelope,
            RecipientReplies(accepted) if accepted else _NOBODY,
            RecipientReplies(refused) if refused else _NOBODY,
            RecipientReplies(unknown) if unknown else _NOBODY,
            RecipientReplies(rcpt) if rcpt else _NOBODY,
            reply,
            leniency is not Tolerance.REJECT,
        )


_NOBODY = RecipientReplies()
_make_outcome = maker(
    Outcome, "envelope", "accepted", "refused", "unknown", "rcpt", "reply", "counts_552_as_452"
)

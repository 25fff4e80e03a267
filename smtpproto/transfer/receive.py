"""A server's handler that puts what it accepts into the queue of a mail agent."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from attrs import evolve

from ..errors import GrammarError, QueueFailed, QueueFull
from ..grammar.address import ForwardPath
from ..grammar.envelope import Envelope
from ..grammar.parameters import RcptParameters
from ..grammar.printable import printable
from ..grammar.reply import Reply
from ..mta.queue import Delivery, Forwarding
from ..mta.settlement import Hold
from ..mta.store import MAX_PREPENDED, Body
from ..mta.trace import TOO_MANY_HOPS, Hops
from ..policy import MessageCheck
from ..ports import result
from ..server.handler import Handler, Session, Verdict
from ..server.networks import network_name
from .authentication import authentication
from .filtering import Filtering
from .intake import Intake, obeying_header

__all__ = ["EXTENSIONS", "Check", "Receiver", "user_of"]

EXTENSIONS = {"DSN": "", "DELIVERBY": "", "MT-PRIORITY": "", "REQUIRETLS": ""}
"""What a receiver honours besides what every server offers. Servers offer REQUIRETLS under TLS
only."""

_REPORTS_ONLY = Reply(550, "5.7.1", "Only reports may go to this address of a forwarded sender")
_LOOP = Reply(554, "5.4.6", "The message was delivered to this address before")
_QUEUE_FULL = Reply(452, "4.3.1", "Insufficient system storage; try again later")
_QUEUE_FAILED = Reply(451, "4.3.0", "The queue cannot take messages now; try again later")

_MAX_HEADER = 64 * 1024  # octets of a header section that are kept for the check

Check = Verdict | Hold | Awaitable[Verdict | Hold]
"""What :meth:`Receiver.check` returns."""


class Receiver(Handler):
    """Takes mail for the queue of an MTA. Subclass it to add checks.

    ::

        class Checked(Receiver):
            async def mail(self, session, sender, parameters):
                if sender.canonical in await blocklist():
                    return Reply(550, "5.7.1", "You are on our blocklist")

            async def rcpt(self, session, recipient, parameters):
                refusal = await super().rcpt(session, recipient, parameters)
                return refusal or await quota(recipient)

        async with mail.serve("0.0.0.0", 25, receiver=Checked): ...

    Clients that have logged in, and those in ``relay_from``, may send to all recipients; all others
    only to those whose mail is delivered here, and to the domains of ``relay_for``. Each message
    gets a Received field. 250 is sent only when the message is durable.
    """

    def __init__(self, intake: Intake) -> None:
        self.intake: Intake = intake

    def may_relay(self, session: Session) -> bool:
        """Return whether the client may send to all recipients. An anonymous login does not count:
        it is open to all."""
        return self.intake.relaying.may_relay(user_of(session), session.peer[0])

    def signs_for(self, session: Session) -> bool:
        """Return whether messages of the client are signed with the keys in ``sign``: here, whether
        it has logged in. Return True for others only if they send nothing but mail of their own,
        because forged From fields would be signed, too."""
        return user_of(session) is not None

    async def rcpt(
        self, session: Session, recipient: ForwardPath, parameters: RcptParameters
    ) -> Verdict:
        """Refuse to relay for strangers, with 550 5.7.1 (RFC 5321 3.6.2), and recipients here that
        have no mailbox, with 550 5.1.1."""
        return await self.intake.recipients.refusal(recipient, lambda: self.may_relay(session))

    def check(self, session: Session, envelope: Envelope, header: bytes) -> Check:
        """A message has arrived; *header* is its header section, at most its first 64 KiB. The
        results of ``inspect``, and what filters have changed, are in it.

        Return None to accept it, a negative ``Reply`` to refuse it, or ``Hold(reason)`` to keep it
        in the queue until somebody releases it. If you need the whole content, extend :meth:`data`.
        """
        return None

    def inspected(self, session: Session, envelope: Envelope, found: MessageCheck) -> Check:
        """The message was checked by SPF, DKIM and DMARC. Return the same as :meth:`check`, which
        is asked afterwards. This one refuses what ``inspect`` says."""
        inspect = self.intake.inspect
        return None if inspect is None else inspect.refusal(found)

    def data(self, session: Session, envelope: Envelope) -> QueueSink:
        """Return a sink that writes into the queue's store."""
        return QueueSink(self, session, envelope)


class QueueSink:
    """Writes the content of one message into the store, after a Received field of its own.

    A failure of the store is remembered, and is the reply at the end.
    """

    def __init__(self, receiver: Receiver, session: Session, envelope: Envelope) -> None:
        self._receiver, self._intake = receiver, receiver.intake
        self._session, self._envelope = session, envelope
        self.id: str = self._intake.new_id()
        """The id of the message in the queue."""
        self._hops = Hops(self._intake.max_hops)
        self._header = bytearray()
        self._body: Body | None = None
        self._refusal: Reply | None = None
        self._trusted = receiver.may_relay(session)
        signs = receiver.signs_for(session)
        self._authentication = authentication(
            self._intake, session, envelope, signs=signs, trusted=self._trusted
        )
        self._found = b""  # the fields of the checks
        self._filtering: Filtering | None = None
        if self._intake.filters_for(trusted=self._trusted):
            self._filtering = Filtering(self._intake, session, trusted=self._trusted)

    async def write(self, data: bytes) -> None:
        """Write the next octets of content."""
        if self._refusal is not None:
            return
        try:
            if self._authentication is not None:
                data = self._authentication.feed(data)
            await self._store(data)
        except (GrammarError, QueueFailed) as error:
            self._refusal = _reply_to(error)
            await self.abort()

    async def _store(self, data: bytes) -> None:
        """Store *data*, and before the first octets the Received field."""
        if not self._header and data.startswith((b" ", b"\t")):
            data = b"\r\n" + data  # else the first line would continue the Received field
        if not self._hops.ended:
            self._header += data[: _MAX_HEADER - len(self._header)]
            self._hops.feed(data)
        if self._filtering is not None:
            data = self._filtering.feed(data)
        if self._body is None:
            self._body = self._intake.store.body()
            if self._filtering is None:
                await self._body.write(self._received())
        await self._body.write(data)

    def _received(self) -> bytes:
        now = self._intake.runtime.utc()
        return self._intake.tracer.received(
            self._session, self._envelope, now=now, queue_id=self.id
        )

    async def commit(self) -> Verdict:
        """Check the message, and put it into the queue. It is durable before this returns."""
        if self._body is None:  # nothing was written, or the store has failed
            await self.write(b"")
        try:
            if self._refusal is None and self._hops.too_many:
                return TOO_MANY_HOPS
            return self._refusal or await self._put()
        except (GrammarError, QueueFailed) as error:
            return _reply_to(error)
        finally:
            await self.abort()  # after put this does nothing

    async def _put(self) -> Reply:
        """Put the message into the queue, unless a check refuses it. Raises GrammarError and
        QueueFailed."""
        found = await self._authenticate()
        if isinstance(found, Reply) and not found.positive:
            return found
        if (reply := await self._filter()) is not None:
            return reply
        header = self._header_section()
        checked = await self._ask(self._receiver.check, header)
        verdict = checked or found
        if isinstance(verdict, Reply) and not verdict.positive:
            return verdict
        intake, session, envelope = self._intake, self._session, self._envelope
        body = self._body
        assert body is not None
        user, (address, port) = user_of(session), session.peer
        origin = user or network_name(address)
        message = intake.message(self.id, envelope, body.size, origin, trusted=self._trusted)
        client = f"{address}, {port}, user {user}" if user else f"{address}, {port}"
        message = evolve(message, client=client)
        message = obeying_header(message, header)
        delivered = self._hops.delivered if self._hops.delivered_to else None
        deliveries = await intake.recipients.deliveries(message, envelope, delivered)
        if (wrong := self._wrong(deliveries)) is not None:
            return wrong
        held = None if self._filtering is None else self._filtering.hold
        for hold in (found, checked):
            held = hold.reason if isinstance(hold, Hold) else held
        await intake.put(message, deliveries, body, held)
        return verdict if isinstance(verdict, Reply) else self._queued()

    def _wrong(self, deliveries: Sequence[Delivery]) -> Reply | None:
        """Return the refusal of a message that is in a loop, or goes where only reports may go."""
        if all(it.forwarding is Forwarding.LOOP for it in deliveries):
            return _LOOP
        if self._envelope.sender.mailbox is None:
            return None
        ways = (path for it in deliveries for path in it.via)
        return _REPORTS_ONLY if any(map(self._intake.recipients.is_rewritten, ways)) else None

    def _queued(self) -> Reply:
        return Reply(250, "2.0.0", f"Queued as {self.id}")

    async def _filter(self) -> Reply | None:
        """Let the filters change the message; return the reply if it does not enter the queue."""
        filtering, body, authentication = self._filtering, self._body, self._authentication
        if filtering is None:
            return None
        assert body is not None
        fields = self._found + self._received()
        self._envelope = await filtering.run(self.id, self._envelope, fields, body)
        if filtering.refusal is not None or filtering.discarded:
            return filtering.refusal or self._queued()
        proof = b""
        if authentication is not None:
            proof = await authentication.proof(filtering.content(body))
        await self._put_before(proof + filtering.header)
        return None

    async def _put_before(self, header: bytes) -> None:
        """Put the header section before the body in the store."""
        body = self._body
        assert body is not None
        self._header = bytearray(header[:_MAX_HEADER])
        if len(header) <= MAX_PREPENDED:
            await body.prepend(header)
            return
        self._body = whole = self._intake.store.body()
        try:
            await whole.write(header)
            async with contextlib.aclosing(body.slices()) as slices:
                async for part in slices:
                    await whole.write(part)
        finally:
            await body.discard()

    async def _authenticate(self) -> Verdict | Hold:
        """Put the results of checks, or signatures, before the message; return what follows from
        them."""
        if self._authentication is None:
            return None
        await self._store(self._authentication.end())
        fields = await self._authentication.fields()
        assert self._body is not None
        if self._filtering is None:
            await self._body.prepend(fields)
        self._found = fields
        self._header = bytearray(fields + self._header)
        check = self._authentication.check
        if check is None:
            return None
        verdict = await self._ask(self._receiver.inspected, check)
        if self._intake.count_check is not None:
            await self._intake.count_check(self._envelope, check, verdict)
        return verdict

    async def _ask(self, hook: Callable[..., Any], about: object) -> Verdict | Hold:
        verdict: Verdict | Hold = await result(hook(self._session, self._envelope, about))
        if not isinstance(verdict, Reply | Hold | None):
            kind = type(verdict).__name__
            raise TypeError(f"{hook.__name__} must return a Reply, a Hold or None, not {kind}")
        return verdict

    def _header_section(self) -> bytes:
        """Return the fields of the header section; none if the message begins with a blank line."""
        header, end, _ = (b"\r\n" + self._header).partition(b"\r\n\r\n")
        return bytes(header + end[:2])[2:]

    async def abort(self) -> None:
        """Give up the content."""
        body, self._body = self._body, None
        if body is not None:
            await body.discard()


def user_of(session: Session) -> str | None:
    """Return the user who has logged in; None for nobody, and after ANONYMOUS (RFC 4505)."""
    identity = session.identity
    return None if identity is not None and identity.mechanism == "ANONYMOUS" else session.user


def _reply_to(error: GrammarError | QueueFailed) -> Reply:
    """Return the refusal of a message that is malformed, or that the store cannot take."""
    if isinstance(error, GrammarError):
        return Reply(554, "5.6.0", f"The message is malformed: {printable(error.message)}")
    return _QUEUE_FULL if isinstance(error, QueueFull) else _QUEUE_FAILED

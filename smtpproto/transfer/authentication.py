"""What is done to find out, or to prove, who wrote a message that arrives: strangers' messages are
checked, and sealed if they are passed on; those of users are signed."""

from __future__ import annotations

from ..grammar.envelope import Envelope
from ..grammar.reply import GrammarError
from ..policy import Inspection, MessageCheck, MessageVerifier, Sealing, SPFRequest, strip_results
from ..policy.header_section import HeaderReader
from ..ports import CallAborted
from ..server.handler import Session
from .intake import Intake

__all__ = ["authentication"]


def authentication(
    intake: Intake, session: Session, envelope: Envelope, *, is_user: bool, trusted: bool
) -> Checking | SigningSubmission | None:
    """Return what checks or signs a message from the client. *is_user*: it has logged in;
    *trusted*: it may send to all recipients."""
    if intake.inspect is not None and not trusted:
        return Checking(intake.inspect, intake, session, envelope)
    return SigningSubmission(intake) if intake.signer is not None and is_user else None


class Checking:
    """Checks one message. Its header section is held back, so that forged results can be removed
    from it."""

    def __init__(
        self, inspect: Inspection, intake: Intake, session: Session, envelope: Envelope
    ) -> None:
        self._inspect, self._intake = inspect, intake
        self._authserv_id = inspect.authserv_id or str(intake.tracer.hostname)
        self._request = _request(intake, session, envelope)
        self._verifier = MessageVerifier(
            self._request,
            inspect.dkim,
            organizational_domain=inspect.organizational_domain,
        )
        self._header = HeaderReader()
        self._is_released = False  # the header section
        self._sealing: Sealing | None = None
        recipients = map(intake.forwarded, envelope.recipients)
        if intake.sealer is not None and not all(map(intake.is_local, recipients)):
            self._sealing = intake.sealer.start()
        self.check: MessageCheck | None = None
        """What was found out, at the end."""

    def feed(self, data: bytes) -> bytes:
        """Take the next slice; return what is to be stored. Raises GrammarError if the header
        section is longer than 1 MiB."""
        self._verifier.feed(data)
        body = self._header.feed(data)
        if self._is_released or not self._header.ended:
            return self._kept(body)
        self._is_released = True
        return self._kept(self._stripped() + b"\r\n" + body)

    def end(self) -> bytes:
        """The message has ended; return what is still to be stored."""
        if self._is_released:
            return b""
        self._header.finish()
        return self._kept(self._stripped())

    def _stripped(self) -> bytes:
        return strip_results(self._header.octets, self._authserv_id)

    def _kept(self, data: bytes) -> bytes:
        if self._sealing is not None:
            self._sealing.feed(data)
        return data

    async def fields(self) -> bytes:
        """Return the fields to put before the message, which has ended."""
        runtime, inspect = self._intake.runtime, self._inspect
        resolver, keys = self._intake.resolver, inspect.keys
        assert resolver is not None and keys is not None
        checking = self._verifier.check(resolver, keys, now=runtime.utc())
        try:
            self.check = await runtime.within(inspect.timeout, checking)
        except CallAborted as error:
            self.check = MessageCheck.given_up(self._request, str(error))
        results = self.check.authentication_results(self._authserv_id)
        return results + await self._seal(self.check, results)

    async def _seal(self, check: MessageCheck, results: bytes) -> bytes:
        """Return the seal of a message that is passed on; none if its chain was not checked."""
        if self._sealing is None or check.arc is None or check.arc.temporary:
            return b""
        value = results.partition(b":")[2].decode()
        try:
            return await self._sealing.finish(check.arc, value, now=self._intake.runtime.utc())
        except GrammarError:  # of a malformed header section
            return b""


class SigningSubmission:
    """Signs one message."""

    check = None

    def __init__(self, intake: Intake) -> None:
        assert intake.signer is not None
        self._signing, self._runtime = intake.signer.start(), intake.runtime

    def feed(self, data: bytes) -> bytes:
        """As :meth:`Checking.feed`."""
        self._signing.feed(data)
        return data

    def end(self) -> bytes:
        """As :meth:`Checking.end`."""
        return b""

    async def fields(self) -> bytes:
        """As :meth:`Checking.fields`. Raises GrammarError if the message has not one From field, or
        a malformed header section."""
        return await self._signing.finish(now=self._runtime.utc())


def _request(intake: Intake, session: Session, envelope: Envelope) -> SPFRequest | None:
    """Return what SPF is about; None if the address of the client is not known."""
    try:
        return SPFRequest(
            client=session.peer[0],
            helo=session.hello or "",
            sender=envelope.sender,
            now=intake.runtime.utc(),
            receiver=str(intake.tracer.hostname),
        )
    except GrammarError:
        return None

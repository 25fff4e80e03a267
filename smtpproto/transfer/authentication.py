"""What is done to find out, or to prove, who wrote a message that arrives: strangers' messages are
checked, and sealed if they are passed on; those of users are signed."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from ..grammar.envelope import Envelope
from ..grammar.reply import GrammarError
from ..policy import (
    AuthenticationResults,
    Inspection,
    MessageCheck,
    MessageVerifier,
    MethodResult,
    ReceivedSPF,
    Sealing,
    Signing,
    SPFRequest,
    strip_results,
)
from ..policy.header_section import HeaderReader
from ..policy.questions import Questions
from ..ports import CallAborted
from ..server.handler import Session
from .intake import Intake

__all__ = ["authentication"]


def authentication(
    intake: Intake, session: Session, envelope: Envelope, *, signs: bool, trusted: bool
) -> Checking | Submission | None:
    """Return what checks or signs a message from the client. *signs*: it is to be signed;
    *trusted*: it may send to all recipients."""
    inspect = intake.inspect
    if inspect is not None and not trusted:
        return Checking(inspect, intake, session, envelope)
    names_user = inspect is not None and inspect.logins
    if signs and (names_user or intake.signer is not None):
        return Submission(intake, session.user if names_user else None, trusted=trusted)
    return None


class _Stripper:
    """Removes from a message the results that claim to be of this server. The header section is
    held back until its end."""

    def __init__(self, intake: Intake) -> None:
        own = "" if intake.inspect is None else intake.inspect.authserv_id
        self.authserv_id: str = own or str(intake.tracer.hostname)
        self._header = HeaderReader()
        self._is_released = False  # the header section

    def feed(self, data: bytes) -> bytes:
        body = self._header.feed(data)
        if self._is_released or not self._header.ended:
            return body
        self._is_released = True
        return self._stripped() + b"\r\n" + body

    def end(self) -> bytes:
        if self._is_released:
            return b""
        self._header.finish()
        return self._stripped()

    def _stripped(self) -> bytes:
        return strip_results(self._header.octets, self.authserv_id)


class Checking:
    """Checks one message."""

    def __init__(
        self, inspect: Inspection, intake: Intake, session: Session, envelope: Envelope
    ) -> None:
        self._filtered = bool(intake.filters_for(trusted=False))
        self._inspect, self._intake = inspect, intake
        self._request = _request(intake, session, envelope)
        self._verifier = MessageVerifier(
            self._request, inspect.dkim, organizational_domain=inspect.organizational_domain
        )
        self._stripper = _Stripper(intake)
        self._sealing: Sealing | None = None
        self._results = b""
        if intake.sealer is not None and any(map(intake.recipients.may_leave, envelope.recipients)):
            self._sealing = intake.sealer.start()
        self.check: MessageCheck | None = None
        """What was found out, at the end."""

    def feed(self, data: bytes) -> bytes:
        """Take the next slice; return what is to be stored. Raises GrammarError if the header
        section is longer than 1 MiB."""
        self._verifier.feed(data)
        return self._kept(self._stripper.feed(data))

    def end(self) -> bytes:
        """The message has ended; return what is still to be stored."""
        return self._kept(self._stripper.end())

    def _kept(self, data: bytes) -> bytes:
        if self._sealing is not None and not self._filtered:
            self._sealing.feed(data)
        return data

    async def fields(self) -> bytes:
        """Return the fields to put before the message, which has ended: what was found out, and
        the seal, unless it is made by :meth:`proof`."""
        runtime, inspect = self._intake.runtime, self._inspect
        resolver, keys = self._intake.resolver, inspect.keys
        assert resolver is not None and keys is not None
        # Blocking runtimes cannot end the check in time; without answers it ends by itself.
        questions = Questions(resolver, now=runtime.now, end=runtime.now() + inspect.timeout)
        checking = self._verifier.check(questions, keys, now=runtime.utc())
        try:
            check = await runtime.within(inspect.timeout, checking)
        except CallAborted as error:
            check = MessageCheck.given_up(self._request, str(error))
        self.check = check
        self._results = results = check.authentication_results(self._stripper.authserv_id)
        seal = b"" if self._filtered else await self._seal(check, results)
        if inspect.received_spf and check.spf is not None:
            results += bytes(ReceivedSPF.of(check.spf, str(self._intake.tracer.hostname)))
        return results + seal

    async def proof(self, content: AsyncGenerator[bytes, None]) -> bytes:
        """Return the seal of *content*, as filters have left it."""
        if self._sealing is None or self.check is None:
            return b""
        await _feed(self._sealing, content)
        return await self._seal(self.check, self._results)

    async def _seal(self, check: MessageCheck, results: bytes) -> bytes:
        """Return the seal of a message that is passed on; none if its chain was not checked."""
        if self._sealing is None or check.arc is None or check.arc.temporary:
            return b""
        value = results.partition(b":")[2].decode()
        try:
            return await self._sealing.finish(check.arc, value, now=self._intake.runtime.utc())
        except GrammarError:  # of a malformed header section
            return b""


class Submission:
    """Signs one message, and names the *user* who sends it; None: no user is named."""

    check = None

    def __init__(self, intake: Intake, user: str | None, *, trusted: bool) -> None:
        self._runtime = intake.runtime
        self._filtered = bool(intake.filters_for(trusted=trusted))
        self._signing = None if intake.signer is None else intake.signer.start()
        self._stripper: _Stripper | None = None
        self._results = b""
        if user is not None:
            self._stripper = _Stripper(intake)
            login = MethodResult.of_login(user)
            self._results = bytes(AuthenticationResults(self._stripper.authserv_id, (login,)))

    def feed(self, data: bytes) -> bytes:
        """As :meth:`Checking.feed`."""
        if self._signing is not None and not self._filtered:
            self._signing.feed(data)
        return data if self._stripper is None else self._stripper.feed(data)

    def end(self) -> bytes:
        """As :meth:`Checking.end`."""
        return b"" if self._stripper is None else self._stripper.end()

    async def fields(self) -> bytes:
        """As :meth:`Checking.fields`. Raises GrammarError if the message has not one From field, or
        a malformed header section."""
        if self._signing is None or self._filtered:
            return self._results
        return self._results + await self._signing.finish(now=self._runtime.utc())

    async def proof(self, content: AsyncGenerator[bytes, None]) -> bytes:
        """As :meth:`Checking.proof`; raises as :meth:`fields` does."""
        if self._signing is None:
            return b""
        await _feed(self._signing, content)
        return await self._signing.finish(now=self._runtime.utc())


async def _feed(proof: Sealing | Signing, content: AsyncGenerator[bytes, None]) -> None:
    async with aclosing(content):
        async for data in content:
            proof.feed(data)


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

"""AUTH on the client's side: the strongest mechanism that both sides support (RFC 4954)."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from functools import partial

from attrs import evolve

from ..errors import (
    BadCredentials,
    EncryptionRequired,
    GrammarError,
    LoginRefused,
    NotOffered,
    RemoteProtocolError,
    SMTPError,
    TransportError,
)
from ..grammar.ascii_case import lower
from ..grammar.extension_command import Auth
from ..grammar.parse_context import ParseContext
from ..grammar.reply import Reply
from ..grammar.secret import Secret, without_frames
from ..grammar.xtext import decode_base64
from ..sasl import BY_NAME, BearerToken, Channel, Credential, Mechanism, usable
from ..tls.binding import EXPORTER
from .link import Link

_log = logging.getLogger("smtpproto.client")

# The mechanism is unknown or too weak; another one may be accepted (RFC 4954 6).
_TRY_ANOTHER_MECHANISM = frozenset({504, 534})
_ERRORS: dict[int, type[LoginRefused]] = {
    523: EncryptionRequired,
    524: EncryptionRequired,
    535: BadCredentials,
    538: EncryptionRequired,
}


async def log_in(
    link: Link,
    credential: Credential,
    channel: Channel,
    allowed: Collection[str] | None,
) -> str:
    """Log in with the strongest mechanism, and return its name; try the next one if the server
    refuses the mechanism.

    *allowed* names the mechanisms that may be used; None allows all. Raises NotOffered if there is
    no mechanism in common, LoginRefused if the server refuses the login, RemoteProtocolError if it
    does not prove its identity, and what the function of a BearerToken raises.
    """
    offered = link.machine.extensions.mechanisms
    mechanisms = usable(credential, offered, channel, allowed)
    if not mechanisms:
        possible = " ".join(one.name for one in usable(credential, BY_NAME, channel, allowed))
        error = NotOffered(
            f"no mechanism in common; the server offers {' '.join(offered) or 'none'}; "
            f"this login could use {possible or 'none'}",
            check="mechanisms, verify, the kind of login, whether the server wants TLS first",
        )
        error.fault = "no-mechanism"
        raise error
    if isinstance(credential, BearerToken):
        credential = await credential.fetched()
    candidates = deque(_candidates(mechanisms, channel))
    while True:
        attempt = _Attempt(link, credential, *candidates.popleft())
        reply = await attempt.run()
        if reply.positive or attempt.was_logged_in(reply):
            return attempt.mechanism.name
        if attempt.refuses_binding(reply):
            has_exporter = EXPORTER in channel.bindings
            candidates = deque(_without_binding(candidates, attempt.binding, exporter=has_exporter))
        elif reply.code not in _TRY_ANOTHER_MECHANISM:
            candidates.clear()
        if not candidates:
            raise _refused(attempt, reply)


_Candidate = tuple[Mechanism, Channel]


def _candidates(mechanisms: Iterable[Mechanism], channel: Channel) -> Iterator[_Candidate]:
    """Yield each mechanism; one with channel binding, once for each binding of *channel*."""
    for mechanism in mechanisms:
        if not mechanism.binds:
            yield mechanism, channel
            continue
        for name, octets in channel.bindings.items():
            yield mechanism, evolve(channel, bindings={name: octets})


def _without_binding(
    candidates: Iterable[_Candidate], refused: str, *, exporter: bool
) -> Iterator[_Candidate]:
    """Yield the candidates that are left after the server refused the binding *refused*.

    With *exporter*, the connection has *tls-exporter*, which every server that offers -PLUS under
    TLS 1.3 supports (RFC 9266). A refusal may then come from an attacker in between, so candidates
    without a binding are dropped.
    """
    for mechanism, channel in candidates:
        left = refused not in channel.bindings if mechanism.binds else not exporter
        if left:
            yield mechanism, channel


class _Attempt:
    """One AUTH exchange by *mechanism*, bound to the one binding of *channel* if it binds."""

    def __init__(
        self, link: Link, credential: Credential, mechanism: Mechanism, channel: Channel
    ) -> None:
        self.link, self.mechanism, self._channel = link, mechanism, channel
        self.exchange = mechanism.client(credential, channel)
        self.binding = next(iter(channel.bindings)) if mechanism.binds else ""
        self._challenged = False

    async def run(self) -> Reply:
        """Return the reply that ends the exchange.

        Raises RemoteProtocolError if the server accepts before the exchange is complete.
        """
        try:
            return await self._converse()
        except SMTPError as error:
            raise without_frames(error) from None  # they may show what was to be sent

    async def _converse(self) -> Reply:
        reply = await self.link.request(self._first())
        while reply.intermediate:
            reply = await self.link.respond(await self._response(reply))
            self._challenged = True
        if reply.positive:
            self._finish()
        return reply

    def refuses_binding(self, reply: Reply) -> bool:
        """Return whether *reply* refuses the binding: the server has received nothing else yet."""
        return bool(self.binding) and not self._challenged and reply.permanent

    def was_logged_in(self, reply: Reply) -> bool:
        """Return whether *reply*, to AUTH itself, says that the session is logged in already, for
        example by a certificate.

        A mechanism in which the server proves its identity would be cut short by that, so the
        server must be verified by TLS then.
        """
        if reply.code != 503 or "already" not in lower(reply.text) or self._challenged:
            return False
        try:
            if not self._channel.secure:
                self.exchange.finish()
            self._tolerate("already_authenticated", GrammarError(reply.text))
        except (GrammarError, RemoteProtocolError):
            return False
        return True

    def _tolerate(self, leniency: str, error: GrammarError) -> None:
        """Raise *error* unless *leniency* is allowed; log it if it is to be reported."""
        context = ParseContext(leniencies=self.link.machine.settings.leniencies)
        context.tolerate(leniency, error)
        if context.used:
            _log.info("reply to %s tolerated: %s", self.command, leniency)

    def _first(self) -> Auth:
        """Return AUTH, with the initial response if it fits in the line (RFC 4954 4)."""
        command = Auth(self.mechanism.name, self.exchange.initial())
        fits = len(bytes(command)) + 2 <= self.link.machine.extensions.line_limit("AUTH")
        return command if fits else Auth(self.mechanism.name)

    async def _response(self, reply: Reply) -> Secret:
        try:
            challenge = self._decoded(reply)
            # In a thread, because SCRAM hashes thousands of times.
            return await self.link.runtime.in_thread(partial(self.exchange.step, challenge))
        except (GrammarError, RemoteProtocolError) as error:
            await self._cancel()
            malformed = isinstance(error, GrammarError)
            text = f"malformed challenge: {error.message}" if malformed else error.message
            raise RemoteProtocolError(text, command=self.command) from None

    def _decoded(self, reply: Reply) -> bytes:
        """Return the challenge in *reply*. In LOGIN it is only a prompt, so it may be any text."""
        try:
            return decode_base64("".join(reply.lines).encode())
        except GrammarError as error:
            if self.mechanism.name != "LOGIN":
                raise
            self._tolerate("login_prompts", error)
        return b""

    async def _cancel(self) -> None:
        """Send ``*``; abandon the link if the server accepts that as a login.

        A failure here is ignored, because the caller raises the error that led to it.
        """
        with suppress(TransportError, RemoteProtocolError):
            if (await self.link.respond(None)).positive:
                self.link.abandon()

    def _finish(self) -> None:
        """Complete the exchange after a positive reply, or abandon the link and raise
        RemoteProtocolError."""
        try:
            self.exchange.finish()
        except RemoteProtocolError as error:
            self.link.abandon()
            raise RemoteProtocolError(error.message, command=self.command) from None

    @property
    def command(self) -> str:
        """The command as errors show it."""
        return f"AUTH {self.mechanism.name}"


def _refused(attempt: _Attempt, reply: Reply) -> LoginRefused:
    kind, details = _ERRORS.get(reply.code, LoginRefused), dict(attempt.exchange.details)
    listed = ", ".join(f"{name} {value}" for name, value in details.items())
    text = f"login refused ({listed})" if listed else "login refused"
    error = kind(text, reply, command=attempt.command)
    error.details = details  # a dict can be pickled; the original may not
    if kind is BadCredentials and attempt.mechanism.credential_type is BearerToken:
        error.check = "the token, and what the reply says"
    return error

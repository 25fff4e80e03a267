"""AUTH on a server: SASL exchanges with the server's authenticator (RFC 4954)."""

from __future__ import annotations

import logging
from typing import TypeVar

from attrs import define, evolve, field

from ..errors import GrammarError
from ..grammar.printable import printable
from ..grammar.reply import Reply
from ..grammar.secret import Secret
from ..ports import Runtime
from ..sasl import BY_NAME, Channel, Denied, Identity, RefusingChallenge, ServerExchange
from .config import ServerConfig
from .handler import Session
from .hooks import NO_LOGIN_NOW, log_failure
from .usage import Account

T = TypeVar("T")

_log = logging.getLogger("smtpproto.server")

_INVALID_CREDENTIALS = Reply(535, "5.7.8", "Authentication credentials invalid")
_NO_INITIAL_RESPONSE = Reply(501, "5.7.0", "This mechanism has no initial response")


@define(eq=False)
class Authentication:
    """One SASL exchange of a connection, by the mechanism *_name* over *_channel*.

    A step returns the next challenge (a RefusingChallenge if the login has failed), the identity
    that was verified, or a reply that refuses.
    """

    _config: ServerConfig
    _runtime: Runtime
    _account: Account
    _peer: tuple[str, int]
    _name: str
    _channel: Channel
    _exchange: ServerExchange | None = field(default=None, init=False)  # None: it has failed

    async def begin(self, initial: Secret | None) -> bytes | Identity | Reply:
        """Begin with AUTH's initial response, if any."""
        mechanism, authenticator = BY_NAME[self._name], self._config.authenticator
        assert authenticator is not None  # without one, AUTH is not offered
        if mechanism.server_first and initial is not None:
            return _NO_INITIAL_RESPONSE
        self._exchange = mechanism.server(authenticator, self._channel)
        return await self.step(initial)

    async def step(self, response: Secret | None) -> bytes | Identity | Reply:
        """Continue with the client's *response*.

        A failure is answered after a delay, so that passwords cannot be guessed quickly.
        """
        if self._exchange is None:
            return _INVALID_CREDENTIALS
        login = f"of {self._peer[0]}, {self._peer[1]}, by {self._name}"
        if (refusal := self._account.check_login(self._runtime.now())) is not None:
            _log.info("login %s refused: too many from its network failed", login)
            return refusal
        try:
            seconds = self._config.timeouts.hook
            step = await self._runtime.within(seconds, self._exchange.step(response))
        except GrammarError as error:
            step = Denied(error.message)
        except Exception as error:
            log_failure("the authenticator", error, secret=True)
            return await self._delay(NO_LOGIN_NOW)
        if isinstance(step, Denied | RefusingChallenge):
            _log.info("login %s failed: %s", login, printable(step.reason))
            self.count_failure()
            self._exchange = None
            return await self._delay(_INVALID_CREDENTIALS if isinstance(step, Denied) else step)
        return step

    def count_failure(self) -> None:
        """Count a failed login for the network of the client."""
        self._account.add_failed_login(self._runtime.now())

    async def _delay(self, answer: T) -> T:
        """Return *answer* after the delay of a failed login."""
        await self._runtime.sleep(self._config.limits.failed_login_delay)
        return answer


def channel_of(session: Session, port: int, runtime: Runtime, config: ServerConfig) -> Channel:
    """Return what SASL exchanges may know of a connection, which came in at *port*."""
    tls, impersonated = session.tls, session.impersonated is not None
    verified = tls is not None and tls.verified and not impersonated
    return Channel(
        random=runtime.random,
        in_thread=runtime.in_thread,
        now=runtime.now(),
        secure=tls is not None,
        bindings={} if tls is None else tls.bindings,
        certificate=tls.peer_certificate if tls is not None and verified else None,
        host=str(config.hostname),
        port=port,
    )


def without_unoffered_bindings(channel: Channel, mechanisms: tuple[str, ...]) -> Channel:
    """Return *channel*, without bindings if none of the offered *mechanisms* uses them.

    Otherwise a client that states, correctly, that it was offered no binding would look like the
    victim of a downgrade (RFC 5802 6).
    """
    offered = any(BY_NAME[name].binds for name in mechanisms)
    return channel if offered else evolve(channel, bindings={})

"""AUTH on a server: SASL exchanges with the server's authenticator (RFC 4954)."""

from __future__ import annotations

import logging
from typing import TypeVar

from attrs import define, field

from ..errors import GrammarError
from ..grammar.printable import printable
from ..grammar.reply import Reply
from ..grammar.secret import Secret
from ..ports import Runtime
from ..sasl import BY_NAME, Channel, Denied, Identity, RefusingChallenge, ServerExchange
from .config import ServerConfig
from .hooks import NO_LOGIN_NOW, log_failure
from .usage import Account

T = TypeVar("T")

_log = logging.getLogger("smtpproto.server")

_INVALID_CREDENTIALS = Reply(535, "5.7.8", "Authentication credentials invalid")
_NO_INITIAL_RESPONSE = Reply(501, "5.7.0", "This mechanism has no initial response")


@define(eq=False)
class Authentication:
    """The SASL exchanges of one connection, one after the other.

    A step returns the next challenge, the identity that was verified, or a reply that refuses.
    """

    _config: ServerConfig
    _runtime: Runtime
    _account: Account
    _exchange: ServerExchange | None = field(default=None, init=False)
    _description: str = field(default="", init=False)  # of the login, for the log
    refused: bool = field(default=False, init=False)
    """Whether the last challenge told the client that the login has failed; whatever it responds,
    the login is then refused."""

    async def begin(
        self, name: str, initial: Secret | None, channel: Channel, peer: tuple[str, int]
    ) -> bytes | Identity | Reply:
        """Begin an exchange with the mechanism *name* and AUTH's initial response, if any."""
        mechanism, authenticator = BY_NAME[name], self._config.authenticator
        assert authenticator is not None  # without one, AUTH is not offered
        if mechanism.server_first and initial is not None:
            return _NO_INITIAL_RESPONSE
        self._description = f"of {peer[0]}, {peer[1]}, by {name}"
        self._exchange, self.refused = mechanism.server(authenticator, channel), False
        return await self.step(initial)

    async def step(self, response: Secret | None) -> bytes | Identity | Reply:
        """Continue the exchange with the client's *response*.

        A failure is answered after a delay, so that passwords cannot be guessed quickly.
        """
        assert self._exchange is not None
        if self.refused:
            return _INVALID_CREDENTIALS
        if (refusal := self._account.check_login(self._runtime.now())) is not None:
            _log.info("login %s refused: too many from its network failed", self._description)
            return refusal
        seconds = self._config.timeouts.hook
        try:
            step = await self._runtime.within(seconds, self._exchange.step(response))
        except GrammarError as error:
            step = Denied(error.message)
        except Exception as error:
            log_failure("the authenticator", error, secret=True)
            return await self._delay(NO_LOGIN_NOW)
        if isinstance(step, Denied | RefusingChallenge):
            _log.info("login %s failed: %s", self._description, printable(step.reason))
            self.count_failure()
            self.refused = isinstance(step, RefusingChallenge)
            return await self._delay(_INVALID_CREDENTIALS if isinstance(step, Denied) else step)
        return step

    def count_failure(self) -> None:
        """Count a failed login for the network of the client."""
        self._account.add_failed_login(self._runtime.now())

    async def _delay(self, answer: T) -> T:
        """Return *answer* after the delay of a failed login."""
        await self._runtime.sleep(self._config.limits.failed_login_delay)
        return answer

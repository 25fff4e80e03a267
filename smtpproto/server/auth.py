"""AUTH on a server: exchanges, checked against its authenticator (RFC 4954)."""

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
from .hooks import NO_LOGIN_NOW, failed

T = TypeVar("T")

_log = logging.getLogger("smtpproto.server")

_FAILED = Reply(535, "5.7.8", "Authentication credentials invalid")
_SERVER_FIRST = Reply(501, "5.7.0", "This mechanism has no initial response")


@define(eq=False)
class Authentication:
    """The exchanges of one connection, one after the other."""

    _config: ServerConfig
    _runtime: Runtime
    _exchange: ServerExchange | None = field(default=None, init=False)
    _who: str = field(default="", init=False)
    refused: bool = field(default=False, init=False)
    """Whether the last challenge was a no already, so that any response will be."""

    async def begin(
        self, name: str, initial: Secret | None, channel: Channel, peer: tuple[str, int]
    ) -> bytes | Identity | Reply:
        """AUTH: the first challenge, who has logged in, or why nobody has."""
        mechanism, authenticator = BY_NAME[name], self._config.authenticator
        assert authenticator is not None  # else nothing was offered
        if mechanism.server_first and initial is not None:
            return _SERVER_FIRST
        self._who = f"of {peer[0]}, {peer[1]}, by {name}"
        self._exchange, self.refused = mechanism.server(authenticator, channel), False
        return await self.step(initial)

    async def step(self, response: Secret | None) -> bytes | Identity | Reply:
        """A response: likewise. What failed is answered late, so that few passwords are tried."""
        assert self._exchange is not None
        if self.refused:
            return _FAILED
        try:
            step = await self._exchange.step(response)
        except GrammarError as error:
            step = Denied(error.message)
        except Exception as error:
            failed("the authenticator", error, secret=True)
            return await self._late(NO_LOGIN_NOW)
        if isinstance(step, Denied | RefusingChallenge):
            _log.info("login %s failed: %s", self._who, printable(step.reason))
            self.refused = isinstance(step, RefusingChallenge)
            return await self._late(_FAILED if isinstance(step, Denied) else step)
        return step

    async def _late(self, answer: T) -> T:
        await self._runtime.sleep(self._config.limits.failed_login_delay)
        return answer

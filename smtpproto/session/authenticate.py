"""AUTH on a server: exchanges, checked against its verifier (RFC 4954)."""

from __future__ import annotations

import logging

from attrs import define, field

from ..errors import GrammarError
from ..grammar.printable import printable
from ..grammar.reply import Reply
from ..ports import World
from ..sasl import BY_NAME, Channel, Denied, Identity, ServerExchange
from ..secret import Secret
from .hooks import NO_LOGIN_NOW, failed
from .options import ServerConfig

_log = logging.getLogger("smtpproto.server")

_FAILED = Reply(535, "5.7.8", "Authentication credentials invalid")
_SERVER_FIRST = Reply(501, "5.7.0", "This mechanism has no initial response")


@define(eq=False)
class Authentication:
    """The exchanges of one connection, one after the other."""

    _config: ServerConfig
    _world: World
    _exchange: ServerExchange | None = field(default=None, init=False)
    _who: str = field(default="", init=False)

    async def begin(
        self, name: str, initial: Secret | None, channel: Channel, peer: tuple[str, int]
    ) -> bytes | Identity | Reply:
        """AUTH: the first challenge, who has logged in, or why nobody has."""
        mechanism, verifier = BY_NAME[name], self._config.verifier
        assert verifier is not None  # else nothing was offered
        if mechanism.server_first and initial is not None:
            return _SERVER_FIRST
        self._who = f"of {peer[0]}, {peer[1]}, by {name}"
        self._exchange = mechanism.server(verifier, channel)
        return await self.step(initial)

    async def step(self, response: Secret | None) -> bytes | Identity | Reply:
        """A response: likewise. What failed is answered late, so that few passwords are tried."""
        assert self._exchange is not None
        try:
            step = await self._exchange.step(response)
        except GrammarError as error:
            step = Denied(error.message)
        except Exception as error:
            failed("the verifier", error, secret=True)
            return await self._late(NO_LOGIN_NOW)
        if isinstance(step, Denied):
            _log.info("login %s failed: %s", self._who, printable(step.reason))
            return await self._late(_FAILED)
        return step

    async def _late(self, reply: Reply) -> Reply:
        await self._world.sleep(self._config.limits.failed_login_delay)
        return reply

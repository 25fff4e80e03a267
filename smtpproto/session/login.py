"""AUTH as a client: the strongest mechanism that both sides know (RFC 4954)."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from attrs import define, field

from ..errors import (
    BadCredentials,
    EncryptionRequired,
    GrammarError,
    LoginRefused,
    NotOffered,
    RemoteProtocolError,
)
from ..grammar.extended import Auth
from ..grammar.reply import Reply
from ..grammar.xtext import decode_base64
from ..sasl import BearerToken, Channel, ClientExchange, Credential, Mechanism, usable
from ..secret import Secret
from .link import Link

_OTHER_MECHANISM = frozenset({504, 534})  # not known, too weak: another one may do (RFC 4954 6)
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
) -> None:
    """Log in, with the next mechanism if the server finds one too weak.

    Raises NotOffered if there is none in common, LoginRefused, RemoteProtocolError if the server
    does not prove who it is, and what the source of a token raises.
    """
    offered = link.machine.extensions.mechanisms
    mechanisms = usable(credential, offered, channel, allowed)
    if not mechanisms:
        raise NotOffered(
            f"no mechanism in common; the server offers {' '.join(offered) or 'none'}",
            phase="login",
            check="the kind of login, mechanisms, and whether the server wants TLS first",
        )
    if isinstance(credential, BearerToken):
        credential = await credential.fetched()
    for mechanism in mechanisms:
        exchange = mechanism.client(credential, channel)
        attempt = _Attempt(link, mechanism, exchange, "tls-exporter" in channel.bindings)
        reply = await attempt.run()
        if reply.positive:
            return
        if mechanism is mechanisms[-1] or not attempt.another_may_do(reply):
            raise _refused(attempt, reply)


@define(eq=False)
class _Attempt:
    """One exchange."""

    link: Link
    mechanism: Mechanism
    exchange: ClientExchange
    exporter: bool
    """Whether the channel has the binding that every server of TLS 1.3 knows."""
    _challenged: bool = field(default=False, init=False)

    async def run(self) -> Reply:
        """The reply that ends it. Raises RemoteProtocolError for a yes that was not earned."""
        reply = await self.link.ask(self._first())
        while reply.intermediate:
            reply = await self.link.respond(await self._response(reply))
            self._challenged = True
        if reply.positive:
            self._believe()
        return reply

    def another_may_do(self, reply: Reply) -> bool:
        """Whether what was refused is the mechanism, not the credential.

        A server that refuses the first message of one with channel binding does not know our kind
        of binding. That may be so for any but tls-exporter (RFC 9266), which each has to know:
        there it would be somebody in between who refuses it.
        """
        unbound = self.mechanism.binds and not self._challenged and reply.permanent
        return reply.code in _OTHER_MECHANISM or (unbound and not self.exporter)

    def _first(self) -> Auth:
        """AUTH, with the initial response if the line has room for it (RFC 4954 4)."""
        command = Auth(self.mechanism.name, self.exchange.initial())
        fits = len(bytes(command)) + 2 <= self.link.machine.extensions.line_limit("AUTH")
        return command if fits else Auth(self.mechanism.name)

    async def _response(self, reply: Reply) -> Secret:
        try:
            challenge = decode_base64("".join(reply.lines).encode())
            # SCRAM has to hash thousands of times
            return await self.link.world.in_thread(partial(self.exchange.step, challenge))
        except (GrammarError, RemoteProtocolError) as error:
            if (await self.link.respond(None)).positive:  # to "*"
                self.link.give_up()
            raise RemoteProtocolError(error.message, phase="login", command=self.command) from None

    def _believe(self) -> None:
        """Take the server's yes, or have no more to do with it."""
        try:
            self.exchange.finish()
        except RemoteProtocolError as error:
            self.link.give_up()
            raise RemoteProtocolError(error.message, phase="login", command=self.command) from None

    @property
    def command(self) -> str:
        """The command, as errors show it."""
        return f"AUTH {self.mechanism.name}"


def _refused(attempt: _Attempt, reply: Reply) -> LoginRefused:
    kind = _ERRORS.get(reply.code, LoginRefused)
    check = "user name, password, and what the reply says" if kind is BadCredentials else ""
    error = kind("login refused", reply, phase="login", command=attempt.command, check=check)
    error.details = attempt.exchange.details
    return error

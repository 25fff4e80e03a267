"""AUTH as a client: the strongest mechanism that both sides know (RFC 4954)."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import Self

from attrs import define, evolve, field

from ..errors import (
    BadCredentials,
    EncryptionRequired,
    GrammarError,
    LoginRefused,
    NotOffered,
    RemoteProtocolError,
    TransportError,
)
from ..grammar.extension_command import Auth
from ..grammar.reply import Reply
from ..grammar.secret import Secret
from ..grammar.xtext import decode_base64
from ..sasl import BY_NAME, BearerToken, Channel, ClientExchange, Credential, Mechanism, usable
from ..tls.binding import EXPORTER
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
        possible = " ".join(one.name for one in usable(credential, BY_NAME, channel, allowed))
        raise NotOffered(
            f"no mechanism in common; the server offers {' '.join(offered) or 'none'}; "
            f"this login could use {possible or 'none'}",
            check="the kind of login, mechanisms, whether the server wants TLS first, and verify",
        )
    if isinstance(credential, BearerToken):
        credential = await credential.fetched()
    ways = deque(_ways(mechanisms, channel))
    while True:
        attempt = _Attempt.of(link, credential, *ways.popleft())
        reply = await attempt.run()
        if reply.positive:
            return
        if attempt.unbound(reply):
            ways = deque(_without(ways, attempt.binding, exporter=EXPORTER in channel.bindings))
        elif reply.code not in _OTHER_MECHANISM:
            ways.clear()
        if not ways:
            raise _refused(attempt, reply)


_Way = tuple[Mechanism, Channel]


def _ways(mechanisms: Iterable[Mechanism], channel: Channel) -> Iterator[_Way]:
    """Each mechanism; one with channel binding once for each kind of binding."""
    for mechanism in mechanisms:
        if not mechanism.binds:
            yield mechanism, channel
            continue
        for name, octets in channel.bindings.items():
            yield mechanism, evolve(channel, bindings={name: octets})


def _without(ways: Iterable[_Way], refused: str, *, exporter: bool) -> Iterator[_Way]:
    """The ways that are left for a server that does not know a kind of binding. If there was
    *tls-exporter*, which every server of TLS 1.3 with -PLUS knows (RFC 9266), then none without a
    binding: it may be somebody in between who refuses them."""
    for mechanism, channel in ways:
        left = refused not in channel.bindings if mechanism.binds else not exporter
        if left:
            yield mechanism, channel


@define(eq=False)
class _Attempt:
    """One exchange."""

    link: Link
    mechanism: Mechanism
    exchange: ClientExchange
    binding: str
    """What it is bound to, if it is."""
    _challenged: bool = field(default=False, init=False)

    @classmethod
    def of(cls, link: Link, credential: Credential, mechanism: Mechanism, channel: Channel) -> Self:
        """An attempt by *mechanism*, with the one binding of *channel* if it needs one."""
        binding = next(iter(channel.bindings)) if mechanism.binds else ""
        return cls(link, mechanism, mechanism.client(credential, channel), binding)

    async def run(self) -> Reply:
        """The reply that ends it. Raises RemoteProtocolError for a yes that was not earned."""
        reply = await self.link.ask(self._first())
        while reply.intermediate:
            reply = await self.link.respond(await self._response(reply))
            self._challenged = True
        if reply.positive:
            self._believe()
        return reply

    def unbound(self, reply: Reply) -> bool:
        """Whether it is the binding that the server refuses: it has seen nothing else yet."""
        return bool(self.binding) and not self._challenged and reply.permanent

    def _first(self) -> Auth:
        """AUTH, with the initial response if the line has room for it (RFC 4954 4)."""
        command = Auth(self.mechanism.name, self.exchange.initial())
        fits = len(bytes(command)) + 2 <= self.link.machine.extensions.line_limit("AUTH")
        return command if fits else Auth(self.mechanism.name)

    async def _response(self, reply: Reply) -> Secret:
        try:
            challenge = decode_base64("".join(reply.lines).encode())
            # SCRAM has to hash thousands of times
            return await self.link.runtime.in_thread(partial(self.exchange.step, challenge))
        except (GrammarError, RemoteProtocolError) as error:
            await self._cancel()
            raise RemoteProtocolError(error.message, command=self.command) from None

    async def _cancel(self) -> None:
        """Say ``*``, to which yes is no answer. If none comes, what made us say it stands."""
        with suppress(TransportError, RemoteProtocolError):
            if (await self.link.respond(None)).positive:
                self.link.give_up()

    def _believe(self) -> None:
        """Take the server's yes, or have no more to do with it."""
        try:
            self.exchange.finish()
        except RemoteProtocolError as error:
            self.link.give_up()
            raise RemoteProtocolError(error.message, command=self.command) from None

    @property
    def command(self) -> str:
        """The command, as errors show it."""
        return f"AUTH {self.mechanism.name}"


def _refused(attempt: _Attempt, reply: Reply) -> LoginRefused:
    kind, details = _ERRORS.get(reply.code, LoginRefused), dict(attempt.exchange.details)
    told = ", ".join(f"{name} {value}" for name, value in details.items())
    text = f"login refused ({told})" if told else "login refused"
    error = kind(text, reply, command=attempt.command)
    error.details = details  # which can be pickled
    if kind is BadCredentials and attempt.mechanism.takes is BearerToken:
        error.check = "the token, and what the reply says"
    return error

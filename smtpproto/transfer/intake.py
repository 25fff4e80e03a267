"""The way of messages into the queue, whether a client or the program itself hands them over."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence

from attrs import evolve, field, frozen

from ..dns import Resolver
from ..errors import QueueFailed
from ..filters import Filter
from ..grammar.address import ForwardPath, Mailbox, ReversePath
from ..grammar.envelope import Envelope
from ..grammar.parameters import MailParameters
from ..grammar.printable import printable
from ..grammar.reply import Reply
from ..mail import waives_tls
from ..mta.queue import Delivery, Message, State, make_id
from ..mta.queue_events import QueueEvent
from ..mta.retry import RetrySchedule
from ..mta.rewrite import NO_ALIASES, Aliases, Expansion, Target, deliveries_of, expand
from ..mta.route import Direct, Local, Route, Routes, SmartHost
from ..mta.settlement import Hold
from ..mta.srs import SRS
from ..mta.store import Body, Queued, QueueStore, domain_key
from ..mta.trace import MAX_HOPS, Tracer
from ..option_types import checked
from ..policy import ARCSealer, DKIMSigner, Inspection, MessageCheck
from ..ports import Runtime
from ..replies import RELAYING_DENIED
from ..server.networks import Network, is_among, to_networks

__all__ = ["Intake", "Relaying"]

_log = logging.getLogger("smtpproto.queue")

_MOST_TARGETS = 100_000  # of the aliases of all recipients of a message
# In seconds: a client waits 10 minutes for the reply to the content (RFC 5321 4.5.3.2.6).
_LONGEST_EXPANDING = 120.0
_NULL = ReversePath(None)
_NOT_LOOKED_UP = Reply(451, "4.3.0", "The address cannot be looked up now; try again later")
_NO_MAILBOX = Reply(550, "5.1.1", "No such mailbox")
_NO_ROUTE = Reply(550, "5.4.4", "No route to this recipient")
_NO_POSTMASTER = Reply(550, "5.1.1", "No postmaster is configured")


def _to_routes(domains: Iterable[str] | Routes) -> Routes:
    """Return *domains* as routes, whose keys select recipients."""
    if isinstance(domains, Routes):
        return domains
    if isinstance(domains, str):
        raise TypeError(f"relay_for cannot be a str; pass [{domains!r}]")
    patterns = tuple(domains)
    if "*" in patterns:
        raise ValueError('relay_for cannot have "*": that would be an open relay')
    return Routes(dict.fromkeys(patterns, Direct()))


@checked
@frozen(kw_only=True)
class Relaying:
    """Who may send mail to whom through this server.

    Clients that have logged in may send to all recipients. All clients may send to recipients whose
    route is :class:`.Local`, or a :class:`.SmartHost` that is final.
    """

    relay_from: tuple[Network, ...] = field(default=(), converter=to_networks)
    """Addresses and networks (``"192.0.2.0/24"``) of clients that may send to all recipients."""
    relay_for: Routes = field(factory=lambda: Routes({}), converter=_to_routes)
    """Domains whose mail is taken from all clients although it is not delivered here, as a backup
    MX or a gateway does. ``.example.org`` is all domains below it."""

    def may_relay(self, user: str | None, peer: str) -> bool:
        """Return whether a client with the address *peer* may send to all recipients. *user* has
        logged in; None: nobody has."""
        return user is not None or is_among(peer, self.relay_from)


@frozen(kw_only=True, eq=False)
class Intake:
    """Puts messages into the queue. Servers and the program itself share it."""

    runtime: Runtime
    store: QueueStore
    routes: Routes
    tracer: Tracer
    relaying: Relaying
    schedule: RetrySchedule
    postmaster: Mailbox | None = None
    """Who gets the mail for the bare ``<Postmaster>``, and for the postmasters of this server's
    name and of local domains that have no mailbox for it. None: the route for "" decides."""
    aliases: Aliases = NO_ALIASES
    """Which addresses stand for others."""
    srs: SRS | None = None
    """Knows the senders of forwarded mail, to whom reports go back; None: none was rewritten."""
    max_hops: int = MAX_HOPS
    """The Received fields that a message may have; with more it is in a loop."""
    resolver: Resolver | None = None
    """Asks for what *inspect* needs."""
    inspect: Inspection | None = None
    """How the messages of strangers are checked; None: they are not."""
    signer: DKIMSigner | None = None
    """Signs the messages of the program, and of clients for which :meth:`.Receiver.signs_for` says
    so; None: they are not signed."""
    sealer: ARCSealer | None = None
    """Seals checked messages that are passed on; None: they are not sealed."""
    count_check: Callable[[Envelope, MessageCheck, Reply | Hold | None], Awaitable[None]] | None = (
        None
    )
    """Called with what was found out about a message, and the answer to it, for reports."""
    filters: Sequence[Filter] = ()
    """Asked in this order about each message that clients send."""
    tell: Callable[[QueueEvent], object] = bool
    """Called with what filters decide."""
    wake: Callable[[], object] = bool
    """Called after a message was put, so that its delivery begins."""

    def new_id(self) -> str:
        """Return an id for a message."""
        return make_id(self.runtime.utc(), self.runtime.random(10))

    async def refusal(self, recipient: ForwardPath, may_relay: Callable[[], bool]) -> Reply | None:
        """Return why mail for *recipient* is not taken; None if it is. *may_relay* returns whether
        the client may send to all recipients."""
        if self._may_stand_for_others(recipient):
            expansion = await self.expand(recipient)
            if expansion.refusal is not None or any(it.via for it in expansion.targets):
                return expansion.refusal
        elif self._is_unknown(recipient):
            return _NO_MAILBOX
        if not self.is_ours(recipient):
            if recipient.mailbox is None:
                return _NO_POSTMASTER
            if not may_relay():
                return RELAYING_DENIED
        has_route = self._route(recipient) is not None or self.routes.by_sender
        return None if has_route else _NO_ROUTE

    def is_local(self, recipient: ForwardPath) -> bool:
        """Return whether mail for *recipient* is delivered here, unless it stands for another."""
        return isinstance(self._route(recipient), Local)

    def is_ours(self, recipient: ForwardPath) -> bool:
        """Return whether this server takes mail for the domain of *recipient* from all clients."""
        return self._is_home(recipient) or self._is_relayed(recipient)

    def _is_home(self, recipient: ForwardPath) -> bool:
        return self.is_local(recipient) or self._is_virtual(recipient)

    def _is_relayed(self, recipient: ForwardPath) -> bool:
        route = self._route(recipient)
        is_final = isinstance(route, SmartHost) and route.final
        return is_final or self.relaying.relay_for.route(_NULL, recipient) is not None

    def filters_for(self, *, trusted: bool) -> Sequence[Filter]:
        """Return the filters that a message passes. *trusted*: its client may send to all
        recipients."""
        return [it for it in self.filters if it.trusted or not trusted]

    def may_leave(self, recipient: ForwardPath) -> bool:
        """Return whether mail for *recipient* may have to go to another host."""
        return self._may_stand_for_others(recipient) or not self.is_local(recipient)

    @property
    def takes_postmaster(self) -> bool:
        """Whether mail for the bare ``<Postmaster>`` is taken."""
        bare = ForwardPath(None)
        return self.postmaster is not None or self.is_ours(bare) or self.aliases.may_have(bare)

    def _may_stand_for_others(self, recipient: ForwardPath) -> bool:
        return (
            self.aliases is not NO_ALIASES
            or recipient.is_postmaster
            or self.is_rewritten(recipient)
        )

    def is_rewritten(self, recipient: ForwardPath) -> bool:
        """Return whether *recipient* looks like an address of SRS."""
        return self.srs is not None and self.srs.is_ours(recipient)

    def _is_virtual(self, recipient: ForwardPath) -> bool:
        if domain_key(recipient) not in self.aliases.domains:
            return False
        return not (self.routes.names(recipient) or self._is_relayed(recipient))

    def _is_unknown(self, recipient: ForwardPath) -> bool:
        """Return whether *recipient*, if it is no alias, is an address here that nobody has."""
        if self.is_local(recipient):
            return not self._has_mailbox(recipient)
        return self._is_virtual(recipient)

    def _has_mailbox(self, recipient: ForwardPath) -> bool:
        route = self._route(recipient)
        return isinstance(route, Local) and (route.knows is None or bool(route.knows(recipient)))

    async def expand(
        self, recipient: ForwardPath, delivered: Callable[[ForwardPath], bool] | None = None
    ) -> Expansion:
        """Return what *recipient* stands for. *delivered* returns whether the message was delivered
        to an address before."""
        if delivered is None and not self._may_stand_for_others(recipient):
            return Expansion(targets=(Target(recipient),))

        def was_at(path: ForwardPath) -> bool:
            return delivered is not None and delivered(path) and self.is_ours(path)

        aliases = self.aliases
        expanding = expand(
            recipient,
            self._find,
            was_at,
            max_depth=aliases.max_depth,
            max_recipients=aliases.max_recipients,
        )
        if not aliases.is_function:
            return await expanding
        try:
            return await self.runtime.within(aliases.timeout, expanding)
        except Exception:
            _log.exception("the aliases of %s could not be found", printable(str(recipient)))
            return Expansion(refusal=_NOT_LOOKED_UP)

    async def _find(self, path: ForwardPath) -> Sequence[ForwardPath] | None:
        """Return the addresses for which *path* stands; None if it is not ours, or no alias."""
        if self.srs is not None and self.srs.is_ours(path):
            sender = self.srs.reverse(path, self.runtime.utc())
            return [] if sender is None else [ForwardPath(sender)]
        is_us = path.domain in (None, self.tracer.hostname)
        if not (is_us or self.is_ours(path)):
            return None
        found = await self.aliases.find(path)
        if found is not None or self._has_mailbox(path):
            return found
        # A server for which this one relays has a postmaster of its own.
        if path.is_postmaster and self.postmaster is not None and (is_us or self._is_home(path)):
            return [ForwardPath(self.postmaster)]
        if path.domain is not None:
            found = await self.aliases.catch_all(path)
        return [] if found is None and self._is_unknown(path) else found

    def _route(self, recipient: ForwardPath) -> Route | None:
        """Return the route to *recipient*, as far as it does not depend on the sender."""
        return self.routes.route(_NULL, recipient)

    def message(
        self,
        name: str,
        envelope: Envelope,
        size: int,
        origin: str = "",
        *,
        trusted: bool = True,
    ) -> Message:
        """Return the message *name* of *size* octets that arrives now.

        *origin* is a login or a network: those of equal names share a part of the queue. It is
        *trusted* if it may send to all recipients, and so gets reports of success.
        """
        now, parameters = self.runtime.utc(), envelope.parameters
        not_before = _release(parameters, now)
        starts = now if parameters.by is not None else max(now, not_before)
        return Message(
            id=name,
            sender=envelope.sender,
            parameters=parameters,
            size=size,
            arrived=now,
            expires=self.schedule.expires(envelope.sender, parameters, starts),
            not_before=not_before,
            origin=origin,
            authenticated=trusted,
        )

    async def put(
        self,
        message: Message,
        deliveries: Sequence[Delivery],
        content: bytes | Body,
        held: str | None = None,
    ) -> None:
        """Put *message* with its *deliveries* into the queue. *held* is the reason why it is held
        there; None: it is not. When this returns, the message is durable.

        Raises QueueFull and QueueFailed.
        """
        if held is not None:
            deliveries = [evolve(it, state=State.HELD, reason=held) for it in deliveries]
        queued = Queued(message=message, deliveries=tuple(deliveries), content=content)
        try:
            await self.store.put([queued])
        except QueueFailed:
            raise
        except BaseException:  # if this was cancelled, the message may be in the queue all the same
            self.wake()
            raise
        self.wake()

    async def deliveries(
        self,
        message: Message,
        envelope: Envelope,
        delivered: Callable[[ForwardPath], bool] | None = None,
    ) -> list[Delivery]:
        """Return a delivery for each address for which the recipients stand; equal addresses have
        one. *delivered* returns whether the message was delivered to an address before.

        Raises QueueFailed if that cannot be found out now, or if they are too many.
        """
        expansions, number = [], 0
        ends = self.runtime.now() + _LONGEST_EXPANDING
        for path in dict.fromkeys(envelope.recipients):
            if self.aliases.is_function and self.runtime.now() > ends:
                text = f"the aliases were not found within {_LONGEST_EXPANDING:.0f} seconds"
                raise QueueFailed(text, check="that the function for aliases is fast")
            expansion = await self.expand(path, delivered)
            if expansion.refusal is not None and expansion.refusal.transient:
                text = printable(f"the aliases of {path}: {expansion.refusal.text}")
                raise QueueFailed(text, check="the aliases, and the function that knows them")
            number += sum(bool(it.via) for it in expansion.targets)
            if number > _MOST_TARGETS:
                text = f"aliases lead to more than {_MOST_TARGETS} addresses"
                raise QueueFailed(text, check="who may write to long lists")
            expansions.append((path, envelope.parameters_of(path), expansion))
        sender = message.sender.mailbox
        keeps = sender is None or self._is_home(ForwardPath(sender))
        return deliveries_of(message, expansions, lambda it: not (keeps or self.is_ours(it)))


def obeying_header(message: Message, header: bytes) -> Message:
    """Return *message*, which has this *header* section, with what the header says of TLS. It
    counts only if the message came without REQUIRETLS (RFC 8689 4.1)."""
    if message.parameters.requiretls or not waives_tls(header):
        return message
    return evolve(message, tls_optional=True)


def _release(parameters: MailParameters, now: float) -> float:
    """Return when a message may be delivered at the earliest (RFC 4865); 0: at once."""
    if parameters.hold_for is not None:
        return now + parameters.hold_for
    return 0 if parameters.hold_until is None else parameters.hold_until.timestamp()

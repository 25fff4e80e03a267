"""The way of messages into the queue, whether a client or the program itself hands them over."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from ipaddress import ip_address, ip_network

from attrs import evolve, field, frozen

from ..errors import QueueFailed
from ..grammar.address import ForwardPath, Mailbox, ReversePath
from ..grammar.envelope import Envelope
from ..grammar.parameters import MailParameters
from ..mta.queue import Delivery, Message, State, make_id
from ..mta.retry import RetrySchedule
from ..mta.route import Direct, Local, Routes
from ..mta.store import Body, Queued, QueueStore
from ..mta.trace import MAX_HOPS, Tracer
from ..option_types import checked
from ..ports import Runtime
from ..server.networks import Network, is_among, to_networks

__all__ = ["Intake", "Origin", "Relaying"]

_NULL = ReversePath(None)
_BITS = {4: 32, 6: 64}  # of a network that counts as one origin


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
    route is :class:`.Local`.
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


@frozen
class Origin:
    """Whose message it is."""

    name: str
    """A login, or a network: those of equal names share a part of the queue."""
    trusted: bool
    """Whether it may send to all recipients, and so gets reports of success."""

    @classmethod
    def of(cls, user: str | None, peer: str, *, trusted: bool) -> Origin:
        """Return *user*, or the network of the client's address *peer*."""
        if user is not None:
            return cls(user, trusted)
        with suppress(ValueError):
            address = ip_address(peer)
            address = getattr(address, "ipv4_mapped", None) or address
            return cls(str(ip_network((address, _BITS[address.version]), strict=False)), trusted)
        return cls(peer, trusted)


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
    max_hops: int = MAX_HOPS
    """The Received fields that a message may have; with more it is in a loop."""
    wake: Callable[[], object] = bool
    """Called after a message was put, so that its delivery begins."""

    def new_id(self) -> str:
        """Return an id for a message."""
        return make_id(self.runtime.utc(), self.runtime.random(10))

    def forwarded(self, recipient: ForwardPath) -> ForwardPath:
        """Return where mail for *recipient* goes: the postmaster's mail may go elsewhere."""
        if self.postmaster is None or not self._is_postmaster(recipient):
            return recipient
        return ForwardPath(self.postmaster)

    def _is_postmaster(self, recipient: ForwardPath) -> bool:
        """Return whether *recipient* is the bare postmaster, that of this server's name, or that of
        a domain whose mail is delivered here, and nothing else takes its mail."""
        if not recipient.is_postmaster:
            return False
        if self.is_local(recipient):
            return not self.has_mailbox(recipient)
        return recipient.domain in (None, self.tracer.hostname)

    def has_mailbox(self, recipient: ForwardPath) -> bool:
        """Return whether *recipient* may have a mailbox: False if it is delivered here, and has
        none."""
        route = self.routes.route(_NULL, recipient)
        return not isinstance(route, Local) or route.knows is None or bool(route.knows(recipient))

    def is_local(self, recipient: ForwardPath) -> bool:
        """Return whether mail for *recipient* is delivered here."""
        return isinstance(self.routes.route(_NULL, recipient), Local)

    def takes_for(self, recipient: ForwardPath) -> bool:
        """Return whether mail for *recipient* is taken from all clients."""
        if self.postmaster is not None and self._is_postmaster(recipient):
            return True
        relay_for = self.relaying.relay_for
        return self.is_local(recipient) or relay_for.route(_NULL, recipient) is not None

    def has_route(self, recipient: ForwardPath) -> bool:
        """Return whether there may be a route to *recipient*; it may depend on the sender."""
        if self.routes.by_sender and recipient.mailbox is not None:
            return True
        return self.routes.route(_NULL, self.forwarded(recipient)) is not None

    def message(
        self,
        name: str,
        envelope: Envelope,
        size: int,
        origin: Origin,
        *,
        tls_optional: bool = False,
    ) -> Message:
        """Return the message *name* of *size* octets that arrives now from *origin*."""
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
            origin=origin.name,
            authenticated=origin.trusted,
            tls_optional=tls_optional,
        )

    async def put(
        self, message: Message, envelope: Envelope, content: bytes | Body, held: str | None = None
    ) -> None:
        """Put *message* into the queue. *held* is the reason why it is held there; None: it is
        not. When this returns, the message is durable.

        Raises QueueFull and QueueFailed.
        """
        deliveries = tuple(self.deliveries(message, envelope))
        if held is not None:
            deliveries = tuple(evolve(it, state=State.HELD, reason=held) for it in deliveries)
        try:
            await self.store.put([Queued(message=message, deliveries=deliveries, content=content)])
        except QueueFailed:
            raise
        except BaseException:  # if this was cancelled, the message may be in the queue all the same
            self.wake()
            raise
        self.wake()

    def deliveries(self, message: Message, envelope: Envelope) -> list[Delivery]:
        """Return a delivery for each recipient; equal recipients have one."""
        parameters = {
            self.forwarded(path): envelope.parameters_of(path) for path in envelope.recipients
        }
        return [
            Delivery(
                message=message.id,
                number=number,
                recipient=path,
                parameters=its,
                due=max(message.arrived, message.not_before),
            )
            for number, (path, its) in enumerate(parameters.items())
        ]


def _release(parameters: MailParameters, now: float) -> float:
    """Return when a message may be delivered at the earliest (RFC 4865); 0: at once."""
    if parameters.hold_for is not None:
        return now + parameters.hold_for
    return 0 if parameters.hold_until is None else parameters.hold_until.timestamp()

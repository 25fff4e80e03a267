"""Asks the guards of an MTA: at the commands of clients, and before each attempt to deliver."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import TypeVar

from attrs import define, field, frozen

from ..dns import Kind, Resolver
from ..errors import StatesFailed
from ..grammar.address import ForwardPath, ReversePath
from ..grammar.domain import Domain
from ..grammar.parameters import MailParameters, RcptParameters
from ..grammar.printable import printable
from ..grammar.reply import Reply
from ..limits import STATE_NAME
from ..mta.queue import Attempt, Delivery, Result
from ..mta.queue_events import GuardEvent
from ..mta.schedule import Job
from ..policy.dnsbl import DNSLists, Listing
from ..policy.greylist import Triplet
from ..policy.rate import Demand, Grant, Limit, Release, Renewal
from ..policy.state_store import Change, MemoryStates, StateStore
from ..ports import Event, Runtime, result
from ..server.handler import Hook, Session, Verdict
from ..server.networks import is_among, network_name
from .guards import Guards, Limits, limit_of
from .observed_store import Listener
from .receive import Receiver, user_of

__all__ = ["Guarding", "Permit"]

_log = logging.getLogger("smtpproto.policy")

T = TypeVar("T")

_RENEW = 20.0  # seconds, a third of the heartbeat: two renewals may fail
_FAILED = 60.0  # seconds after which to ask a store again that fails
_LATEST = 3600.0  # seconds by which a delivery is put off at most
_SLOTS = 10_000  # names whose next free time is remembered
_TEXT = 200  # characters of what a list says of a client
_WHAT = {
    "network": "Too many recipients from your network",
    "user": "You have sent to too many recipients",
    "sender": "This sender has sent to too many recipients",
    "recipient_domain": "Too many messages for this domain",
}


@frozen
class Permit:
    """Which deliveries of a job may be tried now."""

    allowed: tuple[Delivery, ...]
    postponed: tuple[Delivery, ...] = ()
    until: float = 0.0
    """When the postponed ones may be tried, in seconds since the epoch."""
    pace: float = 0.0
    """Seconds that the limit allows for each recipient."""
    of_destination: bool = False
    """Whether it is the destination that has to wait, so that others to it must, too."""
    because: Attempt | None = None
    """What is written down about them."""
    demand: Demand | None = None
    """What this was asked for; None if there are no limits."""
    grant: Grant | None = None


@define(eq=False)
class Guarding:
    """The guards of an MTA that runs."""

    _runtime: Runtime
    _resolver: Resolver
    guards: Guards
    tell: Listener
    _store: StateStore = field(init=False)
    _lists: DNSLists = field(init=False)
    _slots: dict[str, float] = field(factory=dict, init=False)  # the next time that is free
    _held: dict[float, Sequence[str]] = field(factory=dict, init=False)  # what goes on, its keys
    _wake: Event = field(init=False)
    _stopping: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._store = self.guards.store or MemoryStates()
        self._lists = DNSLists(self.guards.lists, timeout=self.guards.lists_timeout)
        self._wake = self._runtime.event()

    async def run(self) -> None:
        """Renew what goes on, until :meth:`stop`: it would count as ended."""
        now = self._runtime.now
        due = now() + _RENEW
        while not self._stopping:
            await self._wake.wait(max(due - now(), 0.0) if self._held else None)
            renewal = Renewal(self._held)
            if renewal.keys and now() >= due:
                await self.update(renewal.keys, renewal)
                due = now() + _RENEW

    def stop(self) -> None:
        """Let :meth:`run` end."""
        self._stopping = True
        self._wake.set()

    def demand(self, limits: Mapping[str, Limit], number: int = 1) -> Demand:
        """Return a demand with an id of its own."""
        return Demand(limits, number, float(int.from_bytes(self._runtime.random(6), "big")))

    def use(self, resolver: Resolver, guards: Guards) -> None:
        """Use these from now on, with the same store."""
        if guards.lists != self.guards.lists:
            self._lists = DNSLists(guards.lists, timeout=guards.lists_timeout)
        self._resolver, self.guards = resolver, guards

    async def update(self, keys: Sequence[str], change: Change[T]) -> T | None:
        """Return the result of *change*; None if the store fails, which is logged."""
        try:
            return await self._store.update(keys, change, self._runtime)
        except StatesFailed as error:
            _log.error("%s", error)
        except Exception:  # of a store of the application's
            _log.exception("the store of guards failed")
        return None

    async def grant(self, demand: Demand) -> Grant | None:
        """Return what is granted; None if there are no limits, or the store fails. What may happen
        at once goes on until :meth:`release`."""
        grant = await self.update(demand.keys, demand) if demand.limits else None
        if grant is not None and grant.number and (keys := demand.open_keys):
            self._held[demand.id] = keys
            self._wake.set()
        return grant

    async def release(self, demand: Demand, grant: Grant | None = None, unused: int = 0) -> None:
        """Let what was granted end, also if :meth:`grant` was cancelled and nobody knows what was;
        *unused* recipients do not count."""
        self._held.pop(demand.id, None)
        release = Release(demand, grant or Grant(0), unused if grant and grant.number else 0)
        if keys := release.keys:
            await self.update(keys, release)

    # -- receiving ---------------------------------------------------------------------------

    def guard(self, receiver: Receiver) -> Receiver:
        """Return *receiver*, whose hooks ask the guards too."""
        if self.guards.meet_clients:
            connection = _Connection(self, receiver)
            for name in ("connect", "mail", "rcpt", "close"):
                setattr(receiver, name, getattr(connection, name))
        return receiver

    async def listings(self, session: Session, sender: ReversePath) -> Sequence[Listing]:
        """Return what lists say of the client and of *sender*."""
        domains = [session.hello, None if sender.mailbox is None else sender.mailbox.domain]
        names = dict.fromkeys(it.canonical for it in domains if isinstance(it, Domain))
        return await self._lists.look_up(session.peer[0], names, self._resolver, self._runtime)

    async def reason(self, listing: Listing) -> str:
        """Return why something is listed, in the words of the list; "" if it does not say."""
        answer = await self._resolver.lookup(listing.name, Kind.TXT)
        text = b" ".join(answer.octets)[:_TEXT].decode("ascii", "replace")
        return printable(text).encode("ascii", "replace").decode()

    # -- sending -----------------------------------------------------------------------------

    async def permit(self, job: Job) -> Permit:
        """Return what of *job* may be tried now. Call :meth:`end` after that."""
        if not (limits := self._sending(job)):
            return Permit(job.deliveries)
        demand = self.demand(limits, len(job.deliveries))
        grant = await self.grant(demand) or Grant(0, {"": _FAILED})
        allowed, postponed = job.deliveries[: grant.number], job.deliveries[grant.number :]
        if not postponed:
            return Permit(allowed, demand=demand, grant=grant)
        return self._postponing(allowed, postponed, demand, grant)

    async def end(self, permit: Permit, unreached: int) -> None:
        """What was allowed has been tried. That does not count for recipients about whom no host
        was asked."""
        if permit.demand is not None:
            await self.release(permit.demand, permit.grant, unreached)

    def _sending(self, job: Job) -> Mapping[str, Limit]:
        send, sender = self.guards.send, job.message.sender.mailbox
        is_local = job.destination.startswith("local:")
        return limits_of(
            destination=(send.destination, "" if is_local else job.destination),
            user=(send.user, job.message.origin),
            sender=(send.sender, "" if sender is None else sender.canonical),
        )

    def _postponing(
        self,
        allowed: tuple[Delivery, ...],
        postponed: tuple[Delivery, ...],
        demand: Demand,
        grant: Grant,
    ) -> Permit:
        now = self._runtime.utc()
        name, wait = max(grant.waits.items(), key=lambda it: it[1])
        rate = demand.limits[name].rate if name else None
        pace = 0.0 if rate is None else rate.seconds / rate.count
        of_destination = name.startswith("destination:")
        until = now + wait
        if not of_destination:
            until = self._slot(name, now, wait, pace * len(postponed))
        what = f"The limit of {name.replace(':', ' ')} is reached" if name else "No limit is known"
        reply = Reply(450, "4.7.28", printable(f"{what} on this server"))
        because = Attempt(at=now, result=Result.REFUSED, reply=reply)
        return Permit(allowed, postponed, until, pace, of_destination, because, demand, grant)

    def _slot(self, name: str, now: float, wait: float, takes: float) -> float:
        """Return when something under the limit *name* may be tried that *takes* a time, after
        what was put off before it: not all at the same time."""
        if len(self._slots) >= _SLOTS:
            self._slots.clear()
        start = min(max(self._slots.get(name, 0.0), now + wait), now + _LATEST)
        self._slots[name] = start + takes
        return start


def limits_of(**sources: tuple[Limits, str]) -> Mapping[str, Limit]:
    """Return the limits that hold for the names in *sources*, by what they limit; "" has none."""
    found = {}
    for what, (limits, name) in sources.items():
        if limits and name and (limit := limit_of(limits, name)) is not None:
            found[f"{what}:{_short(name)}"] = limit
    return found


def _short(name: str) -> str:
    """Return *name* as it may be in a key; a hash of a long one."""
    short = printable(name)
    return short if len(short) <= STATE_NAME else sha256(name.encode()).hexdigest()


class _Connection:
    """Asks the guards at one connection, and then the hooks of its receiver."""

    def __init__(self, guarding: Guarding, receiver: Receiver) -> None:
        self._guarding, self._receiver = guarding, receiver
        self._connect, self._mail = receiver.connect, receiver.mail
        self._rcpt, self._close = receiver.rcpt, receiver.close
        self._sender = ReversePath(None)
        self._accepted = 0  # recipients, since MAIL
        self._listed: dict[tuple[str, str], Reply | None] = {}  # by address and sender
        self._demand = Demand({})  # set before it is asked for: that may be cancelled

    async def connect(self, session: Session) -> Verdict:
        guarding, limit = self._guarding, self._guarding.guards.connections
        await guarding.release(self._demand)  # before XCLIENT
        self._demand = Demand({})
        if limit is not None and not self._is_exempt(session):
            self._demand = guarding.demand({f"connections:{self._network(session)}": limit})
        grant = await guarding.grant(self._demand)
        if grant is not None and not grant.number:
            self._demand = Demand({})
            text = "Too many connections from your network"
            reply = Reply(421, "4.7.0", f"{text}; {_again(max(grant.waits.values()))}")
            return self._refused("connections", session, reply)
        return await result(self._connect(session))

    async def mail(
        self, session: Session, sender: ReversePath, parameters: MailParameters
    ) -> Verdict:
        self._sender, self._accepted = sender, 0
        return await result(self._mail(session, sender, parameters))

    async def rcpt(
        self, session: Session, recipient: ForwardPath, parameters: RcptParameters
    ) -> Verdict:
        asked: Hook = self._rcpt(session, recipient, parameters)
        verdict = await result(asked)
        if isinstance(verdict, Reply) and not verdict.positive:
            return verdict
        refusal = await self._refusal(session, recipient)
        self._accepted += refusal is None
        return refusal or verdict

    async def close(self, session: Session) -> None:
        try:
            await result(self._close(session))
        finally:
            await self._guarding.release(self._demand)

    # -- what the guards say -----------------------------------------------------------------

    def _network(self, session: Session) -> str:
        return network_name(session.peer[0], self._guarding.guards.prefixes)

    def _is_exempt(self, session: Session) -> bool:
        is_known = not session.peer[0] or is_among(session.peer[0], self._guarding.guards.exempt)
        return is_known or self._receiver.may_relay(session)

    async def _refusal(self, session: Session, recipient: ForwardPath) -> Reply | None:
        is_stranger = not self._is_exempt(session)
        if is_stranger and not self._takes_all(recipient):
            if (refusal := await self._list_refusal(session)) is not None:
                return self._refused("lists", session, refusal, recipient)
            if (refusal := await self._greylisted(session, recipient)) is not None:
                return self._refused("greylist", session, refusal, recipient)
        return await self._over_limit(session, recipient, is_stranger)

    def _refused(
        self, guard: str, session: Session, reply: Reply, recipient: ForwardPath | None = None
    ) -> Reply:
        """Tell that *guard* has refused something by *reply*, which is returned."""
        about = "" if recipient is None else str(recipient)
        client = session.peer[0]
        event = GuardEvent(guard=guard, client=client, reply=reply, recipient=about)
        self._guarding.tell(event)
        return reply

    def _takes_all(self, recipient: ForwardPath) -> bool:
        exempt, domain = self._guarding.guards.exempt_recipients, recipient.domain
        names = recipient.canonical, "" if domain is None else domain.canonical
        return recipient.is_postmaster or not exempt.isdisjoint(names)

    async def _list_refusal(self, session: Session) -> Reply | None:
        key = session.peer[0], str(self._sender)
        if not self._guarding.guards.lists:
            return None
        if key not in self._listed:
            self._listed = {key: await self._look_up(session)}
        return self._listed[key]

    async def _look_up(self, session: Session) -> Reply | None:
        guarding = self._guarding
        found = await guarding.listings(session, self._sender)
        if sum(listing.list.weight for listing in found) < guarding.guards.refuse_at:
            return None
        first = max(found, key=lambda listing: listing.list.weight)
        reason = await guarding.reason(first)
        text = f"{first.what} is listed by {first.list.zone}{reason and f' ({reason})'}"
        return Reply(554, "5.7.1", f"{text}; ask there to be removed, or write to the postmaster")

    async def _greylisted(self, session: Session, recipient: ForwardPath) -> Reply | None:
        greylist = self._guarding.guards.greylist
        if greylist is None:
            return None
        sender = self._sender.mailbox
        names = f"{'' if sender is None else sender.canonical} {recipient.canonical}"
        triplet = Triplet(greylist, self._network(session), _short(names))
        wait = await self._guarding.update(triplet.keys, triplet)
        if not wait:
            return None
        return Reply(451, "4.7.1", f"Greylisted, because you are not known here; {_again(wait)}")

    async def _over_limit(
        self, session: Session, recipient: ForwardPath, is_stranger: bool
    ) -> Reply | None:
        receive, sender = self._guarding.guards.receive, self._sender.mailbox
        is_trusted = self._receiver.may_relay(session)
        domain = "" if recipient.domain is None else recipient.domain.canonical
        limits = limits_of(
            network=(receive.network, self._network(session) if is_stranger else ""),
            user=(receive.user, user_of(session) or ""),
            sender=(receive.sender, sender.canonical if is_trusted and sender else ""),
            recipient_domain=(receive.recipient_domain, domain),
        )
        grant = await self._guarding.grant(Demand(limits))
        if grant is None or grant.number:
            return None
        name, wait = max(grant.waits.items(), key=lambda it: it[1])
        limit = name.partition(":")[0]
        text = f"{_WHAT[limit]}; {_again(wait)}"
        reply = Reply(452, "4.5.3", text) if self._accepted else Reply(450, "4.7.1", text)
        return self._refused(limit, session, reply, recipient)


def _again(seconds: float) -> str:
    whole = max(int(seconds + 0.999), 1)
    return f"try again in {whole} second{'s' if whole > 1 else ''}"

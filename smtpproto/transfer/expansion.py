"""What recipients stand for, and whether mail for them is taken."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from attrs import frozen

from ..errors import QueueFailed
from ..grammar.address import ForwardPath, Mailbox, ReversePath
from ..grammar.domain import Host
from ..grammar.envelope import Envelope
from ..grammar.printable import printable
from ..grammar.reply import Reply
from ..mta.queue import Delivery, Message
from ..mta.rewrite import NO_ALIASES, Aliases, Expansion, Target, deliveries_of, expand
from ..mta.route import Local, Route, Routes, SmartHost
from ..mta.srs import SRS
from ..mta.store import domain_key
from ..ports import Runtime
from ..replies import RELAYING_DENIED

__all__ = ["Recipients"]

_log = logging.getLogger("smtpproto.queue")

_MOST_TARGETS = 100_000  # of the aliases of all recipients of a message
# In seconds: a client waits 10 minutes for the reply to the content (RFC 5321 4.5.3.2.6).
_LONGEST_EXPANDING = 120.0
_NULL = ReversePath(None)
_NOT_LOOKED_UP = Reply(451, "4.3.0", "The address cannot be looked up now; try again later")
_NO_MAILBOX = Reply(550, "5.1.1", "No such mailbox")
_NO_ROUTE = Reply(550, "5.4.4", "No route to this recipient")
_NO_POSTMASTER = Reply(550, "5.1.1", "No postmaster is configured")


@frozen(kw_only=True, eq=False)
class Recipients:
    """Knows what the recipients of an MTA stand for, and whether it takes mail for them."""

    runtime: Runtime
    hostname: Host
    routes: Routes
    relay_for: Routes
    """The domains whose mail is taken from all clients although it is not delivered here."""
    postmaster: Mailbox | None = None
    """Who gets the mail for the bare ``<Postmaster>``, and for the postmasters of this server's
    name and of local domains that have no mailbox for it. None: the route for "" decides."""
    aliases: Aliases = NO_ALIASES
    """Which addresses stand for others."""
    srs: SRS | None = None
    """Knows the senders of forwarded mail, to whom reports go back; None: none was rewritten."""

    async def refusal(self, recipient: ForwardPath, may_relay: Callable[[], bool]) -> Reply | None:
        """Return why mail for *recipient* is not taken; None if it is. *may_relay* returns whether
        the client may send to all recipients."""
        try:
            return await self._refusal(recipient, may_relay)
        except QueueFailed as error:
            _log.error("%s", error)
            return _NOT_LOOKED_UP

    async def _refusal(self, recipient: ForwardPath, may_relay: Callable[[], bool]) -> Reply | None:
        if self._may_stand_for_others(recipient):
            expansion = await self.expand(recipient)
            if expansion.refusal is not None or any(it.via for it in expansion.targets):
                return expansion.refusal
        if self._is_unknown(recipient):
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
        return is_final or self.relay_for.route(_NULL, recipient) is not None

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
        route = self._route(recipient)
        if isinstance(route, SmartHost) and route.knows is not None:
            return not (recipient.is_postmaster or self._has_mailbox(recipient))
        if isinstance(route, Local):
            return not self._has_mailbox(recipient)
        return self._is_virtual(recipient)

    def _has_mailbox(self, recipient: ForwardPath) -> bool:
        """Return whether *recipient* is known to have a mailbox, here or at a smart host. Raises
        QueueFailed if the system does not say so."""
        route = self._route(recipient)
        if not isinstance(route, Local | SmartHost):
            return False
        if route.knows is None:
            return isinstance(route, Local)
        try:
            return bool(route.knows(recipient))
        except OSError as error:
            text = printable(f"whether {recipient} has a mailbox is not known: {error}")
            raise QueueFailed(text, check="the disk, the path and the permissions") from error

    async def expand(
        self, recipient: ForwardPath, delivered: Callable[[ForwardPath], bool] | None = None
    ) -> Expansion:
        """Return what *recipient* stands for. *delivered* returns whether the message was delivered
        to an address before. Raises QueueFailed as :meth:`deliveries` does."""
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
        except QueueFailed:
            raise
        except Exception:
            _log.exception("the aliases of %s could not be found", printable(str(recipient)))
            return Expansion(refusal=_NOT_LOOKED_UP)

    async def _find(self, path: ForwardPath) -> Sequence[ForwardPath] | None:
        """Return the addresses for which *path* stands; None if it is not ours, or no alias."""
        if self.srs is not None and self.srs.is_ours(path):
            sender = self.srs.reverse(path, self.runtime.utc())
            return [] if sender is None else [ForwardPath(sender)]
        is_us = path.domain in (None, self.hostname)
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

"""Connections to next hops, kept for the next message to the same place."""

from __future__ import annotations

from weakref import WeakSet

from attrs import define, evolve, field, frozen

from ..client.config import ClientConfig, TLSMode
from ..client.connection import Client
from ..client.pool import EnvelopeFor, Pool, PoolConfig, pool_of, send_by_pool
from ..client.target import Target
from ..errors import SMTPError, TransportError
from ..grammar.envelope import Envelope
from ..limits import REMEMBERED_HOPS
from ..mail import Source
from ..outcome import Outcome
from ..ports import Runtime, is_path
from .tls_reports import TLSReports, TLSSession

__all__ = ["Connections", "Hop", "Troubled"]

# How many connections are open is the decision of the schedule, which knows all destinations.
_KEPT = PoolConfig(max_connections=10_000, max_messages=100, max_idle=10, max_age=300)
_REMEMBERED = 300.0  # seconds for which a hop that failed is remembered
_UNUSED = 20.0  # seconds after which a pool without messages is closed


@frozen(kw_only=True)
class Hop:
    """An address to send to."""

    host: str
    """The name of the host, which TLS verifies."""
    address: str
    """What is dialled: an IP address, a name, or the path of a Unix socket."""
    port: int
    config: ClientConfig = field(repr=False, eq=id)
    """How to connect. Hops are the same only if this is the same object."""
    session: TLSSession | None = field(default=None, repr=False, eq=False)
    """What a new connection is counted as; None: it is not counted."""
    lesser: ClientConfig | None = field(default=None, repr=False, eq=False)
    """How to connect if TLS fails with *config*, which is tried only to know whether it would."""
    in_clear: bool = False
    """Whether TLS has failed, and is not tried again."""

    @property
    def target(self) -> Target:
        """The arguments of ``open_client``."""
        config = self.config
        if self.in_clear:
            config = evolve(config, tls=TLSMode.NONE)
        elif config.server_name is None and self.host != self.address and not is_path(self.address):
            config = evolve(config, server_name=self.host)
        return Target(self.address, self.port, config)


@define(eq=False)
class Troubled:
    """Hops that failed lately. Threads may use it at the same time."""

    _runtime: Runtime
    _until: dict[Hop, float] = field(factory=dict, init=False)

    def __contains__(self, hop: Hop) -> bool:
        return self._until.get(hop, 0.0) > self._runtime.now()

    def add(self, hop: Hop) -> None:
        """Remember for some minutes that *hop* failed."""
        if len(self._until) >= REMEMBERED_HOPS:
            self._until.clear()
        self._until[hop] = self._runtime.now() + _REMEMBERED

    def discard(self, hop: Hop) -> None:
        """Forget that *hop* failed, because it works again."""
        self._until.pop(hop, None)


@define(eq=False)
class _Kept:
    pool: Pool
    used_at: float
    users: set[object] = field(factory=set)
    known: WeakSet[Client] = field(factory=WeakSet)
    """The clients that were counted."""


@define(eq=False)
class Connections:
    """Pools by address, TLS demand, source and login; *reports* counts what comes of TLS. Threads
    may use it at the same time."""

    _runtime: Runtime
    _reports: TLSReports
    _kept: dict[Hop, _Kept] = field(factory=dict, init=False)
    _without_tls: Troubled = field(init=False)
    _retired: list[_Kept] = field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        self._without_tls = Troubled(self._runtime)

    async def send(self, hop: Hop, message: Source, envelope_for: EnvelopeFor) -> Outcome:
        """Send *message* over a kept or a new connection to *hop*.

        If TLS is opportunistic and fails, it is sent without TLS (RFC 7435), and so are others for
        some minutes. Raises what :meth:`.Pool.send` raises, and what *envelope_for* raises.
        """
        if hop not in self._without_tls:
            try:
                return await self._send(hop, message, envelope_for)
            except TransportError as error:
                if not error.may_go_in_clear:
                    raise
            self._without_tls.add(hop)
        if hop.lesser is not None:
            lesser = evolve(hop, config=hop.lesser, lesser=None, session=None)
            return await self.send(lesser, message, envelope_for)
        return await self._send(evolve(hop, in_clear=True, session=None), message, envelope_for)

    async def _send(self, hop: Hop, message: Source, envelope_for: EnvelopeFor) -> Outcome:
        user = object()
        kept = self._enter(hop, user)

        def noting(client: Client) -> Envelope | None:
            if hop.session is not None and client not in kept.known:
                kept.known.add(client)
                self._reports.opened(hop.session, hop.address, client)
            return envelope_for(client)

        try:
            return await send_by_pool(kept.pool, message, noting)
        except SMTPError as error:
            if hop.session is not None:
                self._reports.failed(hop.session, hop.address, error)
            raise
        finally:
            kept.used_at = self._runtime.now()
            kept.users.discard(user)

    def _enter(self, hop: Hop, user: object) -> _Kept:
        """Return the pool for *hop*, with *user* among its users, so that it is not closed."""
        while True:
            kept = self._kept.get(hop)
            if kept is None:
                pool = pool_of(self._runtime, hop.target, _KEPT)
                kept = self._kept.setdefault(hop, _Kept(pool, self._runtime.now()))
            kept.users.add(user)
            if self._kept.get(hop) is kept:  # else another thread has just retired it
                return kept
            kept.users.discard(user)

    async def close_unused(self) -> None:
        """Close the connections to where nothing was sent for a while."""
        before = self._runtime.now() - _UNUSED
        for hop, kept in [*self._kept.items()]:
            if not kept.users and kept.used_at <= before and self._kept.pop(hop, None) is kept:
                self._retired.append(kept)
        await self._close_retired()

    async def _close_retired(self) -> None:
        unused = [kept for kept in self._retired if not kept.users]
        self._retired = [kept for kept in self._retired if kept.users]
        for kept in unused:
            await kept.pool.close()

    async def close(self) -> None:
        """Close all connections; those in use as soon as they are free."""
        retired, self._retired = self._retired, []
        while self._kept:
            retired.append(self._kept.popitem()[1])
        for kept in retired:
            await kept.pool.close()

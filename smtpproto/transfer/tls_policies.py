"""The TLS that messages demand of the hosts of a domain, as settings of connections."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address

from attrs import define, evolve, field, frozen

from ..client.config import ClientConfig, TLSMode
from ..dns import Resolver
from ..grammar.reply import accepts
from ..mta.exchangers import Exchanger
from ..policy.dane import Certificates, DANEJudge, find_dane
from ..policy.fetch import Fetch
from ..policy.mta_sts_cache import MTASTSCache
from ..policy.mta_sts_store import MTASTSStore
from ..policy.tls_policy import TLSDemand, TLSFacts, TLSLevel, TLSSource, tls_demand
from ..ports import Runtime, is_path
from ..tls import TLSVerify
from .connections import Hop

__all__ = ["Demands", "TLSPolicies", "TLSWish", "is_policy_domain", "own_domain"]

_MOST = 1000  # settings that are kept


@frozen(kw_only=True)
class TLSPolicies:
    """Which wishes of domains for TLS count on the way to their hosts, and to smart hosts."""

    mta_sts: Fetch | None = None
    """Fetches the policies of MTA-STS (RFC 8461), for example ``HTTPSFetch()``. None: they do not
    count."""
    mta_sts_store: MTASTSStore | None = None
    """Keeps those policies over restarts, for example ``SQLitePolicies("policies.db")``."""
    dane: Certificates | None = None
    """Reads certificates for DANE (RFC 7672), for example ``CryptographyCertificates()``. None:
    TLSA records do not count. The resolver must be one whose word on DNSSEC can be trusted."""


@frozen(kw_only=True)
class TLSWish:
    """What a message demands, wherever it goes."""

    requires_tls: bool
    tls_optional: bool


@define(eq=False)
class Demands:
    """Finds what is demanded. Tasks, or threads, may use it at the same time."""

    _runtime: Runtime
    _resolver: Resolver
    _options: TLSPolicies
    _cache: MTASTSCache | None = field(default=None, init=False)
    _configs: dict[object, tuple[ClientConfig, ClientConfig]] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self.use(self._resolver, self._options)

    def use(self, resolver: Resolver, options: TLSPolicies) -> None:
        """Use these from now on. The policies that were fetched are kept."""
        self._resolver, self._options = resolver, options
        if options.mta_sts is None:
            return
        if self._cache is None:
            self._cache = MTASTSCache(self._runtime, resolver, options.mta_sts)
        self._cache.resolver, self._cache.fetch = resolver, options.mta_sts
        self._cache.store = options.mta_sts_store

    async def renew(self) -> None:
        """See :meth:`.MTASTSCache.renew`."""
        if self._cache is not None and self._options.mta_sts is not None:
            await self._cache.renew(now=self._runtime.utc())

    async def find(
        self, exchanger: Exchanger, domain: str, pattern: Hop, wish: TLSWish
    ) -> tuple[TLSDemand, TLSFacts]:
        """Return what is demanded of *exchanger* of *domain*, for the settings of *pattern*, and
        why. A *domain* that is "" or an address literal has no wishes."""
        config, port = pattern.config, pattern.port
        facts = TLSFacts(
            host=exchanger.name,
            route=_level(config, port),
            requires_tls=wish.requires_tls,
            tls_optional=wish.tls_optional,
            authentic=exchanger.authentic,
        )
        if config.context is None and is_policy_domain(domain):
            facts = await self._complete(facts, domain, port)
        return tls_demand(facts), facts

    async def _complete(self, facts: TLSFacts, domain: str, port: int) -> TLSFacts:
        """Return *facts* with what the domain wishes."""
        if self._options.dane is not None and facts.authentic:
            facts = evolve(facts, dane=await find_dane(facts.host, port, self._resolver))
        if self._cache is None or self._options.mta_sts is None:
            return facts
        now = self._runtime.utc()
        found = await self._cache.find(domain, now=now)
        facts = evolve(facts, policy=found.policy, found=found)
        if facts.excluded:  # perhaps it was changed
            found = await self._cache.refresh(domain, now=now)
        return evolve(facts, policy=found.policy, found=found)

    def settings(
        self, pattern: Hop, demand: TLSDemand, facts: TLSFacts, domain: str
    ) -> ClientConfig:
        """Like :meth:`make_settings`, but return the same object for the same demand."""
        config, dane = pattern.config, facts.dane
        by_records = demand.level is TLSLevel.DANE
        names = (dane.records, dane.base, facts.host, domain) if by_records else ()
        what = demand.level, demand.source is TLSSource.ROUTE, names
        return self._kept(config, what, lambda: self.make_settings(pattern, demand, facts, domain))

    def tested(self, config: ClientConfig) -> ClientConfig:
        """Return *config*, whose TLS is opportunistic, so that TLS fails if the certificate is not
        right; the same object for the same *config*."""
        verify = _verified(config)
        return self._kept(config, "tested", lambda: evolve(config, verify=verify))

    def _kept(
        self, config: ClientConfig, what: object, make: Callable[[], ClientConfig]
    ) -> ClientConfig:
        """Return what *make* returned for *config* and *what*."""
        key = id(config), what
        known = self._configs.get(key)
        if known is None or known[0] is not config:
            if len(self._configs) >= _MOST:
                self._configs.clear()
            known = self._configs[key] = config, make()
        return known[1]

    def make_settings(
        self, pattern: Hop, demand: TLSDemand, facts: TLSFacts, domain: str
    ) -> ClientConfig:
        """Return the settings of *pattern* as they meet *demand*, which :meth:`find` returned."""
        config, level = pattern.config, demand.level
        if demand.source is TLSSource.ROUTE or level is TLSLevel.REFUSED:
            return config
        if level is TLSLevel.OPPORTUNISTIC:
            return evolve(config, tls=TLSMode.OPPORTUNISTIC)
        implicit = config.tls_mode(pattern.port) is TLSMode.IMPLICIT
        tls = TLSMode.IMPLICIT if implicit else TLSMode.REQUIRED
        if config.context is not None:
            return evolve(config, tls=tls)  # it has rules of its own, and policies do not count
        if level is TLSLevel.ENCRYPTED:
            return evolve(config, tls=tls, verify=TLSVerify.none())
        if level is TLSLevel.VERIFIED:
            return evolve(config, tls=tls, verify=_verified(config))
        assert self._options.dane is not None
        judge = DANEJudge(
            records=facts.dane.records,
            names=tuple(dict.fromkeys((facts.dane.base, facts.host, domain))),
            certificates=self._options.dane,
            utc=self._runtime.utc,
        )
        verify = TLSVerify.by_judge(judge)
        return evolve(config, tls=tls, verify=verify, server_name=facts.dane.base)


def _verified(config: ClientConfig) -> TLSVerify:
    """Return how *config* verifies; by name if it does not."""
    verify = config.verify
    return TLSVerify.by_name() if verify is None or not verify.enabled else verify


def is_policy_domain(domain: str) -> bool:
    """Return whether *domain* is a name, and not "" or an address literal."""
    return bool(domain) and not domain.startswith("[")


def own_domain(host: str) -> str:
    """Return the domain of the smart host *host*, or "" if it is an address, a path, or a name that
    only this network knows."""
    return "" if "." not in host or is_path(host) or accepts(ip_address, host) else host


def _level(config: ClientConfig, port: int) -> TLSLevel | None:
    """Return what *config* demands; None if it leaves that open."""
    mode = config.tls_mode(port)
    if mode is TLSMode.OPPORTUNISTIC:
        return None
    if mode is TLSMode.NONE:
        return TLSLevel.NONE
    return TLSLevel.VERIFIED if config.verification(mode).enabled else TLSLevel.ENCRYPTED

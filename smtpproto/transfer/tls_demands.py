"""The TLS that domains demand, as options of ``connect`` and ``pool``."""

from __future__ import annotations

from typing import Unpack

from attrs import define, field

from ..client.config import ClientConfig, ClientOptions
from ..dns import Resolver
from ..errors import TLSFailed
from ..grammar.domain import to_a_labels
from ..mta.exchangers import Exchanger
from ..policy.tls_policy import TLSLevel
from ..ports import Runtime
from .connections import Hop
from .tls_policies import Demands, TLSPolicies, TLSWish, own_domain

__all__ = ["TLSDemands"]

_WISH = TLSWish(requires_tls=False, tls_optional=False)


@define(eq=False)
class TLSDemands:
    """Finds what domains demand, for programs that connect by themselves.

    ::

        demands = TLSDemands(Runtime(), resolver, TLSPolicies(dane=CryptographyCertificates()))
        client = await connect(host, 25, **await demands.options(host, 25))

    It keeps policies: have one for all connections. Tasks, or threads, may use it at the same time.
    """

    _runtime: Runtime
    _resolver: Resolver
    _policies: TLSPolicies
    _demands: Demands = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._demands = Demands(self._runtime, self._resolver, self._policies)

    async def options(
        self,
        host: str,
        port: int,
        *,
        domain: str | None = None,
        authentic: bool = True,
        **given: Unpack[ClientOptions],
    ) -> ClientOptions:
        """Return *given*, options of ``connect``, with the TLS that is demanded of *host*.

        *host* is a name. If it is from the MX records of a *domain*, the policy of that counts, and
        *authentic* says whether DNSSEC has proved the records. Raises TLSFailed if nothing must be
        sent to the host now, and what ``connect`` raises for wrong options.
        """
        name = to_a_labels(host)
        policy_domain = own_domain(name) if domain is None else to_a_labels(domain)
        exchanger = Exchanger(name=name, addresses=(), authentic=authentic)
        pattern = Hop(host=name, address=name, port=port, config=ClientConfig(**given))
        demand, facts = await self._demands.find(exchanger, policy_domain, pattern, _WISH)
        if demand.level is TLSLevel.REFUSED:
            text = f"{name} must not be used now: {demand.reason}"
            raise TLSFailed(text, phase="TLS", check="the records and the policy of the domain")
        found = self._demands.make_settings(pattern, demand, facts, policy_domain)
        return {
            **given,
            "tls": found.tls,
            "verify": found.verify,
            "server_name": found.server_name,
        }

    async def renew(self) -> None:
        """Fetch policies anew that are old: see :meth:`.MTASTSCache.renew`."""
        await self._demands.renew()

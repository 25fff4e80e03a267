"""Finds the servers to which the owner of an address can submit mail."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from attrs import define, field

from ..client.config import TLSMode
from ..dns import SRV, Answer, Kind, Resolver
from ..errors import GrammarError
from ..grammar.address import Mailbox
from ..grammar.ascii_case import lower
from ..grammar.domain import Domain
from ..grammar.printable import printable
from ..grammar.reply import accepts
from ..limits import SUBMISSION_SERVERS
from ..option_types import require_resolver, require_type
from ..ports import Runtime
from .found_server import Discovery, FoundBy, FoundServer, Step, Trust
from .providers import Provider, provider_at, provider_behind, provider_of
from .service_records import in_order

__all__ = ["discover_servers"]

_SERVICES = {"submissions": TLSMode.IMPLICIT, "submission": TLSMode.REQUIRED}
"""The services (RFC 8314 5.1, RFC 6186 3.1), the preferred one first."""


async def discover_servers(address: str, resolver: Resolver, runtime: Runtime) -> Discovery:
    """Return the servers to which the owner of *address*, which may also be only a domain, can
    submit mail.

    It asks for SRV records, looks into the table of providers, and, if there is nothing yet, asks
    for MX records: they may name a provider of the table. It connects to no server, and never
    raises for what the DNS answers. Raises GrammarError if *address* is not an address and not a
    domain, and TypeError for another type.
    """
    require_type("address", address, str, '"ann@example.org" or "example.org"')
    require_resolver(resolver)
    search = _Search(*_parts(address), resolver, runtime)
    await search.run()
    return Discovery(
        address=address.strip(),
        domain=search.domain,
        local_part=search.local_part,
        servers=tuple(search.sorted_servers()),
        steps=tuple(search.steps),
    )


def _parts(address: str) -> tuple[str, str]:
    """Return the local part and the domain of an address; a domain alone has no local part."""
    if "@" not in address:
        return "", _domain(Domain(address.strip().removesuffix("."), loose=True))
    mailbox = Mailbox.parse(address)
    if not isinstance(mailbox.domain, Domain):
        raise GrammarError(f"there is no domain in {printable(address)!r}; pass host and port")
    return mailbox.local_part, _domain(mailbox.domain)


def _domain(domain: Domain) -> str:
    return lower(domain.a_labels().name)


@define(eq=False)
class _Search:
    local_part: str
    domain: str
    _resolver: Resolver
    _runtime: Runtime
    steps: list[Step] = field(factory=list, init=False)
    _found: list[FoundServer] = field(factory=list, init=False)

    async def run(self) -> None:
        if await self._by_services():
            return
        self._by_table()
        if not self._found:
            await self._by_exchangers()

    def sorted_servers(self) -> list[FoundServer]:
        """Return the servers, each once: those that need no confirmation first."""
        places: dict[tuple[str, int], FoundServer] = {}
        for server in sorted(self._found, key=lambda it: it.trust is Trust.UNCONFIRMED):
            places.setdefault((server.host, server.port), server)
        return list(places.values())

    # -- SRV records -------------------------------------------------------------------------

    async def _by_services(self) -> bool:
        """Ask for SRV records. Return whether the domain says that it offers no service at all."""
        refused, named = 0, list[tuple[SRV, FoundServer]]()
        for service in _SERVICES:
            name = f"_{service}._tcp.{self.domain}"
            answer = await self._resolver.lookup(name, Kind.SRV)
            records = answer.services
            usable = [it for it in records if _is_usable(it)]
            refused += bool(records) and not any(it.target for it in records)
            self._note(f"SRV records of {name}", _result(answer, len(usable)))
            named += [(it, self._server(it, service, answer)) for it in self._ordered(usable)]
        # The order within a priority is kept: the preferred service first, then by weight.
        named.sort(key=lambda one: one[0].priority)
        self._found += [server for _, server in named[:SUBMISSION_SERVERS]]
        return refused == len(_SERVICES)

    def _ordered(self, records: Iterable[SRV]) -> list[SRV]:
        return in_order(records, self._runtime.random)

    def _server(self, record: SRV, service: str, answer: Answer) -> FoundServer:
        host = lower(record.target)
        return FoundServer(
            host=host,
            port=record.port,
            tls=_SERVICES[service],
            domain=self.domain,
            found_by=FoundBy.SRV,
            trust=self._trust(host, authentic=answer.authentic),
            service=service,
            provider=provider_at(host),
        )

    def _trust(self, host: str, *, authentic: bool) -> Trust:
        if authentic:
            return Trust.DNSSEC
        if host == self.domain or host.endswith("." + self.domain):
            return Trust.SAME_DOMAIN
        known = provider_of(self.domain)
        listed = known is not None and any(host == it[0] for it in known.servers)
        return Trust.PROVIDER if listed else Trust.UNCONFIRMED

    # -- the table of providers --------------------------------------------------------------

    def _by_table(self) -> None:
        provider = provider_of(self.domain)
        result = "the domain is not in it" if provider is None else provider.name
        self._note("table of providers", result)
        if provider is not None:
            self._found += self._servers_of(provider, FoundBy.PROVIDER, Trust.PROVIDER)

    async def _by_exchangers(self) -> None:
        """Ask which hosts take the mail of the domain: they may be those of a provider."""
        answer = await self._resolver.lookup(self.domain, Kind.MX)
        hosts = [lower(it.exchange) for it in sorted(answer.exchangers)]
        providers = filter(None, map(provider_behind, hosts))
        provider = next(providers, None)
        if provider is None:
            result = "no provider of the table" if hosts else _result(answer, 0)
            self._note(f"MX records of {self.domain}", result)
            return
        self._note(f"MX records of {self.domain}", provider.name)
        trust = Trust.DNSSEC if answer.authentic else Trust.UNCONFIRMED
        self._found += self._servers_of(provider, FoundBy.MX, trust)

    def _servers_of(
        self, provider: Provider, found_by: FoundBy, trust: Trust
    ) -> Iterator[FoundServer]:
        for host, port, tls in provider.servers:
            yield FoundServer(
                host=host,
                port=port,
                tls=tls,
                domain=self.domain,
                found_by=found_by,
                trust=trust,
                provider=provider,
            )

    def _note(self, looked_at: str, result: str) -> None:
        self.steps.append(Step(looked_at=looked_at, result=result))


def _is_usable(record: SRV) -> bool:
    """Return whether a client can connect to the host of *record*; "." is none (RFC 6186 3.4)."""
    return 0 < record.port < 65536 and bool(record.target) and accepts(Domain, record.target)


def _result(answer: Answer, usable: int) -> str:
    """Return what *answer* says, in words."""
    if usable:
        proved = ", which DNSSEC proves" if answer.authentic else ""
        return f"{usable} server{'s' if usable > 1 else ''}{proved}"
    if answer.services:
        offered = any(it.target for it in answer.services)
        return "no usable host" if offered else "the domain does not offer this"
    detail = f" ({printable(answer.detail)[:200]})" if answer.detail else ""
    return f"{answer.status.value}{detail}"

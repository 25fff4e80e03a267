"""A resolver that uses dnspython, under asyncio, under trio and with blocking sockets.

dnspython is an extra: ``pip install "smtpproto-sansio[dns]"``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from typing import Any

try:
    import dns.asyncbackend
    import dns.asyncresolver
    import dns.edns
    import dns.exception
    import dns.flags
    import dns.message
    import dns.name
    import dns.rdatatype
    import dns.resolver
except ImportError as _error:
    raise ImportError(
        'smtpproto.adapters.dnspython needs dnspython: pip install "smtpproto-sansio[dns]"'
    ) from _error

from ..dns import MX, SRV, TLSA, Answer, Kind, Record, Status
from ..grammar.printable import printable

__all__ = ["DNSResolver"]

_UDP_SIZE = 1232  # octets that pass every network unfragmented; a longer answer comes by TCP
_BOGUS = range(6, 13)  # codes of RFC 8914 that say that DNSSEC failed
_SHOWN = 300  # characters of an error


class DNSResolver:
    """Asks recursive name servers. Implements :class:`smtpproto.dns.Resolver`.

    *nameservers* are their IP addresses, IPv4 or IPv6; None takes them from ``/etc/resolv.conf``.
    *timeout* are the seconds to wait for an answer of one server, and *lifetime* those for all
    servers and attempts together. *trusted* says whether to believe a server that says that DNSSEC
    has proved an answer; None: if all of them are on this host, because anybody in between could
    say so. Names are asked for as they are: the search list of the system is not used.

    It keeps no answers: put a :class:`.CachingResolver` before it. Raises ValueError if there is
    no name server, if one of *nameservers* is not an address, or for a *port* that is none.
    """

    def __init__(
        self,
        nameservers: Iterable[str] | None = None,
        *,
        port: int = 53,
        timeout: float = 4.0,
        lifetime: float = 12.0,
        trusted: bool | None = None,
    ) -> None:
        servers = None if nameservers is None else _addresses(nameservers)
        if not 1 <= port <= 65535:
            raise ValueError(f"port must be 1 to 65535, not {port}")
        self._blocking = dns.resolver.Resolver(configure=False)
        self._suspending = dns.asyncresolver.Resolver(configure=False)
        for resolver in (self._blocking, self._suspending):
            _configure(resolver, servers)
            resolver.port = port
            resolver.timeout, resolver.lifetime = timeout, lifetime
            resolver.use_edns(0, 0, _UDP_SIZE)
            resolver.flags = dns.flags.RD | dns.flags.AD  # AD asks to be told (RFC 6840 5.7)
        local = all(ip_address(str(it)).is_loopback for it in self._blocking.nameservers)
        self._trusted = local if trusted is None else trusted

    async def lookup(self, name: str, kind: Kind) -> Answer:
        """Return the answer for *name*. It is FAILED if no server answers, and BOGUS if a server
        says that DNSSEC has failed (RFC 8914)."""
        if not name.isascii():  # dnspython would make A-labels, by IDNA 2003 or by IDNA 2008
            return Answer(status=Status.NO_NAME, detail="the name is not in ASCII")
        try:
            absolute = dns.name.from_text(name, dns.name.root)
        except dns.exception.DNSException as error:
            return Answer(status=Status.NO_NAME, detail=_text(error))
        try:
            found = await self._ask(absolute, kind.value)
        except dns.resolver.NXDOMAIN as error:
            return self._no_name(error)
        except dns.resolver.NoNameservers as error:
            bogus = any(map(_is_bogus, _responses(error)))
            return Answer(status=Status.BOGUS if bogus else Status.FAILED, detail=_text(error))
        except (dns.exception.DNSException, OSError, ValueError) as error:
            return Answer(status=Status.FAILED, detail=_text(error))
        return self._found(absolute, found)

    async def _ask(self, name: dns.name.Name, kind: str) -> dns.resolver.Answer:
        options: dict[str, Any] = {"search": False, "raise_on_no_answer": False}
        try:
            backend = dns.asyncbackend.get_backend(dns.asyncbackend.sniff())
        except dns.asyncbackend.AsyncLibraryNotFoundError:
            return self._blocking.resolve(name, kind, **options)
        return await self._suspending.resolve(name, kind, backend=backend, **options)

    def _found(self, name: dns.name.Name, found: dns.resolver.Answer) -> Answer:
        records = () if found.rrset is None else tuple(map(_record, found.rrset))
        canonical = found.canonical_name
        return Answer(
            status=Status.FOUND if records else Status.NO_DATA,
            records=records,
            ttl=_ttl(found.response),
            name="" if canonical == name else _name(canonical),
            authentic=self._is_authentic(found.response),
        )

    def _no_name(self, error: dns.resolver.NXDOMAIN) -> Answer:
        [response] = error.kwargs["responses"].values()  # one: names are asked for as they are
        return Answer(
            status=Status.NO_NAME,
            ttl=_ttl(response),
            authentic=self._is_authentic(response),
        )

    def _is_authentic(self, response: dns.message.Message) -> bool:
        return self._trusted and bool(response.flags & dns.flags.AD)


def _addresses(nameservers: Iterable[str]) -> list[str]:
    if isinstance(nameservers, str):
        raise TypeError("nameservers cannot be a str; pass a list of addresses")
    servers = [str(ip_address(it)) for it in nameservers]
    if not servers:
        raise ValueError("nameservers is empty; pass an address, or None for those of the system")
    return servers


def _configure(resolver: dns.resolver.BaseResolver, servers: list[str] | None) -> None:
    if servers is not None:
        resolver.nameservers = servers
        return
    try:
        resolver.read_resolv_conf("/etc/resolv.conf")
    except dns.exception.DNSException as error:
        raise ValueError("no name servers are configured here; pass nameservers=[...]") from error


def _responses(error: dns.resolver.NoNameservers) -> Iterator[dns.message.Message]:
    for _, _, _, _, response in error.kwargs["errors"]:
        if response is not None:
            yield response


def _is_bogus(response: dns.message.Message) -> bool:
    return any(int(it.code) in _BOGUS for it in response.extended_errors())


def _ttl(response: dns.message.Message) -> float:
    """Return the least time to live of the records and aliases that answer the question."""
    if not isinstance(response, dns.message.QueryMessage):
        return 0
    chain = response.resolve_chaining()
    if chain.answer is None and not any(
        it.rdtype == dns.rdatatype.SOA for it in response.authority
    ):
        return 0  # without SOA a negative answer must not be kept (RFC 2308 5)
    return float(chain.minimum_ttl)


def _record(data: Any) -> Record:
    match data.rdtype:
        case dns.rdatatype.MX:
            return MX(data.preference, _name(data.exchange))
        case dns.rdatatype.SRV:
            return SRV(
                priority=data.priority,
                weight=data.weight,
                port=data.port,
                target=_name(data.target),
            )
        case dns.rdatatype.TLSA:
            return TLSA(data.usage, data.selector, data.mtype, bytes(data.cert))
        case dns.rdatatype.TXT:
            return b"".join(data.strings)
        case dns.rdatatype.PTR:
            return _name(data.target)
        case _:
            return str(data.address)


def _name(name: dns.name.Name) -> str:
    return "" if name == dns.name.root else name.to_text(omit_final_dot=True).lower()


def _text(error: Exception) -> str:
    return printable(str(error) or type(error).__name__)[:_SHOWN]

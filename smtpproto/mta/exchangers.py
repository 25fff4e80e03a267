"""Which hosts take the mail of a domain: MX records and what they mean (RFC 5321 5.1, RFC 7505)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from ipaddress import ip_address
from itertools import groupby, zip_longest

from attrs import field, frozen

from ..dns import MX, Answer, Kind, Resolver, Status
from ..errors import NoRoute
from ..grammar.domain import AddressLiteral, Domain, Host, to_ascii_host
from ..grammar.printable import printable
from ..grammar.reply import Reply
from ..limits import MX_HOSTS

__all__ = ["Exchanger", "Self", "exchangers"]


@frozen(kw_only=True)
class Exchanger:
    """A host that takes mail for a domain."""

    name: str
    """In A-labels; an address literal as text."""
    addresses: tuple[str, ...]
    """Both families in turn; each in the order of the answer."""
    preference: int = 0


def _canonical(names: Iterable[Host | str]) -> frozenset[str]:
    return frozenset(to_ascii_host(name).canonical for name in names)


@frozen(kw_only=True)
class Self:
    """What this server is known by. It never sends a domain's mail to itself."""

    names: frozenset[str] = field(default=frozenset(), converter=_canonical)
    addresses: frozenset[str] = field(default=frozenset(), converter=frozenset)
    loopback: bool = True
    """Whether addresses of the loopback, and the unspecified ones, count as this server."""

    def has(self, exchanger: Exchanger) -> bool:
        """Return whether *exchanger* is this server."""
        return exchanger.name in self.names or any(map(self._is_own, exchanger.addresses))

    def _is_own(self, address: str) -> bool:
        ip = ip_address(address)
        ip = getattr(ip, "ipv4_mapped", None) or ip
        return str(ip) in self.addresses or (
            self.loopback and (ip.is_loopback or ip.is_unspecified)
        )


async def exchangers(
    domain: str,
    resolver: Resolver,
    itself: Self,
    shuffle: Callable[[Sequence[MX]], Iterable[MX]],
) -> AsyncIterator[Exchanger]:
    """Yield the hosts for *domain*, in the order to try them; look up no more than is asked for.

    *domain* is in A-labels, or an address literal. *shuffle* returns records of equal preference in
    a random order. Hosts that are not preferred to *itself* are left out (RFC 5321 5.1).
    Raises :class:`NoRoute` in place of a first host. Failures of the DNS are 4yz, never 5yz.
    """
    literal = AddressLiteral.parse(domain) if domain.startswith("[") else None
    if literal is not None:
        found = Exchanger(name=domain, addresses=(str(literal.address),))
        if itself.has(found):
            raise _loops(domain)
        yield found
        return
    records, implicit = await _records(domain, resolver)
    search = _Search(domain, resolver, itself, implicit)
    for _, group in groupby(sorted(records, key=_preference)[:MX_HOSTS], _preference):
        for found in await search.usable(list(shuffle(list(group)))):
            yield found
        if search.reached_itself:
            break
    search.check()


def _preference(record: MX) -> int:
    return record.preference


async def _records(domain: str, resolver: Resolver) -> tuple[Sequence[MX], bool]:
    """Return the MX records of *domain*, and whether they are only implied. Raises NoRoute."""
    answer = await resolver.lookup(domain, Kind.MX)
    if not answer.known:
        raise _failed(domain, Kind.MX, answer)
    if answer.status is Status.NO_NAME:
        raise _no_route(Reply(550, "5.1.2", f"The domain {_shown(domain)} does not exist"))
    named = [record for record in answer.exchangers if record.exchange]
    if named:
        return named, False
    if answer.exchangers:
        text = f"The domain {_shown(domain)} takes no mail: it has a null MX"
        raise _no_route(Reply(556, "5.1.10", text))
    return [MX(0, answer.name or domain)], True


class _Search:
    """Looks up the addresses of exchangers, and remembers why some are unusable."""

    def __init__(self, domain: str, resolver: Resolver, itself: Self, implicit: bool) -> None:
        self._domain, self._resolver, self._itself = domain, resolver, itself
        self._implicit = implicit
        self._found = False
        self._failure: NoRoute | None = None
        self.reached_itself = False

    async def usable(self, group: Sequence[MX]) -> Sequence[Exchanger]:
        """Return the hosts of *group*, whose preferences are equal; none if this server is among
        them."""
        hosts = [await self._look_up(record) for record in group]
        self.reached_itself = any(map(self._itself.has, hosts))
        usable = [] if self.reached_itself else [host for host in hosts if host.addresses]
        self._found = self._found or bool(usable)
        return usable

    async def _look_up(self, record: MX) -> Exchanger:
        families = []
        for kind in (Kind.AAAA, Kind.A):
            answer = await self._resolver.lookup(record.exchange, kind)
            if not answer.known:
                self._failure = _failed(record.exchange, kind, answer)
            families.append(answer.texts)
        name, preference = record.exchange, record.preference
        return Exchanger(name=name, addresses=tuple(_in_turn(families)), preference=preference)

    def check(self) -> None:
        """Raise NoRoute if no host was found."""
        if self._found:
            return
        if self.reached_itself:
            raise _loops(self._domain)
        if self._failure is not None:
            raise self._failure
        domain = _shown(self._domain)
        if self._implicit:
            raise _no_route(Reply(550, "5.1.2", f"The domain {domain} has no address"))
        raise _no_route(Reply(550, "5.4.4", f"No mail exchanger of {domain} has an address"))


def _in_turn(families: Iterable[Iterable[str]]) -> Iterator[str]:
    for addresses in zip_longest(*families):
        yield from (address for address in addresses if address is not None)


def _shown(domain: str) -> str:
    return printable(domain)


def _loops(domain: str) -> NoRoute:
    text = f"Mail for {_shown(domain)} loops back to this server"
    return _no_route(Reply(550, "5.4.6", text))


def _failed(name: str, kind: Kind, answer: Answer) -> NoRoute:
    why = f" ({printable(answer.detail)})" if answer.detail else ""
    text = f"The look-up of {kind.value} records of {_shown(name)} {_ended(answer)}{why}"
    return _no_route(Reply(451, "4.4.3", text))


def _ended(answer: Answer) -> str:
    return "failed" if answer.status is Status.FAILED else "did not pass DNSSEC"


def _no_route(reply: Reply) -> NoRoute:
    return NoRoute(reply.text, phase="route", reply=reply)


def domain_of(host: Host) -> str:
    """Return *host* as :func:`exchangers` takes it."""
    return host.a_labels().canonical if isinstance(host, Domain) else str(host)

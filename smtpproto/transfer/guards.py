"""What keeps an MTA from being flooded, and from flooding others: limits, greylisting, lists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import field, frozen
from attrs.validators import gt

from ..grammar.ascii_case import lower
from ..option_types import checked
from ..policy.dnsbl import DNSList
from ..policy.greylist import Greylist
from ..policy.rate import Limit
from ..policy.state_store import StateStore
from ..server.networks import Network, to_networks

__all__ = ["Guards", "Limits", "ReceiveLimits", "SendLimits"]

Limits = Mapping[str, Limit]
"""Limits by name; ``*`` is that of each name that is not there."""


def _to_limit(value: Limit | str) -> Limit:
    return Limit.parse(value) if isinstance(value, str) else value


def _to_limits(value: Limit | str | Mapping[str, Limit | str]) -> Limits:
    values = value if isinstance(value, Mapping) else {"*": value}
    return {lower(name): _to_limit(it) for name, it in values.items()}


def _no_at_once(instance: object, attribute: Any, limits: Limits) -> None:
    if any(limit.at_once is not None for limit in limits.values()):
        raise ValueError(f"{attribute.name} cannot have a number at once; only a rate")


def limit_of(limits: Limits, name: str) -> Limit | None:
    """Return the limit of *name*; None if it has none."""
    return limits.get(lower(name)) or limits.get("*")


@checked
@frozen(kw_only=True)
class ReceiveLimits:
    """How many recipients are taken, by rates. Only those count that nothing else refuses.

    Each is a :class:`.Limit`, its text such as ``"100/h burst 20"``, or a mapping of names to
    these, in which ``*`` is each other name.
    """

    network: Limits = field(factory=dict, converter=_to_limits, validator=_no_at_once)
    """From the network of a client that may not send to all recipients."""
    user: Limits = field(factory=dict, converter=_to_limits, validator=_no_at_once)
    """From a user who has logged in."""
    sender: Limits = field(factory=dict, converter=_to_limits, validator=_no_at_once)
    """From a sender's address, by clients that may send to all recipients. Others could use up the
    limit of any sender."""
    recipient_domain: Limits = field(factory=dict, converter=_to_limits, validator=_no_at_once)
    """For a domain."""


@checked
@frozen(kw_only=True)
class SendLimits:
    """How many recipients are tried, and how many transactions go on at once. What is too much
    waits in the queue, without an attempt. Values are like those of :class:`ReceiveLimits`.
    """

    destination: Limits = field(factory=dict, converter=_to_limits)
    """To a domain; to a smart host if the route is one, by its name, with ``:587`` if the route has
    this port."""
    user: Limits = field(factory=dict, converter=_to_limits)
    """Of messages that a user who had logged in has sent, or a client in *relay_from*: then the
    name is its network, for example ``192.0.2.7/32``."""
    sender: Limits = field(factory=dict, converter=_to_limits)
    """Of messages from a sender's address."""


def _to_connections(value: Limit | str | None) -> Limit | None:
    return None if value is None else _to_limit(value)


def _to_lists(values: Iterable[DNSList | str]) -> tuple[DNSList, ...]:
    if isinstance(values, str):
        raise TypeError(f"lists cannot be a str; pass [{values!r}]")
    return tuple(DNSList(it) if isinstance(it, str) else it for it in values)


def _to_names(values: Iterable[str]) -> frozenset[str]:
    if isinstance(values, str):
        raise TypeError(f"exempt_recipients cannot be a str; pass [{values!r}]")
    return frozenset(map(lower, values))


@checked
@frozen(kw_only=True)
class Guards:
    """The guards of an MTA. By default there are none.

    Users who have logged in, and clients in *relay_from*, are met by the limits that name them, not
    by lists, greylisting and the limits of networks.
    """

    store: StateStore | None = None
    """Keeps what guards must remember, for example :class:`.SQLiteStates`. None: memory, and a
    restart forgets it."""
    connections: Limit | None = field(default=None, converter=_to_connections)
    """From one network, for example ``"60/m, 20 at once"``: others get 421."""
    receive: ReceiveLimits = field(factory=ReceiveLimits)
    """What is taken."""
    send: SendLimits = field(factory=SendLimits)
    """What is sent."""
    greylist: Greylist | None = None
    """How strangers are greylisted. None: they are not."""
    lists: tuple[DNSList, ...] = field(default=(), converter=_to_lists)
    """Lists in the DNS, as :class:`.DNSList` or by their zones."""
    refuse_at: float = field(default=1.0, validator=gt(0))
    """The sum of weights of listings from which on a client is refused."""
    lists_timeout: float = field(default=5.0, validator=gt(0))
    """Seconds that the lists have to answer; those that do not are left out for a while."""
    exempt: tuple[Network, ...] = field(default=(), converter=to_networks)
    """Addresses and networks whose clients are met by none of these guards but the limits of
    recipient domains."""
    exempt_recipients: frozenset[str] = field(default=frozenset(), converter=_to_names)
    """Addresses and domains that get mail from those on lists too, and without greylisting. Those
    of postmasters always do (RFC 5321 4.5.1)."""
    prefixes: tuple[int, int] = (24, 48)
    """The bits of an IPv4 and of an IPv6 address that make a network."""

    @property
    def meet_clients(self) -> bool:
        """Whether there are guards to ask at the commands of clients."""
        others = self.connections, self.greylist, self.lists
        return any(others) or self.receive != ReceiveLimits()

    def __attrs_post_init__(self) -> None:
        sizes: tuple[int, ...] = self.prefixes
        if len(sizes) != 2 or not (0 <= sizes[0] <= 32 and 0 <= sizes[1] <= 128):
            raise ValueError(f"prefixes must be 0 to 32, and 0 to 128 bits, not {sizes}")

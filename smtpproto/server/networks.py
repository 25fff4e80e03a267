"""Networks of peers that a server trusts."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network


def to_networks(values: str | Iterable[str]) -> tuple[Network, ...]:
    """Return the networks of *values*, for example ``"192.0.2.0/24"``. Raises ValueError."""
    return tuple(ip_network(value) for value in ([values] if isinstance(values, str) else values))


def is_among(address: str, networks: Iterable[Network]) -> bool:
    """Return whether the peer's *address* is in one of *networks*."""
    try:
        peer = ip_address(address)
    except ValueError:  # a Unix socket has no address
        return False
    peer = getattr(peer, "ipv4_mapped", None) or peer
    return any(peer in network for network in networks)

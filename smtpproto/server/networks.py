"""Networks of peers: those that a server trusts, and those that it counts."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from ..limits import Limits

Network = IPv4Network | IPv6Network

_REMEMBERED = 1000  # addresses, because to read one is slow
_MAPPED_PREFIX = 96  # bits of ::ffff:0:0 before an IPv4 address (RFC 4291 2.5.5.2)


def to_networks(values: str | Iterable[str]) -> tuple[Network, ...]:
    """Return the networks of *values*, for example ``"192.0.2.0/24"``, without IPv6 around IPv4, as
    for peers. Raises ValueError."""
    return tuple(_to_network(value) for value in ([values] if isinstance(values, str) else values))


def _to_network(value: str) -> Network:
    network = ip_network(value)
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is None or network.prefixlen < _MAPPED_PREFIX:
        return network
    return IPv4Network((mapped, network.prefixlen - _MAPPED_PREFIX))


def is_among(address: str, networks: Collection[Network]) -> bool:
    """Return whether the peer's *address* is in one of *networks*."""
    if not networks or (peer := _read(address)) is None:
        return False
    return any(peer in network for network in networks)


NetworkKey = tuple[int, int]
"""The version of IP, and the first bits of an address."""


def network_key(address: str, limits: Limits) -> NetworkKey | None:
    """Return what the addresses of the network of *address* have in common; None for a peer without
    an address. *limits* says how many bits that are."""
    try:
        octets = bytes(map(int, address.split(".")))  # most addresses; ip_address is slow
    except ValueError:
        octets = b""
    if len(octets) == 4:
        return 4, int.from_bytes(octets, "big") >> (32 - limits.network_prefixes[0])
    if (peer := _read(address)) is None:
        return None
    prefix = limits.network_prefixes[peer.version == 6]
    return peer.version, int(peer) >> (peer.max_prefixlen - prefix)


@functools.lru_cache(_REMEMBERED)
def network_name(address: str, prefixes: tuple[int, int] = (32, 64)) -> str:
    """Return the network of *address*, for people: its first bits, as many as *prefixes* say for
    IPv4 and IPv6. Return a peer without an address as it is."""
    if (peer := _read(address)) is None:
        return address
    return str(ip_network((peer, prefixes[peer.version == 6]), strict=False))


@functools.lru_cache(_REMEMBERED)
def _read(address: str) -> IPv4Address | IPv6Address | None:
    """Return *address*, without IPv6 around IPv4; None for a Unix socket, which has no address."""
    try:
        peer = ip_address(address)
    except ValueError:
        return None
    return getattr(peer, "ipv4_mapped", None) or peer

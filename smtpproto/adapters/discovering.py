"""``discover`` of the adapters."""

from __future__ import annotations

from ..discovery import Discovery, discover_servers
from ..dns import Resolver
from ..ports import Runtime


async def discover_with(address: str, resolver: Resolver | None, runtime: Runtime) -> Discovery:
    """Do what :func:`.discover_servers` does; *resolver* None asks those of the system.

    Raises ImportError without the extra ``dns`` if *resolver* is None.
    """
    if resolver is None:
        from .dnspython import DNSResolver  # noqa: PLC0415 - it is an extra

        resolver = DNSResolver()
    return await discover_servers(address, resolver, runtime)

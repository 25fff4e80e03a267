"""Ring 5: finding the servers to which a user can submit mail (RFC 6186, RFC 8314 5.1).

::

    found = await discover_servers("ann@example.org", resolver, runtime)
    async with connect(**found.best.options, login=("ann@example.org", "secret")) as client:
        ...

The adapters have ``discover``, which does the same with a resolver and a runtime of their own. It
asks the DNS and looks into a table of large providers; it connects to no server.
"""

from typing import TYPE_CHECKING

from ..late_names import late_names

if TYPE_CHECKING:
    from .found_server import DiscoveredOptions, Discovery, FoundBy, FoundServer, Step, Trust
    from .providers import PROVIDERS, LoginKind, Provider
    from .search import discover_servers
    from .service_records import in_order
else:
    __getattr__, __dir__ = late_names(
        __name__,
        {
            ".search": "discover_servers",
            ".providers": "PROVIDERS LoginKind Provider",
            ".found_server": "Discovery FoundBy FoundServer DiscoveredOptions Step Trust",
            ".service_records": "in_order",
        },
    )

__all__ = [
    "PROVIDERS",
    "DiscoveredOptions",
    "Discovery",
    "FoundBy",
    "FoundServer",
    "LoginKind",
    "Provider",
    "Step",
    "Trust",
    "discover_servers",
    "in_order",
]  # fmt: skip

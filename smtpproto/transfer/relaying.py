"""Who may send mail to whom."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import field, frozen

from ..mta.route import Direct, Routes
from ..option_types import checked
from ..server.networks import Network, is_among, to_networks

__all__ = ["Relaying"]


def _to_routes(domains: Iterable[str] | Routes) -> Routes:
    """Return *domains* as routes, whose keys select recipients."""
    if isinstance(domains, Routes):
        return domains
    if isinstance(domains, str):
        raise TypeError(f"relay_for cannot be a str; pass [{domains!r}]")
    patterns = tuple(domains)
    if "*" in patterns:
        raise ValueError('relay_for cannot have "*": that would be an open relay')
    return Routes(dict.fromkeys(patterns, Direct()))


@checked
@frozen(kw_only=True)
class Relaying:
    """Who may send mail to whom through this server.

    Clients that have logged in may send to all recipients. All clients may send to recipients whose
    route is :class:`.Local`, or a :class:`.SmartHost` that is final.
    """

    relay_from: tuple[Network, ...] = field(default=(), converter=to_networks)
    """Addresses and networks (``"192.0.2.0/24"``) of clients that may send to all recipients."""
    relay_for: Routes = field(factory=lambda: Routes({}), converter=_to_routes)
    """Domains whose mail is taken from all clients although it is not delivered here, as a backup
    MX or a gateway does. ``.example.org`` is all domains below it."""

    def may_relay(self, user: str | None, peer: str) -> bool:
        """Return whether a client with the address *peer* may send to all recipients. *user* has
        logged in; None: nobody has."""
        return user is not None or is_among(peer, self.relay_from)

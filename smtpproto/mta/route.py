"""Where mail for a recipient goes: by MX, to a smart host, or to a mailbox here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import field, frozen

from ..grammar.address import ForwardPath, ReversePath
from ..grammar.domain import AddressLiteral, Host, to_ascii_host
from ..option_types import checked

__all__ = ["Direct", "Local", "Route", "Routes", "SmartHost"]


@checked
@frozen(kw_only=True)
class Direct:
    """To the hosts that the DNS names for the recipient's domain."""

    port: int = 25
    options: Mapping[str, Any] = field(factory=dict)
    """Options of the client: see :class:`.ClientConfig`. TLS is opportunistic unless they say
    otherwise."""

    def key(self, domain: str) -> str:
        """Return what names the destination, for limits and for people."""
        return domain


def _hosts(value: str | Iterable[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


@checked
@frozen
class SmartHost:
    """To a relay, whatever the recipient's domain.

    ``SmartHost("smtp.example.net", login=("ann", "secret"))``; several hosts are tried in turn.
    *host* may be a name, an address, the path of a Unix socket or a URL, as for ``connect``.
    """

    hosts: tuple[str, ...] = field(converter=_hosts)
    port: int | None = None
    options: Mapping[str, Any] = field(factory=dict, repr=False)

    def key(self, domain: str) -> str:
        """Return what names the destination, for limits and for people."""
        return self.hosts[0] if self.port is None else f"{self.hosts[0]}:{self.port}"


@checked
@frozen
class Local:
    """To a mailbox here: *deliver* takes the message."""

    deliver: Any

    def key(self, domain: str) -> str:
        """Return what names the destination, for limits and for people."""
        return f"local:{domain}"


Route = Direct | SmartHost | Local


def _pattern(pattern: str) -> str:
    """Return *pattern* as it is looked up: ``*``, a domain, or ``.`` and a domain."""
    if pattern == "*" or not pattern:
        return pattern
    dot = "." if pattern.startswith(".") else ""
    return dot + to_ascii_host(pattern.removeprefix(".")).canonical


def _by_pattern(routes: Mapping[str, Route]) -> Mapping[str, Route]:
    return {_pattern(pattern): route for pattern, route in routes.items()}


@frozen
class Routes:
    """Chooses the route of each recipient.

    The keys of *by_recipient* are domains, ``.example.org`` for all domains below it, "" for the
    bare ``<Postmaster>``, and ``*`` for all others. *by_sender* has addresses and domains of
    senders; it comes before ``*`` only.
    """

    by_recipient: Mapping[str, Route] = field(converter=_by_pattern)
    by_sender: Mapping[str, Route] = field(factory=dict)

    def route(self, sender: ReversePath, recipient: ForwardPath) -> Route | None:
        """Return the route for *recipient* of a message from *sender*; None if there is none."""
        found = _look_up(self.by_recipient, recipient.domain)
        return found or self._of_sender(sender) or self.by_recipient.get("*")

    def _of_sender(self, sender: ReversePath) -> Route | None:
        if sender.mailbox is None or not self.by_sender:
            return None
        exact = next((route for it, route in self.by_sender.items() if sender == it), None)
        return exact or _look_up(self._sender_domains, sender.mailbox.domain)

    @property
    def _sender_domains(self) -> Mapping[str, Route]:
        return {_pattern(it): route for it, route in self.by_sender.items() if "@" not in it}


def _look_up(routes: Mapping[str, Route], domain: Host | None) -> Route | None:
    """Return the route of *domain* or of the nearest domain above it."""
    if domain is None:
        return routes.get("")
    name = domain.canonical
    if name in routes or isinstance(domain, AddressLiteral):
        return routes.get(name)
    while name := name.partition(".")[2]:
        if (found := routes.get("." + name)) is not None:
            return found
    return None

"""Where mail for a recipient goes: by MX, to a smart host, or to a mailbox here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from attrs import Factory, field, frozen

from ..grammar.address import ForwardPath, Mailbox, ReversePath
from ..grammar.domain import Host, to_ascii_host
from ..option_types import check_type, checked, require_type, wrong_type

__all__ = ["Direct", "Local", "Route", "Routes", "SmartHost"]


@frozen(init=False)
class Direct:
    """To the hosts that the DNS names for the recipient's domain.

    ``Direct(tls="starttls")``; the options are those of the client, as for ``connect``. TLS is
    opportunistic unless they say otherwise.
    """

    port: int
    options: Mapping[str, Any] = field(repr=False)

    def __init__(self, *, port: int = 25, **options: Any) -> None:
        require_type("port", port, int, "an int")
        object.__setattr__(self, "port", port)
        object.__setattr__(self, "options", options)

    def key(self, domain: str) -> str:
        """Return what names the destination, for limits and for people."""
        return domain


@frozen(init=False)
class SmartHost:
    """To a relay, whatever the recipient's domain.

    ``SmartHost("smtp.example.net", login=("ann", "secret"))``. A host may be a name, an address,
    the path of a Unix socket or a URL, and the options are those of the client, as for ``connect``.
    Several hosts are tried in turn. Mail goes to each as it is named: MX records are not looked up.
    The TLSA records and the MTA-STS policy of a name count if the MTA uses them (RFC 7672 2.2.2,
    RFC 8461 3.4).

    A *final* host has the mailboxes: ``SmartHost("lmtp:///run/dovecot/lmtp", final=True)``. Mail
    for it is taken from all clients, as mail for a :class:`Local` is.

    *knows* is a function that returns whether the host has a recipient; others are refused at RCPT
    with 550 5.1.1, but for a postmaster. None: the host says so only at the delivery, and reports
    go to senders that may be forged.
    """

    hosts: tuple[str, ...] = field(repr=lambda hosts: repr([*map(_without_login, hosts)]))
    port: int | None
    final: bool
    knows: Callable[[ForwardPath], bool] | None
    options: Mapping[str, Any] = field(repr=False)

    def __init__(
        self,
        hosts: str | Iterable[str],
        port: int | None = None,
        *,
        final: bool = False,
        knows: Callable[[ForwardPath], bool] | None = None,
        **options: Any,
    ) -> None:
        require_type("hosts", hosts, str | Iterable, "a str, or several")
        check_type("port", port, int, "an int")
        require_type("final", final, bool, "True or False")
        if not (knows is None or callable(knows)):
            raise wrong_type("knows", knows, "a function")
        several = (hosts,) if isinstance(hosts, str) else tuple(hosts)
        if not several:
            raise ValueError("a smart host needs at least one host")
        object.__setattr__(self, "hosts", several)
        object.__setattr__(self, "port", port)
        object.__setattr__(self, "final", final)
        object.__setattr__(self, "knows", knows)
        object.__setattr__(self, "options", options)

    def key(self, domain: str) -> str:
        """Return what names the destination, for limits and for people."""
        host = _without_login(self.hosts[0])
        return host if self.port is None else f"{host}:{self.port}"


def _without_login(host: str) -> str:
    """Return *host* as it may be shown: of a URL, neither user, password nor options."""
    scheme, mark, rest = host.partition("://")
    if not mark:
        return host
    return f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}"


@checked
@frozen
class Local:
    """To a mailbox here: *deliver* takes the message."""

    deliver: Callable[..., Any]
    knows: Callable[[ForwardPath], bool] | None = field(
        default=Factory(lambda self: getattr(self.deliver, "knows", None), takes_self=True)
    )
    """Returns whether a recipient has a mailbox; others are refused with 550 5.1.1. Mail for a
    postmaster without one goes to that of the MTA (RFC 5321 4.5.1). None: all have one. The default
    is the method ``knows`` of *deliver*, if it has one."""

    def key(self, domain: str) -> str:
        """Return what names the destination, for limits and for people."""
        return f"local:{domain}"


Route = Direct | SmartHost | Local
"""Where the mail of a domain goes."""


def _pattern(pattern: str) -> str:
    """Return *pattern* as it is looked up: ``*``, a domain, or ``.`` and a domain."""
    if pattern == "*" or not pattern:
        return pattern
    dot = "." if pattern.startswith(".") else ""
    return dot + to_ascii_host(pattern.removeprefix(".")).canonical


def _check_route(name: str, route: object) -> None:
    if not isinstance(route, Route):
        raise wrong_type(f"the route of {name!r}", route, "Direct(), SmartHost(...) or Local(...)")


def _by_key(routes: Mapping[str, Route], key_of: Callable[[str], str]) -> Mapping[str, Route]:
    """Return *routes* by the canonical forms of their names."""
    names: dict[str, str] = {}
    for name, route in routes.items():
        _check_route(name, route)
        same = names.setdefault(key_of(name), name)
        if same is not name:
            raise ValueError(f"the routes {same!r} and {name!r} are for the same mail; keep one")
    return {key: routes[name] for key, name in names.items()}


def _by_pattern(routes: Mapping[str, Route]) -> Mapping[str, Route]:
    return _by_key(routes, _pattern)


def _by_sender(routes: Mapping[str, Route]) -> Mapping[str, Route]:
    def key_of(name: str) -> str:
        return Mailbox.parse(name).canonical if "@" in name else _pattern(name)

    return _by_key(routes, key_of)


def _of_all_senders(routes: Routes) -> Route | None:
    """Return a route with the destination of all senders, where only they decide; None if they have
    different ones, or some have none."""
    others = routes.by_recipient.get("*"), *routes.by_sender.values()
    keys = {None if route is None else route.key("") for route in others}
    return others[0] if len(keys) == 1 else None


@frozen
class Routes:
    """Chooses the route of each recipient.

    The keys of *by_recipient* are domains, ``.example.org`` for all domains below it, "" for the
    bare ``<Postmaster>``, and ``*`` for all others. *by_sender* has addresses and domains of
    senders; it comes before ``*`` only, so that mail for domains of your own stays here.

    Raises GrammarError for a key that is no address and no domain, TypeError for a value that is no
    route, and ValueError for two keys that mean the same.
    """

    by_recipient: Mapping[str, Route] = field(converter=_by_pattern)
    by_sender: Mapping[str, Route] = field(factory=dict, converter=_by_sender)
    _of_all: Route | None = field(
        default=Factory(_of_all_senders, takes_self=True), init=False, repr=False, eq=False
    )

    def route(self, sender: ReversePath, recipient: ForwardPath) -> Route | None:
        """Return the route for *recipient* of a message from *sender*; None if there is none."""
        found = (
            _look_up(self.by_recipient, _name(recipient.domain))
            or self._of_sender(sender)
            or self.by_recipient.get("*")
        )
        if recipient.domain is None and isinstance(found, Direct):
            return None  # <Postmaster> has no domain to look up
        return found

    def names(self, recipient: ForwardPath) -> bool:
        """Return whether the domain of *recipient*, or one above it, has a route of its own."""
        return _look_up(self.by_recipient, _name(recipient.domain)) is not None

    def _of_sender(self, sender: ReversePath) -> Route | None:
        if sender.mailbox is None or not self.by_sender:
            return None
        exact = self.by_sender.get(sender.mailbox.canonical)
        return exact or _look_up(self.by_sender, _name(sender.mailbox.domain))

    def destination(self, domain: str) -> str | None:
        """Return what names the destination of mail for *domain*, in canonical form; None if there
        is none, or if it depends on the sender."""
        found = _look_up(self.by_recipient, domain) or self._of_all
        return None if found is None else found.key(domain)


def _name(domain: Host | None) -> str:
    return "" if domain is None else domain.canonical


def _look_up(routes: Mapping[str, Route], name: str) -> Route | None:
    """Return the route of the domain *name* or of the nearest domain above it."""
    if not name or name in routes or name.startswith("["):  # a literal has none above it
        return routes.get(name)
    while name := name.partition(".")[2]:
        if (found := routes.get("." + name)) is not None:
            return found
    return None

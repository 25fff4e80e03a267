"""The configuration file of ``smtpproto mta``. docs/howto/mta.md describes its keys."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping, Set
from functools import partial
from pathlib import Path
from typing import Any

from attrs import define, field, fields, frozen

from ..adapters.asyncio import MTA
from ..adapters.https import HTTPSFetch
from ..adapters.maildir import Maildir
from ..adapters.mbox import Mbox
from ..adapters.pipe import Pipe
from ..adapters.sqlite_policies import SQLitePolicies
from ..dns import Resolver
from ..dns_cache import DNSCacheLimits
from ..grammar.address import ForwardPath
from ..grammar.dsn import Ret
from ..limits import Limits, ScheduleLimits
from ..mta.bounce import ReportOptions
from ..mta.exchangers import Self
from ..mta.memory_store import MemoryQueue
from ..mta.queue_limits import QueueLimits
from ..mta.retry import RetrySchedule
from ..mta.route import Direct, Local, Route, Routes, SmartHost
from ..sasl import Login
from ..server.config import ServerOptions
from ..server.handler import Session
from ..tls.verify import TLSVerify
from ..transfer.assembly import MTAOptions
from ..transfer.receive import Receiver
from ..transfer.relay import check_route
from ..transfer.tls_policies import TLSPolicies
from .mta_aliases import read_aliases, read_srs
from .mta_filters import read_filter
from .mta_guards import read_guards
from .mta_signing import read_daily_reports, read_inspection, read_sealer, read_signer
from .mta_watching import Watching, read_watching
from .serve import load_context, read_users
from .stores import is_shared, open_states, open_store
from .toml_table import Table, of_fields, read_toml

__all__ = ["Configuration", "Listener", "read_configuration"]

_RETRY = {it.name: tuple if it.name == "steps" else float for it in fields(RetrySchedule)}
_LIMITS = {it.name: float if it.name.endswith("pause") else int for it in fields(ScheduleLimits)}
_STORAGE = {
    it.name: float if it.name in ("remember", "patience") else int for it in fields(QueueLimits)
}
_REPORTS = {"name": str, "max_returned": int, "success_for_all": bool}
_COUNTS = ("answers", "octets")
_CACHE = {it.name: int if it.name in _COUNTS else float for it in fields(DNSCacheLimits)}
_FIXED = ("hostname", "queue", "storage", "listen", "status", "metrics")
_MAILDIR = {"separator": str, "folders": bool, "quota": int, "crlf": bool}
_MBOX = {"separator": str, "lock_timeout": float}
_PIPE = {"separator": str, "timeout": float, "crlf": bool}
_KINDS = "direct = true, smart_host, maildir, mbox, pipe or lmtp = ..."


@define
class Certificate:
    """The certificate of a listener; each handshake takes the present *context*."""

    context: ssl.SSLContext

    def __call__(self) -> ssl.SSLContext:
        """Return the present context."""
        return self.context


class _SigningReceiver(Receiver):
    """Has the messages signed of all clients that may send to all recipients."""

    def signs_for(self, session: Session) -> bool:
        return self.may_relay(session)


@frozen
class Listener:
    """A place where the MTA takes mail."""

    host: str
    port: int
    options: ServerOptions
    receiver: type[Receiver]
    certificate: Certificate | None
    users: bytes | None = field(repr=False)
    """The file of the users."""


@frozen
class Configuration:
    """What a file says."""

    mta: MTA
    listeners: tuple[Listener, ...]
    fixed: Mapping[str, object] = field(repr=False)
    """What cannot change while the MTA runs, by what it is called."""
    watching: Watching

    def renew(self, other: Configuration) -> None:
        """Let the MTA that runs work by *other*. Raises ValueError, having changed nothing."""
        changed = [name for name, value in self.fixed.items() if other.fixed[name] != value]
        if changed:
            raise ValueError(f"{', '.join(changed)}: it changes only when the MTA is started anew")
        self.mta.reload(other.mta)
        for own, its in zip(self.listeners, other.listeners, strict=True):
            if own.certificate is not None and its.certificate is not None:
                own.certificate.context = its.certificate.context


def read_configuration(path: Path) -> Configuration:
    """Read the file at *path*. Raises ConfigError, whose text names the line and the key, or
    CommandError if it cannot be read."""
    table = read_toml(path)
    fixed: dict[str, object] = {name: table.value(name) for name in _FIXED}
    hostname, queue = table.need("hostname", str), table.need("queue", str)
    options: MTAOptions = {}
    _take_options(table, options)
    routes = _routes(table.table("routes"), Routes)
    options["aliases"], options["srs"] = read_aliases(table), read_srs(table)
    options["by_sender"] = _routes(table.table("by_sender"), lambda its: Routes({}, its))
    listeners = tuple(_listener(it) for it in table.tables("listen"))
    with table.checks("hostname"):
        own = Self(names=[hostname])
    options["itself"] = _itself(table.table("itself"), own)
    dns = table.table("dns")
    options["dns_cache"] = of_fields(dns.table("cache"), DNSCacheLimits, _CACHE)
    options["resolver"] = _resolver(dns)
    options["inspect"] = inspect = read_inspection(table)
    options["sign"], options["seal"] = read_signer(table), read_sealer(table, inspect)
    if options.get("sign") is None and any(it.receiver is _SigningReceiver for it in listeners):
        raise table.error("listen", "sign = true needs a key in [[sign]]")
    options["daily_reports"] = read_daily_reports(table)
    options["filters"] = [read_filter(it) for it in table.tables("filter")]
    watching = read_watching(table)
    if watching.metrics is not None:
        options["on_event"] = watching.metrics.count
    with table.checks("queue"):
        kept = path if is_shared(queue) else path.parent / queue
    options["tls_policies"] = _tls_policies(table, kept.with_name(f"{kept.name}.mta-sts"))
    storage = of_fields(table.table("storage"), QueueLimits, _STORAGE)
    with table.checks("queue"):
        store, states = open_store(queue, path.parent, storage), open_states(queue, path.parent)
    options["guards"] = read_guards(table, states)
    table.end()
    delivers = options.get("limits", ScheduleLimits()).connections
    if not (listeners or (is_shared(queue) and delivers)):
        raise table.error(None, "there is no place to take mail; add [[listen]] and port = 25")
    with table.checks():
        mta = MTA(hostname, store, routes or None, **options)
    fixed["the users"] = [it.users for it in listeners]
    return Configuration(mta, listeners, fixed, watching)


def _take_options(table: Table, options: MTAOptions) -> None:
    """Put those options into *options* that are keys of *table*."""
    kinds: dict[str, Callable[[str], Any]] = {
        "postmaster": lambda name: table.take(name, str),
        "relay_from": table.take_texts,
        "relay_for": table.take_texts,
        "max_hops": lambda name: table.take(name, int),
        "grace": lambda name: table.take(name, float),
    }
    for name, take in kinds.items():
        value = take(name)
        if value is not None:
            with table.checks(name):
                MTA("localhost", MemoryQueue(), {"*": SmartHost("localhost")}, **{name: value})
            options[name] = value  # type: ignore[literal-required]
    options["retry"] = of_fields(table.table("retry"), RetrySchedule, _RETRY)
    options["limits"] = of_fields(table.table("limits"), ScheduleLimits, _LIMITS)
    options["reports"] = _reports(table.table("reports"))


def _reports(table: Table) -> ReportOptions:
    returned = table.take("returned", str)
    if returned not in (None, *Ret.__members__):
        raise table.error("returned", 'must be "FULL" or "HDRS"')
    make = ReportOptions if returned is None else partial(ReportOptions, returned=Ret(returned))
    return of_fields(table, make, _REPORTS)


def _tls_policies(table: Table, kept: Path) -> TLSPolicies:
    """Return the wishes of domains for TLS that count; *kept* is the file for policies."""
    names = table.take_texts("tls_policies") or []
    if not {*names} <= {"mta-sts", "dane"}:
        raise table.error("tls_policies", 'must be a list of "mta-sts" and "dane"')
    certificates = None
    if "dane" in names:
        try:
            from ..adapters.cryptography_certificates import (  # noqa: PLC0415 - an extra
                CryptographyCertificates,
            )
        except ImportError as error:
            raise table.error("tls_policies", str(error)) from None
        certificates = CryptographyCertificates()
    if "mta-sts" not in names:
        return TLSPolicies(dane=certificates)
    return TLSPolicies(mta_sts=HTTPSFetch(), mta_sts_store=SQLitePolicies(kept), dane=certificates)


def _routes(table: Table, check: Callable[[Mapping[str, Route]], object]) -> dict[str, Route]:
    routes: dict[str, Route] = {}
    for name in table.names():
        if table.is_text(name):
            if table.need(name, str) != "direct":
                raise table.error(name, f'must be "direct", or a table with {_KINDS}')
            routes[name] = Direct()
        else:
            routes[name] = _route(table.table(name))
        with table.checks(name):
            check({name: routes[name]})
            check_route(routes[name])
    with table.checks():
        check(routes)
    return routes


def _route(table: Table) -> Route:
    direct, hosts = table.take("direct", bool), table.take_texts("smart_host")
    maildir, mbox = table.take_path("maildir"), table.take_path("mbox")
    pipe, lmtp = table.take_texts("pipe"), table.take_texts("lmtp")
    if [direct or None, hosts, maildir, mbox, pipe, lmtp].count(None) != 5:
        near = "".join(map(table.near, table.names()))
        raise table.error(None, f"a route has one of {_KINDS}{near}")
    for name, place in {"maildir": maildir, "mbox": mbox}.items():
        if place is not None:
            with table.checks(name):
                _check_directory(place)
    if maildir is not None:
        return Local(of_fields(table, partial(Maildir, maildir), _MAILDIR))
    if mbox is not None:
        return Local(of_fields(table, partial(Mbox, mbox), _MBOX))
    if pipe is not None:
        return Local(of_fields(table, partial(Pipe, pipe), _PIPE))
    port, options = table.take("port", int), _client_options(table)
    if lmtp is not None and (users := table.take_texts("users")) is not None:
        options["knows"] = partial(_is_among_users, {it.lower() for it in users})
    table.end()
    with table.checks():
        if lmtp is not None:
            return SmartHost(lmtp, port, final=True, lmtp=True, **options)
        if hosts is not None:
            return SmartHost(hosts, port, **options)
        return Direct(port=25 if port is None else port, **options)


def _check_directory(place: str) -> None:
    """Raise NotADirectoryError if a file stands where mailboxes at *place* need a directory."""
    parents = Path(f"{place.partition('{')[0]}x").parents
    nearest = next(it for it in parents if it.exists())
    if not nearest.is_dir():
        raise NotADirectoryError(f"{nearest} is a file, not a directory")


def _is_among_users(users: Set[str], recipient: ForwardPath) -> bool:
    return recipient.local_part.lower().partition("+")[0] in users


def _client_options(table: Table) -> dict[str, Any]:
    """Return the options of connections to next hops."""
    options: dict[str, Any] = {}
    user, password = table.take("user", str), table.take_secret("password_file")
    if (user is None) != (password is None):
        raise table.error(None, "a login needs both: user and password_file")
    if user is not None and password is not None:
        options["login"] = Login(user, password)
    for name in ("tls", "server_name"):
        if (value := table.take(name, str)) is not None:
            options[name] = value
    verify, ca = table.take("verify", str), table.take_path("ca")
    if verify is not None:
        if verify not in ("name", "none"):
            text = 'must be "name" or "none"; for a CA of your own, omit it and set ca = "ca.pem"'
            raise table.error("verify", text)
        options["verify"] = TLSVerify.named(verify)
    if ca is not None:
        with table.checks("ca"):
            options["verify"] = TLSVerify.by_ca(ca)
    return options


def _listener(table: Table) -> Listener:
    host, port = table.take("host", str), table.take("port", int)
    options: ServerOptions = {}
    for name in ("submission", "implicit_tls", "require_tls"):
        if (value := table.take(name, bool)) is not None:
            options[name] = value
    if (size := table.take("max_size", int)) is not None:
        with table.checks("max_size"):
            options["limits"] = Limits(message_size=size)
    receiver = _SigningReceiver if table.take("sign", bool) else Receiver
    if (certificate := _certificate(table)) is not None:
        options["context"] = certificate
    users = None
    if (file := table.take_path("users")) is not None:
        with table.checks("users"):
            options["authenticator"], users = read_users(file, "users"), Path(file).read_bytes()
    table.end()
    if port is None:
        raise table.error(None, "port is missing; it is a whole number")
    if not 0 <= port <= 65535:
        raise table.error("port", f"must be 0 to 65535, not {port}")
    _check_tls(table, options)
    host = "127.0.0.1" if host is None else host
    return Listener(host, port, options, receiver, certificate, users)


def _check_tls(table: Table, options: ServerOptions) -> None:
    """Raise ConfigError if *options* lack what they need: logins are for TLS only."""
    if options.get("submission") and "authenticator" not in options:
        raise table.error("submission", "needs users")
    for option, key in (("implicit_tls",) * 2, ("require_tls",) * 2, ("authenticator", "users")):
        if options.get(option) and "context" not in options:
            raise table.error(key, "needs a certificate")


def _certificate(table: Table) -> Certificate | None:
    certificate, key = table.take_path("certificate"), table.take_path("key")
    if certificate is None:
        if key is not None:
            raise table.error("key", "needs a certificate")
        return None
    with table.checks("certificate"):
        return Certificate(load_context(certificate, key, "certificate and key"))


def _itself(table: Table, own: Self) -> Self:
    """Return *own*, which has the hostname, with what *table* adds."""
    names, addresses = table.take_texts("names") or (), table.take_texts("addresses") or ()
    loopback = table.take("loopback", bool) is not False
    table.end()
    with table.checks("names"):
        every_name = own.names | Self(names=names).names
    with table.checks("addresses"):
        return Self(names=every_name, addresses=addresses, loopback=loopback)


def _resolver(table: Table) -> Resolver | None:
    servers, port = table.take_texts("nameservers"), table.take("port", int)
    table.end()
    if servers is None and port is None:
        return None
    from ..adapters.dnspython import DNSResolver  # noqa: PLC0415 - it is an extra

    with table.checks("nameservers" if port is None else None):
        return DNSResolver(servers, port=53 if port is None else port)

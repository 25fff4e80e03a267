"""What can be chosen for a connection, for each role; the defaults are the safe choice."""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TypedDict

from attrs import field, frozen

from ..grammar.domain import Domain, Host, own_name
from ..limits import Leniencies, Limits, Timeouts
from ..protocol.verbs import Verb, own_verbs
from ..sasl import Login
from ..wire.proxy import ProxyHeader
from ..wire.tls import Context

_client_log = logging.getLogger("smtpproto.client")
_log = logging.getLogger("smtpproto.server")
_RECIPIENTS = 100  # that every server takes (RFC 5321 4.5.3.1.8)

Network = IPv4Network | IPv6Network

Trace = Callable[[str, str], None]
"""Called with "C" or "S" (who speaks; "*" for what neither says) and a line safe to show."""


class TLSMode(enum.Enum):
    """When a client uses TLS."""

    NONE = "none"
    OPPORTUNISTIC = "opportunistic"
    """STARTTLS if the server offers it, else in clear (RFC 3207)."""
    REQUIRED = "required"
    """STARTTLS, or nothing is sent."""
    IMPLICIT = "implicit"
    """TLS from the first octet (RFC 8314 3.3)."""


def _optional_name(value: Host | str | None) -> Host | None:
    return None if value is None else own_name(value)


def _mode(value: TLSMode | str | None) -> TLSMode | None:
    return None if value is None else TLSMode(value)


def _login(value: Login | tuple[str, str] | None) -> Login | None:
    return Login(*value) if isinstance(value, tuple) else value


class ClientOptions(TypedDict, total=False):
    """The keyword arguments of ``connect``: see :class:`ClientConfig`."""

    hello: Host | str | None
    login: Login | tuple[str, str] | None
    tls: TLSMode | None
    context: Context | None
    login_in_clear: bool
    lmtp: bool
    proxy: ProxyHeader | None
    verbs: Iterable[Verb]
    limits: Limits
    timeouts: Timeouts
    leniencies: Leniencies
    trace: Trace | None


@frozen(kw_only=True)
class ClientConfig:
    """How a client behaves."""

    hello: Host | None = field(default=None, converter=_optional_name)
    """The name to give in EHLO; None for the literal of the local address (RFC 5321 4.1.4)."""
    login: Login | None = field(default=None, converter=_login)
    """User name and password, or a Login."""
    tls: TLSMode | None = field(default=None, converter=_mode)
    """None: implicit on port 465, required with a login, else opportunistic."""
    context: Context | None = None
    """Certificates and rules. None: the system's CAs; unverified if TLS is opportunistic."""
    login_in_clear: bool = False
    """Whether a password may be sent without TLS."""
    lmtp: bool = False
    """LMTP instead of SMTP (RFC 2033); never on port 25."""
    proxy: ProxyHeader | None = None
    """What to say of the real client before anything else, to a server that expects it."""
    verbs: tuple[Verb, ...] = field(default=(), converter=own_verbs)
    """Verbs of one's own."""
    limits: Limits = field(factory=Limits)
    timeouts: Timeouts = field(factory=Timeouts)
    leniencies: Leniencies = field(factory=Leniencies)
    trace: Trace | None = None

    def __attrs_post_init__(self) -> None:
        if isinstance(self.hello, Domain) and "." not in str(self.hello):
            _client_log.warning("hello is not fully qualified: servers may refuse %s", self.hello)

    def tls_mode(self, port: int) -> TLSMode:
        """The mode for *port*."""
        if self.tls is not None:
            return self.tls
        if port == 465:
            return TLSMode.IMPLICIT
        return TLSMode.OPPORTUNISTIC if self.login is None else TLSMode.REQUIRED


class ServerOptions(TypedDict, total=False):
    """The keyword arguments of ``serve``: see :class:`ServerConfig`."""

    hostname: Host | str
    context: Context | None
    implicit_tls: bool
    require_tls: bool
    require_auth: bool
    auth_in_clear: bool
    lmtp: bool
    submission: bool
    extensions: Mapping[str, str | None]
    verbs: Iterable[Verb]
    proxied_by: Iterable[str]
    xclient_from: Iterable[str]
    xforward_from: Iterable[str]
    limits: Limits
    timeouts: Timeouts
    leniencies: Leniencies
    trace: Trace | None


def _networks(values: Iterable[str]) -> tuple[Network, ...]:
    return tuple(ip_network(value) for value in ([values] if isinstance(values, str) else values))


@frozen(kw_only=True)
class ServerConfig:
    """How a server behaves."""

    hostname: Host = field(default=Domain("localhost"), converter=own_name)
    """The name it gives in greetings. A public server gives its DNS name."""
    context: Context | None = None
    """Certificate and rules for TLS; None for no TLS."""
    implicit_tls: bool = False
    """TLS from the first octet instead of STARTTLS. Needs *context*."""
    require_tls: bool = False
    """Answer 530 to what comes before STARTTLS. Needs *context*."""
    require_auth: bool = False
    """Answer 530 to transactions before AUTH. The handler must define ``authenticate``."""
    auth_in_clear: bool = False
    """Whether passwords are taken without TLS."""
    lmtp: bool = False
    """LMTP instead of SMTP (RFC 2033); never on port 25."""
    submission: bool = False
    """A server for users, as on port 587 (RFC 6409): who wants to send logs in first, so that the
    handler must define ``authenticate``; domains must be fully qualified; DSN is offered."""
    extensions: Mapping[str, str | None] = field(factory=dict)
    """Keywords to offer besides the usual ones, with their parameters, which the handler then has
    to honour (``{"DSN": ""}``); None for a usual one that is not to be offered."""
    verbs: tuple[Verb, ...] = field(default=(), converter=own_verbs)
    """Verbs of one's own, for the handler's ``command``."""
    proxied_by: tuple[Network, ...] = field(default=(), converter=_networks)
    """Addresses and networks (``"192.0.2.0/24"``) from which connections begin with a header of the
    PROXY protocol, whose word for the real client is taken. A header from others is no command."""
    xclient_from: tuple[Network, ...] = field(default=(), converter=_networks)
    """Those that may say XCLIENT, and so be anybody."""
    xforward_from: tuple[Network, ...] = field(default=(), converter=_networks)
    """Those that may say XFORWARD."""
    limits: Limits = field(factory=Limits)
    timeouts: Timeouts = field(factory=Timeouts)
    leniencies: Leniencies = field(factory=Leniencies)
    trace: Trace | None = None

    def __attrs_post_init__(self) -> None:
        if (self.implicit_tls or self.require_tls) and self.context is None:
            raise ValueError("implicit_tls and require_tls need a context")
        if self.limits.recipients < _RECIPIENTS:
            _log.warning(
                "a limit of less than %d recipients: clients may not expect it", _RECIPIENTS
            )


def is_among(address: str, networks: Iterable[Network]) -> bool:
    """Whether *address*, of a peer, is in one of *networks*."""
    try:
        peer = ip_address(address)
    except ValueError:  # of a socket without addresses
        return False
    peer = getattr(peer, "ipv4_mapped", None) or peer
    return any(peer in network for network in networks)

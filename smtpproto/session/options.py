"""What can be chosen for a connection, for each role; the defaults are the safe choice."""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from types import UnionType
from typing import Literal, TypedDict

from attrs import field, frozen
from attrs.converters import optional
from attrs.validators import instance_of

from ..grammar.domain import Domain, Host, in_ascii, own_name
from ..limits import Leniencies, Limits, Timeouts
from ..protocol.verbs import Verb, own_verbs
from ..sasl import BY_NAME, Credential, Login, Verifier
from ..wire.proxy import ProxyHeader
from ..wire.tls_context import Context, client_context
from ..wire.verify import ClientCertificate, Verify

_client_log = logging.getLogger("smtpproto.client")
_log = logging.getLogger("smtpproto.server")
_RECIPIENTS = 100  # that every server takes (RFC 5321 4.5.3.1.8)

Network = IPv4Network | IPv6Network

Trace = Callable[[str, str], None]
"""Called with "C" or "S" (who speaks; "*" for what neither says) and a line safe to show."""


ContextSource = Context | Callable[[], Context]
"""A context, or what gives one for each handshake, as soon as it begins: from then on a certificate
that was renewed is shown. To renew is to give another context, not to change the one given."""


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


TLSName = Literal["none", "opportunistic", "required", "implicit"]
VerifyName = Literal["name", "none"]


def _mode(value: TLSMode | TLSName | None) -> TLSMode | None:
    try:
        return None if value is None else TLSMode(value)
    except ValueError:
        known = ", ".join(mode.value for mode in TLSMode)
        raise ValueError(f"tls is one of {known}, not {value!r}") from None


def _verify(value: Verify | VerifyName | None) -> Verify | None:
    if isinstance(value, str):
        return Verify.named(value)
    _check_kind("verify", value, Verify)
    return value


def to_credential(value: Credential | tuple[str, str]) -> Credential:
    """A credential, or user name and password. Raises TypeError."""
    if isinstance(value, tuple):
        return Login(*value)
    _check_kind("login", value, Credential)
    return value


def _certificate(value: ClientCertificate | None) -> ClientCertificate | None:
    _check_kind("certificate", value, ClientCertificate)
    return value


def _context(value: Context | None) -> Context | None:
    _check_kind("context", value, Context)
    return value


def _context_source(value: ContextSource | None) -> ContextSource | None:
    return value if callable(value) else _context(value)


def _verifier(value: Verifier | None) -> Verifier | None:
    _check_kind("verifier", value, Verifier)
    return value


def _check_kind(name: str, value: object, kind: type | UnionType) -> None:
    """Raise TypeError for what is of another kind, without showing it: a password that was given
    in a wrong way is not to be found in representations and logs."""
    if value is not None and not isinstance(value, kind):
        raise TypeError(f"{name} cannot be of the type {type(value).__name__}")


def _source(value: str | tuple[str, int] | None) -> tuple[str, int] | None:
    """An address and its port, 0 for any. Raises ValueError for what is none."""
    if value is None:
        return None
    address, port = (value, 0) if isinstance(value, str) else value
    ip_address(address)
    if not 0 <= port < 65536:
        raise ValueError(f"no such port: {port}")
    return address, port


def _mechanisms(value: Iterable[str] | None) -> tuple[str, ...] | None:
    """Names of mechanisms, in any case. Raises ValueError for those that are not known here."""
    if value is None:
        return None
    names = tuple(name.upper() for name in ([value] if isinstance(value, str) else value))
    if unknown := [name for name in names if name not in BY_NAME]:
        raise ValueError(f"not a mechanism known here: {', '.join(unknown)}")
    return names


class ClientOptions(TypedDict, total=False):
    """The keyword arguments of ``connect``: see :class:`ClientConfig`."""

    hello: Host | str | None
    login: Credential | tuple[str, str] | None
    mechanisms: Iterable[str] | None
    tls: TLSMode | TLSName | None
    verify: Verify | VerifyName | None
    server_name: str | None
    certificate: ClientCertificate | None
    context: Context | None
    login_in_clear: bool
    lmtp: bool | None
    source: str | tuple[str, int] | None
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
    login: Credential | None = field(default=None, converter=optional(to_credential))
    """User name and password; or a Login, BearerToken, External or Anonymous."""
    mechanisms: tuple[str, ...] | None = field(default=None, converter=_mechanisms)
    """The SASL mechanisms that may be used; None for all, but -PLUS only with *tls-exporter*."""
    tls: TLSMode | None = field(default=None, converter=_mode)
    """When to use TLS. None: implicit on port 465; required on 587 and with a login; none on a Unix
    socket; else opportunistic."""
    verify: Verify | None = field(default=None, converter=_verify)
    """How the server is verified; ``"name"`` and ``"none"`` will do for a Verify. None: by name,
    against the system's CAs; if TLS is opportunistic and there is no login, not at all."""
    server_name: str | None = field(default=None, converter=optional(in_ascii))
    """The name to verify, and to say in SNI; None for the host that is dialled."""
    certificate: ClientCertificate | None = field(default=None, converter=_certificate)
    """What to show to a server that wants to see a certificate."""
    context: Context | None = field(default=None, converter=_context)
    """Certificates and rules of one's own, instead of *verify* and *certificate*."""
    login_in_clear: bool = False
    """Whether to log in without TLS, or to a server that TLS has not verified, too."""
    lmtp: bool | None = None
    """LMTP instead of SMTP (RFC 2033); never on port 25. None: on port 24."""
    source: tuple[str, int] | None = field(default=None, converter=_source)
    """The address to connect from, alone or with a port."""
    proxy: ProxyHeader | None = None
    """What to say of the real client before anything else, to a server that expects it."""
    verbs: tuple[Verb, ...] = field(default=(), converter=own_verbs)
    """Verbs of one's own."""
    limits: Limits = field(factory=Limits, validator=instance_of(Limits))
    timeouts: Timeouts = field(factory=Timeouts, validator=instance_of(Timeouts))
    leniencies: Leniencies = field(factory=Leniencies, validator=instance_of(Leniencies))
    trace: Trace | None = None
    """Called with each line of the dialogue, and who says it: see ``Trace``. Secrets are masked."""

    def __attrs_post_init__(self) -> None:
        if isinstance(self.hello, Domain) and "." not in str(self.hello):
            _client_log.warning("hello is not fully qualified: servers may refuse %s", self.hello)
        if self.verify is not None or self.certificate is not None:
            if self.context is not None:
                raise ValueError("a context has rules of its own: no verify or certificate with it")
            for mode in (TLSMode.REQUIRED, TLSMode.OPPORTUNISTIC):
                self.tls_context(mode)  # so that what cannot be read is known at once

    def tls_mode(self, port: int) -> TLSMode:
        """The mode for *port*: as was said, else implicit on 465; required on 587 (RFC 8314 5.2)
        and with a login; none for a Unix socket (0), which nobody can listen in on; else
        opportunistic."""
        if self.tls is not None:
            return self.tls
        if port == 465:
            return TLSMode.IMPLICIT
        if port == 0:
            return TLSMode.NONE
        required = port == 587 or self.login is not None
        return TLSMode.REQUIRED if required else TLSMode.OPPORTUNISTIC

    def speaks_lmtp(self, port: int) -> bool:
        """Whether it is LMTP on *port*: as was said, else on 24."""
        return port == 24 if self.lmtp is None else self.lmtp

    def verification(self, mode: TLSMode) -> Verify:
        """How the server is verified in *mode*, unless *context* says how."""
        if self.verify is not None:
            return self.verify
        loose = mode is TLSMode.OPPORTUNISTIC and self.login is None
        return Verify.nothing() if loose else Verify.by_name()

    def tls_context(self, mode: TLSMode) -> Context:
        """The context for *mode*, which is made once."""
        if self.context is not None:
            return self.context
        verify = self.verification(mode)
        if verify not in self._contexts:
            self._contexts[verify] = client_context(verify, self.certificate)
        return self._contexts[verify]

    @cached_property
    def _contexts(self) -> dict[Verify, Context]:
        return {}


class ServerOptions(TypedDict, total=False):
    """The keyword arguments of ``serve``: see :class:`ServerConfig`."""

    hostname: Host | str
    context: ContextSource | None
    implicit_tls: bool
    require_tls: bool
    verifier: Verifier | None
    mechanisms: Iterable[str] | None
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
    context: ContextSource | None = field(default=None, converter=_context_source)
    """Certificate and rules for TLS, or what gives these for each handshake; None for no TLS."""
    implicit_tls: bool = False
    """TLS from the first octet instead of STARTTLS. Needs *context*."""
    require_tls: bool = False
    """Answer 530 to what comes before STARTTLS. Needs *context*."""
    verifier: Verifier | None = field(default=None, converter=_verifier)
    """Who may log in. What it can verify is offered by AUTH; None for no AUTH."""
    mechanisms: tuple[str, ...] | None = field(default=None, converter=_mechanisms)
    """The SASL mechanisms that may be offered; None for all that *verifier* can verify, but -PLUS
    only with *tls-exporter*."""
    require_auth: bool = False
    """Answer 530 to transactions before AUTH. Needs *verifier*."""
    auth_in_clear: bool = False
    """Whether AUTH is offered without TLS."""
    lmtp: bool = False
    """LMTP instead of SMTP (RFC 2033); never on port 25."""
    submission: bool = False
    """A server for users, as on port 587 (RFC 6409): who wants to send logs in first, so that
    *verifier* is needed; domains must be fully qualified; DSN is offered."""
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
    limits: Limits = field(factory=Limits, validator=instance_of(Limits))
    timeouts: Timeouts = field(factory=Timeouts, validator=instance_of(Timeouts))
    leniencies: Leniencies = field(factory=Leniencies, validator=instance_of(Leniencies))
    trace: Trace | None = None
    """Called with each line of the dialogue, and who says it: see ``Trace``. Secrets are masked."""

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

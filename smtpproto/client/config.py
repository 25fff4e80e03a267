"""The options of a client's connection. The defaults are the safe choice."""

from __future__ import annotations

import enum
import logging
from collections.abc import Iterable
from functools import cached_property
from ipaddress import ip_address
from typing import ClassVar, Literal

from attrs import field, frozen
from attrs.converters import optional

from .. import grammar, sasl, wire
from .. import tls as tls_package
from ..grammar.domain import Domain, Host, to_a_labels, to_ascii_host
from ..grammar.secret import keeps_secret, keeps_secret_arguments
from ..option_types import checked, checks_itself, require_type
from ..ports import Runtime, Trace
from ..protocol.settings import ClientMachineOptions, ClientSettings

_log = logging.getLogger("smtpproto.client")


class TLSMode(enum.Enum):
    """When a client uses TLS."""

    NONE = "none"
    OPPORTUNISTIC = "opportunistic"
    """STARTTLS if the server offers it, otherwise no TLS (RFC 3207)."""
    REQUIRED = "required"
    """STARTTLS; without it the client sends no mail and no login."""
    IMPLICIT = "implicit"
    """TLS from the first octet (RFC 8314 3.3)."""


TLSName = Literal["none", "opportunistic", "required", "implicit"]
VerifyName = Literal["name", "none"]


def _tls_mode(value: TLSMode | TLSName | None) -> TLSMode | None:
    try:
        return None if value is None else TLSMode(value)
    except ValueError:
        known = ", ".join(mode.value for mode in TLSMode)
        raise ValueError(f"not a value of tls: {value!r}; use one of {known}") from None


def _tls_verify(value: tls_package.TLSVerify | VerifyName | None) -> tls_package.TLSVerify | None:
    return tls_package.TLSVerify.named(value) if isinstance(value, str) else value


def _mechanisms(value: Iterable[str] | None) -> tuple[str, ...] | None:
    if value is None:
        return None
    from ..sasl.mechanisms import mechanism_names  # noqa: PLC0415  # it has all mechanisms

    return mechanism_names(value)


@keeps_secret
def to_credential(value: sasl.Credential | tuple[str, str]) -> sasl.Credential:
    """Return *value*, the argument ``login``, as a credential; a tuple is user name and password.
    Raises TypeError."""
    if isinstance(value, tuple) and len(value) == 2:
        return sasl.Login(*value)
    require_type("login", value, sasl.Credential, '("ann", "secret"), or another credential')
    return value


def _credential(value: sasl.Credential | tuple[str, str] | None) -> sasl.Credential | None:
    return None if value is None else to_credential(value)


def _proxy(value: grammar.ProxyServer | str | None) -> grammar.ProxyServer | None:
    """Return the proxy of a URL. Raises GrammarError, and ImportError without the extra."""
    if value is None:
        return None
    from . import proxy_dialling  # noqa: F401, PLC0415 - an extra, whose absence is told early

    if isinstance(value, str):
        url, value = value, None
        return grammar.ProxyServer.parse(url)
    require_type("proxy", value, grammar.ProxyServer, '"socks5://localhost:1080"')
    return value


def _source(value: str | tuple[str, int] | None) -> tuple[str, int] | None:
    """Return an address and its port, 0 for any. Raises ValueError if either is invalid."""
    if value is None:
        return None
    address, port = (value, 0) if isinstance(value, str) else value
    try:
        ip_address(address)
    except ValueError:
        text = f"source is not an IP address: {address!r}; use one of this machine's addresses"
        raise ValueError(text) from None
    if not 0 <= port < 65536:
        raise ValueError(f"source has no such port: {port}; use 0 for any, or 1 to 65535")
    return address, port


checks_itself(_credential)
checks_itself(_proxy)


class ClientOptions(ClientMachineOptions, total=False):
    """The keyword arguments of :class:`ClientConfig`, which describes them."""

    hello: Host | str | None
    login: sasl.Credential | tuple[str, str] | None
    mechanisms: Iterable[str] | None
    tls: TLSMode | TLSName | None
    verify: tls_package.TLSVerify | VerifyName | None
    server_name: str | None
    certificate: tls_package.ClientCertificate | None
    context: tls_package.Context | None
    login_in_clear: bool
    lmtp: bool | None
    source: str | tuple[str, int] | None
    proxy: grammar.ProxyServer | str | None
    proxy_header: wire.ProxyHeader | None
    trace: Trace | None


class ConnectOptions(ClientOptions, total=False):
    """The keyword arguments of ``connect`` and ``send``: those of :class:`ClientConfig`, and
    ``timeout=60``, which is short for ``timeouts=Timeouts(total=60)``."""

    timeout: float | None
    """The seconds that each operation may take as a whole."""


@keeps_secret_arguments
@checked
@frozen(kw_only=True)
class ClientConfig(ClientSettings):
    """The options of a client."""

    _called: ClassVar[str] = "connect"

    hello: Host | None = field(default=None, converter=optional(to_ascii_host))
    """The name to send in EHLO; None for the local address as a literal (RFC 5321 4.1.4)."""
    login: sasl.Credential | None = field(default=None, converter=_credential)
    """User name and password, or a Login, BearerToken, External or Anonymous; None for no login."""
    mechanisms: tuple[str, ...] | None = field(default=None, converter=_mechanisms)
    """The SASL mechanisms that may be used. None: all, but -PLUS only with *tls-exporter*."""
    tls: TLSMode | None = field(
        default=None,
        converter=_tls_mode,
        metadata={"instead": '"implicit", "required", "opportunistic" or "none"'},
    )
    """When to use TLS. None: implicit on port 465; none on a Unix socket; required on port 587 and
    with a login; otherwise opportunistic."""
    verify: tls_package.TLSVerify | None = field(
        default=None,
        converter=_tls_verify,
        metadata={"instead": '"name", "none" or TLSVerify.by_ca("ca.pem")'},
    )
    """How to verify the server: a TLSVerify, ``"name"`` or ``"none"``. None: by name, against the
    system's CAs; but not at all if TLS is opportunistic and there is no login."""
    server_name: str | None = field(default=None, converter=optional(to_a_labels))
    """The name to verify, and to send in SNI; None for the host that is dialled."""
    certificate: tls_package.ClientCertificate | None = field(
        default=None, metadata={"instead": 'ClientCertificate("own.pem")'}
    )
    """The certificate to present if the server asks for one."""
    context: tls_package.Context | None = field(
        default=None, metadata={"instead": "an ssl.SSLContext"}
    )
    """A TLS context of your own, instead of *verify* and *certificate*."""
    login_in_clear: bool = False
    """Whether to log in even without TLS, or to a server that TLS has not verified."""
    lmtp: bool | None = None
    """Whether to speak LMTP instead of SMTP (RFC 2033); never on port 25. None: on port 24 only."""
    source: tuple[str, int] | None = field(default=None, converter=_source)
    """The IP address to connect from, alone or with a port."""
    proxy: grammar.ProxyServer | None = field(
        default=None, converter=_proxy, metadata={"instead": '"socks5://localhost:1080"'}
    )
    """The proxy through which to connect, or its URL; it looks up the server's name. Needs the
    extra ``socks``."""
    proxy_header: wire.ProxyHeader | None = None
    """A PROXY header that describes the real client, for a server that expects one. It is sent
    first."""
    trace: Trace | None = None
    """Called with each line of the dialogue and its sender: see ``Trace``. Secrets are masked."""

    def __attrs_post_init__(self) -> None:
        if isinstance(self.hello, Domain) and "." not in str(self.hello):
            _log.warning(
                "hello is not fully qualified, and some servers refuse such a name: %s", self.hello
            )
        if self.context is not None and (self.verify or self.certificate):
            raise ValueError("context has rules of its own; leave out verify and certificate")
        # Report at once any file that cannot be read.
        if self.certificate is not None:
            self._own_context(TLSMode.REQUIRED, self.certificate)
            self._own_context(TLSMode.OPPORTUNISTIC, self.certificate)
        elif self.verify is not None and self.verify.ca is not None:
            tls_package.check_ca(self.verify.ca)

    def tls_mode(self, port: int) -> TLSMode:
        """Return when to use TLS on *port*; 0 stands for a Unix socket.

        That is ``tls`` if it was given. The defaults: implicit on 465; none on a Unix socket, whose
        data stays on this machine; required on 587 (RFC 8314 5.2) and with a login; otherwise
        opportunistic.
        """
        if self.tls is not None:
            return self.tls
        if port == 465:
            return TLSMode.IMPLICIT
        if port == 0:
            return TLSMode.NONE
        required = port == 587 or self.login is not None
        return TLSMode.REQUIRED if required else TLSMode.OPPORTUNISTIC

    def speaks_lmtp(self, port: int) -> bool:
        """Return whether to speak LMTP on *port*: ``lmtp`` if it was given, else on 24 only."""
        return port == 24 if self.lmtp is None else self.lmtp

    def verification(self, mode: TLSMode) -> tls_package.TLSVerify:
        """Return how to verify the server in *mode*; it has no effect if ``context`` is set."""
        if self.verify is not None:
            return self.verify
        unverified = mode is TLSMode.OPPORTUNISTIC and self.login is None
        return tls_package.TLSVerify.none() if unverified else tls_package.TLSVerify.by_name()

    def _tls_context(self, mode: TLSMode, runtime: Runtime) -> tls_package.Context:
        """Return the TLS context for *mode*, which other connections use too: do not change it.

        Raises ValueError for CA certificates that cannot be read.
        """
        if self.context is not None:
            return self.context
        if self.certificate is not None:
            return self._own_context(mode, self.certificate)
        return tls_package.shared_context(self.verification(mode), runtime)

    def _own_context(
        self, mode: TLSMode, certificate: tls_package.ClientCertificate
    ) -> tls_package.Context:
        """Return a context with *certificate*, read once: later its files may be unreadable."""
        verify = self.verification(mode)
        if verify not in self._own_contexts:
            self._own_contexts[verify] = tls_package.client_context(verify, certificate)
        return self._own_contexts[verify]

    @cached_property
    def _own_contexts(self) -> dict[tls_package.TLSVerify, tls_package.Context]:
        return {}

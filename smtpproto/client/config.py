"""What can be chosen for a client's connection; the defaults are the safe choice."""

from __future__ import annotations

import enum
import logging
from collections.abc import Iterable
from functools import cached_property
from ipaddress import ip_address
from typing import Literal, TypedDict

from attrs import field, frozen
from attrs.converters import optional
from attrs.validators import instance_of

from ..grammar.domain import Domain, Host, to_a_labels, to_ascii_host
from ..grammar.secret import check_type
from ..limits import Leniencies, Limits, Timeouts
from ..ports import Trace
from ..protocol.verbs import Verb, own_verbs
from ..sasl import Credential, Login
from ..sasl.mechanisms import mechanism_names
from ..tls.context import Context, client_context
from ..tls.verify import ClientCertificate, TLSVerify
from ..wire.proxy import ProxyHeader

_log = logging.getLogger("smtpproto.client")


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
    return None if value is None else to_ascii_host(value)


TLSName = Literal["none", "opportunistic", "required", "implicit"]
VerifyName = Literal["name", "none"]


def _mode(value: TLSMode | TLSName | None) -> TLSMode | None:
    try:
        return None if value is None else TLSMode(value)
    except ValueError:
        known = ", ".join(mode.value for mode in TLSMode)
        raise ValueError(f"tls is one of {known}, not {value!r}") from None


def _verify(value: TLSVerify | VerifyName | None) -> TLSVerify | None:
    if isinstance(value, str):
        return TLSVerify.named(value)
    check_type("verify", value, TLSVerify)
    return value


def to_credential(value: Credential | tuple[str, str]) -> Credential:
    """A credential, or user name and password. Raises TypeError."""
    if isinstance(value, tuple):
        return Login(*value)
    check_type("login", value, Credential)
    return value


def _certificate(value: ClientCertificate | None) -> ClientCertificate | None:
    check_type("certificate", value, ClientCertificate)
    return value


def _context(value: Context | None) -> Context | None:
    check_type("context", value, Context)
    return value


def _source(value: str | tuple[str, int] | None) -> tuple[str, int] | None:
    """An address and its port, 0 for any. Raises ValueError for what is none."""
    if value is None:
        return None
    address, port = (value, 0) if isinstance(value, str) else value
    ip_address(address)
    if not 0 <= port < 65536:
        raise ValueError(f"no such port: {port}")
    return address, port


class ClientOptions(TypedDict, total=False):
    """The keyword arguments of ``connect``: see :class:`ClientConfig`."""

    hello: Host | str | None
    login: Credential | tuple[str, str] | None
    mechanisms: Iterable[str] | None
    tls: TLSMode | TLSName | None
    verify: TLSVerify | VerifyName | None
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
    mechanisms: tuple[str, ...] | None = field(default=None, converter=mechanism_names)
    """The SASL mechanisms that may be used; None for all, but -PLUS only with *tls-exporter*."""
    tls: TLSMode | None = field(default=None, converter=_mode)
    """When to use TLS. None: implicit on port 465; required on 587 and with a login; none on a Unix
    socket; else opportunistic."""
    verify: TLSVerify | None = field(default=None, converter=_verify)
    """How the server is verified; ``"name"`` and ``"none"`` will do for a Verify. None: by name,
    against the system's CAs; if TLS is opportunistic and there is no login, not at all."""
    server_name: str | None = field(default=None, converter=optional(to_a_labels))
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
            _log.warning("hello is not fully qualified: servers may refuse %s", self.hello)
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

    def verification(self, mode: TLSMode) -> TLSVerify:
        """How the server is verified in *mode*, unless *context* says how."""
        if self.verify is not None:
            return self.verify
        loose = mode is TLSMode.OPPORTUNISTIC and self.login is None
        return TLSVerify.nothing() if loose else TLSVerify.by_name()

    def tls_context(self, mode: TLSMode) -> Context:
        """The context for *mode*, which is made once."""
        if self.context is not None:
            return self.context
        verify = self.verification(mode)
        if verify not in self._contexts:
            self._contexts[verify] = client_context(verify, self.certificate)
        return self._contexts[verify]

    @cached_property
    def _contexts(self) -> dict[TLSVerify, Context]:
        return {}

"""What can be chosen for a connection, for each role; the defaults are the safe choice."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import TypedDict

from attrs import field, frozen

from ..grammar.domain import Domain, Host, own_name
from ..limits import Limits, Timeouts
from ..sasl import Login
from ..wire.tls import Context

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
    limits: Limits
    timeouts: Timeouts
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
    limits: Limits = field(factory=Limits)
    timeouts: Timeouts = field(factory=Timeouts)
    trace: Trace | None = None

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
    limits: Limits
    timeouts: Timeouts
    trace: Trace | None


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
    limits: Limits = field(factory=Limits)
    timeouts: Timeouts = field(factory=Timeouts)
    trace: Trace | None = None

    def __attrs_post_init__(self) -> None:
        if (self.implicit_tls or self.require_tls) and self.context is None:
            raise ValueError("implicit_tls and require_tls need a context")

"""What can be chosen for a server; the defaults are the safe choice."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import TypedDict

from attrs import field, frozen
from attrs.validators import instance_of

from ..grammar.domain import Domain, Host, to_ascii_host
from ..grammar.secret import check_type
from ..limits import Leniencies, Limits, Timeouts
from ..ports import Trace
from ..protocol.verbs import Verb, own_verbs
from ..sasl import Authenticator
from ..sasl.mechanisms import mechanism_names
from ..tls.context import Context, ContextSource
from .networks import Network, to_networks

_log = logging.getLogger("smtpproto.server")
_RECIPIENTS = 100  # that every server takes (RFC 5321 4.5.3.1.8)


def _context_source(value: ContextSource | None) -> ContextSource | None:
    if not callable(value):
        check_type("context", value, Context)
    return value


def _authenticator(value: Authenticator | None) -> Authenticator | None:
    check_type("authenticator", value, Authenticator)
    return value


class ServerOptions(TypedDict, total=False):
    """The keyword arguments of ``serve``: see :class:`ServerConfig`."""

    hostname: Host | str
    context: ContextSource | None
    implicit_tls: bool
    require_tls: bool
    authenticator: Authenticator | None
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


@frozen(kw_only=True)
class ServerConfig:
    """How a server behaves."""

    hostname: Host = field(default=Domain("localhost"), converter=to_ascii_host)
    """The name it gives in greetings. A public server gives its DNS name."""
    context: ContextSource | None = field(default=None, converter=_context_source)
    """Certificate and rules for TLS, or what gives these for each handshake; None for no TLS."""
    implicit_tls: bool = False
    """TLS from the first octet instead of STARTTLS. Needs *context*."""
    require_tls: bool = False
    """Answer 530 to what comes before STARTTLS. Needs *context*."""
    authenticator: Authenticator | None = field(default=None, converter=_authenticator)
    """Who may log in. What it can verify is offered by AUTH; None for no AUTH."""
    mechanisms: tuple[str, ...] | None = field(default=None, converter=mechanism_names)
    """The SASL mechanisms that may be offered. None: all that *authenticator* can verify, but -PLUS
    only with *tls-exporter*."""
    require_auth: bool = False
    """Answer 530 to transactions before AUTH. Needs *authenticator*."""
    auth_in_clear: bool = False
    """Whether AUTH is offered without TLS."""
    lmtp: bool = False
    """LMTP instead of SMTP (RFC 2033); never on port 25."""
    submission: bool = False
    """A server for users, as on port 587 (RFC 6409): who wants to send logs in first, so that
    *authenticator* is needed; domains must be fully qualified; DSN is offered."""
    extensions: Mapping[str, str | None] = field(factory=dict)
    """Keywords to offer besides the usual ones, with their parameters, which the handler then has
    to honour (``{"DSN": ""}``); None for a usual one that is not to be offered."""
    verbs: tuple[Verb, ...] = field(default=(), converter=own_verbs)
    """Verbs of one's own, for the handler's ``command``."""
    proxied_by: tuple[Network, ...] = field(default=(), converter=to_networks)
    """Addresses and networks (``"192.0.2.0/24"``) from which connections begin with a header of the
    PROXY protocol, whose word for the real client is taken. A header from others is no command."""
    xclient_from: tuple[Network, ...] = field(default=(), converter=to_networks)
    """Those that may say XCLIENT, and so be anybody."""
    xforward_from: tuple[Network, ...] = field(default=(), converter=to_networks)
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

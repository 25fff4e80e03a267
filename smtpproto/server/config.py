"""The options of a server; the defaults are the safe choice."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import ClassVar

from attrs import field, frozen

from ..option_types import checked
from ..ports import Trace
from ..protocol.terms import MachineOptions, ServerSettings
from ..sasl import Authenticator
from ..sasl.mechanisms import mechanism_names
from ..tls.context import ContextSource
from .networks import Network, to_networks

_log = logging.getLogger("smtpproto.server")
_MINIMUM_RECIPIENTS = 100  # RFC 5321 4.5.3.1.8


class ServerOptions(MachineOptions, total=False):
    """The keyword arguments of ``serve``: see :class:`ServerConfig`."""

    context: ContextSource | None
    implicit_tls: bool
    authenticator: Authenticator | None
    mechanisms: Iterable[str] | None
    proxied_by: Iterable[str]
    xclient_from: Iterable[str]
    xforward_from: Iterable[str]
    trace: Trace | None


@checked
@frozen(kw_only=True)
class ServerConfig(ServerSettings):
    """The options of a server. Each is a keyword argument of ``serve``.

    Raises ValueError for options that contradict one another, TypeError or GrammarError for values
    of the wrong type or form.
    """

    _called: ClassVar[str] = "serve"

    context: ContextSource | None = field(
        default=None,
        metadata={"instead": "an ssl.SSLContext or a function that returns one"},
    )
    """Certificate and rules for TLS, or a callable that returns them for each handshake. None: no
    TLS."""
    implicit_tls: bool = False
    """Use TLS from the first octet instead of STARTTLS. Needs *context*."""
    authenticator: Authenticator | None = field(
        default=None,
        metadata={
            "instead": 'an instance of an Authenticator, in tests PlainPasswords({"ann": "secret"})'
        },
    )
    """Decides who may log in. AUTH offers the mechanisms that it can verify. None: no AUTH."""
    mechanisms: tuple[str, ...] | None = field(default=None, converter=mechanism_names)
    """The SASL mechanisms that AUTH may offer. None: all that *authenticator* can verify, but -PLUS
    only with *tls-exporter*."""
    proxied_by: tuple[Network, ...] = field(default=(), converter=to_networks)
    """Addresses and networks (``"192.0.2.0/24"``) of trusted proxies. Their connections must begin
    with a header of the PROXY protocol, and the server trusts the client address in it. After a
    header from any other peer it closes the connection with 421."""
    xclient_from: tuple[Network, ...] = field(default=(), converter=to_networks)
    """Addresses and networks that may use XCLIENT, and so claim to be any client and user."""
    xforward_from: tuple[Network, ...] = field(default=(), converter=to_networks)
    """Addresses and networks that may use XFORWARD."""
    trace: Trace | None = None
    """Called with each line of the dialogue and its speaker: see ``Trace``. Secrets are masked."""

    def __attrs_post_init__(self) -> None:
        if (self.implicit_tls or self.require_tls) and self.context is None:
            raise ValueError("implicit_tls and require_tls need a context for TLS")
        if self.limits.recipients < _MINIMUM_RECIPIENTS:
            _log.warning(
                "limits.recipients is %d, but clients expect at least %d (RFC 5321 4.5.3.1.8)",
                self.limits.recipients,
                _MINIMUM_RECIPIENTS,
            )

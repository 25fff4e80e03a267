"""The options of both machines. Connections that have all options in common share one value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, TypedDict

from attrs import field, frozen

from ..grammar.ascii_case import upper
from ..grammar.domain import Domain, Host, to_ascii_host
from ..grammar.extension import EXTENSIONS
from ..limits import Leniencies, Limits, Timeouts
from ..option_types import checked, must_be
from .verbs import Verb, own_verbs

# Frozen, so all settings that do not name them share them.
_LIMITS, _TIMEOUTS, _LENIENCIES = Limits(), Timeouts(), Leniencies()


class _CommonOptions(TypedDict, total=False):
    verbs: Iterable[Verb]
    limits: Limits
    timeouts: Timeouts
    leniencies: Leniencies


class ClientMachineOptions(_CommonOptions, total=False):
    """The keyword arguments of :class:`~.client.ClientProtocol` that make its settings."""

    ignore_extensions: str | Iterable[str]


class MachineOptions(_CommonOptions, total=False):
    """The keyword arguments of :class:`~.server.ServerProtocol` that make its settings."""

    hostname: Host | str
    lmtp: bool
    submission: bool
    require_tls: bool
    require_auth: bool
    auth_in_clear: bool
    extensions: Mapping[str, str | None]


def _extension_names(names: str | Iterable[str]) -> frozenset[str]:
    """Return the keywords *names* in upper case. Raises ValueError for one that is unknown, and for
    STARTTLS, which the option tls controls."""
    keywords = frozenset(map(upper, [names] if isinstance(names, str) else names))
    if "STARTTLS" in keywords:
        raise ValueError('ignore_extensions cannot have STARTTLS; use tls="none"')
    if unknown := sorted(keywords - EXTENSIONS.keys()):
        known = ", ".join(EXTENSIONS)
        raise ValueError(f"ignore_extensions: unknown keyword {unknown[0]!r}; known are {known}")
    return keywords


@frozen(kw_only=True)
class _CommonSettings:
    verbs: tuple[Verb, ...] = field(default=(), converter=own_verbs)
    """Verbs of your own; on a server for the hook ``command``."""
    limits: Limits = field(default=_LIMITS, validator=must_be(Limits, "Limits(...)"))
    """Bounds on what the peer may send: lines, messages, recipients, errors and logins."""
    timeouts: Timeouts = field(default=_TIMEOUTS, validator=must_be(Timeouts, "Timeouts(total=60)"))
    """How long to wait for the peer."""
    leniencies: Leniencies = field(
        default=_LENIENCIES, validator=must_be(Leniencies, "Leniencies(...)")
    )
    """The violations of the grammar to accept from the peer."""


@checked
@frozen(kw_only=True)
class ClientSettings(_CommonSettings):
    """The options of a client that its machines follow; connections share them."""

    _called: ClassVar[str] = "ClientProtocol"

    ignore_extensions: frozenset[str] = field(default=frozenset(), converter=_extension_names)
    """Extensions to treat as not offered, for example ``["CHUNKING"]`` where a proxy on the way
    offers what it cannot do."""


@checked
@frozen(kw_only=True)
class ServerSettings(_CommonSettings):
    """The options of a server that its machines follow; connections share them."""

    _called: ClassVar[str] = "ServerProtocol"

    hostname: Host = field(default=Domain("localhost"), converter=to_ascii_host)
    """The server's name in greetings: for a public server, its DNS name."""
    lmtp: bool = False
    """Speak LMTP instead of SMTP (RFC 2033); not allowed on port 25."""
    submission: bool = False
    """Accept mail from users (RFC 6409), usually on port 587: requires AUTH, so it needs
    *authenticator*; requires fully qualified domains; offers DSN."""
    require_tls: bool = False
    """Answer 530 to commands before STARTTLS. Needs *context*."""
    require_auth: bool = False
    """Answer 530 to transactions before AUTH. Needs *authenticator*."""
    auth_in_clear: bool = False
    """Offer AUTH also without TLS."""
    extensions: Mapping[str, str | None] = field(
        factory=dict, validator=must_be(Mapping, '{"DSN": ""}')
    )
    """More EHLO keywords to offer, with their parameters (``{"DSN": ""}``); your handler must then
    honour them. None as parameters: do not offer this default keyword. What other options or hooks
    offer, such as AUTH, SIZE and EXPN, can only be withdrawn."""

    terms: dict[object, Any] = field(init=False, factory=dict, eq=False, repr=False)
    """The :class:`~.terms.Terms` of the connections so far, which further connections share."""

"""The options of a server machine: what all connections of one server have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, TypedDict

from attrs import field, frozen

from ..grammar.domain import Domain, Host, to_ascii_host
from ..limits import Leniencies, Limits, Timeouts
from ..option_types import checked, must_be
from .verbs import Verb, own_verbs


class MachineOptions(TypedDict, total=False):
    """The keyword arguments of :class:`~.server.ServerProtocol` that make its settings."""

    hostname: Host | str
    lmtp: bool
    submission: bool
    require_tls: bool
    require_auth: bool
    auth_in_clear: bool
    extensions: Mapping[str, str | None]
    verbs: Iterable[Verb]
    limits: Limits
    timeouts: Timeouts
    leniencies: Leniencies


@checked
@frozen(kw_only=True)
class ServerSettings:
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
    verbs: tuple[Verb, ...] = field(default=(), converter=own_verbs)
    """Verbs of your own, for the hook ``command``."""
    limits: Limits = field(factory=Limits, validator=must_be(Limits, "Limits(...)"))
    """Bounds on lines, messages, recipients, errors and logins."""
    timeouts: Timeouts = field(factory=Timeouts, validator=must_be(Timeouts, "Timeouts(total=60)"))
    """How long the server waits for the client."""
    leniencies: Leniencies = field(
        factory=Leniencies, validator=must_be(Leniencies, "Leniencies(...)")
    )
    """The violations of the grammar to accept from the client."""

    terms: dict[object, Any] = field(init=False, factory=dict, eq=False, repr=False)
    """The :class:`~.terms.Terms` of the connections so far, which further connections share."""

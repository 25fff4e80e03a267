"""A server that takes the mail of a user, how it was found, and whom to believe about it."""

from __future__ import annotations

import enum
from typing import TypedDict

from attrs import evolve, field, frozen

from ..client.config import TLSMode
from ..errors import ConnectFailed
from ..tls import TLSVerify
from .providers import LoginKind, Provider

__all__ = ["DiscoveredOptions", "Discovery", "FoundBy", "FoundServer", "Step", "Trust"]


class FoundBy(enum.Enum):
    """What named a server."""

    SRV = "SRV records of the domain"
    """RFC 6186 and RFC 8314 5.1."""
    PROVIDER = "the table of providers"
    """The domain is one of a provider that the library knows."""
    MX = "MX records of the domain"
    """They name a provider that the library knows: the domain is one of its customers."""


class Trust(enum.Enum):
    """Why a client may believe that a server is the right one for the user's domain.

    DNS answers can be forged. So the name of a server that was found by them is believed only for
    one of these reasons (RFC 6186 6, RFC 8314 5.1, RFC 7817 3).
    """

    DNSSEC = "DNSSEC proves the records"
    SAME_DOMAIN = "the server is in the domain of the address"
    """Whoever forges the DNS has no certificate for a name in that domain."""
    PROVIDER = "the table of providers has the server for this domain"
    CONFIRMED = "you have confirmed the server"
    """See :meth:`FoundServer.confirmed`."""
    UNCONFIRMED = "nothing proves that this is the server of the domain; ask the user"
    """The client then connects only if the certificate is for the user's domain itself."""


class DiscoveredOptions(TypedDict):
    """The arguments for ``connect``, ``pool`` and ``send`` of the adapters."""

    host: str
    """The name of the server."""
    port: int
    """Its port."""
    tls: TLSMode
    server_name: str
    verify: TLSVerify


@frozen(kw_only=True)
class FoundServer:
    """A server to which mail can be submitted: ``connect(**server.options, login=...)``."""

    host: str
    port: int
    tls: TLSMode
    domain: str
    """The domain of the user's address."""
    found_by: FoundBy
    trust: Trust
    service: str = ""
    """The service of its SRV record: ``submission`` or ``submissions``."""
    provider: Provider | None = None
    """The provider that runs it, if the library knows it."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of which the server's certificate must have one (RFC 7817 3).

        The user's domain always counts, as the name of a host (DNS-ID) and as that of a service
        (SRV-ID); the server's own name only if there is a reason for *trust*.
        """
        own = () if self.trust is Trust.UNCONFIRMED else (self.host,)
        service = (f"_{self.service}.{self.domain}",) if self.service else ()
        return tuple(dict.fromkeys((*own, self.domain, *service)))

    @property
    def options(self) -> DiscoveredOptions:
        """The arguments for ``connect``; a login is not among them."""
        return {
            "host": self.host,
            "port": self.port,
            "tls": self.tls,
            "server_name": self.names[0],
            "verify": TLSVerify.by_name(*self.names),
        }

    @property
    def logins(self) -> tuple[LoginKind, ...]:
        """What the server accepts as a login, the best first; empty if that is not known."""
        return () if self.provider is None else self.provider.logins

    @property
    def advice(self) -> str:
        """What the owner of the account has to do before a login; "" if that is not known."""
        return "" if self.provider is None else self.provider.advice

    def confirmed(self) -> FoundServer:
        """Return this server with its name confirmed by the user: its certificate may then be for
        that name."""
        return evolve(self, trust=Trust.CONFIRMED)

    def __str__(self) -> str:
        secured = "TLS" if self.tls is TLSMode.IMPLICIT else "STARTTLS"
        text = f"{self.host} port {self.port}, {secured}, by {self.found_by.value}"
        wanted = " or ".join(it.value for it in self.logins)
        login = f"; login: {wanted}" if wanted else ""
        advice = f" ({self.advice})" if self.advice else ""
        return f"{text}: {self.trust.value}{login}{advice}"


@frozen(kw_only=True)
class Step:
    """One thing that was looked at."""

    looked_at: str
    result: str

    def __str__(self) -> str:
        return f"{self.looked_at}: {self.result}"


@frozen(kw_only=True)
class Discovery:
    """What was found for an address or a domain."""

    address: str
    """What was asked for."""
    domain: str
    """Its domain, in A-labels."""
    servers: tuple[FoundServer, ...]
    """In the order in which to try them. Those that the user must confirm come last."""
    steps: tuple[Step, ...]
    """What was looked at, in this order."""
    local_part: str = field(default="", repr=False)
    """What precedes the @ in the address; "" if only a domain was given."""

    @property
    def best(self) -> FoundServer:
        """The first of the servers.

        Raises ConnectFailed if none was found; its text has the steps.
        """
        if self.servers:
            return self.servers[0]
        steps = "; ".join(map(str, self.steps))
        raise ConnectFailed(
            f"no server found to submit mail of {self.domain}: {steps}",
            phase="discover",
            check="host and port in the help pages of the mail provider; then pass them to connect",
        )

    @property
    def user_names(self) -> tuple[str, ...]:
        """What to try as the user name: the whole address first, then its local part (RFC 6186 4).
        Some providers want it the other way round."""
        if not self.local_part:
            return ()
        names = (self.address, self.local_part)
        provider = self.servers[0].provider if self.servers else None
        by_local_part = provider is not None and provider.user_name == "local part"
        return names[::-1] if by_local_part else names

    def __str__(self) -> str:
        found = [f"{place}. {it}" for place, it in enumerate(self.servers, 1)]
        steps = [f"  {step}" for step in self.steps]
        return "\n".join([*(found or [f"no server found for {self.domain}"]), *steps])

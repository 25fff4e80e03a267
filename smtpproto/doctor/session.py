"""What a host says when somebody connects to it. No mail is sent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping

from attrs import evolve, field, frozen

from ..client import Client, ClientConfig, TLSMode, open_client
from ..client.probing import probe
from ..errors import SMTPError, TransportError
from ..grammar.address import ForwardPath, Mailbox
from ..grammar.extension import Extensions
from ..grammar.reply import Reply
from ..limits import Timeouts
from ..tls import TLSInfo, TLSVerify
from .facts import Facts

__all__ = [
    "ROLES", "Session", "open_session", "seen", "server_sessions", "submission_sessions",
]  # fmt: skip

ROLES = ("postmaster", "abuse")  # RFC 5321 4.5.1, RFC 2142 4
_TIMEOUTS = Timeouts(connect=10, total=60)
_PER_HOST = 2  # addresses of a host to which it connects


@frozen(kw_only=True)
class Session:
    """What came of one connection."""

    host: str
    address: str
    port: int
    error: SMTPError | None = None
    """Why there is no session; None if there is one."""
    greeting: Reply | None = None
    extensions: Extensions | None = None
    """What the server offers, under TLS if there is TLS."""
    tls: TLSInfo | None = None
    """None in clear."""
    tls_refused: Reply | None = None
    """The refusal of STARTTLS, although it is offered."""
    tls_error: str = ""
    """Why TLS failed, and the session is one in clear."""
    replies: Mapping[str, Reply] = field(factory=dict)
    """Those to RCPT, by the address."""

    @property
    def where(self) -> str:
        """The host, its address and the port, in words."""
        address = f" [{self.address}]" if self.address != self.host else ""
        return f"{self.host}{address} port {self.port}"


async def server_sessions(facts: Facts) -> AsyncIterator[Session]:
    """Connect to port 25 of the hosts of the domain; ask the first that answers about the addresses
    that each domain has."""
    asks = tuple(f"{role}@{facts.domain}" for role in ROLES)
    for host in await facts.hosts():
        for address in host.addresses[:_PER_HOST]:
            if facts.is_over:
                return
            session = await open_session(
                facts, Session(host=host.name, address=address, port=25), asks
            )
            asks = () if session.replies else asks
            yield session


async def submission_sessions(facts: Facts) -> AsyncIterator[Session]:
    """Connect to the ports for submission of the hosts of the domain."""
    for host in await facts.hosts():
        for port in (465, 587):
            if host.addresses and not facts.is_over:
                address = host.addresses[0]
                session = Session(host=host.name, address=address, port=port)
                yield await open_session(facts, session)


async def open_session(
    facts: Facts, session: Session, asks: tuple[str, ...] = (), *, verify: TLSVerify | None = None
) -> Session:
    """Connect to the place of *session*, ask about the addresses *asks*, and quit; return *session*
    with what came of it. *verify* None: the certificate is verified as the options say. If TLS
    fails, the session is one in clear."""
    try:
        return await _talk(facts, session, asks, verify or facts.options.verify)
    except SMTPError as error:
        if not (isinstance(error, TransportError) and error.may_go_in_clear):
            return evolve(session, error=error, greeting=error.reply)
        session = evolve(session, tls_error=error.message)
    try:
        return await _talk(facts, session, asks, None)
    except SMTPError as error:
        return evolve(session, error=error, greeting=error.reply)


async def _talk(
    facts: Facts, session: Session, asks: tuple[str, ...], verify: TLSVerify | None
) -> Session:
    """Hold a session; *verify* None: in clear."""
    options = facts.options
    config = ClientConfig(
        hello=options.hello,
        tls=TLSMode.NONE if verify is None else None,
        verify=verify,
        server_name=session.host,
        source=options.source,
        timeouts=_TIMEOUTS,
    )
    async with await open_client(facts.runtime, session.address, session.port, config) as client:
        return evolve(seen(session, client), replies=await _ask(client, asks))


def seen(session: Session, client: Client) -> Session:
    """Return *session* with what *client* has seen while it connected."""
    return evolve(
        session,
        greeting=client.greeting,
        extensions=client.extensions,
        tls=client.tls,
        tls_refused=client.tls_refused,
    )


async def _ask(client: Client, asks: Iterable[str]) -> dict[str, Reply]:
    paths = {ForwardPath(Mailbox.parse(it)): it for it in asks}
    if not paths:
        return {}
    try:
        replies = await probe(client, paths)
    except SMTPError as error:
        return {it: error.reply for it in paths.values() if error.reply is not None}
    return {paths[path]: reply for path, reply in replies.items()}

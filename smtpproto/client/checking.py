"""Connects to a server, logs in and quits, to see whether that works. No message is sent."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from ..grammar.extension import Extensions
from ..grammar.printable import printable
from ..grammar.reply import Reply
from ..ports import Runtime
from ..tls import TLSInfo
from .connection import open_client
from .target import Target

__all__ = ["ServerCheck", "check_server"]


@frozen(kw_only=True)
class ServerCheck:
    """What a connection has shown of a server."""

    host: str
    port: int
    greeting: Reply
    extensions: Extensions
    """What the server offers, under TLS if there is TLS."""
    tls: TLSInfo | None
    """What TLS negotiated; None in clear."""
    tls_refused: Reply | None
    """The reply that refused STARTTLS, if the session went on in clear."""
    mechanism: str
    """The SASL mechanism by which the client logged in; "" without a login."""

    @property
    def size(self) -> int | None:
        """The octets that a message may have at most; 0: there is no fixed maximum; None: the
        server does not say (RFC 1870)."""
        return self.extensions.size

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"{self.host}, port {self.port}: {printable(str(self.greeting))}"
        yield f"TLS: {self._tls}"
        yield f"login: {self.mechanism or 'none'}"
        yield f"offers: {printable(', '.join(self.extensions.lines())) or 'nothing'}"

    @property
    def _tls(self) -> str:
        if self.tls is not None:
            verified = "verified" if self.tls.verified else "not verified"
            return f"{self.tls.version}, {self.tls.cipher}, {verified}"
        refused = "" if self.tls_refused is None else f"; refused: {self.tls_refused}"
        return f"none{printable(refused)}"


async def check_server(runtime: Runtime, target: Target) -> ServerCheck:
    """Connect to *target*, start TLS and log in as it says, send QUIT, and return what was learned.

    Raises what :func:`.open_client` raises.
    """
    async with await open_client(runtime, *target) as client:
        return ServerCheck(
            host=target.host,
            port=target.port,
            greeting=client.greeting,
            extensions=client.extensions,
            tls=client.tls,
            tls_refused=client.tls_refused,
            mechanism=client.mechanism,
        )

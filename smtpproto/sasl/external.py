"""EXTERNAL (RFC 4422 A): who the client is, TLS knows from its certificate."""

from __future__ import annotations

from attrs import define, field

from ..grammar.secret import Secret
from ..ports import result
from .credentials import External
from .exchange import Channel, Denied, Identity
from .prepare import prepared, saslprep
from .single_message import OneMessage
from .verifier import Verifier, admit


class ExternalClient(OneMessage):
    """The client's side: whom to act as, or nothing. Raises GrammarError for what SASLprep
    prohibits."""

    def __init__(self, credential: External, channel: Channel) -> None:
        super().__init__("EXTERNAL", Secret(saslprep(credential.authzid)))


@define(eq=False)
class ExternalServer:
    """The server's side."""

    verifier: Verifier = field(repr=False)
    channel: Channel

    async def step(self, response: Secret | None) -> bytes | Identity | Denied:
        """Ask the verifier whose certificate it is. Raises GrammarError for an identity that is not
        UTF-8, or that SASLprep prohibits."""
        if response is None:
            return b""
        authzid = prepared(octets) if (octets := response.reveal()) else ""
        certificate = self.channel.certificate
        if certificate is None:
            return Denied("no certificate")
        username = await result(self.verifier.certificate_user(certificate))
        if not isinstance(username, str) or not username:
            return Denied("nobody's certificate")
        return await admit(self.verifier, "EXTERNAL", username, authzid)

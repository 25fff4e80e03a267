"""EXTERNAL (RFC 4422 A): the client's certificate in TLS identifies the client."""

from __future__ import annotations

from attrs import define, field

from ..grammar.secret import Secret
from .authenticator import Authenticator, ask, authorize
from .credentials import External
from .exchange import Channel, Denied, Identity
from .prepare import prepared, saslprep
from .single_message import SingleMessageClient


class ExternalClient(SingleMessageClient):
    """The client's side: the user to act as, or an empty message.

    Raises GrammarError for characters that SASLprep prohibits.
    """

    def __init__(self, credential: External, channel: Channel) -> None:
        super().__init__("EXTERNAL", Secret(saslprep(credential.authzid)))


@define(eq=False)
class ExternalServer:
    """The server's side."""

    authenticator: Authenticator = field(repr=False)
    channel: Channel

    async def step(self, response: Secret | None) -> bytes | Identity | Denied:
        """Ask the authenticator to whom the certificate belongs.

        Raises GrammarError if the identity is not UTF-8, or if SASLprep prohibits it.
        """
        if response is None:
            return b""
        authzid = prepared(octets) if (octets := response.reveal()) else ""
        certificate = self.channel.certificate
        if certificate is None:
            return Denied("no verified client certificate")
        username = await ask(self.authenticator.certificate_user, certificate)
        if not isinstance(username, str) or not username:
            return Denied("the client certificate belongs to no user")
        return await authorize(self.authenticator, "EXTERNAL", username, authzid)

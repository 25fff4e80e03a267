"""PLAIN (RFC 4616): identity, user name and password in one message."""

from __future__ import annotations

from attrs import define, field

from ..errors import GrammarError
from ..grammar.secret import Secret, keeps_secret, keeps_secret_arguments
from .authenticator import Authenticator, authorize, password_matches
from .credentials import Login
from .exchange import Channel, Denied, Identity
from .prepare import prepared, saslprep
from .single_message import SingleMessageClient


@keeps_secret_arguments
class PlainClient(SingleMessageClient):
    """The client's side: ``[authzid] NUL authcid NUL passwd``, the names prepared by SASLprep
    (RFC 4954 4).

    Raises GrammarError for a NUL in the login, for an empty user name or password, and for
    characters that SASLprep prohibits.
    """

    def __init__(self, login: Login, channel: Channel) -> None:
        names = saslprep(login.authzid), saslprep(login.username)
        parts = [*(name.encode() for name in names), login.password.reveal()]
        if any(b"\0" in part for part in parts):
            raise GrammarError("NUL in user name or password")
        if not all(parts[1:]):
            raise GrammarError("user name and password cannot be empty")
        super().__init__("PLAIN", Secret(b"\0".join(parts)))


@define(eq=False)
class PlainServer:
    """The server's side."""

    authenticator: Authenticator = field(repr=False)
    channel: Channel

    async def step(self, response: Secret | None) -> bytes | Identity | Denied:
        """Split the message, prepare its parts (RFC 4616 2, RFC 4954 4), ask the authenticator.

        Raises GrammarError unless the message is UTF-8, has two NULs, a user name and a password.
        """
        if response is None:
            return b""
        authzid, username, password = self._read(response)
        if not await password_matches(self.authenticator, self.channel, username, password):
            return Denied(f"wrong user name or password: {username!r}")
        return await authorize(self.authenticator, "PLAIN", username, authzid)

    @staticmethod
    @keeps_secret
    def _read(response: Secret) -> tuple[str, str, Secret]:
        try:
            authzid, username, password = response.reveal().split(b"\0")
        except ValueError:
            raise GrammarError("not a PLAIN message: it must have exactly two NULs") from None
        return (
            prepared(authzid) if authzid else "",
            prepared(username),
            Secret(prepared(password)),
        )

"""CRAM-MD5 (RFC 2195): the password is not sent, but the server has to store it."""

from __future__ import annotations

import hmac
import re

from attrs import Factory, define, field

from ..errors import GrammarError, RemoteProtocolError
from ..grammar.pattern import pattern
from ..grammar.secret import Secret, keeps_secret, keeps_secret_arguments
from .authenticator import ServerExchange, ask, authorize, wrong_password
from .credentials import Login
from .exchange import Channel, ClientExchange, Step
from .prepare import prepared, prepared_secret
from .simple import user_name_of

_HOST = pattern(r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*", re.ASCII)
_DIGEST = pattern(rb"[0-9a-f]{32}")


def _digest(secret: Secret, challenge: bytes) -> bytes:
    return hmac.digest(secret.reveal(), challenge, "md5").hex().encode()


@keeps_secret_arguments
class CramMD5Client(ClientExchange):
    """The client's side. SASLprep prepares the user name and the password.

    Raises GrammarError for characters that SASLprep prohibits, for an empty user name or password,
    for a password that is not UTF-8, and for an *authzid*, which CRAM-MD5 cannot carry.
    """

    def __init__(self, login: Login, channel: Channel) -> None:
        self._username = user_name_of(login, "CRAM-MD5").encode()
        self._password = prepared_secret(login.password)
        self._answered = False

    def step(self, challenge: bytes) -> Secret:
        """Return ``username SP digest``.

        Raises RemoteProtocolError for an empty challenge, and for a second one.
        """
        if self._answered or not challenge:
            raise RemoteProtocolError("CRAM-MD5 has exactly one challenge, which is not empty")
        self._answered = True
        return Secret(self._username + b" " + _digest(self._password, challenge))


@define(eq=False)
class CramMD5Server(ServerExchange):
    """The server's side."""

    first_challenge: bytes = field(
        init=False, default=Factory(lambda self: self._new_challenge(), takes_self=True)
    )

    def _new_challenge(self) -> bytes:
        """Return ``<random.timestamp@host>``, which is never used again."""
        channel = self.channel
        number = int.from_bytes(channel.random(16), "big")
        host = channel.host if _HOST.fullmatch(channel.host) else "localhost"
        return f"<{number}.{int(channel.now)}@{host}>".encode()

    async def _answer(self, response: Secret) -> Step:
        """Compare the client's digest with the one made from the authenticator's secret.

        For a user who does not exist or has no secret a random secret is used, so that the time is
        the same. Raises GrammarError for a response that is not ``username SP digest``, and for a
        name that SASLprep prohibits.
        """
        username, digest = self._read(response)
        secret = await ask(self.authenticator.shared_secret, username)
        if secret is None or not secret.reveal():
            secret = Secret(self.channel.random(16))
        if not hmac.compare_digest(_digest(secret, self.first_challenge), digest):
            return wrong_password(username)
        return await authorize(self.authenticator, "CRAM-MD5", username)

    @staticmethod
    @keeps_secret
    def _read(response: Secret) -> tuple[str, bytes]:
        """Split *response* at the last space, because a user name may contain spaces."""
        name, _, digest = response.reveal().rpartition(b" ")
        if not _DIGEST.fullmatch(digest):
            raise GrammarError("not a user name and a digest of 32 hexadecimal digits")
        return prepared(name), digest

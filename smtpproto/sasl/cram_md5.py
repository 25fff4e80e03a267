"""CRAM-MD5 (RFC 2195): the password itself is not sent, but the server has to know it."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from types import MappingProxyType

from attrs import define, field

from ..errors import GrammarError, RemoteProtocolError
from ..grammar.secret import Secret
from ..ports import result
from .authenticator import Authenticator, admit
from .credentials import Login
from .exchange import Channel, Denied, Identity
from .prepare import prepared, saslprep

_HOST = re.compile(r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*", re.ASCII)
_DIGEST = re.compile(rb"[0-9a-f]{32}")


def _digest(secret: bytes, challenge: bytes) -> bytes:
    return hmac.digest(secret, challenge, "md5").hex().encode()


@define(eq=False)
class CramMD5Client:
    """The client's side; user name and password are prepared by SASLprep. Raises GrammarError for
    what SASLprep prohibits, for what is empty or not UTF-8, and for an *authzid*, which CRAM-MD5
    cannot say."""

    login: Login
    channel: Channel
    details: Mapping[str, str] = field(default=MappingProxyType({}), init=False)
    _username: bytes = field(init=False)
    _password: Secret = field(init=False)
    _asked: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        if self.login.authzid:
            raise GrammarError("CRAM-MD5 cannot say whom to act as")
        self._username = saslprep(self.login.username).encode()
        self._password = Secret(prepared(self.login.password.reveal()))
        if not self._username:
            raise GrammarError("user name and password cannot be empty")

    def initial(self) -> None:
        """None: the server has the first word."""

    def step(self, challenge: bytes) -> Secret:
        """``username SP digest``."""
        if self._asked or not challenge:
            raise RemoteProtocolError("CRAM-MD5 has one challenge, which is not empty")
        self._asked = True
        return Secret(self._username + b" " + _digest(self._password.reveal(), challenge))

    def finish(self) -> None:
        """Nothing is proved to a client."""


@define(eq=False)
class CramMD5Server:
    """The server's side."""

    authenticator: Authenticator = field(repr=False)
    channel: Channel
    _challenge: bytes = field(init=False)

    @_challenge.default
    def _new(self) -> bytes:
        """``<random.timestamp@host>``, which never comes again."""
        channel = self.channel
        number = int.from_bytes(channel.random(16), "big")
        host = channel.host if _HOST.fullmatch(channel.host) else "localhost"
        return f"<{number}.{int(channel.now)}@{host}>".encode()

    async def step(self, response: Secret | None) -> bytes | Identity | Denied:
        """Compare digests: for who is not known, or has no secret, with one that nobody can guess,
        so that it takes as long. Raises GrammarError for what is no ``username SP digest``, or a
        name that SASLprep prohibits."""
        if response is None:
            return self._challenge
        username, digest = self._read(response)
        secret = await result(self.authenticator.shared_secret(username))
        known = secret.reveal() if secret is not None else b""
        expected = _digest(known or self.channel.random(16), self._challenge)
        if not hmac.compare_digest(expected, digest):
            return Denied(f"wrong user name or password: {username!r}")
        return await admit(self.authenticator, "CRAM-MD5", username)

    def _read(self, response: Secret) -> tuple[str, bytes]:
        """The user name is all before the last space: names may have spaces."""
        name, _, digest = response.reveal().rpartition(b" ")
        if not _DIGEST.fullmatch(digest):
            raise GrammarError("not a user name and a digest of 32 hexadecimal digits")
        return prepared(name), digest

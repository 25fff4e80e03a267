"""OAUTHBEARER (RFC 7628) and its predecessor, Google's XOAUTH2: a login with an OAuth 2.0 token.

A server that refuses the token sends its reasons in a challenge. The client answers this challenge
with a dummy response, and the login fails.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

from attrs import define, field

from ..errors import GrammarError, RemoteProtocolError
from ..grammar.pattern import pattern
from ..grammar.printable import printable
from ..grammar.secret import Secret, keeps_secret, keeps_secret_arguments
from .authenticator import ServerExchange, TokenClaim, TokenRefused, ask, authorize
from .credentials import BearerToken
from .exchange import Channel, Denied, RefusingChallenge, Step
from .prepare import prepared, saslprep
from .simple import SingleMessageClient

_TOKEN = pattern(rb"[!-~]+")
_BEARER = pattern(rb"[Bb][Ee][Aa][Rr][Ee][Rr] +([!-~]+)")
_PORT = pattern(rb"[1-9][0-9]{0,4}")

# RFC 7628 3.1 and RFC 5801 4, without channel binding ("p=") and non-standard mechanisms ("F").
_OAUTHBEARER = pattern(
    rb"[ny],(?:a=((?:[^\x00\x01,=]|=2C|=3D)+))?,\x01((?:[A-Za-z]+=[\t\n\r -~]*\x01)*)\x01"
)
_XOAUTH2 = pattern(rb"user=([^\x01]+)\x01auth=([\t\n\r -~]*)\x01\x01")

_DETAILS = ("status", "schemes", "scope", "openid-configuration")
_MAX_REFUSAL = 8192  # octets of the server's JSON; a longer text is ignored
_HTTP_STATUS = {"invalid_token": "401", "insufficient_scope": "403"}  # RFC 6750 3.1


@define(eq=False)
class _BearerClient(SingleMessageClient):
    """The client's side of both mechanisms. The message has the user name and the token."""

    _dummy: Secret
    _refused: bool = field(default=False, init=False)

    def step(self, challenge: bytes) -> Secret:
        """Return the message again for one empty challenge, which asks for the initial response.

        Any other challenge is a refusal: *details* then has its reasons, and this returns the dummy
        response. Raises RemoteProtocolError for a challenge after a refusal.
        """
        if self._refused:
            raise RemoteProtocolError(
                f"the server sent a challenge in {self.mechanism} after it had refused the token"
            )
        if not (challenge or self._initial_requested):
            return super().step(challenge)
        self._refused = True
        self.details: Mapping[str, str] = _read_refusal(challenge)
        return self._dummy

    def finish(self) -> None:
        """Raise RemoteProtocolError if the server refused the token and now accepts the login."""
        if self._refused:
            raise RemoteProtocolError(
                f"the server accepted the login by {self.mechanism} after it had refused the token"
            )


@keeps_secret_arguments
class OAuthBearerClient(_BearerClient):
    """The client's side of OAUTHBEARER. It sends the server's name and port, if they are known.

    Raises GrammarError for a token that is not visible ASCII, and for a user name that SASLprep
    prohibits.
    """

    def __init__(self, credential: BearerToken, channel: Channel) -> None:
        name = saslprep(credential.username).replace("=", "=3D").replace(",", "=2C")
        fields = [f"n,a={name}," if name else "n,,"]
        if channel.host and channel.host.isascii() and channel.host.isprintable():
            fields.append(f"host={channel.host}")
        if channel.port:
            fields.append(f"port={channel.port}")
        start = "\1".join(fields).encode()
        message = Secret(start + b"\1auth=Bearer " + _token(credential) + b"\1\1")
        super().__init__("OAUTHBEARER", message, Secret(b"\1"))


@keeps_secret_arguments
class XOAuth2Client(_BearerClient):
    """The client's side of XOAUTH2.

    Raises GrammarError like :class:`OAuthBearerClient`, and for an empty user name.
    """

    def __init__(self, credential: BearerToken, channel: Channel) -> None:
        name = saslprep(credential.username).encode()
        if not name:
            raise GrammarError("XOAUTH2 needs a user name")
        message = Secret(b"user=" + name + b"\1auth=Bearer " + _token(credential) + b"\1\1")
        super().__init__("XOAUTH2", message, Secret(b""))


def _token(credential: BearerToken) -> bytes:
    token = credential.reveal()
    if not _TOKEN.fullmatch(token):
        raise GrammarError("not a bearer token: it must be visible ASCII, without spaces")
    return token


def _read_refusal(challenge: bytes) -> Mapping[str, str]:
    """Return the known members of a server's JSON (RFC 7628 3.2.2), escaped.

    Anything that cannot be read is ignored: the token is refused in any case.
    """
    try:
        read = json.loads(challenge.decode()) if len(challenge) <= _MAX_REFUSAL else None
    except (ValueError, RecursionError):
        read = None
    if not isinstance(read, dict):
        return {}
    known = {name: read[name] for name in _DETAILS if isinstance(read.get(name), str | int)}
    return MappingProxyType({name: printable(str(value)) for name, value in known.items()})


@define(eq=False)
class OAuthBearerServer(ServerExchange):
    """The server's side of OAUTHBEARER."""

    mechanism: ClassVar[str] = "OAUTHBEARER"
    _denied: Denied | None = field(default=None, init=False)

    async def _answer(self, response: Secret) -> Step:
        """Ask the authenticator to whom the token belongs.

        A refusal is first sent as a challenge; whatever the client responds, the login then fails.
        Raises GrammarError if the response is not a message of the mechanism.
        """
        if self._denied is not None:
            return self._denied
        claim = self.read_claim(response.reveal())
        verdict = await self._verdict(claim)
        # A client may send no token, to learn what kind is wanted (RFC 7628 4.3). It is refused.
        if isinstance(verdict, str) and verdict and claim.token.reveal():
            return await authorize(self.authenticator, self.mechanism, verdict, claim.username)
        refused = verdict if isinstance(verdict, TokenRefused) else TokenRefused()
        self._denied = Denied(f"token refused: {refused.status}")
        members = {name: value for name, value in self.refusal(refused).items() if value}
        octets = json.dumps(members, separators=(",", ":")).encode()
        return RefusingChallenge(octets, self._denied.reason)

    async def _verdict(self, claim: TokenClaim) -> str | TokenRefused | None:
        is_dialled_as = self.authenticator.is_dialled_as
        if await ask(is_dialled_as, claim.host, claim.port, self.channel) is not True:
            return TokenRefused(status="invalid_request")
        verdict: str | TokenRefused | None = await ask(self.authenticator.check_token, claim)
        return verdict

    @keeps_secret
    def read_claim(self, message: bytes) -> TokenClaim:
        """Return what the client claims. Ignores unknown keys (RFC 7628 3.1). Raises GrammarError
        if *message* is malformed."""
        match = _OAUTHBEARER.fullmatch(message)
        if match is None:
            raise GrammarError("not an OAUTHBEARER message")
        pairs = [part.split(b"=", 1) for part in match[2].split(b"\1")[:-1]]
        known = {key: value for key, value in pairs if key in (b"auth", b"host", b"port")}
        if len(known) != sum(key in known for key, _ in pairs):
            raise GrammarError("an OAUTHBEARER message that has a key twice")
        name = (match[1] or b"").replace(b"=2C", b",").replace(b"=3D", b"=")
        return TokenClaim(
            token=_bearer_token(known.get(b"auth", b"")),
            username=prepared(name) if name else "",
            host=known.get(b"host", b"").decode(),
            port=_port(known[b"port"]) if b"port" in known else 0,
        )

    def refusal(self, refused: TokenRefused) -> dict[str, str]:
        """Return the members of the JSON object to send (RFC 7628 3.2.2), of which empty ones are
        left out."""
        return {
            "status": refused.status,
            "scope": refused.scope,
            "openid-configuration": refused.openid_configuration,
        }


class XOAuth2Server(OAuthBearerServer):
    """The server's side of XOAUTH2."""

    mechanism = "XOAUTH2"

    @keeps_secret
    def read_claim(self, message: bytes) -> TokenClaim:
        """Return what the client claims. Raises GrammarError if *message* is malformed."""
        match = _XOAUTH2.fullmatch(message)
        if match is None:
            raise GrammarError("not an XOAUTH2 message")
        return TokenClaim(token=_bearer_token(match[2]), username=prepared(match[1]))

    def refusal(self, refused: TokenRefused) -> dict[str, str]:
        """Return the members that Google sends, with a status as in HTTP (RFC 6750 3.1)."""
        status = _HTTP_STATUS.get(refused.status, "400")
        return {"status": status, "schemes": "bearer", "scope": refused.scope}


def _bearer_token(auth: bytes) -> Secret:
    """Return the token in *auth*; empty if there is none, or if the scheme is not Bearer."""
    match = _BEARER.fullmatch(auth)
    return Secret(match[1] if match else b"")


def _port(digits: bytes) -> int:
    if not _PORT.fullmatch(digits) or int(digits) > 65535:
        raise GrammarError("not a port in an OAUTHBEARER message")
    return int(digits)

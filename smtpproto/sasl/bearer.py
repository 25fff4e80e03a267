"""OAUTHBEARER (RFC 7628) and Google's XOAUTH2, which came before it: a token of OAuth 2.0.

A server that says no says why in a challenge, which the client answers with nothing that matters.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

from attrs import define, field

from ..errors import GrammarError, RemoteProtocolError
from ..grammar.printable import printable
from ..grammar.secret import Secret
from ..ports import result
from .authenticator import Authenticator, TokenClaim, TokenRefused, admit
from .credentials import BearerToken
from .exchange import Channel, Denied, Identity, RefusingChallenge
from .prepare import prepared, saslprep

_TOKEN = re.compile(rb"[!-~]+")
_BEARER = re.compile(rb"[Bb][Ee][Aa][Rr][Ee][Rr] +([!-~]+)")
_PORT = re.compile(rb"[1-9][0-9]{0,4}")

# RFC 7628 3.1, RFC 5801 4: no channel is bound ("p="), and this is no foreign mechanism ("F").
_OAUTHBEARER = re.compile(
    rb"[ny],(?:a=((?:[^\x00\x01,=]|=2C|=3D)+))?,\x01((?:[A-Za-z]+=[\t\n\r -~]*\x01)*)\x01"
)
_XOAUTH2 = re.compile(rb"user=([^\x01]+)\x01auth=([\t\n\r -~]*)\x01\x01")

_DETAILS = ("status", "schemes", "scope", "openid-configuration")
_LONGEST_NO = 8192  # octets of JSON that are read: nobody has more to say
_HTTP = {"invalid_token": "401", "insufficient_scope": "403"}  # RFC 6750 3.1


@define(eq=False)
class _BearerClient:
    """What both have in common."""

    _mechanism: str
    _message: Secret
    _dummy: Secret
    details: Mapping[str, str] = field(default=MappingProxyType({}), init=False)
    _asked: bool = field(default=False, init=False)
    _refused: bool = field(default=False, init=False)

    def initial(self) -> Secret:
        """User name and token."""
        return self._message

    def step(self, challenge: bytes) -> Secret:
        """To the empty challenge of a server that wants to ask, the same. Any other is a no, whose
        reason is then in *details*."""
        if self._refused:
            raise RemoteProtocolError(f"a challenge in {self._mechanism} behind its no")
        if not (challenge or self._asked):
            self._asked = True
            return self._message
        self._refused = True
        self.details = _read_no(challenge)
        return self._dummy

    def finish(self) -> None:
        """Nothing is proved to a client, but a no stays a no."""
        if self._refused:
            raise RemoteProtocolError(f"a yes in {self._mechanism} behind its no")


class OAuthBearerClient(_BearerClient):
    """The client's side of OAUTHBEARER. Says which server it means, if it knows. Raises
    GrammarError for a token with other than visible ASCII, or a name that SASLprep prohibits."""

    def __init__(self, credential: BearerToken, channel: Channel) -> None:
        name = saslprep(credential.username).replace("=", "=3D").replace(",", "=2C")
        said = [f"n,a={name}," if name else "n,,"]
        if channel.host and channel.host.isascii() and channel.host.isprintable():
            said.append(f"host={channel.host}")
        if channel.port:
            said.append(f"port={channel.port}")
        start = "\1".join(said).encode()
        message = Secret(start + b"\1auth=Bearer " + _token(credential) + b"\1\1")
        super().__init__("OAUTHBEARER", message, Secret(b"\1"))


class XOAuth2Client(_BearerClient):
    """The client's side of XOAUTH2. Raises GrammarError as the other, and without a user name."""

    def __init__(self, credential: BearerToken, channel: Channel) -> None:
        name = saslprep(credential.username).encode()
        if not name:
            raise GrammarError("XOAUTH2 needs a user name")
        message = Secret(b"user=" + name + b"\1auth=Bearer " + _token(credential) + b"\1\1")
        super().__init__("XOAUTH2", message, Secret(b""))


def _token(credential: BearerToken) -> bytes:
    token = credential.reveal()
    if not _TOKEN.fullmatch(token):
        raise GrammarError("not a bearer token")
    return token


def _read_no(challenge: bytes) -> Mapping[str, str]:
    """What is known of a server's JSON (RFC 7628 3.2.2), made safe to show. Whatever else it sends
    is no reason either to fail."""
    if len(challenge) > _LONGEST_NO:
        return {}
    try:
        told = json.loads(challenge.decode())
    except (ValueError, RecursionError):
        return {}
    if not isinstance(told, dict):
        return {}
    known = {name: told[name] for name in _DETAILS if isinstance(told.get(name), str | int)}
    return MappingProxyType({name: printable(str(value)) for name, value in known.items()})


@define(eq=False)
class _BearerServer(ABC):
    """What both have in common."""

    authenticator: Authenticator = field(repr=False)
    channel: Channel
    _denied: Denied | None = field(default=None, init=False)

    mechanism: ClassVar[str]

    async def step(self, response: Secret | None) -> bytes | Identity | Denied:
        """Ask the authenticator whose token it is.

        A refusal is first sent as a challenge; whatever the client responds, the login then fails.
        Raises GrammarError if the response is not a message of the mechanism.
        """
        if response is None:
            return b""
        if self._denied is not None:
            return self._denied
        claim = self.read(response.reveal())
        verdict = await result(self.authenticator.check_token(claim))
        # A client may come without a token to learn what kind is wanted (RFC 7628 4.3).
        if isinstance(verdict, str) and verdict and claim.token.reveal():
            return await admit(self.authenticator, self.mechanism, verdict, claim.username)
        refused = verdict if isinstance(verdict, TokenRefused) else TokenRefused()
        self._denied = Denied(f"token refused: {refused.status}")
        told = {name: value for name, value in self.tell(refused).items() if value}
        octets = json.dumps(told, separators=(",", ":")).encode()
        return RefusingChallenge(octets, self._denied.reason)

    @abstractmethod
    def read(self, message: bytes) -> TokenClaim:
        """What a client claims. Raises GrammarError."""

    @abstractmethod
    def tell(self, refused: TokenRefused) -> dict[str, str]:
        """The members of the JSON object; empty ones are left out."""


class OAuthBearerServer(_BearerServer):
    """The server's side of OAUTHBEARER."""

    mechanism = "OAUTHBEARER"

    def read(self, message: bytes) -> TokenClaim:
        """Read *message* strictly; keys that are not known do not count (RFC 7628 3.1)."""
        match = _OAUTHBEARER.fullmatch(message)
        if match is None:
            raise GrammarError("not an OAUTHBEARER message")
        pairs = [part.split(b"=", 1) for part in match[2].split(b"\1")[:-1]]
        known = {key: value for key, value in pairs if key in (b"auth", b"host", b"port")}
        if len(known) != sum(key in known for key, _ in pairs):
            raise GrammarError("a key twice in an OAUTHBEARER message")
        name = (match[1] or b"").replace(b"=2C", b",").replace(b"=3D", b"=")
        return TokenClaim(
            token=_presented(known.get(b"auth", b"")),
            username=prepared(name) if name else "",
            host=known.get(b"host", b"").decode(),
            port=_port(known[b"port"]) if b"port" in known else 0,
        )

    def tell(self, refused: TokenRefused) -> dict[str, str]:
        """RFC 7628 3.2.2."""
        return {
            "status": refused.status,
            "scope": refused.scope,
            "openid-configuration": refused.openid_configuration,
        }


class XOAuth2Server(_BearerServer):
    """The server's side of XOAUTH2."""

    mechanism = "XOAUTH2"

    def read(self, message: bytes) -> TokenClaim:
        """Read *message* strictly."""
        match = _XOAUTH2.fullmatch(message)
        if match is None:
            raise GrammarError("not an XOAUTH2 message")
        return TokenClaim(token=_presented(match[2]), username=prepared(match[1]))

    def tell(self, refused: TokenRefused) -> dict[str, str]:
        """As Google tells it: with the status that HTTP would have (RFC 6750 3.1)."""
        status = _HTTP.get(refused.status, "400")
        return {"status": status, "schemes": "bearer", "scope": refused.scope}


def _presented(auth: bytes) -> Secret:
    """The token in *auth*; none if there is nothing, or something of another scheme."""
    match = _BEARER.fullmatch(auth)
    return Secret(match[1] if match else b"")


def _port(digits: bytes) -> int:
    if not _PORT.fullmatch(digits) or int(digits) > 65535:
        raise GrammarError("not a port")
    return int(digits)

"""The types that all mechanisms share: both sides of an exchange, its channel, its results."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Self

from attrs import field, frozen

from ..grammar.secret import Secret
from ..option_types import checked

Check = Callable[[], bool | Awaitable[bool]]


async def _call_directly(check: Check) -> bool | Awaitable[bool]:
    return check()


@frozen(kw_only=True)
class Channel:
    """The properties of a connection that a SASL exchange may use."""

    random: Callable[[int], bytes] = field(repr=False)
    """Returns the given number of cryptographically strong random octets, for example
    ``secrets.token_bytes``."""
    in_thread: Callable[[Check], Awaitable[bool | Awaitable[bool]]] = field(
        default=_call_directly, repr=False
    )
    """Calls a slow function in a thread, so that it does not delay other connections. The default
    calls it directly."""
    now: float = 0.0
    """The time of any clock that advances, in seconds."""
    secure: bool = False
    """Whether TLS is active and, on a client, has verified the server."""
    bindings: Mapping[str, bytes] = field(factory=dict, repr=False)
    """The channel bindings by name (RFC 5056), the preferred one first."""
    peer_binds: bool = False
    """Whether the server offered a mechanism with channel binding (``-PLUS``)."""
    certificate: bytes | None = field(default=None, repr=False)
    """The peer's certificate in DER, if TLS has verified it."""
    host: str = ""
    """The server's name: on a client the one that it dialled, on a server its own."""
    port: int = 0
    """The server's port; 0 if unknown."""


@checked
@frozen
class Identity:
    """The user who has logged in."""

    username: str
    """The user whose credentials were verified."""
    authzid: str = ""
    """The user that *username* acts as, if that is another one."""
    mechanism: str = ""
    """The name of the mechanism."""

    @property
    def user(self) -> str:
        """The user to whom the session belongs: *authzid* if there is one, else *username*."""
        return self.authzid or self.username


@frozen
class Denied:
    """A failed login. *reason* is for the server's log; it is not sent to the client."""

    reason: str


class RefusingChallenge(bytes):
    """A challenge that tells the client why its login fails (RFC 7628 3.2.2).

    The login has failed whatever the client responds. *reason* is for the server's log.
    """

    reason: str

    def __new__(cls, octets: bytes, reason: str) -> Self:
        challenge = super().__new__(cls, octets)
        challenge.reason = reason
        return challenge


Step = bytes | Identity | Denied
"""What a server's step returns: a challenge, or the result."""


class ClientExchange:
    """The client's side of one exchange, made from a credential and a :class:`Channel`.

    By default the server speaks first, and proves nothing.
    """

    details: Mapping[str, str] = MappingProxyType({})
    """The server's reasons for a refusal, for example OAuth's ``status``; often empty."""

    def initial(self) -> Secret | None:
        """Return the response to send before any challenge; None if the server speaks first."""
        return None

    def step(self, challenge: bytes) -> Secret:
        """Return the response to *challenge*.

        Raises :class:`.RemoteProtocolError` if the mechanism does not allow the challenge.
        """
        raise NotImplementedError

    def finish(self) -> None:
        """Confirm that the server may accept the login now.

        Raises :class:`.RemoteProtocolError` if it may not: it has not proved its own identity, or
        has refused the login before.
        """

"""What every mechanism has in common: the two sides of an exchange, and how one ends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol, Self

from attrs import field, frozen

from ..grammar.secret import Secret

Check = Callable[[], bool | Awaitable[bool]]


async def _at_once(check: Check) -> bool | Awaitable[bool]:
    return check()


@frozen(kw_only=True)
class Channel:
    """What an exchange may know of the connection that it runs on."""

    random: Callable[[int], bytes] = field(repr=False)
    """Gives that many octets which nobody can guess."""
    in_thread: Callable[[Check], Awaitable[bool | Awaitable[bool]]] = field(
        default=_at_once, repr=False
    )
    """Calls a function that takes long, so that nobody else has to wait."""
    now: float = 0.0
    """Seconds, of any clock that goes on."""
    secure: bool = False
    """Whether TLS is active; for a client, with a server that it has verified."""
    bindings: Mapping[str, bytes] = field(factory=dict, repr=False)
    """Channel bindings by their names (RFC 5056), the one to prefer first."""
    peer_binds: bool = False
    """Whether the server offered any mechanism that is bound to the channel (``-PLUS``)."""
    certificate: bytes | None = field(default=None, repr=False)
    """The peer's certificate in DER, if TLS has verified it."""
    host: str = ""
    """The server's name: as a client dialled it, as a server calls itself."""
    port: int = 0
    """The server's port; 0 if not known."""


@frozen
class Identity:
    """Who has logged in."""

    username: str
    """Whose credentials they are."""
    authzid: str = ""
    """Whom they act as, if that is another."""
    mechanism: str = ""

    @property
    def user(self) -> str:
        """Whom the session belongs to."""
        return self.authzid or self.username


@frozen
class Denied:
    """A login that failed. *reason* is for the log of the server: no client learns it."""

    reason: str


class RefusingChallenge(bytes):
    """A challenge that tells the client why its login has failed (RFC 7628 3.2.2), whatever it
    answers. *reason* is for the log of the server."""

    reason: str

    def __new__(cls, octets: bytes, reason: str) -> Self:
        challenge = super().__new__(cls, octets)
        challenge.reason = reason
        return challenge


class ClientExchange(Protocol):
    """A client's side of one exchange. Made of a credential and a :class:`Channel`."""

    def initial(self) -> Secret | None:
        """The response to send before any challenge; None if the server speaks first."""
        ...

    def step(self, challenge: bytes) -> Secret:
        """The response to *challenge*. Raises :class:`.RemoteProtocolError` if it makes none."""
        ...

    def finish(self) -> None:
        """The server says yes. Raises :class:`.RemoteProtocolError` if that cannot be: it has not
        proved who it is, or has said no before."""
        ...

    @property
    def details(self) -> Mapping[str, str]:
        """What the server told of its no, as OAuth's ``status``; empty as a rule."""
        ...


class ServerExchange(Protocol):
    """The server side of an exchange, made of an :class:`.Authenticator` and a :class:`Channel`."""

    async def step(self, response: Secret | None) -> bytes | Identity | Denied:
        """Take a response, or None if the client sent none at first; give the next challenge, or
        how the exchange ended. A :class:`RefusingChallenge` is both.

        Suspends only if the authenticator does. Raises :class:`.GrammarError` for a response that
        the mechanism does not allow, and whatever the authenticator raises.
        """
        ...

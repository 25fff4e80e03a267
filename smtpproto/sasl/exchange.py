"""What every mechanism has in common."""

from __future__ import annotations

from typing import Protocol

from attrs import field, frozen

from ..secret import Secret


def _secret(value: Secret | str | bytes) -> Secret:
    return value if isinstance(value, Secret) else Secret(value)


@frozen
class Login:
    """Who a client says it is. *authzid* is the identity to act as, if not *username* itself."""

    username: str
    password: Secret = field(converter=_secret)
    authzid: str = ""


@frozen
class Credentials:
    """What a client claimed, for the application to check.

    Accept only if *password* is that of *username*, and *authzid*, unless empty or the same, is
    somebody *username* may act as. All are prepared by SASLprep (RFC 4013), as those that they
    are compared with should be.
    """

    username: str
    password: Secret
    authzid: str = ""


class ClientExchange(Protocol):
    """A client's side of one exchange."""

    def initial(self) -> Secret | None:
        """The response to send before any challenge; None if the server speaks first."""
        ...

    def step(self, challenge: bytes) -> Secret:
        """The response to *challenge*. Raises :class:`.RemoteProtocolError` if it makes none."""
        ...


class ServerExchange(Protocol):
    """A server's side of one exchange."""

    def initial(self) -> bytes:
        """The challenge to send if the client sent no initial response."""
        ...

    def step(self, response: Secret) -> bytes | Credentials:
        """The next challenge, or what to check. Raises :class:`.GrammarError`, whose reply is the
        server's, for a response that the mechanism does not allow."""
        ...

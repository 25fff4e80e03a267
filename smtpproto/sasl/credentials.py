"""What a client logs in with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from attrs import field, frozen

from ..errors import GrammarError
from ..grammar.secret import Secret
from ..ports import result


def _secret(value: Secret | str | bytes) -> Secret:
    return value if isinstance(value, Secret) else Secret(value)


@frozen
class Login:
    """A user name and its password. *authzid* is the identity to act as, if not *username*."""

    username: str
    password: Secret = field(converter=_secret)
    authzid: str = ""


TokenText = Secret | str | bytes
TokenSource = Callable[[], TokenText | Awaitable[TokenText]]


def _token(value: TokenText | TokenSource) -> Secret | TokenSource:
    return value if callable(value) else _secret(value)


@frozen
class BearerToken:
    """An OAuth 2.0 access token, for OAUTHBEARER and XOAUTH2.

    *token* may be a function, plain or ``async``, which is called for each login: tokens expire.
    """

    username: str
    token: Secret | TokenSource = field(converter=_token, repr=False)

    async def fetched(self) -> BearerToken:
        """The same with a token at hand. Raises what the function raises, and TypeError for what it
        gives that is no token."""
        if isinstance(self.token, Secret):
            return self
        token = await result(self.token())
        if not isinstance(token, Secret | str | bytes):
            raise TypeError(f"the function for a token gave a {type(token).__name__}")
        return BearerToken(self.username, token)

    def reveal(self) -> bytes:
        """The token itself. Raises GrammarError if it is still to be fetched."""
        if not isinstance(self.token, Secret):
            raise GrammarError("a token that was not fetched")
        return self.token.reveal()


@frozen
class External:
    """What TLS knows already: the client's certificate (EXTERNAL)."""

    authzid: str = ""


@frozen
class Anonymous:
    """Nobody in particular. *trace* tells the server's people whom to ask: an address, or a token
    that means something to you."""

    trace: str = ""


Credential = Login | BearerToken | External | Anonymous

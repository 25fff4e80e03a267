"""The credentials that a client logs in with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from attrs import field, frozen

from ..errors import GrammarError
from ..grammar.secret import Secret, keeps_secret, keeps_secret_arguments
from ..option_types import checked
from ..ports import result


def _secret(value: Secret | str | bytes) -> Secret:
    return value if isinstance(value, Secret) else Secret(value)


@keeps_secret_arguments
@checked
@frozen
class Login:
    """A user name and its password. *authzid* is the user to act as, if that is another one."""

    username: str
    password: Secret = field(converter=_secret)
    authzid: str = ""


TokenText = Secret | str | bytes
TokenSource = Callable[[], TokenText | Awaitable[TokenText]]


def _token(value: TokenText | TokenSource) -> Secret | TokenSource:
    return value if callable(value) else _secret(value)


@keeps_secret
def _fetched_token(token: TokenText) -> Secret:
    if not isinstance(token, Secret | str | bytes):
        kind = type(token).__name__
        raise TypeError(f"the token function returned {kind}, not a Secret, str or bytes")
    return _secret(token)


@keeps_secret_arguments
@checked
@frozen
class BearerToken:
    """An OAuth 2.0 access token, for OAUTHBEARER and XOAUTH2.

    Tokens expire, so *token* may be a function, plain or ``async``, which is called for each login.
    """

    username: str
    token: Secret | TokenSource = field(converter=_token, repr=False)

    async def fetched(self) -> BearerToken:
        """Return a credential that holds the token itself, not a function.

        Raises what the function raises, and TypeError if it does not return a token.
        """
        if isinstance(self.token, Secret):
            return self
        return BearerToken(self.username, _fetched_token(await result(self.token())))

    def reveal(self) -> bytes:
        """Return the token itself. Raises GrammarError if it must be fetched first."""
        if not isinstance(self.token, Secret):
            raise GrammarError("the token has not been fetched; await fetched() first")
        return self.token.reveal()


@checked
@frozen
class External:
    """The client certificate that TLS has presented (EXTERNAL). *authzid* is the user to act as."""

    authzid: str = ""


@checked
@frozen
class Anonymous:
    """An anonymous login.

    *trace* identifies you to the administrators of the server: an email address, or a token that
    you would recognise.
    """

    trace: str = ""


Credential = Login | BearerToken | External | Anonymous
"""What a client logs in with."""

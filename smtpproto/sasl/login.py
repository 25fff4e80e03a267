"""LOGIN (draft-murchison-sasl-login): the server asks for user name and password in turn. Only for
peers that support nothing better."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from attrs import define, field

from ..errors import GrammarError, RemoteProtocolError
from ..grammar.secret import Secret, keeps_secret, keeps_secret_arguments
from .authenticator import Authenticator, authorize, password_matches
from .credentials import Login
from .exchange import Channel, Denied, Identity
from .prepare import prepared, saslprep


@keeps_secret_arguments
@define(eq=False)
class LoginClient:
    """The client's side.

    Raises GrammarError for an empty user name or password, for characters that SASLprep prohibits,
    and for an *authzid*, which LOGIN cannot carry.
    """

    login: Login
    channel: Channel
    details: Mapping[str, str] = field(default=MappingProxyType({}), init=False)
    _responses: list[Secret] = field(init=False)

    def __attrs_post_init__(self) -> None:
        name, password = saslprep(self.login.username), self.login.password
        if self.login.authzid:
            raise GrammarError("LOGIN cannot carry an authzid")
        if not (name and password.reveal()):
            raise GrammarError("user name and password cannot be empty")
        self._responses = [Secret(name), password]

    def initial(self) -> None:
        """Return None: not every server accepts the user name as an initial response."""

    def step(self, challenge: bytes) -> Secret:
        """Return the user name, then the password; the text of the prompts does not matter.

        Raises RemoteProtocolError for a third challenge.
        """
        if not self._responses:
            raise RemoteProtocolError("the server sent a third challenge in LOGIN, which has two")
        return self._responses.pop(0)

    def finish(self) -> None:
        """Do nothing: the server proves nothing in LOGIN."""


@define(eq=False)
class LoginServer:
    """The server's side. It takes an initial response as the user name, as some clients send it."""

    authenticator: Authenticator = field(repr=False)
    channel: Channel
    _username: str = field(default="", init=False)

    async def step(self, response: Secret | None) -> bytes | Identity | Denied:
        """Ask for user name and password, prepare them (RFC 4954 4), ask the authenticator.

        Raises GrammarError if one of them is empty, is not UTF-8, or is prohibited by SASLprep.
        """
        if response is None:
            return b"Username:"
        if not self._username:
            self._username = prepared(response.reveal())
            return b"Password:"
        password = _read_password(response)
        if not await password_matches(self.authenticator, self.channel, self._username, password):
            return Denied(f"wrong user name or password: {self._username!r}")
        return await authorize(self.authenticator, "LOGIN", self._username)


@keeps_secret
def _read_password(response: Secret) -> Secret:
    return Secret(prepared(response.reveal()))

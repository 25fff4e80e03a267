"""PLAIN (RFC 4616): identity, user name and password in one message."""

from __future__ import annotations

from attrs import define, field

from ..errors import GrammarError, RemoteProtocolError
from ..grammar.reply import Reply
from ..secret import Secret
from .exchange import Credentials, Login

_FAILED = Reply(535, "5.7.8", "Authentication credentials invalid")


@define(eq=False)
class PlainClient:
    """The client's side. Raises GrammarError for a NUL in the login, or an empty part."""

    login: Login
    _asked: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        parts = (self.login.authzid.encode(), *self._parts())
        if any(b"\0" in part for part in parts):
            raise GrammarError("NUL in user name or password")
        if not all(self._parts()):
            raise GrammarError("user name and password cannot be empty")

    def _parts(self) -> tuple[bytes, bytes]:
        return self.login.username.encode(), self.login.password.reveal()

    def initial(self) -> Secret:
        """``[authzid] NUL authcid NUL passwd``."""
        return Secret(b"\0".join((self.login.authzid.encode(), *self._parts())))

    def step(self, challenge: bytes) -> Secret:
        """The same message, to the empty challenge of a server that wants it asked for."""
        if challenge or self._asked:
            raise RemoteProtocolError("a challenge in PLAIN, which has none")
        self._asked = True
        return self.initial()


class PlainServer:
    """The server's side."""

    def initial(self) -> bytes:
        """The empty challenge."""
        return b""

    def step(self, response: Secret) -> Credentials:
        """Split the message. Raises GrammarError (535) unless it has two NULs, is UTF-8, and has
        a user name and a password."""
        try:
            authzid, username, password = response.reveal().decode().split("\0")
        except ValueError:  # not UTF-8 either
            raise GrammarError("not a PLAIN message", reply=_FAILED) from None
        if not (username and password):
            raise GrammarError("empty user name or password", reply=_FAILED)
        return Credentials(username, Secret(password), authzid)

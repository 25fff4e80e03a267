"""PLAIN (RFC 4616): identity, user name and password in one message."""

from __future__ import annotations

from attrs import define, field

from ..errors import GrammarError, RemoteProtocolError
from ..grammar.reply import Reply
from ..secret import Secret
from .exchange import Credentials, Login
from .prepare import saslprep

_FAILED = Reply(535, "5.7.8", "Authentication credentials invalid")


@define(eq=False)
class PlainClient:
    """The client's side; names are prepared by SASLprep (RFC 4954 4). Raises GrammarError for a NUL
    in the login, an empty part, or what SASLprep prohibits."""

    login: Login
    _message: Secret = field(init=False)
    _asked: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        login = self.login
        names = saslprep(login.authzid), saslprep(login.username)
        parts = [*(name.encode() for name in names), login.password.reveal()]
        if any(b"\0" in part for part in parts):
            raise GrammarError("NUL in user name or password")
        if not all(parts[1:]):
            raise GrammarError("user name and password cannot be empty")
        self._message = Secret(b"\0".join(parts))

    def initial(self) -> Secret:
        """``[authzid] NUL authcid NUL passwd``."""
        return self._message

    def step(self, challenge: bytes) -> Secret:
        """The same message, to the empty challenge of a server that wants it asked for."""
        if challenge or self._asked:
            raise RemoteProtocolError("a challenge in PLAIN, which has none")
        self._asked = True
        return self._message


class PlainServer:
    """The server's side."""

    def initial(self) -> bytes:
        """The empty challenge."""
        return b""

    def step(self, response: Secret) -> Credentials:
        """Split the message and prepare its parts (RFC 4616 2, RFC 4954 4). Raises GrammarError
        (535) unless it has two NULs, is UTF-8, and has a user name and a password, prepared too."""
        try:
            parts = response.reveal().decode().split("\0")
            authzid, username, password = map(saslprep, parts)
        except ValueError:  # not UTF-8, and a GrammarError, too
            raise GrammarError("not a PLAIN message", reply=_FAILED) from None
        if not (username and password) or (parts[0] and not authzid):
            raise GrammarError("empty identity, user name or password", reply=_FAILED)
        return Credentials(username, Secret(password), authzid)

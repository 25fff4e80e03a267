"""The mechanisms that send what they hold as it is: PLAIN, LOGIN, EXTERNAL and ANONYMOUS."""

from __future__ import annotations

from attrs import define, field

from ..errors import GrammarError, RemoteProtocolError
from ..grammar.secret import Secret, keeps_secret, keeps_secret_arguments
from .authenticator import ServerExchange, ask, authorize, log_in
from .credentials import Anonymous, External, Login
from .exchange import Channel, ClientExchange, Denied, Identity, Step
from .prepare import check_trace, prepared, prepared_secret, saslprep

_MAX_TRACE = 255  # characters (RFC 4505 2)


@define(eq=False)
class SingleMessageClient(ClientExchange):
    """The client's side of a mechanism in which the client sends a single message."""

    mechanism: str
    message: Secret
    _initial_requested: bool = field(default=False, init=False)

    def initial(self) -> Secret:
        """Return the message."""
        return self.message

    def step(self, challenge: bytes) -> Secret:
        """Return the message again for one empty challenge, which asks for the initial response.

        Raises RemoteProtocolError for any other challenge.
        """
        if challenge or self._initial_requested:
            raise RemoteProtocolError(
                f"the server sent a challenge in {self.mechanism}, which has none"
            )
        self._initial_requested = True
        return self.message


@keeps_secret_arguments
class PlainClient(SingleMessageClient):
    """The client's side of PLAIN (RFC 4616): ``[authzid] NUL authcid NUL passwd``, the names
    prepared by SASLprep (RFC 4954 4).

    Raises GrammarError for a NUL in the login, for an empty user name or password, and for
    characters that SASLprep prohibits.
    """

    def __init__(self, login: Login, channel: Channel) -> None:
        names = saslprep(login.authzid), saslprep(login.username)
        parts = [*(name.encode() for name in names), login.password.reveal()]
        if any(b"\0" in part for part in parts):
            raise GrammarError("NUL in user name or password")
        if not all(parts[1:]):
            raise GrammarError("user name and password cannot be empty")
        super().__init__("PLAIN", Secret(b"\0".join(parts)))


class PlainServer(ServerExchange):
    """The server's side of PLAIN."""

    async def _answer(self, response: Secret) -> Step:
        """Split the message, prepare its parts (RFC 4616 2, RFC 4954 4), ask the authenticator.

        Raises GrammarError unless the message is UTF-8, has two NULs, a user name and a password.
        """
        authzid, username, password = self._read(response)
        return await log_in(self, "PLAIN", username, password, authzid)

    @staticmethod
    @keeps_secret
    def _read(response: Secret) -> tuple[str, str, Secret]:
        try:
            authzid, username, password = response.reveal().split(b"\0")
        except ValueError:
            raise GrammarError("not a PLAIN message: it must have exactly two NULs") from None
        name = prepared(authzid) if authzid else ""
        return name, prepared(username), Secret(prepared(password))


def user_name_of(login: Login, mechanism: str) -> str:
    """Return the user name of *login*, prepared, for a *mechanism* that carries no authzid.

    Raises GrammarError if there is an authzid, if the user name or the password is empty, and for
    characters that SASLprep prohibits.
    """
    name = saslprep(login.username)
    if login.authzid:
        raise GrammarError(f"{mechanism} cannot carry an authzid")
    if not (name and login.password.reveal()):
        raise GrammarError("user name and password cannot be empty")
    return name


@keeps_secret_arguments
class LoginClient(ClientExchange):
    """The client's side of LOGIN (draft-murchison-sasl-login), in which the server asks for user
    name and password in turn. Only for servers that support nothing better.

    It sends no initial response, because not every server accepts one. Raises GrammarError for an
    empty user name or password, for characters that SASLprep prohibits, and for an *authzid*, which
    LOGIN cannot carry.
    """

    def __init__(self, login: Login, channel: Channel) -> None:
        self._responses = [Secret(user_name_of(login, "LOGIN")), login.password]

    def step(self, challenge: bytes) -> Secret:
        """Return the user name, then the password; the text of the prompts does not matter.

        Raises RemoteProtocolError for a third challenge.
        """
        if not self._responses:
            raise RemoteProtocolError("the server sent a third challenge in LOGIN, which has two")
        return self._responses.pop(0)


@define(eq=False)
class LoginServer(ServerExchange):
    """The server's side of LOGIN. It takes an initial response as the user name, as some clients
    send it."""

    first_challenge: bytes = field(default=b"Username:", init=False)
    _username: str = field(default="", init=False)

    async def _answer(self, response: Secret) -> Step:
        """Ask for the password, prepare both (RFC 4954 4), ask the authenticator.

        Raises GrammarError if one of them is empty, is not UTF-8, or is prohibited by SASLprep.
        """
        if not self._username:
            self._username = prepared(response.reveal())
            return b"Password:"
        return await log_in(self, "LOGIN", self._username, prepared_secret(response))


class ExternalClient(SingleMessageClient):
    """The client's side of EXTERNAL (RFC 4422 A), in which the client's certificate in TLS
    identifies the client: the user to act as, or an empty message.

    Raises GrammarError for characters that SASLprep prohibits.
    """

    def __init__(self, credential: External, channel: Channel) -> None:
        super().__init__("EXTERNAL", Secret(saslprep(credential.authzid)))


class ExternalServer(ServerExchange):
    """The server's side of EXTERNAL."""

    async def _answer(self, response: Secret) -> Step:
        """Ask the authenticator to whom the certificate belongs.

        Raises GrammarError if the identity is not UTF-8, or if SASLprep prohibits it.
        """
        authzid = prepared(octets) if (octets := response.reveal()) else ""
        certificate = self.channel.certificate
        if certificate is None:
            return Denied("no verified client certificate")
        username = await ask(self.authenticator.certificate_user, certificate)
        if not isinstance(username, str) or not username:
            return Denied("the client certificate belongs to no user")
        return await authorize(self.authenticator, "EXTERNAL", username, authzid)


class AnonymousClient(SingleMessageClient):
    """The client's side of ANONYMOUS (RFC 4505), a login without credentials: the trace, or an
    empty message.

    Raises GrammarError for a trace of more than 255 characters, or with characters that RFC 4505 3
    prohibits.
    """

    def __init__(self, credential: Anonymous, channel: Channel) -> None:
        super().__init__("ANONYMOUS", Secret(_valid_trace(credential.trace)))


class AnonymousServer(ServerExchange):
    """The server's side of ANONYMOUS.

    The user is called ``anonymous``. Only the authenticator gets the trace, which proves nothing.
    """

    async def _answer(self, response: Secret) -> Step:
        """Ask the authenticator whether an anonymous client may log in.

        Raises GrammarError if the trace is not UTF-8, is longer than 255 characters, or contains
        characters that RFC 4505 3 prohibits.
        """
        try:
            trace = _valid_trace(response.reveal().decode())
        except UnicodeDecodeError:
            raise GrammarError("not UTF-8") from None
        if await ask(self.authenticator.allow_anonymous, trace) is True:
            return Identity("anonymous", mechanism="ANONYMOUS")
        return Denied(f"anonymous login not allowed, trace: {trace!r}")


def _valid_trace(trace: str) -> str:
    """Return *trace* if it is valid. Its form as an address or token is not checked: only people
    read it (RFC 4505 2)."""
    if len(trace) > _MAX_TRACE:
        raise GrammarError(f"a trace of {len(trace)} characters; at most 255 are allowed")
    check_trace(trace)
    return trace

"""The authenticator, which decides who may log in to a server, and what asks it: the server's side
of an exchange."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Collection
from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen

from ..errors import GrammarError
from ..grammar.ascii_case import lower
from ..grammar.secret import Secret
from ..limits import SCRAM_DEFAULT_ITERATIONS
from ..option_types import checked
from .exchange import Channel, Denied, Identity, Step

if TYPE_CHECKING:
    from .scram_keys import ScramKeys


@checked
@frozen(kw_only=True)
class TokenClaim:
    """A bearer token, and what the client sent with it (RFC 7628 3.1)."""

    token: Secret
    """The token. It is empty if the client sent none, to learn what kind the server wants: the
    login then fails in any case, and the client gets the :class:`TokenRefused` that you return."""
    username: str = ""
    """The user that the client wants to be; "" leaves it to the token."""
    host: str = ""
    """The name of the server that the client dialled, or "". :meth:`Authenticator.is_dialled_as`
    has checked it, and the port."""
    port: int = 0
    """The port that the client dialled, or 0."""


@checked
@frozen(kw_only=True)
class TokenRefused:
    """Why a token is refused. The client gets it (RFC 7628 3.2.2)."""

    status: str = "invalid_token"
    scope: str = ""
    openid_configuration: str = ""


class Authenticator:
    """The class that decides who may log in. Derive from it.

    Define the methods that you can answer: they decide which mechanisms the server offers. Each may
    be plain or ``async``. A method accepts with True, or with what its docstring names; it refuses
    with False or None, which are the defaults. If it raises, the client gets 454 (try again later),
    and only the log shows the exception.

    Names and passwords arrive prepared by SASLprep (RFC 4013). Prepare those in your user database
    too.
    """

    scram_hashes: Collection[str] = ("SHA-256", "SHA-1")
    """The hashes for which all users have keys. SCRAM is offered for no others."""

    decoy_key: Secret | None = None
    """The key from which SCRAM makes the salts of users who do not exist. Keep it secret.

    None makes a new key at the first login. Set it if several processes serve the same users, or if
    the server restarts: otherwise a changed salt reveals that a user does not exist."""

    def check_password(self, username: str, password: Secret) -> bool | Awaitable[bool]:
        """Return True if *password* is the password of *username*: PLAIN and LOGIN.

        A plain method is called in a thread if there is an event loop, because a good password hash
        is slow.
        """
        return False

    def scram_keys(
        self, username: str, hash_name: str
    ) -> ScramKeys | Awaitable[ScramKeys | None] | None:
        """Return the keys of *username* for *hash_name*, ``SHA-1`` or ``SHA-256``: SCRAM."""
        return None

    def decoy_shape(self, hash_name: str) -> tuple[int, int]:
        """Return the iterations and the salt's size that SCRAM sends for users who do not exist.

        The size is in octets. Return those of your real users' keys, so that they do
        not reveal which users exist.
        """
        return SCRAM_DEFAULT_ITERATIONS, 16

    def shared_secret(self, username: str) -> Secret | Awaitable[Secret | None] | None:
        """Return the password of *username*: CRAM-MD5, which needs the password itself."""
        return None

    def check_token(
        self, claim: TokenClaim
    ) -> str | TokenRefused | Awaitable[str | TokenRefused | None] | None:
        """Return the user to whom the token belongs: OAUTHBEARER and XOAUTH2."""
        return None

    def is_dialled_as(self, host: str, port: int, channel: Channel) -> bool | Awaitable[bool]:
        """Return True if clients reach this server by *host* and *port*; "" and 0 stand for any.

        OAUTHBEARER refuses a token that the client meant for another server (RFC 7628 3.2). The
        default compares with the server's hostname, unless that is ``localhost``, and with the port
        that it listens on. Override this for a server that has other names too, or whose port is
        forwarded.
        """
        name = lower(channel.host)
        any_host = not host or name in ("", "localhost")
        any_port = not port or not channel.port
        return (any_host or lower(host.rstrip(".")) == name) and (any_port or port == channel.port)

    def certificate_user(self, certificate: bytes) -> str | Awaitable[str | None] | None:
        """Return the user to whom *certificate* (DER) belongs: EXTERNAL. TLS has verified it."""
        return None

    def allow_anonymous(self, trace: str) -> bool | Awaitable[bool]:
        """Return True to let in an anonymous client that sent *trace*: ANONYMOUS."""
        return False

    def may_act_as(self, username: str, authzid: str) -> bool | Awaitable[bool]:
        """Return True if *username*, who is verified, may act as the user *authzid*."""
        return False


@define(eq=False)
class ServerExchange:
    """The server's side of one exchange, made from an :class:`Authenticator` and a
    :class:`Channel`."""

    authenticator: Authenticator = field(repr=False)
    channel: Channel
    first_challenge: bytes = field(default=b"", init=False)
    """The challenge for a client that sent no initial response."""

    async def step(self, response: Secret | None) -> Step:
        """Take a response, or None if the client sent no initial one.

        Returns the next challenge, or the result: :class:`Identity` or :class:`Denied`. A
        :class:`RefusingChallenge` is both a challenge and a failed login. Suspends only if the
        authenticator does. Raises :class:`.GrammarError` for a response that the mechanism does not
        allow, and whatever the authenticator raises.
        """
        return self.first_challenge if response is None else await self._answer(response)

    async def _answer(self, response: Secret) -> Step:
        raise NotImplementedError


async def ask(question: Callable[..., Any], *arguments: object) -> Any:
    """Return the answer of a method of the authenticator; await it if it is awaitable.

    Raises what the method raises; RuntimeError instead of GrammarError, which would blame the
    client.
    """
    try:
        answer = question(*arguments)
        while isinstance(answer, Awaitable):  # a method called in a thread may return a coroutine
            answer = await answer
    except GrammarError as error:
        raise RuntimeError("the authenticator raised GrammarError") from error
    return answer


async def log_in(
    exchange: ServerExchange, mechanism: str, username: str, password: Secret, authzid: str = ""
) -> Identity | Denied:
    """Return the result of a login with a password. A plain method checks it in a thread."""
    check = functools.partial(exchange.authenticator.check_password, username, password)
    is_async = inspect.iscoroutinefunction(exchange.authenticator.check_password)
    if await (ask(check) if is_async else ask(exchange.channel.in_thread, check)) is not True:
        return wrong_password(username)
    return await authorize(exchange.authenticator, mechanism, username, authzid)


def wrong_password(username: str) -> Denied:
    """Return the result for a user who does not exist, or who has another password."""
    return Denied(f"wrong user name or password: {username!r}")


async def authorize(
    authenticator: Authenticator, mechanism: str, username: str, authzid: str = ""
) -> Identity | Denied:
    """Return the result for a verified user, who may have asked to act as the user *authzid*."""
    if authzid in ("", username):
        return Identity(username, mechanism=mechanism)
    if await ask(authenticator.may_act_as, username, authzid) is True:
        return Identity(username, authzid, mechanism)
    return Denied("not authorized to act as another user")

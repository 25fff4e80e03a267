"""What a server asks to learn whether somebody is who they say."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Collection
from typing import TYPE_CHECKING

from attrs import frozen

from ..grammar.secret import Secret
from ..limits import SCRAM_USUAL
from ..ports import result
from .exchange import Channel, Denied, Identity

if TYPE_CHECKING:
    from .scram_keys import ScramKeys


@frozen(kw_only=True)
class TokenClaim:
    """A bearer token and what was said with it (RFC 7628 3.1)."""

    token: Secret
    """Empty if the client brought none, to learn what kind is wanted: it is refused whatever you
    say, but :class:`TokenRefused` tells it."""
    username: str = ""
    """Whom the client wants to be; "" leaves it to the token."""
    host: str = ""
    port: int = 0
    """The server as the client sees it; check them if they are given."""


@frozen(kw_only=True)
class TokenRefused:
    """Why a token is not enough, told to the client (RFC 7628 3.2.2)."""

    status: str = "invalid_token"
    scope: str = ""
    openid_configuration: str = ""


class Authenticator:
    """Who may log in. Define what you can answer: the mechanisms offered follow from it.

    Each method may be plain or ``async``. One that raises is answered with 454, try later; of the
    exception only the log knows. Names and passwords come prepared by SASLprep (RFC 4013), as
    those that they are compared with should be. Say no with False or None: both are the default.
    """

    scram_hashes: Collection[str] = ("SHA-256", "SHA-1")
    """The hashes for which users have keys, so that SCRAM is offered for no others."""

    decoy_key: Secret | None = None
    """What the salts are made of that SCRAM tells of users who do not exist: nobody else may know
    it. None for a new one at the first login; give one where several processes serve, or where one
    that is started again is not to tell by new salts who is no user."""

    def check_password(self, username: str, password: Secret) -> bool | Awaitable[bool]:
        """Whether it is *username*'s password: PLAIN and LOGIN. If plain, this is called in a
        thread of its own where there is a loop to be held up: a good hash takes long."""
        return False

    def scram_keys(
        self, username: str, hash_name: str
    ) -> ScramKeys | Awaitable[ScramKeys | None] | None:
        """*username*'s keys for *hash_name* (``SHA-1`` or ``SHA-256``): SCRAM."""
        return None

    def decoy_shape(self, hash_name: str) -> tuple[int, int]:
        """The iterations, and the octets of the salt (64 at most), that SCRAM tells of users who do
        not exist. Those of your users' keys: then nobody can tell who is one."""
        return SCRAM_USUAL, 16

    def shared_secret(self, username: str) -> Secret | Awaitable[Secret | None] | None:
        """*username*'s password itself: CRAM-MD5, which cannot do with less."""
        return None

    def check_token(
        self, claim: TokenClaim
    ) -> str | TokenRefused | Awaitable[str | TokenRefused | None] | None:
        """Whose token it is: OAUTHBEARER and XOAUTH2."""
        return None

    def certificate_user(self, certificate: bytes) -> str | Awaitable[str | None] | None:
        """Whose certificate (DER) it is, which TLS has verified: EXTERNAL."""
        return None

    def allow_anonymous(self, trace: str) -> bool | Awaitable[bool]:
        """Whether anybody may come in, who left *trace*: ANONYMOUS."""
        return False

    def may_act_as(self, username: str, authzid: str) -> bool | Awaitable[bool]:
        """Whether *username*, who is known by now, may act as another."""
        return False


async def password_matches(
    authenticator: Authenticator, channel: Channel, username: str, password: Secret
) -> bool:
    """Ask the authenticator: in a thread, unless it is ``async``."""
    check = functools.partial(authenticator.check_password, username, password)
    if inspect.iscoroutinefunction(authenticator.check_password):
        return await result(check()) is True
    return await result(await channel.in_thread(check)) is True


async def admit(
    authenticator: Authenticator, mechanism: str, username: str, authzid: str = ""
) -> Identity | Denied:
    """*username* has proved who they are; may they act as *authzid*, if that is another?"""
    if authzid in ("", username):
        return Identity(username, mechanism=mechanism)
    if await result(authenticator.may_act_as(username, authzid)) is True:
        return Identity(username, authzid, mechanism)
    return Denied("not authorized to act as another")

"""The mechanisms, one row each, and which of them may be used."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Any

from attrs import frozen

from .anonymous import AnonymousClient, AnonymousServer
from .authenticator import Authenticator
from .bearer import OAuthBearerClient, OAuthBearerServer, XOAuth2Client, XOAuth2Server
from .cram_md5 import CramMD5Client, CramMD5Server
from .credentials import Anonymous, BearerToken, Credential, External, Login
from .exchange import Channel, ClientExchange, ServerExchange
from .external import ExternalClient, ExternalServer
from .login import LoginClient, LoginServer
from .plain import PlainClient, PlainServer
from .scram import ScramClient, ScramServer

_USUAL_BINDING = "tls-exporter"


@frozen(kw_only=True)
class Mechanism:
    """What is known of a mechanism."""

    name: str
    client: Callable[[Any, Channel], ClientExchange]
    """Makes the client's side, of a credential of the kind that *takes* says."""
    server: Callable[[Authenticator, Channel], ServerExchange]
    takes: type[Credential]
    asks: str
    """The method of the authenticator without which a server cannot offer it."""
    server_first: bool = False
    """Whether the server has the first word, so that no initial response is allowed."""
    acts_as: bool = True
    """Whether a client can say whom it acts as, if that is another."""
    in_clear: bool = True
    """Whether it may be used without TLS by those who allow that."""
    hash_name: str = ""
    """SCRAM's hash, for which users need keys."""
    binds: bool = False
    """Whether it needs a channel binding."""
    certificate: bool = False
    """Whether it needs the client's certificate."""

    def says(self, credential: Credential) -> bool:
        """Whether it can say all that is in *credential*."""
        whom = getattr(credential, "authzid", "")
        return isinstance(credential, self.takes) and (self.acts_as or not whom)

    def fits(self, channel: Channel, allowed: Collection[str] | None) -> bool:
        """Whether it can be used on *channel* and is among *allowed*, if these are named.

        With a binding it has to be named unless there is *tls-exporter*: that is the one which
        everybody with -PLUS knows (RFC 9266), and who knows no other would be refused.
        """
        named = allowed is not None and self.name in allowed
        if not (named or allowed is None):
            return False
        if self.binds:
            return _USUAL_BINDING in channel.bindings or (named and bool(channel.bindings))
        return self.in_clear or channel.secure


def _scram(hash_name: str, *, plus: bool = False) -> Mechanism:
    return Mechanism(
        name=f"SCRAM-{hash_name}{'-PLUS' if plus else ''}",
        client=partial(ScramClient, hash_name=hash_name, plus=plus),
        server=partial(ScramServer, hash_name=hash_name, plus=plus),
        takes=Login,
        asks="scram_keys",
        hash_name=hash_name,
        binds=plus,
    )


MECHANISMS: tuple[Mechanism, ...] = (
    _scram("SHA-256", plus=True),
    _scram("SHA-1", plus=True),
    _scram("SHA-256"),
    _scram("SHA-1"),
    Mechanism(
        name="CRAM-MD5",
        client=CramMD5Client,
        server=CramMD5Server,
        takes=Login,
        asks="shared_secret",
        server_first=True,
        acts_as=False,
    ),
    Mechanism(
        name="PLAIN",
        client=PlainClient,
        server=PlainServer,
        takes=Login,
        asks="check_password",
    ),
    Mechanism(
        name="LOGIN",
        client=LoginClient,
        server=LoginServer,
        takes=Login,
        asks="check_password",
        acts_as=False,
    ),
    Mechanism(
        name="OAUTHBEARER",
        client=OAuthBearerClient,
        server=OAuthBearerServer,
        takes=BearerToken,
        asks="check_token",
        in_clear=False,
    ),
    Mechanism(
        name="XOAUTH2",
        client=XOAuth2Client,
        server=XOAuth2Server,
        takes=BearerToken,
        asks="check_token",
        in_clear=False,
    ),
    Mechanism(
        name="EXTERNAL",
        client=ExternalClient,
        server=ExternalServer,
        takes=External,
        asks="certificate_user",
        in_clear=False,
        certificate=True,
    ),
    Mechanism(
        name="ANONYMOUS",
        client=AnonymousClient,
        server=AnonymousServer,
        takes=Anonymous,
        asks="allow_anonymous",
    ),
)
"""All that is known here, the strongest first."""

BY_NAME = {mechanism.name: mechanism for mechanism in MECHANISMS}


def usable(
    credential: Credential,
    offered: Collection[str],
    channel: Channel,
    allowed: Collection[str] | None = None,
) -> tuple[Mechanism, ...]:
    """What a client can log in with, the strongest first; *allowed* are those it wants to use."""
    return tuple(
        mechanism
        for mechanism in MECHANISMS
        if mechanism.name in offered
        and mechanism.says(credential)
        and mechanism.fits(channel, allowed)
    )


def offers(
    authenticator: Authenticator, channel: Channel, allowed: Collection[str] | None = None
) -> tuple[str, ...]:
    """What a server with *authenticator* can offer on *channel*, the strongest first."""
    return tuple(
        mechanism.name
        for mechanism in MECHANISMS
        if getattr(type(authenticator), mechanism.asks)
        is not getattr(Authenticator, mechanism.asks)
        and mechanism.fits(channel, allowed)
        and (not mechanism.hash_name or mechanism.hash_name in authenticator.scram_hashes)
        and (not mechanism.certificate or channel.certificate is not None)
    )


def mechanism_names(value: Iterable[str] | None) -> tuple[str, ...] | None:
    """Names of mechanisms, in any case. Raises ValueError for those that are not known here."""
    if value is None:
        return None
    names = tuple(name.upper() for name in ([value] if isinstance(value, str) else value))
    if unknown := [name for name in names if name not in BY_NAME]:
        raise ValueError(f"not a mechanism known here: {', '.join(unknown)}")
    return names

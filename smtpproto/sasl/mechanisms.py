"""The table of mechanisms, and the rules for using them on a connection."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Any, NamedTuple

from . import simple
from .authenticator import Authenticator, ServerExchange
from .bearer import OAuthBearerClient, OAuthBearerServer, XOAuth2Client, XOAuth2Server
from .cram_md5 import CramMD5Client, CramMD5Server
from .credentials import Anonymous, BearerToken, Credential, External, Login
from .exchange import Channel, ClientExchange
from .scram import ScramClient, ScramServer

_DEFAULT_BINDING = "tls-exporter"


class Mechanism(NamedTuple):
    """A row of the table: a mechanism, its two sides, and its properties."""

    name: str
    client: Callable[[Any, Channel], ClientExchange]
    """Makes the client's side from a credential of the class *credential_type*."""
    server: Callable[[Authenticator, Channel], ServerExchange]
    """Makes the server's side."""
    credential_type: type[Credential]
    """The class of the client's credential."""
    authenticator_method: str
    """The name of the authenticator's method that the server's side calls. A server whose
    authenticator does not define this method does not offer the mechanism."""
    server_first: bool = False
    """Whether the server speaks first, so that the client must not send an initial response."""
    carries_authzid: bool = True
    """Whether the message can name another user to act as (*authzid*)."""
    in_clear: bool = True
    """Whether it may be used without TLS where the configuration allows logins in clear."""
    hash_name: str = ""
    """The hash of SCRAM, for which users need keys; "" for other mechanisms."""
    binds: bool = False
    """Whether it needs a channel binding."""
    needs_certificate: bool = False
    """Whether it needs the client's certificate."""

    def supports(self, credential: Credential) -> bool:
        """Return whether it can carry *credential*, including its *authzid*."""
        fits = self.carries_authzid or not getattr(credential, "authzid", "")
        return fits and isinstance(credential, self.credential_type)

    def usable_on(self, channel: Channel, allowed: Collection[str] | None) -> bool:
        """Return whether it can be used on *channel*, and is in *allowed* (None: all are).

        With a binding other than *tls-exporter* it must be named in *allowed*. All programs that
        support -PLUS support *tls-exporter* (RFC 9266), and many support no other binding.
        """
        named = allowed is not None and self.name in allowed
        if not (named or allowed is None):
            return False
        if self.binds:
            return _DEFAULT_BINDING in channel.bindings or (named and bool(channel.bindings))
        return self.in_clear or channel.secure


def _scram(hash_name: str, *, plus: bool = False) -> Mechanism:
    return Mechanism(
        name=f"SCRAM-{hash_name}{'-PLUS' if plus else ''}",
        client=partial(ScramClient, hash_name=hash_name, plus=plus),
        server=partial(ScramServer, hash_name=hash_name, plus=plus),
        credential_type=Login,
        authenticator_method="scram_keys",
        hash_name=hash_name,
        binds=plus,
    )


MECHANISMS: tuple[Mechanism, ...] = (
    _scram("SHA-256", plus=True),
    _scram("SHA-1", plus=True),
    _scram("SHA-256"),
    _scram("SHA-1"),
    Mechanism("CRAM-MD5", CramMD5Client, CramMD5Server, Login, "shared_secret",
              server_first=True, carries_authzid=False),
    Mechanism("PLAIN", simple.PlainClient, simple.PlainServer, Login, "check_password"),
    Mechanism("LOGIN", simple.LoginClient, simple.LoginServer, Login, "check_password",
              carries_authzid=False),
    Mechanism("OAUTHBEARER", OAuthBearerClient, OAuthBearerServer, BearerToken, "check_token",
              in_clear=False),
    Mechanism("XOAUTH2", XOAuth2Client, XOAuth2Server, BearerToken, "check_token",
              in_clear=False),
    Mechanism("EXTERNAL", simple.ExternalClient, simple.ExternalServer, External,
              "certificate_user", in_clear=False, needs_certificate=True),
    Mechanism("ANONYMOUS", simple.AnonymousClient, simple.AnonymousServer, Anonymous,
              "allow_anonymous"),
)  # fmt: skip
"""All supported mechanisms, the strongest first."""

BY_NAME = {mechanism.name: mechanism for mechanism in MECHANISMS}
"""The same, by name."""


def usable(
    credential: Credential,
    offered: Collection[str],
    channel: Channel,
    allowed: Collection[str] | None = None,
) -> tuple[Mechanism, ...]:
    """Return the mechanisms that a client can use, the strongest first.

    *offered* are the names that the server offers, *allowed* those that the client may use (None:
    all).
    """
    return tuple(
        mechanism
        for mechanism in MECHANISMS
        if mechanism.name in offered
        and mechanism.supports(credential)
        and mechanism.usable_on(channel, allowed)
    )


def offers(
    authenticator: Authenticator, channel: Channel, allowed: Collection[str] | None = None
) -> tuple[str, ...]:
    """Return the names of the mechanisms that a server can offer, the strongest first.

    *allowed* are the names that it may offer (None: all).
    """
    return tuple(
        mechanism.name
        for mechanism in MECHANISMS
        if getattr(type(authenticator), mechanism.authenticator_method)
        is not getattr(Authenticator, mechanism.authenticator_method)
        and mechanism.usable_on(channel, allowed)
        and (not mechanism.hash_name or mechanism.hash_name in authenticator.scram_hashes)
        and (not mechanism.needs_certificate or channel.certificate is not None)
    )


def mechanism_names(value: Iterable[str] | None) -> tuple[str, ...] | None:
    """Return the names in upper case; None stays None. Raises ValueError for an unknown name."""
    if value is None:
        return None
    names = tuple(name.upper() for name in ([value] if isinstance(value, str) else value))
    if unknown := [name for name in names if name not in BY_NAME]:
        raise ValueError(
            f"unknown SASL mechanism: {', '.join(unknown)}; known are {', '.join(BY_NAME)}"
        )
    return names

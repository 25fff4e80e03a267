"""Ring 2: SASL (RFC 4422), both sides, without base64 and without SMTP.

A mechanism is a module, with an exchange object for each side, and a row of :data:`MECHANISMS`.
"""

from __future__ import annotations

from .authenticator import Authenticator, TokenClaim, TokenRefused
from .credentials import Anonymous, BearerToken, Credential, External, Login
from .exchange import (
    Channel,
    ClientExchange,
    Denied,
    Identity,
    RefusingChallenge,
    ServerExchange,
)
from .mechanisms import BY_NAME, MECHANISMS, Mechanism, offers, usable
from .passwords import HashedPasswords, StoredKeys, hash_password
from .scram_keys import ScramKeys

__all__ = [
    "BY_NAME",
    "MECHANISMS",
    "Anonymous",
    "Authenticator",
    "BearerToken",
    "Channel",
    "ClientExchange",
    "Credential",
    "Denied",
    "External",
    "HashedPasswords",
    "Identity",
    "Login",
    "Mechanism",
    "RefusingChallenge",
    "ScramKeys",
    "ServerExchange",
    "StoredKeys",
    "TokenClaim",
    "TokenRefused",
    "hash_password",
    "offers",
    "usable",
]

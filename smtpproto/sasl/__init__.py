"""Ring 2: SASL (RFC 4422) for clients and servers, without base64 and without SMTP.

Each mechanism has an exchange class for each side, and a row in :data:`MECHANISMS`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..late_names import late_names

if TYPE_CHECKING:
    from .authenticator import Authenticator, ServerExchange, TokenClaim, TokenRefused
    from .credentials import Anonymous, BearerToken, Credential, External, Login
    from .exchange import Channel, ClientExchange, Denied, Identity, RefusingChallenge
    from .mechanisms import BY_NAME, MECHANISMS, Mechanism, offers, usable
    from .passwords import HashedPasswords, PlainPasswords, StoredKeys, hash_password
    from .scram_keys import ScramKeys
else:
    __getattr__, __dir__ = late_names(
        __name__,
        {
            ".authenticator": "Authenticator ServerExchange TokenClaim TokenRefused",
            ".credentials": "Anonymous BearerToken Credential External Login",
            ".exchange": "Channel ClientExchange Denied Identity RefusingChallenge",
            ".mechanisms": "BY_NAME MECHANISMS Mechanism offers usable",
            ".passwords": "HashedPasswords PlainPasswords StoredKeys hash_password",
            ".scram_keys": "ScramKeys",
        },
    )

__all__ = [
    "BY_NAME", "MECHANISMS", "Anonymous", "Authenticator", "BearerToken", "Channel",
    "ClientExchange", "Credential", "Denied", "External", "HashedPasswords", "Identity",
    "Login", "Mechanism", "PlainPasswords", "RefusingChallenge", "ScramKeys", "ServerExchange",
    "StoredKeys", "TokenClaim", "TokenRefused", "hash_password", "offers", "usable",
]  # fmt: skip

"""Authenticators that know Ann."""

from __future__ import annotations

from smtpproto import Authenticator, Secret
from smtpproto.sasl import TokenClaim, TokenRefused


class Accounts(Authenticator):
    """Knows the password "secret" of Ann, and those of *more*. Records each check in *checked*.

    A check for the user "trouble" raises LookupError.
    """

    def __init__(self, **more: str) -> None:
        self.passwords = {"ann": "secret", **more}
        self.checked: list[tuple[str, Secret]] = []

    def check_password(self, username: str, password: Secret) -> bool:
        self.checked.append((username, password))
        if username == "trouble":
            raise LookupError("no directory")
        known = self.passwords.get(username)
        return known is not None and Secret(known) == password


class AllMechanisms(Accounts):
    """Allows every mechanism: Ann's password, token and certificate, and one anonymous user."""

    def shared_secret(self, username: str) -> Secret | None:
        return Secret("secret") if username == "ann" else None

    def check_token(self, claim: TokenClaim) -> str | TokenRefused:
        accepted = claim.token == Secret("t0ken")
        return "ann" if accepted else TokenRefused(scope="mail")

    def certificate_user(self, certificate: bytes) -> str:
        return "ann"

    def allow_anonymous(self, trace: str) -> bool:
        return trace == "ann@example.org"

"""Our server with TLS and every login mechanism."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path

from attrs import field, frozen

from smtpproto import ScramKeys, Secret, Session
from smtpproto.sasl import Identity, TokenClaim
from tests.interop.contents import PLAIN
from tests.interop.our_server import LOGIN, Accounts, Inbox, serving
from tests.interop.programs import Certificate, first_certificate

TOKEN = "a-token.of_ann~s+/=="

_keys = functools.cache(ScramKeys.derive)


class AllMechanisms(Accounts):
    """Allows every mechanism, for the user of :data:`LOGIN`."""

    def __init__(self, certificate: Path) -> None:
        self._certificate = first_certificate(certificate)
        self.claims: list[TokenClaim] = []

    def scram_keys(self, username: str, hash_name: str) -> ScramKeys | None:
        known = username == LOGIN[0]
        return _keys(LOGIN[1], salt=b"salt" * 4, hash_name=hash_name) if known else None

    def shared_secret(self, username: str) -> Secret | None:
        return Secret(LOGIN[1]) if username == LOGIN[0] else None

    def check_token(self, claim: TokenClaim) -> str | None:
        self.claims.append(claim)
        return LOGIN[0] if claim.token == Secret(TOKEN) else None

    def certificate_user(self, certificate: bytes) -> str | None:
        return LOGIN[0] if certificate == self._certificate else None


class LoginInbox(Inbox):
    """An inbox that also records the logins."""

    def __init__(self) -> None:
        super().__init__()
        self.logins: list[Identity] = []

    def login(self, session: Session, identity: Identity) -> None:
        self.logins.append(identity)


@frozen
class LoginServer:
    """Our server, which requires TLS and a login."""

    port: int
    implicit: bool
    accounts: AllMechanisms
    inbox: LoginInbox = field(factory=LoginInbox)

    def assert_sent_as_ann(self, mechanism: str) -> None:
        """Check that one message arrived after one login, by *mechanism*."""
        arrival, identity = self.inbox.next(), Identity(LOGIN[0], mechanism=mechanism)
        assert arrival.body == PLAIN
        assert arrival.session.identity == identity
        assert self.inbox.logins == [identity]

    def assert_login_refused(
        self, output: str, words: str = "535 5.7.8 Authentication credentials"
    ) -> None:
        """Check that no second login succeeded, and that the client printed *words*."""
        assert words in output
        assert len(self.inbox.logins) == 1
        assert self.inbox.empty


@contextlib.contextmanager
def login_server(
    certificate: Certificate, *mechanisms: str, adapter: str = "blocking", implicit: bool = False
) -> Iterator[LoginServer]:
    """Run our server while the block runs. It offers *mechanisms*, or all if there are none."""
    inbox, accounts = LoginInbox(), AllMechanisms(certificate.user)
    with serving(
        adapter,
        inbox,
        context=certificate.server,
        implicit_tls=implicit,
        require_tls=True,
        require_auth=True,
        authenticator=accounts,
        mechanisms=mechanisms or None,
    ) as port:
        yield LoginServer(port, implicit, accounts, inbox)

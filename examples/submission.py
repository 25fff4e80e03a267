"""A submission server: users log in over TLS, and may send as themselves only.

``users`` has a line for each, as ``smtpproto password`` writes them: a name, a colon, keys of
SCRAM. The certificate is read again whenever its file has changed, while the server runs.
"""

from __future__ import annotations

import os
import ssl
import sys
from pathlib import Path

from smtpproto import (
    Envelope,
    Handler,
    MailParameters,
    Reply,
    ReversePath,
    Session,
    StoredKeys,
)
from smtpproto.adapters.blocking import serve

DOMAIN = "example.org"


class Certificate:
    """A context for TLS, and a new one when the file is."""

    def __init__(self, path: str) -> None:
        self.path, self.changed = path, 0.0

    def __call__(self) -> ssl.SSLContext:
        try:
            if (changed := os.stat(self.path).st_mtime) != self.changed:
                context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
                context.load_cert_chain(self.path)
                self.context, self.changed = context, changed
        except OSError:  # it is being written: the one before will do, if there is one
            if not self.changed:
                raise
        return self.context


class Submission(Handler):
    def mail(
        self, session: Session, sender: ReversePath, parameters: MailParameters
    ) -> Reply | None:
        own = str(sender.mailbox) == f"{session.user}@{DOMAIN}"
        return None if own else Reply(550, "5.7.1", "Not your address")

    def message(self, session: Session, envelope: Envelope, body: bytes) -> None:
        print(f"{session.user}: {len(body)} octets", flush=True)


def main(users: str, certificate: str, port: int = 587) -> None:
    lines = Path(users).read_text().splitlines()
    authenticator = StoredKeys(dict(line.split(":", 1) for line in lines if line.strip()))
    with serve(
        Submission(),
        "127.0.0.1",
        port,
        submission=True,
        authenticator=authenticator,
        context=Certificate(certificate),
    ) as server:
        print(f"listening on port {server.port}", flush=True)
        server.wait()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])

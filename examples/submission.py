"""A submission server: users log in over TLS, and may send only from their own address.

``users`` is a file with a line for each user, as ``smtpproto password`` prints it. The server reads
the certificate again when its file changes.
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
    """Returns the TLS context, and a new one after the file has changed."""

    def __init__(self, path: str) -> None:
        self.path, self.changed = path, 0.0

    def __call__(self) -> ssl.SSLContext:
        try:
            if (changed := os.stat(self.path).st_mtime) != self.changed:
                context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
                context.load_cert_chain(self.path)
                self.context, self.changed = context, changed
        except OSError:  # the file is being replaced: use the earlier context
            if not self.changed:
                raise
        return self.context


class Submission(Handler):
    """Lets each user send from one address."""

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

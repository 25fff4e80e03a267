"""A mail server for development: it takes mail for any address, shows it, and sends nothing on.

``python catch_all.py DIRECTORY`` keeps each message in a file, which mail programs open.
"""

from __future__ import annotations

import email
import email.policy
import sys
from itertools import count
from pathlib import Path

from smtpproto import Envelope, Handler, Reply, Session
from smtpproto.adapters.blocking import serve


class CatchAll(Handler):
    """Keeps messages in *directory*, numbered."""

    def __init__(self, directory: Path) -> None:
        kept = [int(it.stem) for it in directory.glob("*.eml") if it.stem.isdecimal()]
        self._directory, self._numbers = directory, count(max(kept, default=0) + 1)

    def message(self, session: Session, envelope: Envelope, body: bytes) -> Reply:
        file = self._directory / f"{next(self._numbers)}.eml"
        file.write_bytes(body)
        parsed = email.message_from_bytes(body, policy=email.policy.default)
        text = parsed.get_body(("plain", "html"))
        print(f"== {file.name}: {envelope.sender} to {', '.join(map(str, envelope.recipients))}")
        print(f"Subject: {parsed['Subject']!r}")
        octets = None if text is None else text.get_payload(decode=True)
        if isinstance(octets, bytes):
            print(repr(octets.decode(errors="replace")), flush=True)
        return Reply(250, "2.0.0", f"Kept in {file.name}")


def main(directory: str = ".", port: int = 2525) -> None:
    with serve(CatchAll(Path(directory)), "127.0.0.1", port) as server:
        print(f"listening on port {server.port}", flush=True)
        server.wait()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else ".")

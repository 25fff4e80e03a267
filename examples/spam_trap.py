"""A spam trap: nobody has addresses here, so whoever writes to them is a spammer, or was tricked.

``python spam_trap.py LOG`` adds a line of JSON for each message: who sent it, and what it was.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from datetime import UTC, datetime
from email.parser import BytesHeaderParser
from pathlib import Path

from smtpproto import Envelope, Handler, Limits, Session
from smtpproto.adapters.asyncio import serve

LIMITS = Limits(message_size=1_000_000, recipients=100, connections_per_network=5)


class Trap(Handler):
    """Takes every message, and keeps only what tells about its sender."""

    def __init__(self, log: Path) -> None:
        self._log = log

    async def message(self, session: Session, envelope: Envelope, body: bytes) -> None:
        header = BytesHeaderParser().parsebytes(body)
        line = json.dumps(
            {
                "time": datetime.now(UTC).isoformat(timespec="seconds"),
                "client": session.peer[0],
                "hello": str(session.hello),
                "early_talk": session.early_talk,
                "tls": session.tls.version if session.tls else None,
                "sender": str(envelope.sender),
                "recipients": [str(recipient) for recipient in envelope.recipients],
                "subject": str(header["Subject"]),
                "octets": len(body),
                "sha256": hashlib.sha256(body).hexdigest(),
            }
        )
        with self._log.open("a") as file:
            file.write(f"{line}\n")


async def main(log: str, port: int = 2525) -> None:
    async with serve(Trap(Path(log)), "127.0.0.1", port, limits=LIMITS) as server:
        print(f"listening on port {server.port}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))

"""A relay: it takes mail for one domain from everybody, from the network of the office for all, and
passes it on; mail for the domain goes into files.

``python relay.py DIRECTORY SMARTHOST``
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from smtpproto import Envelope, ForwardPath, Reply, Session
from smtpproto.adapters.asyncio import MTA
from smtpproto.adapters.sqlite_queue import SQLiteQueue
from smtpproto.mta import Delivery, Local, Message, Route, SmartHost
from smtpproto.transfer import Receiver

DOMAIN = "example.org"


class Checked(Receiver):
    """Wants a Message-ID."""

    def check(self, session: Session, envelope: Envelope, header: bytes) -> Reply | None:
        if b"\nmessage-id:" in b"\n" + header.lower():
            return None
        return Reply(550, "5.6.0", "Your message has no Message-ID")


async def main(directory: str, smart_host: str, smart_port: int = 25, port: int = 25) -> None:
    place = Path(directory)

    def deliver(
        message: Message, deliveries: Sequence[Delivery], content: Any
    ) -> Mapping[ForwardPath, Reply]:
        octets = content if isinstance(content, bytes) else b"".join(content)
        replies = {}
        for delivery in deliveries:
            (place / f"{message.id}-{delivery.number}.eml").write_bytes(octets)
            replies[delivery.recipient] = Reply(250, "2.1.5", "Stored")
        return replies

    routes: dict[str, Route] = {DOMAIN: Local(deliver), "*": SmartHost(smart_host, smart_port)}
    queue = SQLiteQueue(place / "queue.db")
    async with (
        MTA("mx.example.org", queue, routes, relay_from=["127.0.0.0/8"]) as mail,
        mail.serve("127.0.0.1", port, receiver=Checked) as server,
    ):
        print(f"listening on port {server.port}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))

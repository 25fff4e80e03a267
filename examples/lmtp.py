"""An LMTP server: it replies for each recipient as soon as that delivery is done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from smtpproto import Envelope, Handler, Reply, Session
from smtpproto.adapters.asyncio import serve

ROOM = {"ann": 1000, "bob": 10}  # octets left


class Mailboxes(Handler):
    """Delivers to each mailbox that has room."""

    async def message(
        self, session: Session, envelope: Envelope, body: bytes
    ) -> AsyncIterator[Reply | None]:
        for recipient in envelope.recipients:
            room = ROOM.get(recipient.local_part, 0)
            if len(body) > room:
                yield Reply(452, "4.2.2", f"Mailbox of {recipient.local_part} is full")
            else:
                ROOM[recipient.local_part] = room - len(body)
                yield None  # accept


async def main(port: int = 2424) -> None:
    async with serve(Mailboxes(), "127.0.0.1", port, lmtp=True) as server:
        print(f"listening on port {server.port}")
        await server.wait()


if __name__ == "__main__":
    asyncio.run(main())

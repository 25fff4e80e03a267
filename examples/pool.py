"""Send many messages at once over a few connections, which are reused."""

from __future__ import annotations

import asyncio
import sys

from smtpproto import Envelope, SMTPError
from smtpproto.adapters.asyncio import pool

MESSAGE = b"Subject: News\r\n\r\nHello!\r\n"
RECIPIENTS = [f"person{number}@example.org" for number in range(20)]


async def main(host: str = "localhost", port: int = 2525) -> None:
    async with pool(host, port, max_connections=4) as connections, asyncio.TaskGroup() as tasks:

        async def send(recipient: str) -> None:
            try:
                await connections.send(MESSAGE, Envelope("ann@example.org", recipient))
            except SMTPError as error:
                print(f"{recipient}: {error}")
            else:
                print(f"{recipient}: sent")

        for recipient in RECIPIENTS:
            tasks.create_task(send(recipient))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "localhost"))

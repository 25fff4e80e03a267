"""Many messages at once over a few connections, which are kept from one message to the next."""

from __future__ import annotations

import asyncio
import sys

from smtpproto import Envelope, SMTPError
from smtpproto.adapters.asyncio import pool

MESSAGE = b"Subject: News\r\n\r\nHello!\r\n"
PEOPLE = [f"person{number}@example.org" for number in range(20)]


async def main(host: str = "localhost", port: int = 2525) -> None:
    async with pool(host, port, max_connections=4) as mail, asyncio.TaskGroup() as tasks:

        async def send(person: str) -> None:
            try:
                await mail.send(MESSAGE, Envelope("ann@example.org", person))
            except SMTPError as error:
                print(f"{person}: {error}")
            else:
                print(f"{person}: sent")

        for person in PEOPLE:
            tasks.create_task(send(person))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "localhost"))

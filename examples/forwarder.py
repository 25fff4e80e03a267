"""A forwarder: mail for addresses of a domain goes on to other addresses, wherever they are.

SRS gives forwarded mail a sender in this domain, so that it passes SPF at the next host, and so
that reports find their way back. ``python forwarder.py QUEUE SECRET`` runs it.
"""

from __future__ import annotations

import asyncio
import sys

from smtpproto.adapters.asyncio import MTA
from smtpproto.adapters.sqlite_queue import SQLiteQueue
from smtpproto.mta import SRS, Direct, Route

ALIASES = {
    "ann@example.org": "ann.lee@example.com",
    "board@example.org": ["ann.lee@example.com", "bob@example.net"],
    "postmaster@example.org": "ann.lee@example.com",
}


async def main(queue: str, secret: str, route: Route | None = None, port: int = 2525) -> None:
    srs = SRS("example.org", secrets=[secret])
    routes = {"*": route or Direct()}
    mail = MTA("mx.example.org", SQLiteQueue(queue), routes, aliases=ALIASES, srs=srs)
    async with mail, mail.serve("127.0.0.1", port) as server:
        print(f"listening on port {server.port}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))

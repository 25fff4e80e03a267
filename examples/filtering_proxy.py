"""A proxy that filters: it takes mail in front of a server, checks it, and passes on what is good.

What it has taken is in its queue until the server behind it has it.
``python filtering_proxy.py QUEUE HOST`` runs it.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import aclosing

from smtpproto import Reply
from smtpproto.adapters.asyncio import MTA
from smtpproto.adapters.sqlite_queue import SQLiteQueue
from smtpproto.filters import AddField, FilterMessage, FilterVerdict
from smtpproto.mta import SmartHost

DOMAIN = "example.org"
UNWANTED = [b"lottery", b"inheritance"]


async def wanted(message: FilterMessage) -> FilterVerdict:
    """Refuse messages with unwanted words, and mark the others."""
    longest = max(map(len, UNWANTED))
    text = b""
    async with aclosing(message.body()) as slices:
        async for octets in slices:
            text = text[-longest:] + octets.lower()  # a word may begin in the slice before
            for word in UNWANTED:
                if word in text:
                    reply = Reply(550, "5.7.1", f"We do not want to read about {word.decode()}")
                    return FilterVerdict(refusal=reply)
    return FilterVerdict(edits=[AddField("X-Filtered", "yes")])


async def main(queue: str, host: str, host_port: int = 25, port: int = 2525) -> None:
    routes = {DOMAIN: SmartHost(host, host_port)}
    mail = MTA("mx.example.org", SQLiteQueue(queue), routes, relay_for=[DOMAIN], filters=[wanted])
    async with mail, mail.serve("127.0.0.1", port) as server:
        print(f"listening on port {server.port}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))

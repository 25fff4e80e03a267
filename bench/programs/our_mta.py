"""Our mail agent: ``our_mta NAME QUEUE PORT``. It sends all mail to that port of this host."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys

from smtpproto.adapters.asyncio import MTA
from smtpproto.adapters.sqlite_queue import SQLiteQueue
from smtpproto.dns import MX, Answer, Kind, Status
from smtpproto.mta import Direct
from smtpproto.mta.exchangers import Self

HOSTNAME = "mta.example.org"


class Here:
    """A resolver for which every domain has one exchanger, on this host."""

    async def lookup(self, name: str, kind: Kind) -> Answer:
        match kind:
            case Kind.MX:
                return Answer(status=Status.FOUND, records=(MX(10, "mx.example.net"),), ttl=3600)
            case Kind.A:
                return Answer(status=Status.FOUND, records=("127.0.0.1",), ttl=3600)
            case _:
                return Answer(status=Status.NO_DATA, ttl=3600)


async def main(queue: str, port: int) -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    routes = {"*": Direct(port=port)}
    itself = Self(names=[HOSTNAME], loopback=False)
    async with (
        MTA(
            HOSTNAME, SQLiteQueue(queue), routes,
            resolver=Here(), itself=itself, relay_from=["127.0.0.1"],
            postmaster="ann@example.org",
        ) as mail,
        mail.serve("127.0.0.1", 0) as server,
    ):  # fmt: skip
        print(server.port, flush=True)
        await stopped.wait()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)  # as the command does
    logging.getLogger("smtpproto.client").setLevel(logging.WARNING)
    asyncio.run(main(sys.argv[2], int(sys.argv[3])))

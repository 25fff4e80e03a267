"""A mail agent as a program, for tests that kill it: ``python -m tests.interop.mta_program``.

It keeps its queue in a directory, takes all mail of this host on a port, and sends it to another
port. It stops in order after SIGTERM.

Without arguments it reads them from standard input, a line for each life, which is a process of its
own without imports to wait for. It writes the id of each process, and a line when that has ended.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import trio

from smtpproto import cli
from smtpproto.adapters import asyncio as on_asyncio
from smtpproto.adapters import blocking
from smtpproto.adapters import trio as on_trio
from smtpproto.adapters.sqlite_queue import SQLiteQueue
from smtpproto.errors import QueueFailed
from smtpproto.limits import ScheduleLimits
from smtpproto.mta.queue_limits import QueueLimits
from smtpproto.mta.retry import RetrySchedule
from smtpproto.mta.route import SmartHost

COMMAND = "smtpproto mta"
_OPTIONS: dict[str, Any] = {
    "relay_from": ["127.0.0.1"],
    "postmaster": "ann@a.test",
    "retry": RetrySchedule(steps=(0.2,), longest=0.2),
    "limits": ScheduleLimits(pause=0.2, longest_pause=0.2),
}
_CONFIGURATION = """
hostname = "{hostname}"
queue = "queue.db"
relay_from = "127.0.0.1"
postmaster = "ann@a.test"
listen = [{{ port = {port} }}]
routes = {{ "*" = {{ smart_host = "127.0.0.1", port = {next_hop} }} }}
retry = {{ steps = [0.2], longest = 0.2 }}
limits = {{ pause = 0.2, longest_pause = 0.2 }}
storage = {{ reserve = {reserve}, row = 8192, spool = 65536 }}
"""


async def in_asyncio(mail: on_asyncio.MTA, port: int) -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with mail, mail.serve("127.0.0.1", port):
        await stopped.wait()


async def in_trio(mail: on_trio.MTA, port: int) -> None:
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async with mail, mail.serve("127.0.0.1", port):
            await anext(aiter(signals))


def in_threads(mail: blocking.MTA, port: int) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])  # in all threads that follow
    with mail, mail.serve("127.0.0.1", port):
        signal.sigwait([signal.SIGTERM])


def by_command(given: argparse.Namespace) -> None:
    file = given.queue / f"{given.hostname}.toml"
    if not file.exists():  # else the directory may be read-only
        file.write_text(_CONFIGURATION.format(**vars(given)))
    sys.exit(cli.main(["mta", "--quiet", "--config", str(file)]))


def by_adapter(given: argparse.Namespace) -> None:
    logging.basicConfig()
    limits = QueueLimits(reserve=given.reserve, row=8192, spool=65536)
    queue = SQLiteQueue(given.queue / "queue.db", limits)
    routes = {"*": SmartHost("127.0.0.1", given.next_hop)}
    options, port = {"routes": routes, **_OPTIONS}, given.port
    match given.kind:
        case "asyncio":
            asyncio.run(in_asyncio(on_asyncio.MTA(given.hostname, queue, **options), port))
        case "trio":
            trio.run(in_trio, on_trio.MTA(given.hostname, queue, **options), port)
        case _:
            in_threads(blocking.MTA(given.hostname, queue, **options), port)


def run(arguments: Sequence[str]) -> None:
    """Run the agent until it is stopped."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["asyncio", "trio", "blocking", COMMAND])
    parser.add_argument("queue", type=Path)
    parser.add_argument("port", type=int)
    parser.add_argument("next_hop", type=int)
    parser.add_argument("--hostname", default="mta.ours.test")
    parser.add_argument("--reserve", type=int, default=0)
    given = parser.parse_args(arguments)
    try:
        by_command(given) if given.kind == COMMAND else by_adapter(given)
    except QueueFailed as error:
        sys.exit(str(error))


def run_lives() -> None:
    """Run one life after the other."""
    for line in sys.stdin:
        if not (process := os.fork()):
            os.dup2(os.open(os.devnull, os.O_RDWR), sys.stdout.fileno())
            run(line.rstrip("\n").split("\t"))
            sys.exit()
        tell(str(process))
        os.waitpid(process, 0)
        tell("ended")


def tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    run(sys.argv[1:]) if sys.argv[1:] else run_lives()

"""Measure agents that relay from PostgreSQL: ``python -m bench.postgres_relaying URL``. It empties
the queue at URL, whose server must run on this machine.

One, and then four processes, each ``smtpproto mta`` with few connections, drain a queue to sinks
that reply late, as hosts over a network do, and to sinks that reply at once. Then one process
receives from one client, and from 32 at the same time.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attrs import define, field

from smtpproto import Envelope
from smtpproto.adapters.asyncio import Runtime, connect
from smtpproto.adapters.postgres_queue import PostgresQueue

from .postgres_speed import cpu_of, empty, server_cpu
from .processes import free_port
from .queue_speed import message

PORTS = 40  # of the sinks, each of which is a destination
SIZE = 4096
CONNECTIONS = 3  # of a process, so that those with late replies do not need all of the machine
READY = 3.0  # seconds until a process has joined the others, and sleeps
LATE = 0.02  # seconds until a sink replies
MESSAGES = 1600


@define(eq=False)
class Sink(asyncio.Protocol):
    """Accepts all mail. A reply leaves some time after its command has come."""

    late: float
    arrived: list[float]
    _transport: Any = field(default=None, init=False)
    _read: bytes = field(default=b"", init=False)
    _in_data: bool = field(default=False, init=False)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._reply(b"220 sink.test")

    def data_received(self, data: bytes) -> None:
        self._read += data
        while True:
            end = b"\r\n.\r\n" if self._in_data else b"\r\n"
            line, found, rest = self._read.partition(end)
            if not found:
                return
            self._read = rest
            self._take(line[:4].upper())

    def _take(self, verb: bytes) -> None:
        if self._in_data:
            self._in_data = False
            self.arrived.append(time.time())
            self._reply(b"250 ok")
        elif verb == b"EHLO":
            self._reply(b"250-sink.test\r\n250 PIPELINING")
        elif verb == b"DATA":
            self._in_data = True
            self._reply(b"354 go on")
        elif verb == b"QUIT":
            self._transport.close()
        else:
            self._reply(b"250 ok")

    def _reply(self, line: bytes) -> None:
        asyncio.get_running_loop().call_later(self.late, self._transport.write, line + b"\r\n")


@contextlib.contextmanager
def agents(url: str, number: int, settings: str) -> Iterator[list[int]]:
    """Run *number* mail agents; return their processes."""
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        started = []
        for at in range(number):
            file = Path(name) / f"{at}.toml"
            file.write_text(f'queue = "{url}"\nhostname = "mx{at}.test"\n{settings}')
            command = [sys.executable, "-m", "smtpproto", "mta", "--quiet", "--config", str(file)]
            process = subprocess.Popen(command, stdout=subprocess.PIPE)
            stack.callback(process.wait)
            stack.callback(process.kill)
            started.append(process)
        for process in started:
            assert process.stdout is not None
            process.stdout.readline()
        yield [process.pid for process in started]


async def relay(url: str, processes: int, connections: int, late: float) -> None:
    """Print how fast *processes* drain a queue."""
    empty(url)
    loop, arrived = asyncio.get_running_loop(), list[float]()
    servers = [
        await loop.create_server(lambda: Sink(late, arrived), "127.0.0.1", 0) for _ in range(PORTS)
    ]
    ports = [server.sockets[0].getsockname()[1] for server in servers]
    routes = ", ".join(
        f'"d{at}.test" = {{ smart_host = "127.0.0.1", port = {port}, tls = "none" }}'
        for at, port in enumerate(ports)
    )
    settings = f"routes = {{ {routes} }}\nlimits = {{ connections = {connections} }}\n"
    with agents(url, processes, settings) as pids:
        queue = PostgresQueue(url)
        await queue.open(Runtime())
        begin = time.time() + READY + MESSAGES / 500
        for at in range(0, MESSAGES, 100):
            to = [f"x@d{(at + number) % PORTS}.test" for number in range(100)]
            await queue.put([message(SIZE, time.time(), it, begin) for it in to])
        await queue.close()
        await asyncio.sleep(begin - time.time())
        cpu = [server_cpu(url), *map(cpu_of, pids)]
        while len(arrived) < MESSAGES:
            await asyncio.sleep(0.05)
        after = [server_cpu(url), *map(cpu_of, pids)]
        database, *own = (b - a for a, b in zip(cpu, after, strict=True))
    for server in servers:
        server.close()
    rate = MESSAGES / (arrived[-1] - begin)
    each = 1000 / MESSAGES
    print(f"{processes:9}{rate:12.0f}{database * each:12.2f}{sum(own) * each:12.2f}")


async def receive(url: str, clients: int, messages: int) -> None:
    """Print how fast a process takes mail from *clients* at the same time."""
    empty(url)
    port = free_port()
    settings = (
        f'postmaster = "ann@a.test"\nrelay_from = "127.0.0.1"\nlisten = [{{ port = {port} }}]\n'
    )
    settings += "limits = { connections = 0 }\n"

    async def send(number: int) -> None:
        async with connect("127.0.0.1", port, tls="none") as client:
            for _ in range(number):
                await client.send(b"x" * 70 + b"\r\n", Envelope("ann@a.test", ["bob@b.test"]))

    with agents(url, 1, settings) as [pid]:
        database, own, begin = server_cpu(url), cpu_of(pid), time.time()
        await asyncio.gather(*(send(messages // clients) for _ in range(clients)))
        rate, each = messages / (time.time() - begin), 1000 / messages
        database, own = server_cpu(url) - database, cpu_of(pid) - own
    print(f"{clients:9}{rate:12.0f}{database * each:12.2f}{own * each:12.2f}")


async def main(url: str) -> None:
    """Measure all."""
    for title, connections, late in (
        (f"replies after {LATE * 1000:.0f} ms, {CONNECTIONS} connections", CONNECTIONS, LATE),
        ("replies at once, 20 connections", 20, 0.0),
    ):
        print(f"{title}\nprocesses   relayed/s   ms of CPU of the database and the agents, each")
        for processes in (1, 4, 1, 4):
            await relay(url, processes, connections, late)
    print("  clients  received/s   ms of CPU of the database and the agent, each")
    for clients, messages in ((1, 320), (32, 3200), (1, 320), (32, 3200)):
        await receive(url, clients, messages)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))

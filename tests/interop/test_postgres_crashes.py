"""Processes that share a queue in PostgreSQL are killed, paused and cut off from the database,
which is restarted: nothing is lost, and little arrives twice."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import Random

import pytest
from attrs import define, field

from smtpproto.adapters.postgres_control import PostgresControl
from smtpproto.errors import SMTPError
from smtpproto.mta.explain import explain
from smtpproto.mta.store import Selection
from tests.interop.ledger import Account, Ledger
from tests.interop.our_server import serving
from tests.interop.postgresql import PostgreSQL
from tests.interop.programs import TIMEOUT, free_ports, wait_until

pytestmark = pytest.mark.peer("postgresql")

_PATIENCE = 2  # seconds
_CONNECTIONS = 10  # of a process
_ENOUGH = 300  # recipients that wait
_CONFIGURATION = f"""
queue = "{{url}}"
hostname = "life-{{life}}.test"
relay_from = "127.0.0.1"
postmaster = "ann@a.test"
routes = {{{{ "*" = {{{{ smart_host = "127.0.0.1", port = {{next_hop}} }}}} }}}}
retry = {{{{ steps = [0.2], longest = 0.2 }}}}
limits = {{{{ pause = 0.2, longest_pause = 0.2, connections = {{connections}} }}}}
storage = {{{{ patience = {_PATIENCE}, row = 8192, spool = 65536 }}}}
"""
_RECEIVING = """
listen = [{{ port = {port} }}]
"""


@define
class Process:
    """A mail agent, in one life after the other. It receives on *port*, or relays."""

    directory: Path
    url: str
    next_hop: int
    port: int | None
    lives: Iterator[int]
    process: subprocess.Popen[bytes] = field(init=False)

    def start(self) -> None:
        life = next(self.lives)
        text = _CONFIGURATION + (_RECEIVING if self.port is not None else "")
        file = self.directory / f"{life}.toml"
        values = {"url": self.url, "life": life, "next_hop": self.next_hop, "port": self.port}
        values["connections"] = _CONNECTIONS if self.port is None else 0
        file.write_text(text.format(**values))
        command = [sys.executable, "-m", "smtpproto", "mta", "--quiet", "--config", str(file)]
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)

    def wait_until_ready(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline(), "it has ended"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


class Wire:
    """Passes octets between a process and the server of the database, but not while it is cut."""

    def __init__(self, directory: Path, server: Path) -> None:
        self._whole, self._server = threading.Event(), server / ".s.PGSQL.5432"
        self._whole.set()
        directory.mkdir()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(directory / ".s.PGSQL.5432"))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    @contextlib.contextmanager
    def cut(self) -> Iterator[None]:
        self._whole.clear()
        try:
            yield
        finally:
            self._whole.set()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                here, there = self._listener.accept()[0], socket.socket(socket.AF_UNIX)
                try:
                    there.connect(str(self._server))
                except OSError:  # the server is being started
                    here.close()
                    there.close()
                    continue
                for pair in ((here, there), (there, here)):
                    threading.Thread(target=self._pass_on, args=pair, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while octets := source.recv(65536):
                self._whole.wait()
                target.sendall(octets)
        for it in (source, target):
            with contextlib.suppress(OSError):
                it.shutdown(socket.SHUT_RDWR)
        source.close()


@contextlib.contextmanager
def load(ports: list[int], ledger: Ledger, messages: int) -> Iterator[threading.Event]:
    """Send *messages* to all of *ports*, while the block runs; the event is set in the end."""
    numbers, done, stopped = itertools.count(1), threading.Event(), threading.Event()

    def work(port: int) -> None:
        account = Account(port, ledger)
        account._numbers = numbers
        while not stopped.is_set() and not done.is_set():
            with contextlib.suppress(SMTPError), account.client() as client:
                while not stopped.is_set() and not done.is_set():
                    if ledger.waiting < _ENOUGH:
                        account.send_over(client)
                        if len({number for number, _ in ledger.accepted.copy()}) >= messages:
                            done.set()
                    else:
                        time.sleep(0.01)
            time.sleep(0.05)  # the process is being started

    workers = [threading.Thread(target=work, args=(port,)) for port in ports for _ in range(2)]
    for worker in workers:
        worker.start()
    try:
        yield done
    finally:
        stopped.set()
        for worker in workers:
            worker.join()


def more_arrives(ledger: Ledger, missing: int) -> bool | None:
    return len(ledger.missing()) < missing or None


def wait_for_all(ledger: Ledger, url: str) -> None:
    """Wait until all that was accepted has arrived, or was reported. If not, tell why."""
    try:
        while missing := len(ledger.missing()):
            wait_until("more arrives", partial(more_arrives, ledger, missing), 3 * TIMEOUT)
    except AssertionError as error:
        error.add_note(f"{len(ledger.missing())} are missing: {ledger.missing()[:10]}")
        with PostgresControl(url) as control:
            for entry in control.find(Selection(), 5):
                error.add_note(explain(entry, time.time()))
        raise


def duplicates(ledger: Ledger) -> int:
    """Check that nothing arrived that was refused, and nothing was lost; return how often a message
    arrived again."""
    again = 0
    for (number, recipient), lives in ledger.arrived.items():
        assert not recipient.startswith("no-")
        assert number not in ledger.refused, f"{number} was refused, and arrived"
        again += len(lives) - 1
    for (number, recipient), reports in ledger.reports.items():
        assert recipient.startswith("no-"), f"{number} was reported failed: {reports}"
        assert len({name for name, _ in reports}) == 1, f"several reports of {number}: {reports}"
        again += len(reports) - 1
    return again


@define
class Troubles:
    """What happens to the processes, by chance."""

    server: PostgreSQL
    processes: list[Process]
    wire: Wire
    dice: Random = field(factory=Random)
    happened: Counter[str] = field(factory=Counter)

    def cause_one(self) -> None:
        names = ("killed", "killed", "killed", "paused", "cut off", "restarted")
        name = self.dice.choice(names)
        process = self.dice.choice(self.processes)
        pause = self.dice.choice([0.2, 2 * _PATIENCE])
        match name:
            case "killed":
                process.kill()
                process.start()
                process.wait_until_ready()
            case "paused":
                os.kill(process.process.pid, signal.SIGSTOP)
                time.sleep(pause)
                os.kill(process.process.pid, signal.SIGCONT)
            case "cut off":
                with self.wire.cut():
                    time.sleep(pause)
            case _:
                self.server.stop(self.dice.choice(["fast", "immediate"]))
                self.server.start()
        self.happened[name] += 1


@pytest.mark.parametrize(
    "messages", [pytest.param(300, id="few"), pytest.param(20_000, marks=pytest.mark.soak)]
)
def test_processes_that_die_pause_and_are_cut_off_lose_nothing(
    messages: int, postgresql: PostgreSQL, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger, lives, ports = Ledger(), itertools.count(), free_ports(2)
    place = postgresql.directory / f"wire{messages}"
    wire = Wire(place, postgresql.directory)
    cut = postgresql.url.replace(str(postgresql.directory), str(place))
    with serving("asyncio", ledger) as next_hop, contextlib.ExitStack() as stack:
        stack.callback(wire.close)
        kinds = [(postgresql.url, port) for port in (*ports, None, None)] + [(cut, None)]
        processes = [Process(tmp_path, url, next_hop, port, lives) for url, port in kinds]
        for it in processes:
            it.start()
            stack.callback(it.kill)
        for it in processes:
            it.wait_until_ready()
        troubles = Troubles(postgresql, processes, wire)
        with load(ports, ledger, messages) as done:
            while not done.is_set():
                troubles.cause_one()
                most = ledger.events + troubles.dice.randrange(200)
                wait_until("work goes on", partial(goes_on, ledger, most, done))
        wait_for_all(ledger, postgresql.url)
        for it in processes:
            it.process.send_signal(signal.SIGTERM)
        for it in processes:
            assert it.process.wait(TIMEOUT) == 0
    again = duplicates(ledger)
    log = (tmp_path / "log").read_text()
    with capsys.disabled():
        print(f"\n{len(ledger.accepted)} deliveries, {again} twice; {dict(troubles.happened)}")  # noqa: T201
    assert "Traceback" not in log
    with PostgresControl(postgresql.url) as control:
        assert control.stats().messages <= sum(troubles.happened.values()) * len(ports) * 2
    assert again <= sum(troubles.happened.values()) * _CONNECTIONS * 3  # relaying processes


def goes_on(ledger: Ledger, most: int, done: threading.Event) -> bool | None:
    return ledger.events >= most or done.is_set() or None

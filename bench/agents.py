"""Mail agents that take mail and send it to a sink: ours, and Postfix. The sink counts."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from getpass import getuser
from pathlib import Path
from typing import IO

from attrs import define, frozen

from .contenders import Contender
from .processes import ALL, STARTING, BenchError, NotHere, find, free_port, port_of, running

OURS = Contender("smtpproto", "our_mta")
POSTFIX = "postfix"
TICKS = os.sysconf("SC_CLK_TCK")

MAIN = """\
compatibility_level = 3.6
queue_directory = {directory}/queue
data_directory = {directory}/data
maillog_file = /dev/stdout
myhostname = mta.example.org
mydestination =
alias_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_peername_lookup = no
smtp_dns_support_level = disabled
relayhost = [127.0.0.1]:{sink}
"""
MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix       n - n -   0 cleanup
qmgr    unix       n - n 300 1 qmgr
rewrite unix       - - n -   - trivial-rewrite
smtp    unix       - - n -   - smtp
bounce  unix       - - n -   0 bounce
defer   unix       - - n -   0 bounce
trace   unix       - - n -   0 bounce
error   unix       - - n -   - error
retry   unix       - - n -   - error
anvil   unix       - - n -   1 anvil
proxymap unix      - - n -   - proxymap
scache  unix       - - n -   1 scache
tlsmgr  unix       - - n -   1 tlsmgr
postlog unix-dgram n - n -   1 postlogd
"""


@frozen
class Agent:
    """A mail agent that runs."""

    port: int
    cpu: Callable[[], float]
    """Returns the CPU time of all its processes so far, in seconds."""
    resident: Callable[[], int] = int
    """Returns the octets of memory that it has now."""


@define(eq=False)
class Sink:
    """Postfix's smtp-sink, which takes all mail and counts it."""

    port: int
    _output: IO[bytes]
    _unread: bytes = b""
    arrived: int = 0

    def wait(self, number: int, patience: float) -> None:
        """Wait until *number* messages have arrived since the start. Raises BenchError."""
        end = time.monotonic() + patience
        while self.arrived < number:
            left = max(end - time.monotonic(), 0)
            if not select.select([self._output], [], [], left)[0]:
                raise BenchError(f"{number - self.arrived} messages have not arrived")
            self._unread += os.read(self._output.fileno(), 65536)
            *counts, self._unread = self._unread.split(b"\r")
            if counts and (found := re.search(rb"mesg=(\d+)", counts[-1])):
                self.arrived = int(found[1])


@contextlib.contextmanager
def sink() -> Iterator[Sink]:
    """Run a sink while the block runs."""
    if (command := find("smtp-sink")) is None:
        raise NotHere("not installed; Debian's postfix has it")
    port = free_port()
    process = subprocess.Popen(
        [command, "-c", "-u", getuser(), f"127.0.0.1:{port}", "1000"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        yield Sink(port, process.stdout)
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def ours(contender: Contender, directory: Path, to: int) -> Iterator[Agent]:
    """Run our agent, with the queue in *directory*, while the block runs. It sends to port *to*."""
    command = contender.command(str(directory / "queue.db"), str(to))
    with running(command, contender.environment(), ALL) as process:
        yield Agent(port_of(process, None), process.cpu, process.resident)


@contextlib.contextmanager
def postfix(directory: Path, to: int) -> Iterator[Agent]:
    """Run Postfix, with its queue in *directory*, while the block runs. It sends to port *to*."""
    if (command := find("postfix")) is None:
        raise NotHere("not installed")
    if os.geteuid() != 0:
        raise NotHere("only root can start it")
    port, user = free_port(), pwd.getpwnam("postfix")
    directory.chmod(0o755)
    for name in ("etc", "queue", "data"):
        (directory / name).mkdir()
    shutil.chown(directory / "data", user.pw_uid, user.pw_gid)
    values = {"directory": directory, "sink": to, "port": port}
    for name, text in (("main.cf", MAIN), ("master.cf", MASTER)):
        (directory / "etc" / name).write_text(text.format_map(values))
    with (directory / "log").open("wb") as log:
        starter = subprocess.Popen(
            [command, "-c", str(directory / "etc"), "start-fg"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        pid = _master(starter, directory / "queue/pid/master.pid")
        yield Agent(port, lambda: _cpu_with_children(pid))
        os.kill(pid, signal.SIGTERM)
        starter.wait(STARTING)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(starter.pid, signal.SIGKILL)  # all processes of its session
        starter.wait()


def _master(starter: subprocess.Popen[bytes], pid_file: Path) -> int:
    """Wait until Postfix runs, and return the process of which its others are children."""
    end = time.monotonic() + STARTING
    while time.monotonic() < end and starter.poll() is None:
        with contextlib.suppress(OSError, ValueError):
            return int(pid_file.read_text())
        time.sleep(0.02)
    raise BenchError("does not start")


def _cpu_with_children(pid: int) -> float:
    """Return the CPU time of a process and its children, also of those that have ended."""
    ticks = 0
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has just ended
            fields = file.read_text().rpartition(")")[2].split()
            if int(file.parent.name) == pid:
                ticks += sum(map(int, fields[11:15]))
            elif int(fields[1]) == pid:
                ticks += sum(map(int, fields[11:13]))
    return ticks / TICKS

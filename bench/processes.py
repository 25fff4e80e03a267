"""Processes under test: start, pin, ask, measure and end them. Linux only."""

from __future__ import annotations

import os
import resource
import select
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from pathlib import Path

STARTING = 30.0  # seconds until a server has to listen
WORKING = 120.0  # seconds that a client may take for one measurement
SETTLING = 0.005  # seconds until a process that has answered waits
PAGE = resource.getpagesize()


class BenchError(Exception):
    """A contender does not do what a load needs. The text says what happened."""


class NotHere(BenchError):
    """A contender is not installed, or cannot do what a load asks for."""


ALL = frozenset(os.sched_getaffinity(0))
TESTED, OTHERS = {max(ALL)}, {min(ALL)}
"""The processor of the process under test, and the one for everything else. They are the same on a
machine with one processor."""


@contextmanager
def pinned(processors: Set[int]) -> Iterator[None]:
    """Let processes that are started in the block run on these processors only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, processors)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def find(program: str) -> str | None:
    """Return the path of a program of the system, also of those that only root has on its PATH."""
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")


def raise_file_limit() -> int:
    """Allow as many open files as this user may have, and return the number."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


class Process:
    """A program that runs on some processors, prints lines, and may read some."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], processors: Set[int]
    ) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by end()
        with pinned(processors):
            self._popen = subprocess.Popen(
                command,
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env={**os.environ, **environment},
            )
        self.pid = self._popen.pid
        self._unread = b""

    def cpu(self) -> float:
        """Return the CPU time that all threads have used so far, user and system, in seconds.

        The process should have nothing to do: the kernel adds up the time when a thread waits.
        """
        time.sleep(SETTLING)
        try:
            return time.clock_gettime(((~self.pid) << 3) | 2)  # see clock_getcpuclockid(3)
        except OSError:
            raise BenchError(f"ended: {self._error_text()}") from None

    def resident(self) -> int:
        """Return the octets of memory that the process has now (RSS)."""
        return int(self._proc("statm").split()[1]) * PAGE

    def peak(self) -> int:
        """Return the most octets of memory that the process has had."""
        fields = dict(line.split(":", 1) for line in self._proc("status").splitlines())
        return int(fields["VmHWM"].split()[0]) * 1024

    def _proc(self, name: str) -> str:
        return Path(f"/proc/{self.pid}/{name}").read_text()

    def tell(self, line: str) -> None:
        """Pass *line* to the program."""
        assert self._popen.stdin is not None
        self._popen.stdin.write(line.encode() + b"\n")

    def line(self, timeout: float) -> str:
        """Return the next line that the program prints. Raises BenchError if there is none."""
        assert self._popen.stdout is not None
        end = time.monotonic() + timeout
        while b"\n" not in self._unread:
            left = max(end - time.monotonic(), 0)
            if not select.select([self._popen.stdout], [], [], left)[0]:
                raise BenchError(f"silent for {timeout:.0f} seconds")
            octets = os.read(self._popen.stdout.fileno(), 65536)
            if not octets:
                raise BenchError(f"ended: {self._error_text()}")
            self._unread += octets
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode()

    def is_running(self) -> bool:
        return self._popen.poll() is None

    def _error_text(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").split("\n")
        return next((line for line in reversed(lines) if line.strip()), "no error text")

    def end(self) -> None:
        """End the process, by force if it takes longer than some seconds."""
        self._popen.terminate()
        try:
            self._popen.wait(5)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        for file in (self._popen.stdin, self._popen.stdout, self._errors):
            if file is not None:
                file.close()


@contextmanager
def running(
    command: Sequence[str], environment: Mapping[str, str], processors: Set[int]
) -> Iterator[Process]:
    """Run *command* on *processors* while the block runs."""
    process = Process(command, environment, processors)
    try:
        yield process
    finally:
        process.end()


def port_of(process: Process, given: int | None) -> int:
    """Wait until a server listens, and return its port: *given*, or the one that it prints."""
    if given is None:
        return int(process.line(STARTING))
    end = time.monotonic() + STARTING
    while time.monotonic() < end and process.is_running():
        try:
            socket.create_connection(("127.0.0.1", given)).close()
            return given
        except ConnectionRefusedError:
            time.sleep(0.01)
    raise BenchError(f"does not listen: {process._error_text()}")


def free_port() -> int:
    """Return a port that no program listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])

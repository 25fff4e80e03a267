"""Who is measured: our adapters, floors and peers, and why one of them cannot run here."""

from __future__ import annotations

import contextlib
import importlib.util
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Set
from getpass import getuser
from pathlib import Path

from attrs import evolve, frozen

from .processes import (
    TESTED,
    WORKING,
    BenchError,
    Process,
    find,
    free_port,
    pinned,
    port_of,
    running,
)
from .programs.messages import BODY, MEBIBYTE, RECIPIENT, SENDER

ROOT = Path(__file__).parent.parent
PROGRAMS = Path(__file__).parent / "programs"
PEERS = ROOT / "build" / "bench"
"""Where bench.install puts the environments of the peers."""


@frozen
class Contender:
    """A server or a client: its program, and what that needs."""

    name: str
    program: str
    """A module of bench.programs, a script for node there, or a program of the system."""
    needs: tuple[str, ...] = ()
    """Python modules."""
    peer: str | None = None
    """The environment of its own that it runs in, if it is installed."""
    can: Set[str] = frozenset()
    """What not all can: tls, bdat, and names of loads of clients."""
    tree: Path = ROOT
    """Where the library is imported from."""
    label: str = ""
    """What follows the name in the report."""

    @property
    def is_peer(self) -> bool:
        """Whether the program is that of another project."""
        return not self.program.startswith(("our_", "floor_"))

    @property
    def title(self) -> str:
        return self.name + self.label

    def missing(self) -> str | None:
        """Return what is not installed, or None."""
        if self.program.endswith(".js"):
            return None if _node_modules().exists() and find("node") else "not installed from npm"
        if self.program.startswith("smtp-"):
            return None if find(self.program) else "not installed; Debian's postfix has it"
        absent = [name for name in self.needs if not _has_module(self.python(), name)]
        return f"{', '.join(absent)} not installed" if absent else None

    def python(self) -> str:
        """Return the Python that runs it."""
        python = PEERS / str(self.peer) / "bin" / "python"
        return str(python) if python.exists() else sys.executable

    def command(self, *arguments: str) -> list[str]:
        """Return the command that runs it."""
        if self.program.endswith(".js"):
            return [str(find("node")), str(PROGRAMS / self.program), *arguments]
        return [self.python(), "-P", "-m", f"bench.programs.{self.program}", self.name, *arguments]

    def environment(self) -> Mapping[str, str]:
        """Return the variables that it needs besides those of this process."""
        return {"PYTHONPATH": f"{self.tree}:{ROOT}", "NODE_PATH": str(_node_modules())}

    def of_tree(self, label: str, tree: Path) -> Contender:
        """Return the same contender, with the library of another *tree*."""
        return evolve(self, label=f" of {label}", tree=tree)


OURS = [("asyncio", ()), ("uvloop", ("uvloop",)), ("trio", ("trio",)), ("blocking", ())]
TLS_AND_BDAT = {"tls", "bdat"}
SERVERS = [
    Contender("floor-shared", "floor_server", can={"bdat"}),
    Contender("floor-asyncio", "floor_server", can=TLS_AND_BDAT),
    Contender("floor-uvloop", "floor_server", ("uvloop",), can=TLS_AND_BDAT),
    *[Contender(name, "our_server", needs, can=TLS_AND_BDAT) for name, needs in OURS],
    Contender("aiosmtpd", "aiosmtpd_server", ("aiosmtpd",), "aiosmtpd", can={"tls"}),
    Contender(
        "aiosmtpd-uvloop", "aiosmtpd_server", ("aiosmtpd", "uvloop"), "aiosmtpd", can={"tls"}
    ),
    Contender("smtp-server", "smtp-server.js", can={"tls"}),
    Contender("smtp-sink", "smtp-sink"),
]
SENDING = {"C1", "C2", "C2f", "C3", "C4"}
CLIENTS = [
    Contender("floor-sync", "floor_client", can=SENDING - {"C4"}),
    Contender("floor-asyncio", "floor_client", can=SENDING),
    *[Contender(name, "our_client", needs, can=SENDING | {"TLS"}) for name, needs in OURS],
    Contender("smtplib", "peer_client", can=SENDING | {"TLS"}),
    Contender("smtplib-one-context", "peer_client", can={"TLS"}),
    Contender("aiosmtplib", "peer_client", ("aiosmtplib",), "aiosmtplib", can=SENDING | {"TLS"}),
    Contender(
        "aiosmtplib-uvloop", "peer_client", ("aiosmtplib", "uvloop"), "aiosmtplib", can=SENDING
    ),
    Contender("nodemailer", "nodemailer.js", can=SENDING | {"TLS"}),
    Contender("smtp-source", "smtp-source", can=SENDING),
]

CORES = [
    Contender("floor", "core", can={"P1", "P2", "P3", "P4"}),
    Contender("smtpproto", "our_core", can={"P1", "P2", "P3", "P4"}),
    Contender("smtplib", "core", can={"P3", "P4"}),
    Contender("aiosmtplib", "core", ("aiosmtplib",), "aiosmtplib", can={"P3", "P4"}),
    Contender("aiosmtpd", "core", ("aiosmtpd",), "aiosmtpd", can={"P4"}),
    Contender("email", "core", can={"P4"}),
]


def _node_modules() -> Path:
    return PEERS / "node" / "node_modules"


def _has_module(python: str, name: str) -> bool:
    if python == sys.executable:
        return importlib.util.find_spec(name) is not None
    code = f"import importlib.util as u, sys; sys.exit(u.find_spec({name!r}) is None)"
    return subprocess.run([python, "-P", "-c", code], check=False).returncode == 0


@contextlib.contextmanager
def serving(
    contender: Contender, mode: str, certificate: Path, processors: Set[int] = TESTED
) -> Iterator[tuple[Process, int]]:
    """Run a server while the block runs; yield its process and its port."""
    port = None
    if contender.program == "smtp-sink":
        port = free_port()
        options = ["-u", getuser(), "-m", "10000"]  # connections at a time
        command = [str(find("smtp-sink")), *options, f"127.0.0.1:{port}", "1000"]
    else:
        command = contender.command(str(certificate), mode)
    with running(command, contender.environment(), processors) as process:
        yield process, port_of(process, port)


class Client:
    """A client whose process stays between measurements."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._expect("ready")

    def cpu_of(self, load: str, port: int, count: int) -> float:
        """Return the seconds of CPU time that *count* times *load* took."""
        before = self._process.cpu()
        self._process.tell(f"{load} {port} {count}")
        self._expect("done")
        return self._process.cpu() - before

    def _expect(self, word: str) -> None:
        if (line := self._process.line(WORKING)) != word:
            raise BenchError(f"printed {line!r}, not {word!r}")


class SMTPSource(Client):
    """smtp-source, which is a new process for each measurement."""

    OPTIONS: Mapping[str, tuple[str, ...]] = {
        "C2": ("-d",),
        "C2f": ("-d",),
        "C4": ("-s", "100"),
    }

    def __init__(self) -> None:
        pass

    def cpu_of(self, load: str, port: int, count: int) -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        before = used.ru_utime + used.ru_stime
        size, messages = (len(BODY), count) if load != "C3" else (count * MEBIBYTE, 1)
        numbers = "-l", str(size), "-m", str(messages)
        command = [str(find("smtp-source")), *self.OPTIONS.get(load, ()), *numbers]
        command += ["-f", SENDER, "-t", RECIPIENT, f"127.0.0.1:{port}"]
        with pinned(TESTED):
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=WORKING, check=False
            )
        if done.returncode:
            raise BenchError(done.stderr.strip())
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime - before


@contextlib.contextmanager
def sending(contender: Contender, variables: Mapping[str, str]) -> Iterator[Client]:
    """Run a client while the block runs."""
    if contender.program == "smtp-source":
        yield SMTPSource()
        return
    environment = {**contender.environment(), **variables}
    with tempfile.NamedTemporaryFile() as content:
        content.write(BODY)
        content.flush()
        with running(contender.command(content.name), environment, TESTED) as process:
            yield Client(process)

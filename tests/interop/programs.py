"""Foreign programs: found or skipped by name, configured, run, ended; and what they say."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn, TypeVar

import pytest
from attrs import frozen

PATIENCE = 20.0  # seconds, for what takes a foreign program less than one
LOGS: dict[str, Path] = {}  # of the programs that run, for the report of a test that fails

_PATH = os.pathsep.join(
    [
        os.environ.get("PATH", os.defpath),
        "/usr/sbin",
        "/sbin",
        str(Path.home() / ".cache/smtpproto"),  # where .ci/peers unpacks
    ]
)
_ETC = Path(__file__).with_name("etc")

T = TypeVar("T")
Send = Callable[..., str]  # what the fixtures swaks, curl and msmtp are


@frozen
class Certificate:
    """For 127.0.0.1 and localhost: a context for each role, and what it is made of as files.

    *chain* has key and certificates together, as Postfix wants them; *user* is the same for the
    user of :data:`LOGIN`, to be shown to servers that ask for it, as *server* does.
    """

    server: ssl.SSLContext
    client: ssl.SSLContext
    ca: Path
    chain: Path
    user: Path


def der(file: Path) -> bytes:
    """The first certificate in *file*, which is PEM."""
    _, begin, rest = file.read_text().partition("-----BEGIN CERTIFICATE-----")
    body, end, _ = rest.partition("-----END CERTIFICATE-----")
    return ssl.PEM_cert_to_DER_cert(begin + body + end)


# -- what a test needs ---------------------------------------------------------------------------


def unavailable(reason: str) -> NoReturn:
    """Say why a program cannot be run: a failure in CI, elsewhere a reason to skip."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def missing(name: str) -> NoReturn:
    """Say that a program is missing."""
    unavailable(f"{name} is not installed")


def program(name: str) -> str:
    """Where a program is."""
    path = shutil.which(name, path=_PATH)
    return missing(name) if path is None else path


def require_root(name: str) -> None:
    """For programs that take other users' rights."""
    if os.geteuid() != 0:
        unavailable(f"{name} is started by root only")


def require_user(name: str) -> None:
    """For programs that insist on a user of their own."""
    try:
        pwd.getpwnam(name)
    except KeyError:
        unavailable(f"there is no user {name}")


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now, all different."""
    with contextlib.ExitStack() as stack:
        listeners = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        return [listener.getsockname()[1] for listener in listeners]


def free_port() -> int:
    """A port that nobody listens on now."""
    return free_ports(1)[0]


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    """A new directory that every user may enter; it goes with all that is in it."""
    with tempfile.TemporaryDirectory(prefix="smtpproto-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        directory.chmod(0o755)
        yield directory


def configuration(name: str, values: Mapping[str, object]) -> str:
    """The text of ``etc/NAME``, with each ``@key@`` replaced by its value."""
    text = (_ETC / name).read_text()
    return re.sub("@([a-z]+)@", lambda match: str(values[match[1]]), text)


# -- running -------------------------------------------------------------------------------------


def run(*command: str | Path, fed: bytes = b"", check: bool = True) -> str:
    """Run a program to its end, without a user's settings; give what it printed. *fed* is its
    input."""
    done = subprocess.run(
        command,
        env=os.environ | {"HOME": "/nonexistent"},
        input=fed,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=PATIENCE,
        check=False,
    )
    said = done.stdout.decode(errors="replace")
    if check and done.returncode:
        raise AssertionError(f"{command[0]} ended with {done.returncode}:\n{said}")
    return said


def until(what: str, look: Callable[[], T | None]) -> T:
    """Look again and again until there is something, for as long as patience lasts."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if (found := look()) is not None:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within {PATIENCE:.0f} seconds")


def logged(log: Path, text: str) -> None:
    """Wait until *log* has *text*."""
    until(f"{text!r} in {log}", lambda: text in log.read_text(errors="replace") or None)


@contextlib.contextmanager
def running(
    name: str,
    command: Sequence[str | Path],
    log: Path,
    *,
    port: int | None = None,
    pid_file: Path | None = None,
    inherited: Sequence[int] = (),
) -> Iterator[None]:
    """Run a server while the block runs: from the opening of its port to SIGTERM.

    *log* takes what it prints. Without *port* it is not waited for: it has its listening socket
    among the descriptors *inherited*. SIGTERM goes to the pid in *pid_file*, if there is one.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=inherited,
        )
    try:
        if port is not None:
            until(f"{name} opens its port", lambda: _open(port, process))
        LOGS[name] = log
        yield
    except Exception as error:
        error.add_note(f"{name} said:\n{log.read_text(errors='replace')[-8_000:]}")
        raise
    finally:
        LOGS.pop(name, None)
        _end(process, pid_file)


def _open(port: int, process: subprocess.Popen[bytes]) -> bool | None:
    assert process.poll() is None, f"ended with {process.returncode}"
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return None


def _end(process: subprocess.Popen[bytes], pid_file: Path | None) -> None:
    if pid_file is None:
        process.terminate()
    else:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            os.kill(int(pid_file.read_text()), signal.SIGTERM)
    try:
        process.wait(PATIENCE)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # it began a session: what it left there
        process.wait()

"""Other programs: find them or skip the test, configure them, run them and stop them."""

from __future__ import annotations

import contextlib
import functools
import os
import pwd
import random
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

TIMEOUT = 20.0  # seconds; every step takes less than one
LOGS: dict[str, Path] = {}  # by program, for the reports of failed tests

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
Send = Callable[..., str]
"""The type of the fixtures swaks, curl and msmtp, which send a message and return the output."""


@frozen
class Certificate:
    """A certificate for 127.0.0.1 and localhost: a context for each side, and PEM files.

    *chain* has the key and the certificates in one file, as Postfix needs them. *user* is such a
    file for the user of LOGIN, whose certificate the context *server* asks for.
    """

    server: ssl.SSLContext
    client: ssl.SSLContext
    ca: Path
    chain: Path
    user: Path


def first_certificate(file: Path) -> bytes:
    """Return the first certificate of a PEM file, in DER."""
    _, begin, rest = file.read_text().partition("-----BEGIN CERTIFICATE-----")
    body, end, _ = rest.partition("-----END CERTIFICATE-----")
    return ssl.PEM_cert_to_DER_cert(begin + body + end)


# -- requirements of a test ----------------------------------------------------------------------


def skip_or_fail(reason: str) -> NoReturn:
    """Skip the test, or fail it in CI, because a program cannot be run."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def skip_missing(name: str) -> NoReturn:
    """Skip the test because a program is not installed."""
    skip_or_fail(f"{name} is not installed")


def find_program(name: str) -> str:
    """Return the path of a program, or skip the test if it is not installed."""
    for directory in _PATH.split(os.pathsep):
        if (path := shutil.which(os.path.join(directory, name))) is not None:
            return path
    return skip_missing(name)


def require_root(name: str) -> None:
    """Skip the test unless it runs as root, which programs need that change their user."""
    if os.geteuid() != 0:
        skip_or_fail(f"only root can start {name}")


def require_user(name: str) -> None:
    """Skip the test unless the user that a program needs exists."""
    try:
        pwd.getpwnam(name)
    except KeyError:
        skip_or_fail(f"there is no user {name}")


@functools.cache
def _can_mount() -> bool:
    command = ("unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt")
    try:
        done = subprocess.run(command, capture_output=True, timeout=TIMEOUT, check=False)
    except FileNotFoundError:
        return False
    return done.returncode == 0


def require_mounts() -> None:
    """Skip the test unless it may mount file systems, which many containers forbid."""
    if not _can_mount():
        skip_or_fail("this user cannot mount file systems")


def free_ports(count: int) -> list[int]:
    """Return different ports that no program listens on.

    They are below those that systems give to connections, one of which could take a port before
    its program listens on it.
    """
    found: list[int] = []
    with contextlib.ExitStack() as stack:
        while len(found) < count:
            with contextlib.suppress(OSError):
                port = random.randrange(10_000, 32_768)
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
                found.append(port)
    return found


def free_port() -> int:
    """Return a port that no program listens on."""
    return free_ports(1)[0]


@contextlib.contextmanager
def shared_directory() -> Iterator[Path]:
    """Make a directory that every user may enter, and remove it after the block."""
    with tempfile.TemporaryDirectory(prefix="smtpproto-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        directory.chmod(0o755)
        yield directory


def configuration(name: str, values: Mapping[str, object]) -> str:
    """Return the text of ``etc/NAME`` with each ``@key@`` replaced by its value."""
    text = (_ETC / name).read_text()
    return re.sub("@([a-z]+)@", lambda match: str(values[match[1]]), text)


# -- running -------------------------------------------------------------------------------------


def run(*command: str | Path, stdin: bytes = b"", check: bool = True) -> str:
    """Run a program to its end, without settings of a user. Return its output.

    With *check*, an exit status other than 0 fails the test.
    """
    done = subprocess.run(
        command,
        env=os.environ | {"HOME": "/nonexistent"},
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=TIMEOUT,
        check=False,
    )
    output = done.stdout.decode(errors="replace")
    if check and done.returncode:
        raise AssertionError(f"{command[0]} ended with {done.returncode}:\n{output}")
    return output


def wait_until(description: str, probe: Callable[[], T | None], timeout: float = TIMEOUT) -> T:
    """Call *probe* until it returns something other than None, and return that."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if (found := probe()) is not None:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{description}: not within {timeout:.0f} seconds")


def wait_for_log(log: Path, text: str) -> None:
    """Wait until *log* contains *text*."""
    wait_until(f"{text!r} in {log}", lambda: text in log.read_text(errors="replace") or None)


@contextlib.contextmanager
def running(
    name: str,
    command: Sequence[str | Path],
    log: Path,
    *,
    port: int | None = None,
    host: str = "127.0.0.1",
    pid_file: Path | None = None,
    inherited: Sequence[int] = (),
) -> Iterator[None]:
    """Run a server while the block runs, which starts when *port* of *host* is open. Then send
    SIGTERM.

    The output is written to *log*. Without *port* the block starts at once: the server has its
    listening socket among the descriptors *inherited*. SIGTERM is sent to the process in
    *pid_file*, if given.
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
            wait_until(f"{name} opens its port", lambda: is_open(port, process, host))
        LOGS[name] = log
        yield
    except Exception as error:
        error.add_note(f"log of {name}:\n{log.read_text(errors='replace')[-8_000:]}")
        raise
    finally:
        LOGS.pop(name, None)
        _stop(process, pid_file)


def is_open(port: int, process: subprocess.Popen[bytes], host: str = "127.0.0.1") -> bool | None:
    """Return True if *process*, which must not have ended, listens on *port*; else None."""
    assert process.poll() is None, f"ended with {process.returncode}"
    with contextlib.suppress(OSError), socket.create_connection((host, port)):
        return True
    return None


def _stop(process: subprocess.Popen[bytes], pid_file: Path | None) -> None:
    if pid_file is None:
        process.terminate()
    else:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            os.kill(int(pid_file.read_text()), signal.SIGTERM)
    try:
        process.wait(TIMEOUT)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # all processes of its session
        process.wait()

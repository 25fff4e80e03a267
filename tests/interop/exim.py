"""Exim in the foreground, with its own configuration, spool and log."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

from tests.interop.mailboxes import Mailboxes
from tests.interop.programs import (
    Certificate,
    configuration,
    find_program,
    free_port,
    require_root,
    require_user,
    running,
    shared_directory,
)

_USER = "Debian-exim"  # compiled in


@frozen
class Exim:
    """A running Exim: a server on *port* with the mailboxes alice, bob and jürgen of box.test.

    It adds each command of a transaction to the message, as a field "X-Envelope". It relays mail
    for ``<port>.smtp.test``, ``<port>.tls.test`` and ``<port>.lmtp.test`` to that port.
    """

    port: int
    mailboxes: Mailboxes
    log: Path


@contextlib.contextmanager
def started(certificate: Certificate) -> Iterator[Exim]:
    """Run Exim while the block runs."""
    installed = find_program("exim4")
    require_root("Exim")
    require_user(_USER)
    with shared_directory() as directory:
        _write_files(directory, certificate)
        binary = _own_copy(installed, directory)
        port, file = free_port(), directory / "exim.conf"
        values = {"exim": binary, "port": port, "directory": directory}
        file.write_text(configuration("exim.conf", values))
        command: list[str | Path] = [binary, "-C", file, "-bdf", "-q1s"]
        log = directory / "log/main"
        with running("Exim", command, log, port=port):
            yield Exim(port, Mailboxes(directory / "mail"), log)


def _write_files(directory: Path, certificate: Certificate) -> None:
    shutil.copy(certificate.chain, directory / "chain.pem")
    shutil.copy(certificate.ca, directory / "ca.pem")
    shutil.chown(directory / "chain.pem", _USER)
    for name in ("spool", "log", "mail"):
        (directory / name).mkdir()
        shutil.chown(directory / name, _USER, _USER)
    log = directory / "log/main"
    log.touch()
    shutil.chown(log, _USER, _USER)


def _own_copy(installed: str, directory: Path) -> Path:
    """Copy Exim: it starts itself again as its user, who may not be able to read the installed
    file. A copy is not setuid."""
    copy = directory / "exim4"
    shutil.copyfile(installed, copy)
    copy.chmod(0o755)
    return copy

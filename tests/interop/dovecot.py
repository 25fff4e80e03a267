"""Dovecot's LMTP server in the foreground, with its own configuration and users."""

from __future__ import annotations

import contextlib
import pwd
import shutil
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

from tests.interop.mailboxes import Mailboxes
from tests.interop.programs import (
    configuration,
    find_program,
    free_ports,
    require_root,
    running,
    shared_directory,
    skip_missing,
)

_LMTP = Path("/usr/lib/dovecot/lmtp")  # in a separate package
_USER = "mail"  # owner of the mailboxes; every Unix has it


@frozen
class Dovecot:
    """A running Dovecot: an LMTP server (RFC 2033) on *port* for alice, bob and full.

    It refuses other recipients after RCPT. It refuses full after the content: the mailbox is full.
    *proxied* expects a PROXY header first. Every client may use XCLIENT.
    """

    port: int
    proxied: int
    mailboxes: Mailboxes
    log: Path


@contextlib.contextmanager
def started() -> Iterator[Dovecot]:
    """Run Dovecot while the block runs."""
    binary = find_program("dovecot")
    require_root("Dovecot")
    if not _LMTP.exists():
        skip_missing("Dovecot's LMTP server")
    with shared_directory() as directory:
        port, proxied = free_ports(2)
        file, log = directory / "dovecot.conf", directory / "log"
        values = {"directory": directory, "port": port, "proxied": proxied}
        file.write_text(configuration(file.name, values))
        _write_files(directory)
        with running("Dovecot", [binary, "-F", "-c", file], log, port=port):
            yield Dovecot(port, proxied, Mailboxes(directory / "mail"), log)


def _write_files(directory: Path) -> None:
    owner = pwd.getpwnam(_USER)
    users = ""
    for name, options in {"alice": "", "bob": "", "full": "userdb_quota_rule=*:bytes=1"}.items():
        home = directory / "mail" / name
        home.mkdir(parents=True)
        shutil.chown(home, owner.pw_uid, owner.pw_gid)
        users += f"{name}:{{PLAIN}}secret:{owner.pw_uid}:{owner.pw_gid}::{home}::{options}\n"
    (directory / "users").write_text(users)

"""Dovecot's LMTP server, started in the foreground with a configuration and users of its own."""

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
    free_ports,
    missing,
    program,
    require_root,
    running,
    workplace,
)

_LMTP = Path("/usr/lib/dovecot/lmtp")  # a package of its own
_USER = "mail"  # whose the mailboxes are; every Unix has it


@frozen
class Dovecot:
    """A Dovecot that runs, an LMTP server on *port* (RFC 2033) for alice, bob and full.

    Who else is meant is refused after RCPT; full after the content, for its mailbox is full.
    *proxied* wants a PROXY header first. Everybody may use XCLIENT.
    """

    port: int
    proxied: int
    mailboxes: Mailboxes
    log: Path


@contextlib.contextmanager
def started() -> Iterator[Dovecot]:
    binary = program("dovecot")
    require_root("Dovecot")
    if not _LMTP.exists():
        missing("Dovecot's LMTP server")
    with workplace() as directory:
        port, proxied = free_ports(2)
        file, log = directory / "dovecot.conf", directory / "log"
        values = {"directory": directory, "port": port, "proxied": proxied}
        file.write_text(configuration(file.name, values))
        _furnish(directory)
        with running("Dovecot", [binary, "-F", "-c", file], log, port=port):
            yield Dovecot(port, proxied, Mailboxes(directory / "mail"), log)


def _furnish(directory: Path) -> None:
    owner = pwd.getpwnam(_USER)
    users = ""
    for name, options in {"alice": "", "bob": "", "full": "userdb_quota_rule=*:bytes=1"}.items():
        home = directory / "mail" / name
        home.mkdir(parents=True)
        shutil.chown(home, owner.pw_uid, owner.pw_gid)
        users += f"{name}:{{PLAIN}}secret:{owner.pw_uid}:{owner.pw_gid}::{home}::{options}\n"
    (directory / "users").write_text(users)

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

_PACKAGES = [Path("/usr/lib/dovecot") / name for name in ("lmtp", "imap")]
_USER = "mail"  # owner of the mailboxes; every Unix has it


@frozen
class Dovecot:
    """A running Dovecot: an LMTP server (RFC 2033) on *port* for alice, bob and full.

    It refuses other recipients after RCPT. It refuses full after the content: the mailbox is full.
    *proxied* expects a PROXY header first. Every client may use XCLIENT. *socket* is for LMTP, too.
    *imap* is the port of IMAP, for ida, who has a Maildir, and max, who has an mbox, "inbox".
    """

    port: int
    proxied: int
    imap: int
    socket: Path
    mailboxes: Mailboxes
    log: Path


@contextlib.contextmanager
def started() -> Iterator[Dovecot]:
    """Run Dovecot while the block runs."""
    binary = find_program("dovecot")
    require_root("Dovecot")
    if not all(it.exists() for it in _PACKAGES):
        skip_missing("Dovecot's LMTP or IMAP server")
    with shared_directory() as directory:
        port, proxied, imap = free_ports(3)
        file, log = directory / "dovecot.conf", directory / "log"
        values = {"directory": directory, "port": port, "proxied": proxied, "imap": imap}
        file.write_text(configuration(file.name, values))
        _write_files(directory)
        with running("Dovecot", [binary, "-F", "-c", file], log, port=port):
            socket, mailboxes = directory / "run/lmtp", Mailboxes(directory / "mail")
            yield Dovecot(port, proxied, imap, socket, mailboxes, log)


def give_to_users(home: Path) -> None:
    """Let Dovecot read and write all in *home*, which root has written."""
    for path in (home, *home.rglob("*")):
        shutil.chown(path, _USER, pwd.getpwnam(_USER).pw_gid)


def _write_files(directory: Path) -> None:
    owner = pwd.getpwnam(_USER)
    users = ""
    options_of = {
        "alice": "",
        "bob": "",
        "full": "userdb_quota_rule=*:bytes=1",
        "ida": "",
        "max": "userdb_mail=mbox:~/folders:INBOX=~/inbox",
    }
    for name, options in options_of.items():
        home = directory / "mail" / name
        home.mkdir(parents=True)
        if name == "max":
            (home / "inbox").touch(0o600)
        give_to_users(home)
        users += f"{name}:{{PLAIN}}secret:{owner.pw_uid}:{owner.pw_gid}::{home}::{options}\n"
    (directory / "users").write_text(users)

"""OpenSMTPD in the foreground, with its own configuration, queue and log."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

from tests.interop.mailboxes import Mailboxes
from tests.interop.programs import (
    configuration,
    find_program,
    free_ports,
    require_mounts,
    require_root,
    require_user,
    running,
    shared_directory,
)

# The paths of its programs, its queue and its socket are compiled in. So it runs in a mount
# namespace of its own, where they are temporary. It starts itself again, as a user who may not be
# able to read the installed file.
_START = """
for directory in /run /usr/libexec /var/spool /var/lib; do mount -t tmpfs tmpfs $directory; done
mkdir -p /usr/libexec/opensmtpd /var/lib/opensmtpd/empty
mkdir -m 711 /var/spool/smtpd
cp "$1"/programs/* /usr/libexec/opensmtpd
exec /usr/libexec/opensmtpd/smtpd -d -f "$1"/smtpd.conf
"""


@frozen
class OpenSMTPD:
    """A running OpenSMTPD: a server on *port* with the mailboxes alice and bob of box.test.

    It relays all other mail to *next_hop*, a port on which a test may listen.
    """

    port: int
    next_hop: int
    mailboxes: Mailboxes
    log: Path


@contextlib.contextmanager
def started() -> Iterator[OpenSMTPD]:
    """Run OpenSMTPD while the block runs."""
    binary = Path(find_program("opensmtpd/smtpd"))
    require_root("OpenSMTPD")
    require_mounts()
    for user in ("opensmtpd", "opensmtpq"):
        require_user(user)
    with shared_directory() as directory:
        shutil.copytree(binary.parent, directory / "programs")
        (directory / "mail").mkdir()
        shutil.chown(directory / "mail", "mail", "mail")
        port, next_hop = free_ports(2)
        values = {"directory": directory, "port": port, "nexthop": next_hop}
        (directory / "smtpd.conf").write_text(configuration("smtpd.conf", values))
        command: list[str | Path] = ["unshare", "--mount", "sh", "-euc", _START, "sh", directory]
        log = directory / "log"
        with running("OpenSMTPD", command, log, port=port):
            yield OpenSMTPD(port, next_hop, Mailboxes(directory / "mail"), log)

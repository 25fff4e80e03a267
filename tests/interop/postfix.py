"""Postfix in the foreground, with its own configuration, queue and log."""

from __future__ import annotations

import contextlib
import pwd
import re
import shutil
import socket
import socketserver
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

from tests.interop.mailboxes import Mailboxes
from tests.interop.programs import (
    Certificate,
    configuration,
    find_program,
    free_ports,
    require_mounts,
    require_root,
    running,
    shared_directory,
)
from tests.interop.recording_server import in_thread

_ROUTE = re.compile(rb".*@([0-9]+)[.](?:(smtp|tls|lmtp)[.]test|([a-z.]+))", re.DOTALL)
# Postfix cannot be told another file, so it runs in a mount namespace of its own.
_WITH_RESOLVER = 'mount --bind "$1" /etc/resolv.conf; shift; exec "$@"'
_TRANSPORTS = {
    b"smtp": b"smtp:[127.0.0.1]:",
    b"tls": b"verified:[127.0.0.1]:",
    b"lmtp": b"lmtp:inet:127.0.0.1:",
}


@frozen
class Postfix:
    """A running Postfix: a server on *port* with the mailboxes alice, bob and jürgen of box.test.

    It relays mail for ``<port>.smtp.test``, ``<port>.tls.test`` and ``<port>.lmtp.test`` to that
    port; for ``<port>.<domain>`` to that port of the hosts of the domain, as DANE demands. On
    *trusting* every client may use XCLIENT and XFORWARD; *proxied* expects a PROXY header first;
    *submission* requires a login, which Dovecot checks.
    """

    port: int
    submission: int
    trusting: int
    proxied: int
    mailboxes: Mailboxes
    log: Path

    def run_queue(self) -> None:
        """Retry all messages of the queue now.

        An ordinary queue run would skip, for a minute, a message that is just being delivered.
        """
        with socket.socket(socket.AF_UNIX) as trigger:
            trigger.connect(str(self.log.parent / "queue/public/qmgr"))
            trigger.sendall(b"FADI")  # all messages, whatever their time: qmgr(8), "TRIGGERS"


@contextlib.contextmanager
def started(certificate: Certificate, sasl: Path, resolver: str | None = None) -> Iterator[Postfix]:
    """Run Postfix while the block runs. *sasl* is the socket on which Dovecot checks logins.

    *resolver* is the address of its resolver; None: that of the system.
    """
    command = find_program("postfix")
    require_root("Postfix")
    with shared_directory() as directory, _routes() as routes:
        names = ("port", "submission", "trusting", "proxied")
        ports = dict(zip(names, free_ports(len(names)), strict=True))
        files = {"chain": certificate.chain, "ca": certificate.ca, "sasl": sasl}
        _write_files(directory, {**ports, **files, "routes": routes})
        log, pid_file = directory / "log", directory / "queue/pid/master.pid"
        start: list[str | Path] = [command, "-c", directory / "etc", "start-fg"]
        if resolver is not None:
            require_mounts()
            (directory / "resolv.conf").write_text(f"nameserver {resolver}\n")
            own = ["unshare", "--mount", "sh", "-euc", _WITH_RESOLVER, "sh"]
            start = [*own, directory / "resolv.conf", *start]
        with running("Postfix", start, log, port=ports["port"], pid_file=pid_file):
            yield Postfix(**ports, mailboxes=Mailboxes(directory / "mail"), log=log)


def _write_files(directory: Path, values: dict[str, object]) -> None:
    user = pwd.getpwnam("postfix")
    for name in ("etc", "queue", "data", "mail"):
        (directory / name).mkdir()
    for name in ("data", "mail"):
        shutil.chown(directory / name, user.pw_uid, user.pw_gid)
    values |= {"directory": directory, "uid": user.pw_uid, "gid": user.pw_gid}
    for name in ("main.cf", "master.cf"):
        (directory / "etc" / name).write_text(configuration(name, values))


@contextlib.contextmanager
def _routes() -> Iterator[int]:
    """Run a socketmap server that derives the next hop from an address. Tables in files cannot."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Routes) as server, in_thread(server):
        yield server.server_address[1]


class _Routes(socketserver.StreamRequestHandler):
    """Replies "OK smtp:[127.0.0.1]:25" to "transport bob@25.smtp.test", in netstrings."""

    def handle(self) -> None:
        while length := self._length():
            key = self.rfile.read(length + 1)[:-1]
            reply = b"NOTFOUND "
            if (route := _ROUTE.fullmatch(key)) is not None:
                hosts = _TRANSPORTS.get(route[2]) or b"dane:" + route[3] + b":"
                reply = b"OK " + hosts + route[1]
            self.wfile.write(b"%d:%s," % (len(reply), reply))

    def _length(self) -> int:
        """Read the digits before the colon. Return 0 at the end of the connection."""
        digits = b""
        while (octet := self.rfile.read(1)).isdigit():
            digits += octet
        return int(digits or b"0")

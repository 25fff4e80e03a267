"""Postfix, started in the foreground with a configuration, queue and log of its own."""

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
    free_ports,
    program,
    require_root,
    running,
    workplace,
)
from tests.interop.raw import in_thread

_ROUTE = re.compile(rb".*@([0-9]+)[.](smtp|tls|lmtp)[.]test", re.DOTALL)
_TRANSPORTS = {
    b"smtp": b"smtp:[127.0.0.1]:",
    b"tls": b"verified:[127.0.0.1]:",
    b"lmtp": b"lmtp:inet:127.0.0.1:",
}


@frozen
class Postfix:
    """A Postfix that runs: a server with the mailboxes alice, bob and jürgen of box.test, and a
    client for ``<port>.smtp.test``, ``<port>.tls.test`` and ``<port>.lmtp.test``.

    On *trusting* everybody may use XCLIENT and XFORWARD; *proxied* wants a PROXY header first;
    *submission* wants a login, about which Dovecot is asked.
    """

    port: int
    submission: int
    trusting: int
    proxied: int
    mailboxes: Mailboxes
    log: Path

    def run_queue(self) -> None:
        """Try again all that waits. A message that a run of its own meets while it is still being
        delivered, Postfix would leave alone for a minute."""
        with socket.socket(socket.AF_UNIX) as trigger:
            trigger.connect(str(self.log.parent / "queue/public/qmgr"))
            trigger.sendall(b"FADI")  # all, whatever its time: qmgr(8), "TRIGGERS"


@contextlib.contextmanager
def started(certificate: Certificate, sasl: Path) -> Iterator[Postfix]:
    """Run it; *sasl* is the socket where Dovecot tells about logins."""
    command = program("postfix")
    require_root("Postfix")
    with workplace() as directory, _routes() as routes:
        names = ("port", "submission", "trusting", "proxied")
        ports = dict(zip(names, free_ports(len(names)), strict=True))
        files = {"chain": certificate.chain, "ca": certificate.ca, "sasl": sasl}
        _furnish(directory, {**ports, **files, "routes": routes})
        log, pid_file = directory / "log", directory / "queue/pid/master.pid"
        start: list[str | Path] = [command, "-c", directory / "etc", "start-fg"]
        with running("Postfix", start, log, port=ports["port"], pid_file=pid_file):
            yield Postfix(**ports, mailboxes=Mailboxes(directory / "mail"), log=log)


def _furnish(directory: Path, values: dict[str, object]) -> None:
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
    """A socketmap that reads the next hop out of an address: no table of files may do so."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Routes) as server, in_thread(server):
        yield server.server_address[1]


class _Routes(socketserver.StreamRequestHandler):
    """Netstrings: "transport bob@25.smtp.test" is answered "OK smtp:[127.0.0.1]:25"."""

    def handle(self) -> None:
        while length := self._length():
            key = self.rfile.read(length + 1)[:-1]
            answer = b"NOTFOUND "
            if (route := _ROUTE.fullmatch(key)) is not None:
                answer = b"OK " + _TRANSPORTS[route[2]] + route[1]
            self.wfile.write(b"%d:%s," % (len(answer), answer))

    def _length(self) -> int:
        """The digits before the colon; 0 at the end."""
        digits = b""
        while (octet := self.rfile.read(1)).isdigit():
            digits += octet
        return int(digits or b"0")

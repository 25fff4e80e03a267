"""``smtpproto probe``: what a mail server says on its ports, and what is wrong with it."""

from __future__ import annotations

import argparse
import socket

from ..adapters.blocking import Runtime
from ..adapters.blocking import run as run_blocking
from ..adapters.eyeballs import interleave
from ..client import TLSMode
from ..doctor import ProbeOptions, examine_server
from ..tls import TLSVerify
from .command_errors import UsageError
from .doctor_command import STATUSES
from .findings import report
from .options import add_json_option, address, host, port, read_ca

DESCRIPTION = f"""Connect to HOST, and tell what it says: greeting, extensions (EHLO), TLS and
certificate, logins and limits, each with its meaning and what to do. With --to it is asked whether
it would take a message. It logs in nowhere, and sends no mail. {STATUSES}"""

_ADDRESSES = 4  # of the host that are tried


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add = parser.add_argument
    add("host", metavar="HOST", type=host, help="the server: a name or an IP address")
    help_ = "port to probe; may be repeated (default: 25, 465 and 587)"
    add("--port", type=port, action="append", metavar="PORT", help=help_)
    help_ = (
        "implicit: TLS from the first octet; none: no TLS (default: implicit on 465, else STARTTLS)"
    )
    add("--tls", choices=["implicit", "none"], help=help_)
    add("--from", dest="sender", metavar="ADDRESS", help="sender of the dry run (default: <>)")
    help_ = "ask whether it would take a message for ADDRESS; may be repeated"
    add("--to", action="append", default=[], metavar="ADDRESS", help=help_)
    add("--ca", metavar="FILE", help="trust the CAs in this PEM file, instead of the system's")
    help_ = "name that the certificate must have (default: HOST)"
    add("--server-name", metavar="NAME", help=help_)
    add("--hello", metavar="NAME", help="name for EHLO (default: the IP address of this machine)")
    help_ = "IP address of this machine from which to connect"
    add("--source", type=address, metavar="ADDRESS", help=help_)
    help_ = "seconds to wait for each connection and reply (default: %(default)g)"
    add("--timeout", type=float, default=10.0, metavar="SECONDS", help=help_)
    add_json_option(parser)
    add("--strict", action="store_true", help="let warnings set the exit status, too")


def run(args: argparse.Namespace) -> int:
    """Probe a server. Return the exit status."""
    try:
        options = ProbeOptions(
            ports=args.port or (25, 465, 587),
            addresses=_addresses_of(args.host),
            tls=TLSMode(args.tls) if args.tls else None,
            verify=read_ca(args.ca) if args.ca else TLSVerify.by_name(),
            server_name=args.server_name,
            hello=args.hello,
            source=args.source,
            sender=args.sender,
            recipients=args.to,
            reply_seconds=args.timeout,
        )
    except ValueError as error:
        raise UsageError(f"{error}; check: --port, --from, --to, --hello, --timeout") from None
    return report(run_blocking(examine_server(args.host, Runtime(), options)), args)


def _addresses_of(name: str) -> list[str]:
    """Return the first few addresses of a host, of both families; none if it has none, so that the
    examination says so."""
    try:
        found = interleave(socket.getaddrinfo(name, None, type=socket.SOCK_STREAM))
    except OSError:
        return []
    return [str(info[4][0]).partition("%")[0] for info in found][:_ADDRESSES]

"""``smtpproto check``: what large receivers will say about a message at hand."""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import ExitStack

from ..adapters.blocking import run as run_blocking
from ..doctor import examine_message
from ..grammar.address import Mailbox
from ..policy import SPFRequest
from .command_errors import CommandError, UsageError, reading
from .doctor_command import STATUSES, add_report_options, keys, resolver_of
from .findings import report
from .options import address

DESCRIPTION = f"""Examine a message: each DKIM signature, SPF, whether they are aligned with the
From field (DMARC), the hosts on its way, what others have found, and what large receivers will say.
{STATUSES}"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add = parser.add_argument
    add("file", nargs="?", metavar="MESSAGE", help="the message (default or -: standard input)")
    help_ = "IP address of the host that sends the message (default: as its Received field says)"
    add("--client", type=address, metavar="ADDRESS", help=help_)
    add("--hello", default="", metavar="NAME", help="name in the EHLO of that host")
    help_ = 'envelope sender; "" for <> (default: as its Return-Path field says)'
    add("--sender", metavar="ADDRESS", help=help_)
    add_report_options(parser)


def run(args: argparse.Namespace) -> int:
    """Examine a message. Return the exit status."""
    reader = keys()
    if reader is None:
        raise CommandError('signatures need cryptography: pip install "smtpproto-sansio[auth]"')
    now = time.time()
    request, resolver = _request(args, now), resolver_of(args.resolver)
    with ExitStack() as stack:
        if args.file in (None, "-"):
            source = sys.stdin.buffer
        else:
            with reading(args.file, "MESSAGE"):
                source = stack.enter_context(open(args.file, "rb"))
        examined = examine_message(source, resolver, reader, now=now, request=request)
        return report(run_blocking(examined), args)


def _request(args: argparse.Namespace, now: float) -> SPFRequest | None:
    if args.client is None:
        if args.sender is not None or args.hello:
            raise UsageError("--sender and --hello need --client, the address of the host")
        return None
    if args.sender is None:
        raise UsageError('--client needs --sender, the envelope sender ("" for <>)')
    sender = Mailbox.parse(args.sender) if args.sender else None
    return SPFRequest(client=args.client, helo=args.hello, sender=sender, now=now)

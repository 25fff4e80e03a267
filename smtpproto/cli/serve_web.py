"""``smtpproto serve --web``: a page about the mail that arrives."""

from __future__ import annotations

import argparse

from ..server.config import ServerOptions
from ..testing.catch_all import CatchAll
from ..testing.catch_all.kept_mail import KEEP, OCTETS
from .command_errors import UsageError, listening
from .mail_view import MailView, how_to_show, show_line
from .options import port

_PORT = 8025


def add_web_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the page."""
    add = parser.add_argument_group(
        "page", "The page is for browsers on this machine."
    ).add_argument
    help_ = f"show the mail on a page at this port of 127.0.0.1 (default: {_PORT})"
    add("--web", type=port, nargs="?", const=_PORT, metavar="PORT", help=help_)
    help_ = f"messages that the page keeps in memory (default: {KEEP})"
    add("--keep", type=_number, default=KEEP, metavar="N", help=help_)
    help_ = f"octets of messages that it keeps in memory (default: {OCTETS})"
    add("--keep-octets", type=_number, default=OCTETS, metavar="OCTETS", help=help_)


def serve_web(args: argparse.Namespace, number: int, where: str, options: ServerOptions) -> None:
    """Serve mail on the port *number*, and the page about it, until a signal stops both. *where*
    says in words where mail is taken."""
    if args.maildir is not None:
        raise UsageError("--web keeps mail in memory; omit --maildir")
    try:
        catch_all = CatchAll(
            args.host,
            number,
            web_port=args.web,
            keep=args.keep,
            octets=args.keep_octets,
            on_message=MailView(how_to_show(args, show_line)),
            **options,
        )
    except ValueError as error:
        raise UsageError(f"{error}; check: --keep-octets and --max-size") from None
    page = f"{where}, or on 127.0.0.1 port {args.web} for the page"
    with listening(page, "--host, --port and --web"):
        catch_all.serve_forever(_announce)


def _announce(catch_all: CatchAll) -> None:
    print(f"listening on {catch_all}", flush=True)
    print(f"the page is at {catch_all.url}", flush=True)


def _number(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"not a number from 1 on: {text!r}")
    return number

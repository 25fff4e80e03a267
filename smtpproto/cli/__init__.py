"""Ring 7: the command line, ``smtpproto`` or ``python -m smtpproto``."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from ..errors import SMTPError
from ..grammar.printable import printable
from .options import UsageError

# The module of each, with DESCRIPTION, add_options(parser) and run(args) -> status; and its help.
_COMMANDS = {
    "demo": (
        "demo",
        "watch a client and a server talk, and a mail agent work, explained line by line",
    ),
    "serve": ("serve", "receive mail, and print it or store it in a Maildir"),
    "send": ("send", "send a message from a file or standard input"),
    "password": ("password", "make a line for the users file of a server"),
    "mta": ("mta_command", "run a mail transfer agent: take mail, queue it, deliver it"),
    "queue": ("queue_command", "look into the queue of an MTA, and change what is in it"),
    "dkim-key": (
        "dkim_key_command",
        "make a key that signs mail by DKIM, and print the record to publish",
    ),
    "doctor": (
        "doctor_command",
        "find out what is wrong with the mail of a domain, and how to mend it",
    ),
    "explain": (
        "explain_command",
        "say in plain words what a reply of a mail server means, and what to try",
    ),
    "probe": (
        "probe_command",
        "find out what a mail server says on its ports, and what is wrong with it",
    ),
    "record": ("record", "record the sessions of a client and a server, as a proxy between them"),
    "check": ("check_command", "find out what large receivers will say about a message"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    An error is printed as one line on standard error, and its exit status is 2.
    """
    _escape_unencodable_output()
    words = sys.argv[1:] if arguments is None else arguments
    args = _parser(words).parse_args(words)
    try:
        return int(_module(args.command).run(args))
    except BrokenPipeError:  # the reader of our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at exit
        return 2
    except (SMTPError, UsageError, OSError) as error:
        print(f"smtpproto {args.command}: {printable(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130  # the status that a shell reports for SIGINT


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser of *words*. Only commands among them are imported and have options."""
    parser = argparse.ArgumentParser(
        prog="smtpproto",
        description="Send and receive mail over SMTP. To see it work, run: smtpproto demo",
        epilog="smtpproto COMMAND --help describes the options of a command.",
    )
    commands = parser.add_subparsers(
        title="commands", dest="command", required=True, metavar="COMMAND"
    )
    for name, (_, help_) in _COMMANDS.items():
        added = commands.add_parser(name, help=help_)
        if name in words:
            added.description = _module(name).DESCRIPTION
            _module(name).add_options(added)
    return parser


def _module(command: str) -> Any:
    return import_module(f".{_COMMANDS[command][0]}", __package__)


def _escape_unencodable_output() -> None:
    """Make a terminal without UTF-8 show ``j\\xf6rg`` instead of ending the program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")

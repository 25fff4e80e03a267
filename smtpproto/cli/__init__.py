"""Ring 7: the command line, ``smtpproto`` or ``python -m smtpproto``."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence

from ..errors import SMTPError
from ..grammar.printable import printable
from . import (
    check_command,
    demo,
    dkim_key_command,
    doctor_command,
    mta_command,
    password,
    queue_command,
    send,
    serve,
)
from .options import UsageError

# Each module has HELP, DESCRIPTION, add_options(parser), and run(args) -> exit status.
_COMMANDS = {
    "demo": demo,
    "serve": serve,
    "send": send,
    "password": password,
    "mta": mta_command,
    "queue": queue_command,
    "dkim-key": dkim_key_command,
    "doctor": doctor_command,
    "check": check_command,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    An error is printed as one line on standard error, and its exit status is 2.
    """
    _escape_unencodable_output()
    args = _parser().parse_args(arguments)
    try:
        return int(_COMMANDS[args.command].run(args))
    except BrokenPipeError:  # the reader of our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at exit
        return 2
    except (SMTPError, UsageError, OSError) as error:
        print(f"smtpproto {args.command}: {printable(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130  # the status that a shell reports for SIGINT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="smtpproto",
        description="Send and receive mail over SMTP. To see it work, run: smtpproto demo",
        epilog="smtpproto COMMAND --help describes the options of a command.",
    )
    commands = parser.add_subparsers(
        title="commands", dest="command", required=True, metavar="COMMAND"
    )
    for name, command in _COMMANDS.items():
        added = commands.add_parser(name, help=command.HELP, description=command.DESCRIPTION)
        command.add_options(added)
    return parser


def _escape_unencodable_output() -> None:
    """Make a terminal without UTF-8 show ``j\\xf6rg`` instead of ending the program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")

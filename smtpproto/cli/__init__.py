"""Ring 7: the command line, ``smtpproto`` or ``python -m smtpproto``."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Any, NoReturn

from ..delivery import ExitStatus
from .command_errors import (
    MEANINGS,
    UsageError,
    causes_of,
    status_of,
    text_of,
    traceback_of,
    values_of,
)
from .terminal import is_terminal, print_json, print_json_line

# The module of each, with DESCRIPTION, add_options(parser) and run(args) -> status; and its help.
COMMANDS = {
    "demo": (
        "demo",
        "watch a client and a server talk, and a mail agent work, explained line by line",
    ),
    "serve": ("serve", "receive mail, and print it, show it on a page or store it in a Maildir"),
    "send": ("send", "send a message from a file or standard input, or compose one"),
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
    "completion": ("completion_command", "print a script that completes commands in your shell"),
}

_DESCRIPTION = "Send and receive mail over SMTP. To see it work, run: smtpproto demo"
_EPILOG = """smtpproto COMMAND --help describes the options of a command.

exit status, by sysexits.h:
{statuses}

environment:
  NO_COLOR     print no colours
  FORCE_COLOR  print colours, even into a pipe"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    An error is one line on standard error; with ``--json`` that line is JSON. On a terminal its
    likely causes follow.
    """
    _escape_unencodable_output()
    words = sys.argv[1:] if arguments is None else arguments
    command, as_json = next((word for word in words if word in COMMANDS), ""), "--json" in words
    try:
        args = make_parser([command], as_json=as_json).parse_args(words)
        return int(command_module(args.command).run(args))
    except BrokenPipeError:  # the reader of our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at exit
        return ExitStatus.IOERR
    except KeyboardInterrupt as error:
        return status_of(error)
    except Exception as error:  # each has an exit status
        _report(error, command, as_json=as_json)
        return status_of(error)


def _report(error: Exception, command: str, *, as_json: bool) -> None:
    if as_json:
        print_json_line(values_of(error, command), sys.stderr)
        return
    print(traceback_of(error), end="", file=sys.stderr)
    print(f"{f'smtpproto {command}'.rstrip()}: {text_of(error)}", file=sys.stderr)
    if is_terminal(sys.stderr):  # a log keeps one line
        for line in causes_of(error):
            print(line, file=sys.stderr)


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are those of all commands."""

    def error(self, message: str) -> NoReturn:
        """Raise UsageError."""
        raise UsageError(f"{message}; see: {self.prog} --help")


class _Version(argparse.Action):
    """Prints the versions, as JSON if its *const* is true, and exits."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        from .versions import version_lines, versions  # noqa: PLC0415 - slow to import

        if self.const:
            print_json(versions())
        else:
            print("\n".join(version_lines()))
        parser.exit()


def make_parser(names: Iterable[str], *, as_json: bool = False) -> argparse.ArgumentParser:
    """Return the parser. Only the commands *names* are imported and have options; *as_json* is for
    ``--version``."""
    parser = _Parser(
        prog="smtpproto",
        description=_DESCRIPTION,
        epilog=_EPILOG.format(statuses="\n".join(_status_lines())),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    help_ = "print the versions of the program, Python and the extras, and exit"
    parser.add_argument("--version", action=_Version, nargs=0, const=as_json, help=help_)
    commands = parser.add_subparsers(
        title="commands", dest="command", required=True, metavar="COMMAND"
    )
    for name, (_, help_) in COMMANDS.items():
        added = commands.add_parser(name, help=help_, allow_abbrev=False)
        if name in names:
            module = command_module(name)
            added.description = module.DESCRIPTION
            added.epilog = _EPILOG_OF_COMMAND
            module.add_options(added)
    return parser


_EPILOG_OF_COMMAND = "smtpproto --help lists the exit statuses."


def _status_lines() -> Iterable[str]:
    return (f"  {status:>3d}  {meaning}" for status, meaning in MEANINGS.items())


def command_module(command: str) -> Any:
    """Return the module of *command*."""
    return import_module(f".{COMMANDS[command][0]}", __package__)


def _escape_unencodable_output() -> None:
    """Make a terminal without UTF-8 show ``j\\xf6rg`` instead of ending the program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")

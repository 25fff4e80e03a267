"""Ring 6: the command line, ``smtpproto`` or ``python -m smtpproto``."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Protocol

from ..errors import SMTPError
from ..grammar.printable import printable
from . import demo, password, send, serve
from .options import UsageError


class _Command(Protocol):
    """What a module must have to be a command."""

    @property
    def HELP(self) -> str: ...  # noqa: N802 - a constant of the module

    @property
    def DESCRIPTION(self) -> str: ...  # noqa: N802

    def add_options(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, chosen: argparse.Namespace) -> int: ...


_COMMANDS: Mapping[str, _Command] = {
    "demo": demo,
    "serve": serve,
    "send": send,
    "password": password,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; give its exit status. Problems are one line on standard error, status 2."""
    _escape_what_cannot_be_encoded()
    chosen = _parser().parse_args(arguments)
    try:
        return _COMMANDS[chosen.command].run(chosen)
    except BrokenPipeError:  # whoever read our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at exit
        return 2
    except (SMTPError, UsageError, OSError) as error:
        print(f"smtpproto {chosen.command}: {printable(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130  # as a shell reports SIGINT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="smtpproto", description="SMTP for Python.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in _COMMANDS.items():
        added = commands.add_parser(name, help=command.HELP, description=command.DESCRIPTION)
        command.add_options(added)
    return parser


def _escape_what_cannot_be_encoded() -> None:
    """A terminal without UTF-8 shows an address as ``j\\xf6rg``, instead of ending the program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")

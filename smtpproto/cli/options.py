"""What the commands' options have in common."""

from __future__ import annotations

import argparse
import os
import sys

from ..grammar.secret import Secret
from ..ports import is_path
from ..sasl import Login


class UsageError(Exception):
    """Options that do not go together, or name what is not there."""


def port(text: str) -> int:
    """A port number, for argparse."""
    number = int(text) if text.isascii() and text.isdigit() else -1
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"not a port number: {text!r}")
    return number


def host(text: str) -> str:
    """A host or the path of a Unix socket, for argparse; no URL, whose password all would see."""
    if "://" in text:
        raise argparse.ArgumentTypeError("a host name, an address or a path; not a URL")
    return text


def port_of(chosen: argparse.Namespace, usual: int) -> int:
    """The port that the options name, else *usual*; 0 for a Unix socket."""
    if not is_path(chosen.host):
        return usual if chosen.port is None else int(chosen.port)
    if chosen.port:
        raise UsageError("--port is not for the path of a Unix socket")
    return 0


def add_login_options(parser: argparse.ArgumentParser, help_: str) -> None:
    """--login and where its password is; never the password, which ``ps`` would show to all."""
    parser.add_argument("--login", metavar="USER", help=help_)
    add_password_options(parser)


def add_password_options(parser: argparse.ArgumentParser) -> None:
    """Where a password is."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--password-env", metavar="NAME", help="the variable with the password")
    where.add_argument("--password-file", metavar="FILE", help="its first line is the password")


def read_login(chosen: argparse.Namespace) -> Login | None:
    """The login that the options describe; None without one."""
    place = chosen.password_env or chosen.password_file
    if chosen.login is None:
        if place is not None:
            raise UsageError("a password without a user: give --login too")
        return None
    password = read_password(chosen)
    if password is None:
        raise UsageError("--login needs --password-env or --password-file")
    if not chosen.login or not password:
        raise UsageError(f"user name and password cannot be empty; check: --login and {place}")
    return Login(chosen.login, Secret(password))


def read_password(chosen: argparse.Namespace) -> bytes | None:
    """The password, from where the options say; None if they do not."""
    if chosen.password_file:
        return _from_file(chosen.password_file)
    return _from_environment(chosen.password_env) if chosen.password_env else None


def _from_environment(name: str) -> bytes:
    if (value := os.environ.get(name)) is None:
        raise UsageError(f"environment variable {name} is not set")
    return os.fsencode(value)


def _from_file(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.readline(4096).rstrip(b"\r\n")


def trace(who: str, line: str) -> None:
    """Show a line of the dialogue on standard error; secrets in it are masked already."""
    print(f"{who}: {line}", file=sys.stderr, flush=True)

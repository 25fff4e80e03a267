"""Options that several commands share."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from ipaddress import ip_address
from typing import TYPE_CHECKING

from ..delivery import ExitStatus
from ..grammar.secret import Secret
from ..ports import is_path
from ..sasl import Login
from .command_errors import CommandError, UsageError, reading
from .terminal import dialogue_style, is_terminal, printer

if TYPE_CHECKING:
    from ..tls.verify import TLSVerify


def port(text: str) -> int:
    """Return a port number, for argparse."""
    number = int(text) if text.isascii() and text.isdigit() else -1
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"not a port number: {text!r}; use 0 to 65535")
    return number


def address(text: str) -> str:
    """Return an IP address, for argparse."""
    try:
        return str(ip_address(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"not an IP address: {text!r}") from None


def host(text: str) -> str:
    """Return a host or the path of a Unix socket, for argparse.

    A URL is refused: it may contain a password, and every user can read the command line.
    """
    if "://" in text:
        raise argparse.ArgumentTypeError(
            "use a host name, an IP address or the path of a Unix socket, not a URL"
        )
    return text


def port_of(args: argparse.Namespace, default: int) -> int:
    """Return the port that the options name, or *default*; 0 for a Unix socket."""
    if not is_path(args.host):
        return default if args.port is None else int(args.port)
    if args.port:
        raise UsageError("--host is the path of a Unix socket, which has no port; omit --port")
    return 0


def add_password_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where a password is.

    No option takes the password itself, because ``ps`` shows the command line to every user.
    """
    add = parser.add_mutually_exclusive_group().add_argument
    add("--password-env", metavar="NAME", help="environment variable that contains the password")
    add("--password-file", metavar="FILE", help="file whose first line is the password")


def read_login(args: argparse.Namespace, *, prompts: bool = False) -> Login | None:
    """Return the login that the options describe, or None without --login. With *prompts*, the
    password is asked for on a terminal if no option says where it is."""
    source = args.password_env or args.password_file
    if args.login is None:
        if source is not None:
            raise UsageError("a password needs a user; add --login USER")
        return None
    password = read_password(args)
    if password is None and prompts and is_terminal(sys.stderr):
        source = "the password that was entered"
        password = getpass.getpass(f"Password for {args.login}: ").encode()
    if password is None:
        raise UsageError("--login needs --password-env or --password-file")
    if not args.login or not password:
        raise UsageError(
            f"the user name and the password must not be empty; check: --login and {source}"
        )
    return Login(args.login, Secret(password))


def read_password(args: argparse.Namespace) -> bytes | None:
    """Return the password from the source that the options name, or None if they name none."""
    if args.password_file:
        with reading(args.password_file, "--password-file"), open(args.password_file, "rb") as file:
            return file.readline(4096).rstrip(b"\r\n")
    if not args.password_env:
        return None
    if (value := os.environ.get(args.password_env)) is None:
        raise UsageError(
            f"environment variable {args.password_env} is not set; check: --password-env"
        )
    return os.fsencode(value)


def add_json_option(parser: argparse.ArgumentParser, what: str = "print JSON") -> None:
    """Add ``--json``. An error is JSON as well then, on standard error."""
    parser.add_argument("--json", action="store_true", help=f"{what}, and errors as JSON")


def read_ca(path: str) -> TLSVerify:
    """Return what verifies a server by the CAs in the file at *path*, of ``--ca``."""
    from ..client.config import ClientConfig  # noqa: PLC0415 - loads ssl, as the next one does
    from ..tls.verify import TLSVerify  # noqa: PLC0415

    with reading(path, "--ca"), open(path, "rb"):
        pass
    verify = TLSVerify.by_ca(path)
    try:
        ClientConfig(verify=verify)  # which reads the file
    except ValueError as error:
        raise CommandError(f"{error}; check: --ca", ExitStatus.DATAERR) from None
    return verify


def trace(side: str, line: str) -> None:
    """Print a line of the dialogue on standard error. Secrets in it are already masked."""
    printer(sys.stderr).line((f"{side}: {line}", dialogue_style(side, line)))

"""``smtpproto password``: make a line for the file of a server's users."""

from __future__ import annotations

import argparse
import getpass
import secrets

from ..delivery import ExitStatus
from ..errors import GrammarError
from ..grammar.secret import Secret
from ..limits import SCRAM_DEFAULT_ITERATIONS, SCRAM_ITERATIONS
from ..sasl import ScramKeys, hash_password
from .command_errors import CommandError, UsageError
from .options import add_password_options, read_password

DESCRIPTION = """Print a line for the file of users that serve and mta read: the name, a colon, and
SCRAM keys or a scrypt hash. The password cannot be read from the line. The command asks for the
password unless an option says where it is."""

_SALT = 16  # octets


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    kinds = ["SCRAM-SHA-256", "SCRAM-SHA-1", "scrypt"]
    add = parser.add_argument
    add("user", metavar="USER", help="name of the user")
    add("--kind", choices=kinds, default=kinds[0], help="what to store (default: %(default)s)")
    help_ = f"for SCRAM keys (default: {SCRAM_DEFAULT_ITERATIONS})"
    add("--iterations", type=int, metavar="N", help=help_)
    add_password_options(parser)


def run(args: argparse.Namespace) -> int:
    """Print one line. Return 0."""
    least, most = SCRAM_ITERATIONS
    if args.iterations is None:
        args.iterations = SCRAM_DEFAULT_ITERATIONS
    elif args.kind == "scrypt":
        raise UsageError("--iterations applies to SCRAM only; omit it with --kind scrypt")
    elif not least <= args.iterations <= most:
        raise UsageError(f"--iterations must be {least} to {most}, not {args.iterations}")
    if ":" in args.user or not args.user.isprintable():
        raise UsageError(
            f"a user name must not contain a colon or control characters: {args.user!r}"
        )
    try:
        print(f"{args.user}:{_stored_form(_password(args), args)}")
    except GrammarError as error:
        raise CommandError(error.message, ExitStatus.DATAERR) from None
    return 0


def _password(args: argparse.Namespace) -> Secret:
    if (password := read_password(args)) is not None:
        return Secret(password)
    try:
        password = getpass.getpass(f"Password for {args.user}: ").encode()
        repeated = getpass.getpass("Repeat the password: ").encode()
    except EOFError:
        sources = "--password-env or --password-file (for example /dev/stdin)"
        text = f"no password was entered; use {sources}"
        raise CommandError(text, ExitStatus.NOINPUT) from None
    if repeated != password:
        raise CommandError("the two passwords differ; try again", ExitStatus.DATAERR)
    return Secret(password)


def _stored_form(password: Secret, args: argparse.Namespace) -> str:
    salt = secrets.token_bytes(_SALT)
    if args.kind == "scrypt":
        return hash_password(password, salt=salt)
    hash_name = args.kind.removeprefix("SCRAM-")
    keys = ScramKeys.derive(password, salt=salt, iterations=args.iterations, hash_name=hash_name)
    return str(keys)

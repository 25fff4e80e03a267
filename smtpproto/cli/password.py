"""``smtpproto password``: what a server keeps of a user's password."""

from __future__ import annotations

import argparse
import getpass
import secrets

from ..errors import GrammarError
from ..grammar.secret import Secret
from ..limits import SCRAM_ITERATIONS, SCRAM_USUAL
from ..sasl import ScramKeys, hash_password
from .options import UsageError, add_password_options, read_password

HELP = "print what a server keeps of a user's password"
DESCRIPTION = """Print a line for a file of users, as serve --users reads it: the user, a colon, and
keys of SCRAM, or a hash by scrypt, from which no password can be read. Asks for the password unless
an option says where it is."""

_SALT = 16  # octets


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    kinds = ["SCRAM-SHA-256", "SCRAM-SHA-1", "scrypt"]
    parser.add_argument("user", metavar="USER")
    parser.add_argument("--kind", choices=kinds, default=kinds[0], help="default: %(default)s")
    help_ = f"of SCRAM (default: {SCRAM_USUAL})"
    parser.add_argument("--iterations", type=int, metavar="N", help=help_)
    add_password_options(parser)


def run(chosen: argparse.Namespace) -> int:
    """Print one line."""
    least, most = SCRAM_ITERATIONS
    if chosen.iterations is None:
        chosen.iterations = SCRAM_USUAL
    elif chosen.kind == "scrypt":
        raise UsageError("--iterations is for the kinds of SCRAM")
    elif not least <= chosen.iterations <= most:
        raise UsageError(f"--iterations is {least} to {most}")
    if ":" in chosen.user or not chosen.user.isprintable():
        raise UsageError("a user of such a file has no colon in the name, and no controls")
    try:
        print(f"{chosen.user}:{_kept(_password(chosen), chosen)}")
    except GrammarError as error:
        raise UsageError(error.message) from None
    return 0


def _password(chosen: argparse.Namespace) -> Secret:
    if (password := read_password(chosen)) is not None:
        return Secret(password)
    try:
        password = getpass.getpass(f"Password of {chosen.user}: ").encode()
        again = getpass.getpass("Once more: ").encode()
    except EOFError:
        where = "--password-file (/dev/stdin will do) or --password-env"
        raise UsageError(f"nobody answers; check: {where}") from None
    if again != password:
        raise UsageError("that was another one")
    return Secret(password)


def _kept(password: Secret, chosen: argparse.Namespace) -> str:
    salt = secrets.token_bytes(_SALT)
    if chosen.kind == "scrypt":
        return hash_password(password, salt=salt)
    hash_name = chosen.kind.removeprefix("SCRAM-")
    return str(
        ScramKeys.derive(password, salt=salt, iterations=chosen.iterations, hash_name=hash_name)
    )

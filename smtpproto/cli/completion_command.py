"""``smtpproto completion``: a script that completes commands and options in a shell."""

from __future__ import annotations

import argparse

from .command_errors import CommandError

DESCRIPTION = """Print a script that completes the commands and options of smtpproto in a shell. It
needs no Python when it runs. For bash, write it into
~/.local/share/bash-completion/completions/smtpproto; for zsh, into a file _smtpproto in a directory
of $fpath; for fish, into ~/.config/fish/completions/smtpproto.fish."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="the shell")


def run(args: argparse.Namespace) -> int:
    """Print the script. Return 0."""
    from . import COMMANDS, make_parser  # noqa: PLC0415 - it imports this module

    try:
        import shtab  # noqa: PLC0415 - an extra
    except ImportError:
        install = 'pip install "smtpproto-sansio[cli]"'
        raise CommandError(f"completion needs shtab: {install}") from None
    print(shtab.complete(make_parser(COMMANDS), args.shell))
    return 0

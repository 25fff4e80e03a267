"""``smtpproto explain``: what a reply of a mail server means, who must act, and what to try."""

from __future__ import annotations

import argparse
import sys

from ..delivery import ExitStatus
from ..diagnosis import explain
from .command_errors import CommandError
from .options import add_json_option
from .terminal import print_json

DESCRIPTION = """Say in plain words what a reply of a mail server means, who must act, and what to
try. REPLY is a code (550), an enhanced code (5.7.26) or a whole reply, as it stands in a delivery
report or in a log of Postfix or Exim. No server is asked. The exit status is 65 if there is
no code in REPLY."""

_LONGEST = 1 << 20  # characters of standard input


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add = parser.add_argument
    add_json_option(parser)
    add("reply", nargs="*", metavar="REPLY", help="the reply (default or -: standard input)")


def run(args: argparse.Namespace) -> int:
    """Explain one reply. Return the exit status."""
    text = " ".join(args.reply)
    if text in ("", "-"):
        text = sys.stdin.read(_LONGEST)
    try:
        diagnosis = explain(text)
    except ValueError as error:
        raise CommandError(str(error), ExitStatus.DATAERR) from None
    if args.json:
        print_json(diagnosis.as_dict())
    else:
        print(diagnosis)
    return 0

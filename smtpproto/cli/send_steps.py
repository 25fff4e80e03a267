"""``smtpproto send`` one step at a time: ``--step-by-step`` and ``--quit-after``."""

from __future__ import annotations

import argparse
import sys

from ..adapters.blocking import check_server
from ..client.checking import ServerCheck
from ..client.config import ClientOptions, TLSMode
from .command_errors import UsageError
from .options import trace
from .terminal import print_json

_TLS_PORT = 465  # where TLS is implicit by default
_PROMPT = "Press Enter to send each command; Ctrl-C stops, and Ctrl-D sends the rest."


def add_step_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add = parser.add_argument
    help_ = "show the dialogue, and wait for Enter before each command is sent"
    add("--step-by-step", action="store_true", help=help_)
    help_ = (
        "connect, and quit after EHLO, STARTTLS or the login; no message is read or sent. smtpproto"
        " probe --to asks a server whether it would take a message"
    )
    add("--quit-after", choices=("hello", "tls", "login"), help=help_)


class StepTrace:
    """A trace that waits for Enter on standard input after each command, before it is sent. Pass
    :attr:`line` as the trace of a client that ignores PIPELINING."""

    def __init__(self, args: argparse.Namespace, *, composing: bool) -> None:
        """Raises UsageError if standard input is wanted for something else."""
        reads_message = args.file in (None, "-") and not composing
        if not args.quit_after and (reads_message or args.body == "-"):
            raise UsageError("--step-by-step reads Enter from standard input; name a FILE")
        self._waits = True
        print(_PROMPT, file=sys.stderr, flush=True)

    def line(self, side: str, text: str) -> None:
        """Print a line, and wait if it is a command."""
        trace(side, text)
        if side == "C" and self._waits and not text.startswith("["):  # content is part of a command
            self._waits = bool(sys.stdin.readline())


def quit_after(args: argparse.Namespace, port: int, options: ClientOptions) -> int:
    """Go no further than ``--quit-after`` says, and print what was learned. Return 0."""
    phase, implicit = args.quit_after, TLSMode.IMPLICIT.value
    if phase == "login" and options.get("login") is None:
        raise UsageError("--quit-after login needs --login USER, or a URL with a user")
    if phase != "login":
        options["login"] = None
    if args.tls != implicit and not (args.tls is None and port == _TLS_PORT):
        if phase == "hello":
            options["tls"] = TLSMode.NONE
        elif phase == "tls" and args.tls is None:
            options["tls"] = TLSMode.REQUIRED
    found = check_server(args.host, port, **options)
    if args.json:
        print_json(_values(found))
    else:
        print(found)
    return 0


def _values(found: ServerCheck) -> dict[str, object]:
    tls = found.tls
    return {
        "host": found.host,
        "port": found.port,
        "greeting": str(found.greeting),
        "extensions": dict(found.extensions.keywords),
        "tls": None
        if tls is None
        else {"version": tls.version, "cipher": tls.cipher, "verified": tls.verified},
        "mechanism": found.mechanism or None,
    }

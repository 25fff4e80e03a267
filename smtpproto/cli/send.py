"""``smtpproto send``: send a message from a file or standard input."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import BinaryIO, cast

from attrs import evolve

from ..adapters.blocking import connect
from ..client.config import ClientConfig, ClientOptions, TLSMode
from ..errors import (
    ConnectFailed,
    GrammarError,
    LocalProtocolError,
    SendRefused,
    SMTPError,
)
from ..grammar.address import ForwardPath
from ..grammar.envelope import Envelope
from ..grammar.reply import Reply
from ..mail.preparation import prepare
from ..outcome import Outcome
from ..tls.verify import TLSVerify
from .options import UsageError, add_login_options, host, port, port_of, read_login, trace

HELP = "send a message from a file or standard input"
DESCRIPTION = """Send a message from FILE or standard input, and print what became of it, a line for
each recipient. Exit status: 0 all accepted, 1 some refused or unknown, 2 anything else."""

_HEADER = 65536  # octets in which the header section is looked for
_IN_MEMORY = 1 << 20  # octets of standard input; beyond, a temporary file holds them


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add = parser.add_argument
    usual = "25, 587 with --login, 465 with --tls implicit"
    add(
        "--host",
        type=host,
        default="localhost",
        help="server, or its Unix socket's path (default: %(default)s)",
    )
    add("--port", type=port, help=f"its port (default: {usual})")
    add("--from", dest="sender", metavar="A", help="envelope sender (default: the header's)")
    add("--to", action="append", metavar="B", help="envelope recipient, repeatable (likewise)")
    add_login_options(parser, "user to log in as")
    modes = [mode.value for mode in TLSMode]
    rule = "implicit on 465, required on 587 and with --login, else opportunistic"
    add("--tls", choices=modes, help=f"when to use TLS (default: {rule})")
    _add_verify_options(parser)
    add("--hello", metavar="NAME", help="own name, for EHLO (default: the local address)")
    add("--trace", action="store_true", help="show the dialogue on standard error")
    add("file", nargs="?", metavar="FILE", help="the message (default: standard input)")


def _add_verify_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_mutually_exclusive_group().add_argument
    add("--ca", metavar="FILE", help="trust the CAs in this PEM file, instead of the system's")
    add("--fingerprint", action="append", metavar="HEX", help="or just this certificate: SHA-256")
    rule = "name, but none if TLS is opportunistic without --login"
    add("--verify", choices=["name", "none"], help=f"how to verify the server (default: {rule})")
    parser.add_argument("--server-name", metavar="NAME", help="name to verify (default: --host)")


def run(chosen: argparse.Namespace) -> int:
    """Send one message."""
    options: ClientOptions = {
        "hello": chosen.hello,
        "login": read_login(chosen),
        "tls": chosen.tls and TLSMode(chosen.tls),
        "verify": _verification(chosen),
        "server_name": chosen.server_name,
        "trace": trace if chosen.trace else None,
    }
    to_port = port_of(chosen, _usual_port(chosen))
    with _message(chosen.file) as file:
        try:
            envelope = _envelope(file, chosen.sender, chosen.to)
            with connect(chosen.host, to_port, **options) as client:
                return _report(client.send(file, envelope))
        except SendRefused as error:
            return _report(error.outcome)
        except SMTPError as error:
            raise _explained(error, chosen.host, to_port) from None


def _usual_port(chosen: argparse.Namespace) -> int:
    if chosen.tls == TLSMode.IMPLICIT.value:
        return 465
    return 25 if chosen.login is None else 587


@contextmanager
def _message(path: str | None) -> Iterator[BinaryIO]:
    """The message as a file that can be read twice: for what MAIL must say first, and to send."""
    with ExitStack() as stack:
        source = sys.stdin.buffer if path is None else stack.enter_context(open(path, "rb"))
        if source.seekable():
            yield source
            return
        file = stack.enter_context(tempfile.SpooledTemporaryFile(_IN_MEMORY))
        shutil.copyfileobj(source, file)
        file.seek(0)
        yield cast(BinaryIO, file)


def _envelope(file: BinaryIO, sender: str | None, recipients: list[str] | None) -> Envelope:
    """The envelope of the options; what they do not say is the header's to say."""
    if sender is not None and recipients:
        return Envelope(sender, recipients)
    start = file.tell()
    _, envelope = prepare(file.read(_HEADER))
    file.seek(start)
    if sender is not None:
        return Envelope(sender, envelope.recipients)
    return evolve(envelope, recipients=recipients) if recipients else envelope


def _verification(chosen: argparse.Namespace) -> TLSVerify | None:
    try:
        if chosen.ca:
            return ClientConfig(verify=TLSVerify.by_ca(chosen.ca)).verify  # which reads the file
        if chosen.fingerprint:
            return TLSVerify.by_fingerprint(*chosen.fingerprint)
    except ValueError as error:
        raise UsageError(str(error)) from None
    return chosen.verify and TLSVerify.named(chosen.verify)


def _report(outcome: Outcome) -> int:
    """Print what became of each recipient."""
    _print("accepted", outcome.accepted)
    _print("refused", outcome.refused)
    _print("unknown", outcome.unknown)
    return 1 if outcome.refused or outcome.unknown else 0


def _print(fate: str, replies: Mapping[ForwardPath, Reply]) -> None:
    lost = "; then the connection was lost: sending it again may deliver it twice"
    for recipient, reply in replies.items():
        print(f"{fate:8}  {recipient}  {reply}{lost if fate == 'unknown' else ''}")


def _explained(error: SMTPError, host: str, to_port: int) -> Exception:
    """*error*, saying what to check in terms of the options if it does not say what to check."""
    match error:
        case LocalProtocolError() if error.phase == "login":
            error.check = "--tls"
        case ConnectFailed():
            asked = f"--host and --port: is there a server on {host}, port {to_port}?"
            error.check = f"{asked}; {error.check}" if error.check else asked
        case GrammarError():  # its text says where, not what to check
            return UsageError(f"{error}; check: --from, --to, --hello, or the message's header")
    return error

"""``smtpproto send``: send a message from a file or standard input."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from email.message import EmailMessage
from typing import BinaryIO, cast
from urllib.parse import unquote, urlsplit, urlunsplit

from attrs import evolve

from ..adapters.blocking import connect
from ..client.config import ClientOptions, TLSMode
from ..client.target import read_url
from ..delivery import ExitStatus
from ..errors import (
    ConnectFailed,
    GrammarError,
    LocalProtocolError,
    SendRefused,
    SMTPError,
    TLSFailed,
)
from ..grammar.envelope import Envelope
from ..mail.fault import Severity
from ..mail.header import header_fields
from ..mail.header_faults import faults_of_header
from ..mail.preparation import prepare, read_header
from ..tls.verify import TLSVerify
from .command_errors import CommandError, UsageError, reading
from .options import (
    add_json_option,
    add_password_options,
    host,
    port,
    port_of,
    read_ca,
    read_login,
    trace,
)
from .send_compose import add_compose_options, compose_from, composes
from .send_report import report, showing_progress
from .send_steps import StepTrace, add_step_options, quit_after

DESCRIPTION = """Send a message from FILE or standard input, or compose one, and print one line for
each recipient: accepted, refused or unknown. The exit status is 0 if all recipients are
accepted."""

_IN_MEMORY = 1 << 20  # octets of standard input; a temporary file holds more than that


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add = parser.add_argument
    help_ = "server, instead of --host, --port and --login: smtps://ann@mail.example.org"
    add("--url", metavar="URL", help=help_)
    help_ = "server: host name, IP address or path of a Unix socket (default: %(default)s)"
    add("--host", type=host, default="localhost", help=help_)
    help_ = "port of the server (default: 25, or 587 with --login, or 465 with --tls implicit)"
    add("--port", type=port, help=help_)
    help_ = "envelope sender (default: taken from the header)"
    add("--from", dest="sender", metavar="ADDRESS", help=help_)
    help_ = "envelope recipient; may be repeated (default: taken from the header)"
    add("--to", action="append", metavar="ADDRESS", help=help_)
    help_ = "log in as USER; asks for the password on a terminal"
    add("--login", metavar="USER", help=help_)
    add_password_options(parser)
    modes = [mode.value for mode in TLSMode]
    rule = "implicit on port 465, required on port 587 and with --login, else opportunistic"
    add("--tls", choices=modes, help=f"when to use TLS (default: {rule})")
    _add_verify_options(parser)
    help_ = "name of the client, for EHLO (default: its IP address)"
    add("--hello", metavar="NAME", help=help_)
    add("--trace", action="store_true", help="print the dialogue on standard error")
    add_step_options(parser)
    add_json_option(parser)
    add_compose_options(parser)
    add("file", nargs="?", metavar="FILE", help="the message (default or -: standard input)")


def _add_verify_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_mutually_exclusive_group().add_argument
    add("--ca", metavar="FILE", help="trust the CAs in this PEM file, instead of the system's")
    help_ = "trust only the certificate with this SHA-256 fingerprint; may be repeated"
    add("--fingerprint", action="append", metavar="HEX", help=help_)
    rule = "name, but none if TLS is opportunistic and there is no --login"
    help_ = f"what to verify in the server's certificate (default: {rule})"
    add("--verify", choices=["name", "none"], help=help_)
    help_ = "name that the certificate must have (default: --host)"
    parser.add_argument("--server-name", metavar="NAME", help=help_)


def run(args: argparse.Namespace) -> int:
    """Send one message. Return the exit status."""
    if args.url is not None:
        _take_url(args)
    options: ClientOptions = {
        "hello": args.hello,
        "login": read_login(args, prompts=True),
        "tls": args.tls and TLSMode(args.tls),
        "verify": _verification(args),
        "server_name": args.server_name,
        "trace": trace if args.trace else None,
    }
    if args.step_by_step:
        options["trace"] = StepTrace(args, composing=composes(args)).line
        options["ignore_extensions"] = "PIPELINING"
    server_port = port_of(args, _default_port(args))
    try:
        if args.quit_after is not None:
            return quit_after(args, server_port, options)
        return _send(args, server_port, options)
    except SMTPError as error:
        raise _with_options_to_check(error, args.host, server_port) from None


def _send(args: argparse.Namespace, server_port: int, options: ClientOptions) -> int:
    """Send the message, and print what became of each recipient. Return the exit status."""
    with ExitStack() as stack:
        message: EmailMessage | BinaryIO
        warnings: list[str] = []
        envelope = None
        if composes(args):
            message = compose_from(args)
        else:
            file = stack.enter_context(_message(args.file))
            envelope = _envelope(file, args.sender, args.to)
            warnings = _warnings(file, envelope)
            message = stack.enter_context(showing_progress(file))
        try:
            with connect(args.host, server_port, **options) as client:
                outcome = client.send(message, envelope)
        except SendRefused as error:
            outcome = error.outcome
    return report(outcome, warnings, as_json=args.json)


def _take_url(args: argparse.Namespace) -> None:
    """Set host, port, login and TLS as ``--url`` says."""
    if (args.host, args.port, args.login) != ("localhost", None, None):
        raise UsageError("--url names the server and the user; omit --host, --port and --login")
    given: str = args.url
    url = urlsplit(given)
    if url.password is not None:
        text = "a URL must not contain the password, which every user can read in the command line"
        raise UsageError(f"{text}; use --password-env or --password-file")
    where = urlunsplit(url._replace(netloc=url.netloc.rpartition("@")[2]))
    try:
        args.host, args.port, found = read_url(where)
    except GrammarError as error:
        raise UsageError(f"{error}; check: --url") from None
    if found.pop("lmtp", False) or found.keys() - {"tls"}:
        raise UsageError("--url is smtp://USER@HOST:PORT or smtps://..., without options")
    args.login = unquote(url.username) if url.username else None
    if args.login and url.port is None and url.scheme == "smtp":
        args.port = 587
    args.tls = args.tls or (TLSMode(mode).value if (mode := found.get("tls")) else None)


def _warnings(file: BinaryIO, envelope: Envelope) -> list[str]:
    """Return what receivers dislike about the header of a message. ``smtpproto check`` looks at all
    of it."""
    try:
        fields = header_fields(read_header(file))
    except GrammarError:
        return []
    faults = faults_of_header(fields, envelope, None)
    return [str(it) for it in faults if it.severity is Severity.WARNING]


def _default_port(args: argparse.Namespace) -> int:
    if args.tls == TLSMode.IMPLICIT.value:
        return 465
    return 25 if args.login is None else 587


@contextmanager
def _message(path: str | None) -> Iterator[BinaryIO]:
    """Open the message as a file that can be read twice: to prepare MAIL, and to send it."""
    with ExitStack() as stack:
        if path is None or path == "-":
            source = sys.stdin.buffer
        else:
            with reading(path, "FILE"):
                source = stack.enter_context(open(path, "rb"))
        if source.seekable():
            yield source
            return
        file = stack.enter_context(tempfile.SpooledTemporaryFile(_IN_MEMORY))
        shutil.copyfileobj(source, file)
        file.seek(0)
        yield cast(BinaryIO, file)


def _envelope(file: BinaryIO, sender: str | None, recipients: list[str] | None) -> Envelope:
    """Return the envelope that the options name, completed from the message's header."""
    try:
        if sender is not None and recipients:
            return Envelope(sender, recipients)
        envelope = _header_envelope(file)
        if sender is not None:
            return Envelope(sender, envelope.recipients)
        return evolve(envelope, recipients=recipients) if recipients else envelope
    except GrammarError as error:
        raise UsageError(f"{error}; check: --from and --to") from None


def _header_envelope(file: BinaryIO) -> Envelope:
    try:
        _, envelope = prepare(file)
    except GrammarError as error:
        text = f"{error}; check: the header of the message, or use --from and --to"
        raise CommandError(text, ExitStatus.DATAERR) from None
    return envelope


def _verification(args: argparse.Namespace) -> TLSVerify | None:
    if args.ca:
        return read_ca(args.ca)
    try:
        if args.fingerprint:
            return TLSVerify.by_fingerprint(*args.fingerprint)
    except ValueError as error:
        raise UsageError(str(error)) from None
    return args.verify and TLSVerify.named(args.verify)


def _with_options_to_check(error: SMTPError, host: str, server_port: int) -> Exception:
    """Return *error* with the options to check."""
    error.check = error.check.replace('tls="implicit"', "--tls implicit")
    match error:
        case LocalProtocolError() if error.phase == "login":
            error.check = "--tls"
        case ConnectFailed():
            options = f"--host {host} and --port {server_port}" if server_port else f"--host {host}"
            error.check = f"{options}; {error.check}" if error.check else options
        case TLSFailed(certificate_fault="untrusted"):
            error.check = "the CA in use; trust another with --ca or --fingerprint"
        case TLSFailed(certificate_fault="name"):
            error.check = "--host; pass --server-name if the certificate is for another name"
        case GrammarError():  # its text names the octet, not the option
            return UsageError(f"{error}; check: --hello, --host, and the header of the message")
    return error

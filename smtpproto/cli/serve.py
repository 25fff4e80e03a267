"""``smtpproto serve``: receive mail, and print it, show it on a page or store it in a Maildir."""

from __future__ import annotations

import argparse
import asyncio
import ssl

from ..adapters.asyncio import serve_forever
from ..adapters.maildir import MaildirFolder
from ..delivery import ExitStatus
from ..errors import GrammarError
from ..limits import Limits
from ..sasl import Authenticator, HashedPasswords, StoredKeys
from ..server.config import ServerOptions
from ..server.handler import Handler
from .command_errors import CommandError, UsageError, listening, reading, writing
from .handlers import Mailbox, ShowingHandler, SingleUser
from .mail_view import MailView, how_to_show, show_decoded
from .options import add_password_options, host, port, port_of, read_login, trace
from .serve_web import add_web_options, serve_web

_PORT = 2525

DESCRIPTION = """Receive mail for any recipient, and print it, show it on a page or store it in a
Maildir. The server never relays. It prints "listening on HOST port N" when it is ready. The first
SIGINT or SIGTERM stops it after the messages in progress; a second one stops it at once."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add = parser.add_argument
    help_ = "address to listen on, or path for a Unix socket (default: %(default)s)"
    add("--host", type=host, default="127.0.0.1", help=help_)
    add("--port", type=port, help=f"port; 0 finds a free one (default: {_PORT})")
    shown = parser.add_mutually_exclusive_group().add_argument
    help_ = "print the octets of messages, escaped, instead of what a person reads in them"
    shown("--raw", action="store_true", help=help_)
    help_ = "print what is known of each message as JSON on one line, and errors as JSON"
    shown("--json", action="store_true", help=help_)
    shown("--maildir", metavar="DIR", help="store messages in this Maildir, and print none")
    add_web_options(parser)
    help_ = "name of the server, for its greeting (default: %(default)s)"
    add("--hostname", default="localhost", metavar="NAME", help=help_)
    add("--certificate", metavar="PEM", help="file with a certificate chain; offers STARTTLS")
    help_ = "file with its private key (default: it is in the file of --certificate)"
    add("--key", metavar="PEM", help=help_)
    add("--implicit-tls", action="store_true", help="start TLS at once, without STARTTLS")
    add("--login", metavar="USER", help="accept mail only from USER, after a login over TLS")
    add_password_options(parser)
    help_ = "accept mail only from the users in this file; smtpproto password makes its lines"
    add("--users", metavar="FILE", help=help_)
    help_ = f"largest message (default: {Limits().message_size})"
    add("--max-size", type=_limits, default=Limits(), metavar="OCTETS", help=help_)
    add("--trace", action="store_true", help="print the dialogue on standard error")


def run(args: argparse.Namespace) -> int:
    """Serve until a signal stops the server. Return 0."""
    authenticator = _authenticator(args)
    options: ServerOptions = {
        "hostname": args.hostname,
        "context": _context(args),
        "implicit_tls": args.implicit_tls,
        "authenticator": authenticator,
        "require_auth": authenticator is not None,
        "limits": args.max_size,
        "trace": trace if args.trace else None,
    }
    if options["context"] is None and (authenticator is not None or args.implicit_tls):
        option = "--login" if args.login else "--users" if args.users else "--implicit-tls"
        raise UsageError(
            f"{option} requires TLS; add --certificate, and --key if the key is in another file"
        )
    number = port_of(args, _PORT)
    where = f"{args.host} port {number}" if number else args.host
    try:
        if args.web is not None:
            serve_web(args, number, where, options)
            return 0
        inbox = _inbox(args)
        with listening(where, "--host and --port"):
            asyncio.run(
                serve_forever(
                    inbox,
                    args.host,
                    number,
                    on_start=lambda server: print(f"listening on {server}", flush=True),
                    **options,
                )
            )
    except GrammarError as error:
        raise UsageError(f"--hostname: {error.message}") from None
    return 0


def _authenticator(args: argparse.Namespace) -> Authenticator | None:
    """Return the authenticator that the options describe, or None if no login is needed."""
    login = read_login(args)
    if not args.users:
        return None if login is None else SingleUser(login)
    if login is not None:
        raise UsageError("--login and --users exclude each other; use one of them")
    return read_users(args.users, "--users")


def read_users(path: str, check: str) -> Authenticator:
    """Return the authenticator for the users in the file at *path*. Raises CommandError, which says
    to *check* what named the file."""
    with reading(path, check), open(path, encoding="utf-8") as file:
        lines = [line.rstrip("\n").partition(":") for line in file if line.strip()]
    users = {name: stored for name, _, stored in lines}
    kinds = {stored.startswith("$") for stored in users.values()}  # scrypt hashes start with $
    if len(kinds) > 1:
        text = f"{path} mixes scrypt hashes and SCRAM keys; use one kind"
        raise CommandError(text, ExitStatus.DATAERR)
    try:
        return HashedPasswords(users) if True in kinds else StoredKeys(users)
    except GrammarError as error:
        text = f"{path}: {error.message}; smtpproto password makes lines"
        raise CommandError(text, ExitStatus.DATAERR) from None


def _inbox(args: argparse.Namespace) -> Handler:
    if args.maildir is None:
        return ShowingHandler(MailView(how_to_show(args, show_decoded)))
    with writing(args.maildir, "--maildir"):
        return Mailbox(MaildirFolder(args.maildir), args.hostname)


def _context(args: argparse.Namespace) -> ssl.SSLContext | None:
    if args.certificate is None:
        if args.key is not None:
            raise UsageError("--key needs --certificate; add --certificate PEM")
        return None
    return load_context(args.certificate, args.key, "--certificate and --key")


def load_context(certificate: str, key: str | None, check: str) -> ssl.SSLContext:
    """Return the context for a server with this certificate. Raises CommandError, which says to
    *check* what named the files."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key)
    except OSError as error:
        files = " and ".join(filter(None, [certificate, key]))
        said = getattr(error, "reason", None) or error.strerror
        status = ExitStatus.DATAERR if isinstance(error, ssl.SSLError) else ExitStatus.NOINPUT
        text = f"cannot load a certificate and its key from {files}: {said}; check: {check}"
        raise CommandError(text, status) from None
    return context


def _limits(text: str) -> Limits:
    try:
        return Limits(message_size=int(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None

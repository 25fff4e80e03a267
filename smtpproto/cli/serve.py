"""``smtpproto serve``: receive mail, into a Maildir or onto standard output."""

from __future__ import annotations

import argparse
import asyncio
import signal
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ..adapters.asyncio import serve
from ..errors import GrammarError
from ..limits import Limits
from ..sasl import Authenticator, HashedPasswords, StoredKeys
from ..server.config import ServerOptions
from .inbox import Inbox, OneUser, Printout, Store
from .maildir import Maildir
from .options import UsageError, add_login_options, host, port, port_of, read_login, trace

_PORT = 2525

HELP = "receive mail and print it, or store it in a Maildir"
DESCRIPTION = """Receive mail for any recipient and print it, or store it in a Maildir. Nothing is
relayed. Prints "listening on HOST port N" when it is ready. SIGINT or SIGTERM stops it, after the
messages in flight; a second one at once."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add = parser.add_argument
    where = "address to listen on, or a path for a Unix socket (default: %(default)s)"
    add("--host", type=host, default="127.0.0.1", help=where)
    add("--port", type=port, help=f"port, 0 for a free one (default: {_PORT})")
    add("--maildir", metavar="DIR", help="store messages here, instead of printing them")
    add("--hostname", default="localhost", metavar="NAME", help="own name, for the greeting")
    add("--certificate", metavar="PEM", help="certificate chain; STARTTLS is then offered")
    add("--key", metavar="PEM", help="its private key, if in a file of its own")
    add("--implicit-tls", action="store_true", help="TLS from the first octet, not STARTTLS")
    add_login_options(parser, "take mail only from USER, who must log in, over TLS")
    users = "take mail only from users of this file, which smtpproto password makes lines for"
    add("--users", metavar="FILE", help=users)
    add("--max-size", type=_limits, default=Limits(), metavar="OCTETS", help="largest message")
    add("--trace", action="store_true", help="show the dialogue on standard error")


def run(chosen: argparse.Namespace) -> int:
    """Serve until a signal says stop."""
    authenticator = _authenticator(chosen)
    options: ServerOptions = {
        "hostname": chosen.hostname,
        "context": _context(chosen),
        "implicit_tls": chosen.implicit_tls,
        "authenticator": authenticator,
        "require_auth": authenticator is not None,
        "limits": chosen.max_size,
        "trace": trace if chosen.trace else None,
    }
    if options["context"] is None and (authenticator is not None or chosen.implicit_tls):
        option = "--login" if chosen.login else "--users" if chosen.users else "--implicit-tls"
        raise UsageError(f"{option} needs TLS: give --certificate and --key")
    store = _store(chosen.maildir)
    asyncio.run(_serve(Inbox(store), chosen.host, port_of(chosen, _PORT), options))
    return 0


async def _serve(inbox: Inbox, host: str, port: int, options: ServerOptions) -> None:
    stopped = asyncio.Event()
    with _on_signal(stopped):
        async with serve(inbox, host, port, **options) as server:
            at_port = f" port {server.port}" if server.port else ""
            print(f"listening on {host}{at_port}", flush=True)
            await stopped.wait()


@contextmanager
def _on_signal(stopped: asyncio.Event) -> Iterator[None]:
    """Set *stopped* at the first SIGINT or SIGTERM; a second one ends the process.

    The loop's own handlers, for they wake it: a signal just before it waits would else be noticed
    when something else happens. Where it has none, Ctrl-C cancels, and that stops the server too.
    """
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop(number: int) -> None:
        loop.remove_signal_handler(number)
        stopped.set()

    with suppress(NotImplementedError):
        for number in before:
            loop.add_signal_handler(number, stop, number)
    try:
        yield
    finally:
        for number, handler in before.items():
            with suppress(NotImplementedError):
                loop.remove_signal_handler(number)
            signal.signal(number, handler)


def _authenticator(chosen: argparse.Namespace) -> Authenticator | None:
    """Who may log in; None without a login."""
    login = read_login(chosen)
    if not chosen.users:
        return None if login is None else OneUser(login)
    if login is not None:
        raise UsageError("--login or --users, not both")
    with open(chosen.users, encoding="utf-8") as file:
        lines = [line.rstrip("\n").partition(":") for line in file if line.strip()]
    users = {name: kept for name, _, kept in lines}
    kinds = {kept.startswith("$") for kept in users.values()}
    if len(kinds) > 1:
        raise UsageError(f"{chosen.users}: lines of scrypt or of SCRAM, not of both")
    try:
        return HashedPasswords(users) if True in kinds else StoredKeys(users)
    except GrammarError as error:
        raise UsageError(f"{chosen.users}: {error.message}") from None


def _store(maildir: str | None) -> Store:
    if maildir is None:
        return Printout
    directory = Maildir(maildir)
    return lambda _: directory.deliver()


def _context(chosen: argparse.Namespace) -> ssl.SSLContext | None:
    if chosen.certificate is None:
        if chosen.key is not None:
            raise UsageError("a key without a certificate: give --certificate too")
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(chosen.certificate, chosen.key)
    except OSError as error:
        files = " and ".join(filter(None, [chosen.certificate, chosen.key]))
        reason = getattr(error, "reason", None) or error.strerror
        raise UsageError(f"no certificate with its key in {files}: {reason}") from None
    return context


def _limits(text: str) -> Limits:
    try:
        return Limits(message_size=int(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None

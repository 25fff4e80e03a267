"""``smtpproto demo``: a server, a client and real sockets, explained line by line, and checked."""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import secrets
import ssl
import tempfile
import textwrap
from contextlib import ExitStack
from pathlib import Path

from ..adapters.asyncio import connect, serve
from ..client.config import TLSMode
from ..client.connection import Client
from ..grammar.address import ForwardPath
from ..grammar.parameters import RcptParameters
from ..grammar.reply import Reply
from ..sasl import Login
from ..server.handler import Session, Verdict
from .inbox import Inbox, OneUser
from .maildir import Maildir
from .options import UsageError
from .scenario import CLIENT, REFUSED, SERVER, USER, Letter, letters, sections
from .transcript import Transcript

HELP = "watch a client and a server talk, explained line by line"
DESCRIPTION = """Start a server on a free port of this machine, send it messages over TLS, show and
explain the dialogue, and check that what was stored is octet for octet what was sent. Exit status:
0 if so, 1 if not. Nothing leaves this machine."""

_HOST = "127.0.0.1"
_INTRO = """A client and a server, both from this library, talk over a real connection on this
machine, {host} port {port}. C: is what the client says, S: what the server says; what stands behind
a # is said by neither."""
_REMOVED = "removed again; --maildir DIR keeps them"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--maildir", metavar="DIR", help="keep the messages here (else removed)")


def run(chosen: argparse.Namespace) -> int:
    """Run the demonstration; 0 if all that it claims was seen to hold."""
    with ExitStack() as stack:
        if chosen.maildir is None:
            directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="smtpproto-"))
        else:
            directory = chosen.maildir
        good = asyncio.run(_Demo(Maildir(directory)).run())
    print(f"\nThe messages are {'kept in ' + directory if chosen.maildir else _REMOVED}.")
    verdict, what = "OK" if all(good) else "FAILED", f"{sum(good)} of {len(good)} messages"
    print(f"{verdict}: {what} arrived octet for octet as they were sent.")
    return 0 if all(good) else 1


class _Demo:
    """One run, and what it has seen."""

    def __init__(self, maildir: Maildir) -> None:
        self._maildir = maildir
        self._seen = self._stored()
        self._letters = letters()
        self._transcript = Transcript(sections(*self._letters))
        self._login = Login(USER, secrets.token_urlsafe(12))

    async def run(self) -> list[bool]:
        """Talk, then compare; which messages arrived as they should."""
        for_server, for_client = _contexts()
        inbox, authenticator = _Inbox(lambda _: self._maildir.deliver()), OneUser(self._login)
        async with serve(
            inbox, _HOST, hostname=SERVER, context=for_server, authenticator=authenticator
        ) as server:
            print(textwrap.fill(_INTRO.format(host=_HOST, port=server.port), 80))
            async with connect(
                _HOST,
                server.port,
                hello=CLIENT,
                login=self._login,
                tls=TLSMode.REQUIRED,
                context=for_client,
                trace=self._transcript.line,
            ) as client:
                checks = [await self._send(client, letter) for letter in self._letters]
        intro = "Each message, as the client was given it to be sent and as it was found in the "
        self._transcript.heading("The proof", intro + "server's Maildir: octets, and SHA-256.")
        return [check.show() for check in checks]

    async def _send(self, client: Client, letter: Letter) -> _Check:
        """Send one message, and look in the Maildir for what came of it."""
        outcome = await client.send(letter.content, letter.envelope)
        recipients = letter.envelope.recipients
        wanted = [path for path in recipients if str(path) != REFUSED]
        stored = self._stored() - self._seen
        self._seen |= stored
        return _Check(letter, stored, right_recipients=list(outcome.accepted) == wanted)

    def _stored(self) -> set[Path]:
        return set(self._maildir.new.iterdir())


class _Check:
    """What was sent, and what was found of it."""

    def __init__(self, letter: Letter, stored: set[Path], *, right_recipients: bool) -> None:
        self._letter = letter
        self._found = [path.read_bytes() for path in stored]
        self._right_recipients = right_recipients

    def show(self) -> bool:
        """Print the comparison; whether all is as it should be."""
        _print_digest(self._letter.title, "sent", self._letter.content)
        for octets in self._found:
            _print_digest("", "kept", octets)
        same = self._found == [self._letter.content]
        if not same:
            print(f"{'':5} NOT THE SAME: {len(self._found)} kept for 1 sent")
        if not self._right_recipients:
            print(f"{'':5} NOT THE RECIPIENTS that should be accepted")
        return same and self._right_recipients


def _print_digest(title: str, what: str, octets: bytes) -> None:
    print(f"{title:5} {what} {len(octets):3} {hashlib.sha256(octets).hexdigest()}")


class _Inbox(Inbox):
    """Knows everybody but one."""

    def rcpt(self, session: Session, recipient: ForwardPath, parameters: RcptParameters) -> Verdict:
        known = str(recipient) != REFUSED
        return None if known else Reply(550, "5.1.1", "No such mailbox here")


def _contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """TLS for the server, with a certificate made for this run, and for a client that trusts it."""
    try:
        import trustme  # noqa: PLC0415 - an extra: only the demonstration needs it
    except ImportError:
        install = "pip install 'smtpproto-sansio[cli]'"
        raise UsageError(f"the demonstration makes a certificate with trustme: {install}") from None
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts this authority and no other
    authority.issue_cert(_HOST).configure_cert(server)
    authority.configure_trust(client)
    return server, client

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
from ..grammar.address import ForwardPath
from ..grammar.parameters import RcptParameters
from ..grammar.reply import Reply
from ..sasl import Login
from ..session.client import Client
from ..session.handler import Session, Verdict
from ..session.options import TLSMode
from .inbox import LoginInbox
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
        kept = f"kept in {directory}" if chosen.maildir else "removed again (--maildir keeps them)"
        print(f"The messages are {kept}.")
    return 0 if good else 1


class _Demo:
    """One run, and what it has seen."""

    def __init__(self, maildir: Maildir) -> None:
        self._maildir = maildir
        self._seen = self._stored()
        self._letters = letters()
        self._transcript = Transcript(sections(*self._letters))
        self._login = Login(USER, secrets.token_urlsafe(12))

    async def run(self) -> bool:
        """Talk, then compare."""
        for_server, for_client = _contexts()
        inbox = _Inbox(lambda _: self._maildir.deliver(), self._login)
        async with serve(inbox, _HOST, hostname=SERVER, context=for_server) as server:
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
        return self._verdict(checks)

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

    def _verdict(self, checks: list[_Check]) -> bool:
        intro = "Each message as it was given to the client, and as the server stored it: "
        self._transcript.heading("The proof", intro + "octets and SHA-256.")
        good = [check.show() for check in checks]
        count = f"{sum(good)} of {len(good)} messages"
        print(f"\n{'OK' if all(good) else 'FAILED'}: {count} arrived octet for octet as sent.")
        return all(good)


class _Check:
    """What was sent, and what was found of it."""

    def __init__(self, letter: Letter, stored: set[Path], *, right_recipients: bool) -> None:
        self._letter = letter
        self._found = [path.read_bytes() for path in stored]
        self._right_recipients = right_recipients

    def show(self) -> bool:
        """Print the comparison; whether all is as it should be."""
        good = self._found == [self._letter.content] and self._right_recipients
        for octets in self._found:
            _print_digest(f"{self._letter.title}:", "sent", self._letter.content)
            _print_digest("", "stored", octets)
        if not good:
            print(f"  {self._letter.title}: NOT AS IT SHOULD BE")
        return good


def _print_digest(title: str, what: str, octets: bytes) -> None:
    print(f"{title:7} {what:6} {len(octets):5} {hashlib.sha256(octets).hexdigest()}")


class _Inbox(LoginInbox):
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

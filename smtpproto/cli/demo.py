"""``smtpproto demo``: a client and a server over real sockets, then a mail agent in a simulated
internet; explained and checked."""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import secrets
import ssl
import sys
import textwrap
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from ..adapters.asyncio import connect, serve
from ..adapters.maildir import MaildirFolder
from ..client.config import TLSMode
from ..client.connection import Client
from ..grammar.address import ForwardPath
from ..grammar.parameters import RcptParameters
from ..grammar.reply import Reply
from ..sasl import Login
from ..server.handler import Session, Verdict
from ..testing.certificates import client_context, server_context
from .command_errors import ANSWER_IS_NO, CommandError
from .commentary import Commentary, print_verdict
from .handlers import SingleUser, StoringHandler
from .mail_story import MailStory
from .scenario import CLIENT, REFUSED, SERVER, USER, DemoMessage, demo_messages, sections
from .terminal import Printer, printer

DESCRIPTION = """Start a server on a free port of this machine, send messages to it over TLS, print
the dialogue with notes, and check that each message is stored octet for octet as it was sent. Then
let a mail agent deliver a message in a simulated internet, print what happens, and check what
arrived. Nothing leaves this machine. The exit status is 1 if a check fails."""

_HOST = "127.0.0.1"
_INTRO = """A client and a server, both from this library, talk over a real connection on this
machine: {host}, port {port}. The client sends the lines after C: and the server those after S:.
Text after # is commentary."""
_CHECK_INTRO = """For each message: its size in octets and its SHA-256, as the client sent it and as
the server kept it in a Maildir."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    help_ = "store the messages in this Maildir and keep them (default: remove them)"
    parser.add_argument("--maildir", metavar="DIR", help=help_)
    help_ = "send one message, leave out the longer notes, and end before the mail agent"
    parser.add_argument("--short", action="store_true", help=help_)


def run(args: argparse.Namespace) -> int:
    """Run the demonstration. Return 0 if every message arrived as it should, else 1."""
    messages = demo_messages()[: 1 if args.short else None]
    out = printer(sys.stdout)
    commentary = Commentary(sections(messages), out, short=args.short)
    talked = _run_dialogue(args, commentary, messages, out)
    if args.short:
        print("\nFor the whole demonstration, run: smtpproto demo")
        return 0 if talked else ANSWER_IS_NO
    print("\n" + "=" * 80 + "\n")
    told = MailStory(commentary, out).tell()
    return 0 if talked and told else ANSWER_IS_NO


def _run_dialogue(
    args: argparse.Namespace, commentary: Commentary, messages: list[DemoMessage], out: Printer
) -> bool:
    """Run the client and the server. Return whether every message arrived as it should."""
    keep = args.maildir is not None
    with nullcontext(args.maildir) if keep else TemporaryDirectory(prefix="smtpproto-") as path:
        passed = asyncio.run(_Demo(MaildirFolder(path), commentary, messages).run())
    kept = f"kept in {args.maildir}" if keep else "removed; use --maildir DIR to keep them"
    print(f"\nThe messages are {kept}.")
    count = f"{sum(passed)} of {len(passed)} messages arrived octet for octet"
    print_verdict(out, f"{count} as they were sent.", passed=all(passed))
    return all(passed)


class _Demo:
    """One run of the client and the server."""

    def __init__(
        self, maildir: MaildirFolder, commentary: Commentary, messages: list[DemoMessage]
    ) -> None:
        self._maildir = maildir
        self._seen = self._stored()
        self._messages = messages
        self._commentary = commentary
        self._login = Login(USER, secrets.token_urlsafe(12))

    async def run(self) -> list[bool]:
        """Send the messages, then check each. Return which of them arrived as they should."""
        for_server, for_client = _contexts()
        inbox, authenticator = _Inbox(lambda _: self._maildir.begin()), SingleUser(self._login)
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
                trace=self._commentary.line,
            ) as client:
                checks = [await self._send(client, message) for message in self._messages]
        self._commentary.heading("Check", _CHECK_INTRO)
        return [check() for check in checks]

    async def _send(self, client: Client, message: DemoMessage) -> Callable[[], bool]:
        """Send one message, and return the check of what it became in the Maildir."""
        outcome = await client.send(message.content, message.envelope)
        expected = [path for path in message.envelope.recipients if str(path) != REFUSED]
        stored = self._stored() - self._seen
        self._seen |= stored
        found = [path.read_bytes() for path in stored]
        return partial(_check, message, found, right_recipients=list(outcome.accepted) == expected)

    def _stored(self) -> set[Path]:
        return set(self._maildir.new.iterdir())


def _check(message: DemoMessage, found: list[bytes], *, right_recipients: bool) -> bool:
    """Compare a message with what was stored, and print the result. Return whether it passes."""
    _print_digest(message.title, "sent", message.content)
    for octets in found:
        _print_digest("", "kept", octets)
    same = found == [message.content]
    if not same:
        print(f"{'':5} DIFFERENT: {len(found)} kept for 1 sent")
    if not right_recipients:
        print(f"{'':5} WRONG RECIPIENTS were accepted")
    return same and right_recipients


def _print_digest(title: str, label: str, octets: bytes) -> None:
    print(f"{title:5} {label} {len(octets):3} {hashlib.sha256(octets).hexdigest()}")


class _Inbox(StoringHandler):
    """Refuses one recipient and accepts all others."""

    def rcpt(self, session: Session, recipient: ForwardPath, parameters: RcptParameters) -> Verdict:
        known = str(recipient) != REFUSED
        return None if known else Reply(550, "5.1.1", "No such mailbox here")


def _contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return a TLS context for the server, whose certificate is made for this run, and one for a
    client that trusts it."""
    try:
        return server_context(), client_context()
    except ImportError:  # trustme is optional, because only the demonstration needs it
        install = "pip install 'smtpproto-sansio[cli]'"
        text = f"the demonstration needs trustme for a certificate; {install}"
        raise CommandError(text) from None

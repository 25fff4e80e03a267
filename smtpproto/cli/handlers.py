"""The handler, authenticator and printing sink of ``serve`` and ``demo``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from attrs import frozen

from ..adapters.maildir import MaildirFolder, NewMessage
from ..grammar.domain import to_ascii_host
from ..grammar.envelope import Envelope
from ..grammar.printable import printable
from ..grammar.secret import Secret
from ..mail.trace_fields import Received, return_path
from ..sasl import Authenticator, Login
from ..server.handler import Handler, Session, Sink

Store = Callable[[Envelope], Sink]
"""A function that returns the sink for one message."""


class StoringHandler(Handler):
    """Stores mail for any recipient, and never relays."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def data(self, session: Session, envelope: Envelope) -> Sink:
        return self._store(envelope)


class Mailbox(Handler):
    """Stores each message as final delivery does: after the fields Return-Path and Received (RFC
    5321 4.4). It writes in threads, so that the server does not wait for the disk."""

    def __init__(self, folder: MaildirFolder, hostname: str) -> None:
        self._folder = folder
        self._hostname = to_ascii_host(hostname)

    async def data(self, session: Session, envelope: Envelope) -> Sink:
        received = Received(
            hello=session.hello,
            peer=session.peer[0],
            by=self._hostname,
            when=datetime.now().astimezone(),
            extended=session.extended,
            lmtp=session.lmtp,
            secure=session.tls is not None,
            authenticated=session.user is not None,
            utf8=envelope.parameters.smtputf8,
            cipher="" if session.tls is None else session.tls.cipher,
            recipient=envelope.recipients[0] if len(envelope.recipients) == 1 else None,
        )
        sink = _ThreadedSink(await asyncio.to_thread(self._folder.begin))
        try:
            await sink.write(return_path(envelope.sender) + bytes(received))
        except BaseException:  # the server does not have the sink yet, and cannot abort it
            await sink.abort()
            raise
        return sink


@frozen
class _ThreadedSink:
    """Writes a message in threads of asyncio."""

    _sink: NewMessage

    async def write(self, data: bytes) -> None:
        await asyncio.to_thread(self._sink.write, data)

    async def commit(self) -> None:
        await asyncio.to_thread(self._sink.commit)

    async def abort(self) -> None:
        await asyncio.to_thread(self._sink.abort)


class SingleUser(Authenticator):
    """Accepts the password of one user."""

    def __init__(self, login: Login) -> None:
        self._login = login

    def check_password(self, username: str, password: Secret) -> bool:
        known = username == self._login.username
        return password == self._login.password and known


class MessagePrinter:
    """A sink that prints a complete message after its envelope."""

    def __init__(self, envelope: Envelope) -> None:
        self._envelope = envelope
        self._content = bytearray()  # bounded by the server's limit on message size

    def write(self, data: bytes) -> None:
        """Append a slice of content."""
        self._content += data

    def commit(self) -> None:
        """Print the envelope and the content."""
        content = bytes(self._content)
        sender = str(self._envelope.sender) or "<>"
        recipients = ", ".join(map(str, self._envelope.recipients))
        print(f"-------- from {sender}, to {recipients}: {len(content)} octets")
        for line in content.removesuffix(b"\r\n").split(b"\r\n"):
            print(escape_line(line))
        print("-------- end", flush=True)

    def abort(self) -> None:
        """Drop the content."""
        self._content.clear()


def escape_line(line: bytes) -> str:
    """Return a line of content as text that is safe on a terminal. Tabs stay as they are."""
    return "\t".join(map(printable, line.split(b"\t")))

"""The handlers and the authenticator of ``serve`` and ``demo``."""

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
from ..server.handler import Handler, MessageHook, Session, Sink
from ..testing.inbox import ReceivedMessage

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


class ShowingHandler(Handler):
    """Accepts every message, and shows it."""

    def __init__(self, show: Callable[[ReceivedMessage], object]) -> None:
        self._show = show

    def message(self, session: Session, envelope: Envelope, body: bytes) -> MessageHook:
        """Show the message."""
        self._show(ReceivedMessage(envelope, body, session))
        return None


def escape_line(line: bytes | str) -> str:
    """Return a line of content as text that is safe on a terminal. Tabs stay as they are."""
    text = line if isinstance(line, str) else line.decode("utf-8", "backslashreplace")
    return "\t".join(map(printable, text.split("\t")))

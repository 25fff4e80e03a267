"""A stand-in for aiosmtpd's Controller that runs our server."""

from __future__ import annotations

import contextlib
import os
from typing import Any

from aiosmtpd.smtp import Envelope as AiosmtpdEnvelope

from smtpproto import Envelope, Handler, Reply, Session
from tests.interop.our_server import serving
from tests.interop.suites.leniencies import WITHOUT_DOMAIN
from tests.interop.suites.replies import reply_of

ADAPTER = os.environ.get("SMTPPROTO_ADAPTER", "blocking")


class Pusher:
    """Keeps the reply that a hook sends by itself instead of returning it."""

    pushed = "250 OK"

    async def push(self, reply: str) -> None:
        """Send *reply* when the hook has ended."""
        self.pushed = reply


class HookCaller(Handler):
    """Passes each message to the ``handle_DATA`` of a handler of aiosmtpd."""

    def __init__(self, handler: Any) -> None:
        self._handler = handler

    def message(self, session: Session, envelope: Envelope, body: bytes) -> Reply:
        made = AiosmtpdEnvelope()
        made.content = body
        made.mail_from = str(envelope.sender.mailbox or "")
        made.rcpt_tos = [str(path).strip("<>") for path in envelope.recipients]
        server = Pusher()
        hook = self._handler.handle_DATA(server, session, made)
        try:
            hook.send(None)
        except StopIteration as stop:
            return reply_of(stop.value or server.pushed)
        raise AssertionError("handle_DATA of the suite suspended")


class Controller:
    """Takes the arguments of aiosmtpd's Controller that the suites pass."""

    def __init__(self, handler: Any, hostname: str, port: int) -> None:
        self.handler, self.hostname, self.port = handler, hostname, port
        self._running = contextlib.ExitStack()

    def start(self) -> None:
        """Serve until :meth:`stop`."""
        server = serving(
            ADAPTER, HookCaller(self.handler), self.hostname, self.port, leniencies=WITHOUT_DOMAIN
        )
        self._running.enter_context(server)

    def stop(self) -> None:
        """Stop the server, if it runs."""
        self._running.close()

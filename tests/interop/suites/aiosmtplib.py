"""A plugin of pytest that runs aiosmtplib's suite with our server in place of aiosmtpd's.

Where a test of the suite replaces what the server does for a command, to see what the client makes
of a faulty server, the replacement runs and our server never sees that command.
"""

from __future__ import annotations

import asyncio
import re
import types
from collections.abc import Awaitable, Callable
from typing import Any

import aiosmtpd.controller

from smtpproto import (
    Authenticator,
    ForwardPath,
    Limits,
    MailParameters,
    RcptParameters,
    Reply,
    ReversePath,
    Secret,
    Session,
)
from smtpproto.adapters.asyncio import Runtime, Stream
from smtpproto.server import Conversation, ServerConfig
from tests.interop.suites.controller import Controller, HookCaller
from tests.interop.suites.leniencies import WITHOUT_DOMAIN

VERBS = ("EHLO", "HELO", "MAIL", "RCPT", "DATA", "RSET", "NOOP", "QUIT", "VRFY", "EXPN", "HELP")
Replacement = Callable[..., Awaitable[None]]


class Callback(Authenticator):
    """Asks the callback of the suite."""

    def __init__(self, callback: Callable[[str, bytes, bytes], bool]) -> None:
        self._callback = callback

    async def check_password(self, username: str, password: Secret) -> bool:
        return self._callback("PLAIN", username.encode(), password.reveal())


class Words(HookCaller):
    """Replies in the words of aiosmtpd, which the suite compares."""

    def mail(self, session: Session, sender: ReversePath, parameters: MailParameters) -> Reply:
        return Reply(250, None, "OK")

    def rcpt(self, session: Session, recipient: ForwardPath, parameters: RcptParameters) -> Reply:
        return Reply(250, None, "OK")

    def help(self, session: Session, topic: str) -> Reply:
        return Reply(214, None, "Supported commands: EHLO HELO MAIL RCPT DATA RSET NOOP QUIT VRFY")


class SuiteServer(Stream):
    """One connection, with the attributes of aiosmtpd's SMTP that the suite uses or replaces."""

    _handle_client: Replacement | None = None

    def __init__(self, handler: Any, **options: Any) -> None:
        super().__init__()
        self.event_handler, self._options = handler, options
        self.loop = asyncio.get_running_loop()
        self.session = types.SimpleNamespace(host_name=None)
        self._handler_coroutine: asyncio.Task[None] | None = None
        self._encrypted = False  # by STARTTLS: then only the trace shows the commands
        self._reader = types.SimpleNamespace(readline=lambda: self.read(None))
        self._writer = types.SimpleNamespace(write=self._write, drain=_nothing)

    @property
    def transport(self) -> asyncio.Transport:
        """The transport of the connection."""
        return self._transport

    async def push(self, text: str) -> None:
        """Send *text* as a line."""
        self._write(text.replace("\n", "\r\n").encode() + b"\r\n")

    def _write(self, data: bytes) -> None:
        if not isinstance(data, bytes):
            raise TypeError("data must be bytes")
        self._transport.write(data)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        run = self._handle_client or self._conversation().run
        self._handler_coroutine = self.loop.create_task(run())  # type: ignore[arg-type]

    def _conversation(self) -> Conversation:
        config = ServerConfig(
            context=self._options["tls_context"],
            authenticator=Callback(self._options["auth_callback"]),
            mechanisms=["LOGIN", "PLAIN"],
            extensions=self._extensions(),
            leniencies=WITHOUT_DOMAIN,
            limits=Limits(failed_login_delay=0),
            trace=self._trace,
        )
        return Conversation(Faulty(self), Words(self.event_handler), config, Runtime())

    def _extensions(self) -> dict[str, None]:
        """Return the extensions that aiosmtpd would not offer, as ``extensions`` takes them."""
        offered = {"SMTPUTF8": self._options["enable_SMTPUTF8"]}
        offered["8BITMIME"] = not self._options["decode_data"]
        return dict.fromkeys(
            ["ENHANCEDSTATUSCODES", *(name for name in offered if not offered[name])]
        )

    def _trace(self, speaker: str, line: str) -> None:
        if speaker == "C" and self._encrypted:
            self.record(line)

    def record(self, line: str) -> None:
        """Record *line* if it is a command, as the suite's own server does."""
        verb, _, argument = line.partition(" ")
        if verb.upper() in (*VERBS, "AUTH", "STARTTLS"):
            path = re.fullmatch(r"(?:FROM|TO):<(.*?)>(.*)", argument)
            arguments = (path[1], path[2].upper().split()) if path else (argument,)
            self.event_handler.record_command(verb.upper(), *arguments)
            self._encrypted = self._encrypted or verb.upper() == "STARTTLS"


for _verb in (*VERBS, "STARTTLS"):
    setattr(SuiteServer, f"smtp_{_verb}", None)


class Faulty:
    """The stream of a connection, without the commands that a test has replaced."""

    def __init__(self, server: SuiteServer) -> None:
        self._server = server
        self._muted = False

    async def write(self, data: bytes, timeout: float | None) -> None:
        """Send *data*, unless a replacement has replied to the command."""
        if not self._muted:
            await self._server.write(data, timeout)
        self._muted = False

    async def read(self, timeout: float | None) -> bytes:
        """Return the next octets that no replacement takes."""
        while data := await self._server.read(timeout):
            line = data.decode(errors="replace").strip()
            self._server.record(line)
            verb, _, argument = line.partition(" ")
            replacement = getattr(self._server, f"smtp_{verb.upper()}", None)
            if replacement is None:
                return data
            try:
                await replacement(argument)
            except Exception as error:
                await self._server.push(f"500 Error: {error}")
            if self._server.session.host_name is not None:  # the replacement accepted EHLO
                self._server.session.host_name, self._muted = None, True
                return data
        return b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._server, name)


async def _nothing() -> None:
    """Take the place of drain."""


def pytest_plugin_registered(plugin: object) -> None:
    """Replace the server in the conftest.py of the suite."""
    if hasattr(plugin, "TestSMTPD"):
        plugin.TestSMTPD = SuiteServer


vars(aiosmtpd.controller)["Controller"] = Controller

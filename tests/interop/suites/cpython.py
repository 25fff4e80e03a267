"""Runs CPython's tests of smtplib with our server in place of its smtpd.

Prints, as JSON, the number of tests and the report of each failed one.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import threading
import types
import unittest
import warnings
from typing import Any

from smtpproto import (
    Envelope,
    ForwardPath,
    Handler,
    Identity,
    Limits,
    MailParameters,
    PlainPasswords,
    RcptParameters,
    Reply,
    ReversePath,
    Session,
)
from tests.interop.our_server import serving
from tests.interop.suites.leniencies import WITHOUT_DOMAIN
from tests.interop.suites.replies import reply_of
from tests.support.certificates import LEAF, server_context

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # smtpd and asyncore are deprecated
    suite: Any = importlib.import_module("test.test_smtplib")

ADAPTER = os.environ.get("SMTPPROTO_ADAPTER", "blocking")
NOT_OFFERED: dict[str, str | None] = dict.fromkeys(
    ["PIPELINING", "8BITMIME", "SMTPUTF8", "CHUNKING", "ENHANCEDSTATUSCODES", "LIMITS"]
)
USERS = PlainPasswords(dict([suite.sim_auth, ("psu", "doesnotexist")]))


class SuiteServer(Handler):
    """A server with the interface of smtpd that the suite uses; it starts when it is made."""

    options: dict[str, Any] = {}  # noqa: RUF012 - replaced, never changed

    def __init__(self, *_: object, **__: object) -> None:
        self._running = contextlib.ExitStack()
        self.port = 0
        self._start()
        self.socket = types.SimpleNamespace(getsockname=lambda: ("127.0.0.1", self.port))

    def _start(self) -> None:
        self._running.close()
        server = serving(ADAPTER, self, port=self.port, leniencies=WITHOUT_DOMAIN, **self.options)
        self.port = self._running.enter_context(server)

    def stop(self) -> None:
        """Stop the server."""
        self._running.close()


def serve_until_done(
    server: SuiteServer, ready: threading.Event, client_done: threading.Event
) -> None:
    """Take the place of the suite's function that runs the loop of asyncore."""
    ready.set()
    client_done.wait(30)
    server.stop()
    ready.set()


class DebuggingServer(SuiteServer):
    """Prints each message, as smtpd's server does, and replies with the words of smtpd."""

    options = {"extensions": NOT_OFFERED}  # noqa: RUF012 - replaced, never changed

    def ehlo(self, session: Session, host: Any) -> Reply | None:
        return None if session.hello is None else Reply(503, None, "Duplicate HELO/EHLO")

    def vrfy(self, session: Session, name: str) -> Reply:
        return Reply(252, None, "Cannot VRFY user, but will accept message and attempt delivery")

    def help(self, session: Session, topic: str) -> Reply:
        verbs = "EHLO HELO MAIL RCPT DATA RSET NOOP QUIT VRFY"
        return Reply(214, None, f"Supported commands: {verbs}")

    def expn(self, session: Session, name: str) -> Reply:
        return Reply(502, None, "EXPN not implemented")

    def mail(self, session: Session, sender: ReversePath, parameters: MailParameters) -> None:
        print("sender:", sender.mailbox or "<>", file=suite.smtpd.DEBUGSTREAM)

    def message(self, session: Session, envelope: Envelope, body: bytes) -> Reply:
        recipients = [str(path).strip("<>") for path in envelope.recipients]
        print("recips:", recipients, file=suite.smtpd.DEBUGSTREAM)
        text = body.decode().replace("\r\n", "\n")
        print(suite.MSG_BEGIN + text + suite.MSG_END, end="")
        return Reply(250, None, "OK")


class SimulatedServer(SuiteServer):
    """Has the users, the lists and the settable replies of the suite's simulated server."""

    channel_class = suite.SimSMTPChannel

    def __init__(self, *_: object, **__: object) -> None:
        self._mechanisms: list[str] = []
        self._addresses: dict[str, object] = {}
        self._SMTPchannel = types.SimpleNamespace(  # the suite sets replies of the channel
            mail_response=None, rcpt_response=None, rcpt_count=0, rset_count=0
        )
        super().__init__()

    @property
    def options(self) -> dict[str, Any]:  # type: ignore[override]
        return {
            "hostname": "testhost",
            "context": server_context(LEAF),
            "extensions": {**NOT_OFFERED, "DELIVERBY": ""},
            "authenticator": USERS if self._mechanisms else None,
            "mechanisms": self._mechanisms,
            "auth_in_clear": True,
            "limits": Limits(message_size=20_000_000, failed_login_delay=0),
        }

    def add_feature(self, feature: str) -> None:
        """Offer more mechanisms from now on; *feature* is ``AUTH PLAIN LOGIN``, for example."""
        known = {"PLAIN", "LOGIN", "CRAM-MD5"}
        self._mechanisms += [name for name in feature.split()[1:] if name in known]
        self._start()

    def vrfy(self, session: Session, name: str) -> Reply:
        if name in suite.sim_users:
            return Reply(250, None, f"{suite.sim_users[name]} <{name}>")
        return Reply(550, None, f"No such user: {name}")

    def expn(self, session: Session, name: str) -> Reply:
        if name not in suite.sim_lists:
            return Reply(550, None, "No access for you!")
        members = suite.sim_lists[name]
        return Reply(250, None, [f"{suite.sim_users[member]} <{member}>" for member in members])

    def login(self, session: Session, identity: Identity) -> Reply:
        return Reply(235, None, "Authentication Succeeded")

    def mail(self, session: Session, sender: ReversePath, parameters: MailParameters) -> Reply:
        return reply_of(self._SMTPchannel.mail_response or "250 OK")

    def rcpt(self, session: Session, recipient: ForwardPath, parameters: RcptParameters) -> Reply:
        replies = self._SMTPchannel.rcpt_response
        if replies is None:
            return Reply(250, None, "OK")
        self._SMTPchannel.rcpt_count += 1
        return reply_of(replies[self._SMTPchannel.rcpt_count - 1])

    def reset(self, session: Session) -> None:
        self._SMTPchannel.rset_count += 1

    def message(self, session: Session, envelope: Envelope, body: bytes) -> Reply | None:
        if self.channel_class is not suite.SimSMTPChannel:  # the suite's own, which answers so
            return Reply(421, None, "closing")
        self._addresses["from"] = str(envelope.sender.mailbox)
        self._addresses["tos"] = [str(path).strip("<>") for path in envelope.recipients]
        return None


class SimulatedUTF8Server(SimulatedServer):
    """Also offers SMTPUTF8 and 8BITMIME, and shows the last message."""

    @property
    def options(self) -> dict[str, Any]:  # type: ignore[override]
        options = super().options
        offered = {"SMTPUTF8": "", "8BITMIME": ""}
        return {**options, "extensions": {**options["extensions"], **offered}}

    def mail(self, session: Session, sender: ReversePath, parameters: MailParameters) -> Reply:
        self.last_mail_options = str(parameters).split()
        return super().mail(session, sender, parameters)

    def message(self, session: Session, envelope: Envelope, body: bytes) -> Reply | None:
        self.last_mailfrom = str(envelope.sender.mailbox)
        self.last_rcpttos = [str(path).strip("<>") for path in envelope.recipients]
        self.last_rcpt_options: list[str] = []
        self.last_message = body.replace(b"\r\n", b"\n").removesuffix(b"\n")
        return Reply(250, None, "OK")


def main() -> None:
    """Run the suite without the tests that the arguments name."""
    suite.debugging_server = serve_until_done
    suite.smtpd.DebuggingServer = DebuggingServer
    suite.SimSMTPServer = suite.SimSMTPAUTHInitialResponseServer = SimulatedServer
    suite.SimSMTPUTF8Server = SimulatedUTF8Server
    left_out = set(sys.argv[1:])
    result, tests = unittest.TestResult(), unittest.TestSuite()
    groups: Any = unittest.defaultTestLoader.loadTestsFromModule(suite)
    for group in groups:
        for test in group:
            name = test.id().removeprefix("test.test_smtplib.")
            if name not in left_out:
                tests.addTest(test)
            left_out.discard(name)
    tests.run(result)
    failed = {test.id(): text for test, text in result.failures + result.errors}
    report = {"run": result.testsRun, "failed": failed, "unknown": sorted(left_out)}
    print(json.dumps(report), file=sys.__stdout__)


if __name__ == "__main__":
    main()

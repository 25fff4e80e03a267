"""Asks the interface of a catch-all server, without a network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from attrs import define, field

from smtpproto import Envelope
from smtpproto.adapters.loopback_pages import Page, Request
from smtpproto.server import Session
from smtpproto.testing.catch_all.failures import Failures
from smtpproto.testing.catch_all.kept_mail import KeptMail, KeptMessage
from smtpproto.testing.catch_all.mail_api import MailAPI

NO_QUERY: Mapping[str, str] = {}
PLAIN = b"From: Ann <ann@a.test>\r\nTo: bob@b.test\r\nSubject: Hello\r\n\r\nfirst line\r\n"


@define(eq=False)
class Asked:
    """An interface with its mail."""

    mail: KeptMail = field(factory=KeptMail)
    failures: Failures = field(factory=Failures)
    api: MailAPI = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.api = MailAPI(self.mail, self.failures, lambda: "127.0.0.1 port 25")

    def receive(self, content: bytes = PLAIN, *recipients: str) -> KeptMessage:
        envelope = Envelope("ann@a.test", recipients or ["bob@b.test"])
        return self.mail.add(envelope, content, Session(peer=("127.0.0.1", 9)), lambda: "S: 220\n")

    def ask(
        self, path: str, method: str = "GET", body: bytes = b"", query: Mapping[str, str] = NO_QUERY
    ) -> Page:
        page = self.api.answer(Request(method=method, path=path, query=query, body=body))
        assert page is not None
        return page

    def values(self, path: str, method: str = "GET", body: object = None, **query: str) -> Any:
        octets = b"" if body is None else json.dumps(body).encode()
        page = self.ask(path, method, octets, query)
        assert page.status in (200, 201), page.body
        assert page.kind == "application/json"
        assert isinstance(page.body, str)
        return json.loads(page.body)

"""Machines that are ready for a test, and what is said to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from smtpproto.errors import LocalProtocolError
from smtpproto.events import (
    Answer,
    BodyChunk,
    Connected,
    Question,
    Rejected,
    Sent,
    ServerEvent,
    asks,
)
from smtpproto.grammar.address import ForwardPath, ReversePath
from smtpproto.grammar.command import Command, Ehlo, Mail, Rcpt
from smtpproto.grammar.domain import Domain
from smtpproto.grammar.extension_command import Lhlo
from smtpproto.grammar.parameters import MailParameters
from smtpproto.grammar.reply import Reply
from smtpproto.protocol.client import ClientProtocol
from smtpproto.protocol.server import ServerProtocol

HOST = "mx.example.org"
EHLO = Ehlo(Domain("client.example"))
LHLO = Lhlo(Domain("client.example"))
MAIL = Mail(ReversePath.of("ann@example.org"))
RCPT = Rcpt(ForwardPath.of("bob@example.org"))
CARL = Rcpt(ForwardPath.of("carl@example.org"))

Verdict = Callable[[Question], Reply | None]


def yes(_: Question) -> None:
    """What an application says that has no words of its own."""


def no_to(kind: type, reply: Reply, *, after: int = 0) -> Verdict:
    """Says *reply* to questions of that *kind*, after so many of them."""
    seen = iter(range(1 << 30))

    def verdict(question: Question) -> Reply | None:
        return reply if isinstance(question, kind) and next(seen) >= after else None

    return verdict


class Serving:
    """A server's machine with an application, and all that happened."""

    def __init__(self, verdict: Verdict = yes, **options: Any) -> None:
        self.machine = ServerProtocol(**({"hostname": HOST} | options))
        self.verdict = verdict
        self.events: list[ServerEvent] = []
        self.answers: list[Reply | None] = []

    def feed(self, *data: bytes) -> bytes:
        """Feed, answer all questions; give what was said."""
        for piece in filter(None, data):
            self.machine.receive(piece)
            self.work()
        return self.machine.data_to_send()

    def end(self) -> bytes:
        """The client ends the connection; give what was said."""
        self.machine.receive(b"")
        self.work()
        return self.machine.data_to_send()

    def work(self) -> None:
        while (event := self.machine.next_event()) is not None:
            self.events.append(event)
            self.answer(event)

    def answer(self, event: ServerEvent) -> None:
        while asks(event) and self.machine.question is event:
            self.machine.answer(self.verdict(event))

    def said(self, *data: bytes) -> list[str]:
        """Feed; give the lines of the replies."""
        return lines_of(self.feed(*data))

    def codes(self, *data: bytes) -> list[int]:
        """Feed; give the codes of the replies."""
        return codes(self.said(*data))

    @property
    def rejected(self) -> list[Rejected]:
        return [event for event in self.events if isinstance(event, Rejected)]

    @property
    def content(self) -> bytes:
        return b"".join(event.data for event in self.events if isinstance(event, BodyChunk))


def lines_of(octets: bytes) -> list[str]:
    """Whole lines of UTF-8."""
    assert not octets or octets.endswith(b"\r\n")
    return octets.decode().split("\r\n")[:-1]


def codes(lines: Iterable[str]) -> list[int]:
    """The codes of replies, each but once."""
    return [int(line[:3]) for line in lines if line[3:4] != "-"]


def serving(*data: bytes, verdict: Verdict = yes, **options: Any) -> Serving:
    """Greeted, EHLO (LHLO) and *data* said, their events and replies forgotten."""
    server = Serving(**options)
    hello = b"LHLO" if server.machine.lmtp else b"EHLO"
    server.feed(hello + b" client.example\r\n", *data)
    server.events.clear()
    server.verdict = verdict
    return server


def merged(events: Iterable[ServerEvent]) -> list[ServerEvent]:
    """*events* with slices of content that follow each other as one."""
    whole: list[ServerEvent] = []
    for event in events:
        last = whole[-1] if whole else None
        if isinstance(event, BodyChunk) and isinstance(last, BodyChunk):
            whole[-1] = BodyChunk(last.data + event.data)
        elif not isinstance(event, Connected):
            whole.append(event)
    return whole


def pieces(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """*data*, cut at *cuts*."""
    ends = [*sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False) if start < end]


def octets(data: bytes) -> list[bytes]:
    """Each octet of *data*."""
    return [data[i : i + 1] for i in range(len(data))]


# -- the client --------------------------------------------------------------------------------


def offer(*keywords: str) -> bytes:
    """An EHLO reply."""
    return bytes(Reply(250, None, [f"{HOST} greets you", *keywords]))


def calling(*keywords: str, **options: Any) -> ClientProtocol:
    """A client, greeted, EHLO (LHLO) done, offered *keywords*."""
    client = ClientProtocol(**options)
    hears(client, b"220 mx.example.org ready\r\n")
    client.send(LHLO if client.lmtp else EHLO)
    hears(client, offer(*keywords))
    client.data_to_send()
    return client


def hears(client: ClientProtocol, *data: bytes) -> list[Answer]:
    """Feed; give the answers, where nothing else comes."""
    answers = []
    for piece in data:
        client.receive(piece)
        while (event := client.next_event()) is not None:
            assert isinstance(event, Answer)
            answers.append(event)
    return answers


def says(client: ClientProtocol, *commands: Command, reply: bytes = b"250 ok\r\n") -> None:
    """Say *commands*, each answered with *reply*; what was sent is thrown away."""
    for command in commands:
        client.send(command)
        hears(client, reply)
    client.data_to_send()


def with_recipient(
    *keywords: str, parameters: MailParameters | None = None, **options: Any
) -> ClientProtocol:
    """A client with an open transaction of one recipient."""
    client = calling(*keywords, **options)
    says(client, Mail(MAIL.path, parameters or MailParameters()), RCPT)
    return client


def refuses(
    client: ClientProtocol,
    say: Callable[[], object],
    kind: type[LocalProtocolError] = LocalProtocolError,
    match: str | None = None,
) -> None:
    """That saying it raises *kind*, sends nothing and changes nothing."""
    before = (client.phase, client.unanswered, client.in_flight)
    with pytest.raises(kind, match=match):
        say()
    assert client.data_to_send() == b""
    assert (client.phase, client.unanswered, client.in_flight) == before


def sent_by(answers: Iterable[Answer]) -> list[Sent]:
    return [answer.sent for answer in answers]

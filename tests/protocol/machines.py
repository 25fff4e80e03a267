"""Protocol machines driven by hand: servers with an application, clients, and their octets."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from smtpproto.errors import LocalProtocolError, RemoteProtocolError
from smtpproto.events import (
    Answer,
    BodyChunk,
    ClientEvent,
    Connected,
    Disconnected,
    Question,
    Rejected,
    Sent,
    ServerEvent,
    is_question,
)
from smtpproto.grammar.address import ForwardPath, ReversePath
from smtpproto.grammar.command import Command, Data, Ehlo, Mail, Quit, Rcpt
from smtpproto.grammar.domain import Domain
from smtpproto.grammar.extension_command import Auth, Lhlo
from smtpproto.grammar.parameters import Body, MailParameters
from smtpproto.grammar.reply import Reply
from smtpproto.limits import Limits
from smtpproto.protocol.client import ClientProtocol
from smtpproto.protocol.phases import Phase
from smtpproto.protocol.server import ServerProtocol
from tests.support.pieces import cut_at

HOST = "mx.example.org"
EHLO = Ehlo(Domain("client.example"))
LHLO = Lhlo(Domain("client.example"))
MAIL = Mail(ReversePath.of("ann@example.org"))
RCPT = Rcpt(ForwardPath.of("bob@example.org"))
RCPT_CARL = Rcpt(ForwardPath.of("carl@example.org"))

EHLO_LINE = b"EHLO client.example\r\n"
MAIL_LINE = b"MAIL FROM:<ann@example.org>\r\n"
RCPT_LINE = b"RCPT TO:<bob@example.org>\r\n"
ENVELOPE_LINES = MAIL_LINE + RCPT_LINE
TO_DATA = ENVELOPE_LINES + b"DATA\r\n"
MAIL_COMMAND = MAIL_LINE.removesuffix(b"\r\n")
RCPT_COMMAND = RCPT_LINE.removesuffix(b"\r\n")

OFFER = ("PIPELINING", "SIZE 1000000", "8BITMIME", "SMTPUTF8", "STARTTLS", "AUTH PLAIN LOGIN")
SMALL_MESSAGES = Limits(message_size=65536)
DISK_FULL = Reply(452, "4.3.1", "Disk full")
PROXY_EXTENSIONS = {"XCLIENT": "NAME ADDR LOGIN", "XFORWARD": "NAME ADDR"}

ALL_OCTETS = bytes(range(256))
BINARYMIME: dict[str, Any] = {"extensions": {"BINARYMIME": ""}}
BINARY_PARAMETERS = MailParameters(body=Body.BINARY_MIME)
BINARY_ENVELOPE_LINES = MAIL_COMMAND + b" BODY=BINARYMIME\r\n" + RCPT_LINE

LOOKS_LIKE_COMMANDS = b"\r\n.\r\nQUIT\r\nMAIL FROM:<x@y>\r\nRSET\r\n\0\xff\r\nDATA\r\n"
"""Content that a machine reads as commands, or as an end of data, if it loses count."""


# -- octets ------------------------------------------------------------------------------------


def lines_of(octets: bytes) -> list[str]:
    """Return the lines of *octets*, which are whole lines in UTF-8."""
    assert not octets or octets.endswith(b"\r\n")
    return octets.decode().split("\r\n")[:-1]


def codes_of(lines: Iterable[str]) -> list[int]:
    """Return the code of each reply; a reply of several lines counts once."""
    return [int(line[:3]) for line in lines if line[3:4] != "-"]


def cut(data: bytes, positions: Iterable[int]) -> list[bytes]:
    """Return *data* cut at *positions*, without empty pieces: b"" would end the connection."""
    return [piece for piece in cut_at(data, positions) if piece]


def bdat(content: bytes, tail: str = "") -> bytes:
    """Return BDAT, with *tail* after its size, and the octets of *content*."""
    return b"BDAT %d%s\r\n%s" % (len(content), tail.encode(), content)


def bdat_last(content: bytes) -> bytes:
    """Return BDAT LAST and the octets of *content*."""
    return bdat(content, " LAST")


# -- the server --------------------------------------------------------------------------------

Application = Callable[[Question], Reply | None]


def accept(_: Question) -> None:
    """Answer every question with the default reply."""


def challenge_auth(question: Question) -> Reply | None:
    """Answer AUTH without an initial response with an empty challenge, and accept the rest."""
    return Reply(334) if isinstance(question, Auth) and question.initial is None else None


def reply_to(kind: type, reply: Reply, *, after: int = 0) -> Application:
    """Return an application that replies *reply* to questions of *kind*, but for the first
    *after* of them, and accepts all others."""
    seen = iter(range(1 << 30))

    def application(question: Question) -> Reply | None:
        return reply if isinstance(question, kind) and next(seen) >= after else None

    return application


class ServerDriver:
    """A server machine whose questions *application* answers, and the events so far."""

    def __init__(self, application: Application = accept, **options: Any) -> None:
        self.machine = ServerProtocol(**({"hostname": HOST} | options))
        self.application = application
        self.events: list[ServerEvent] = []

    def feed(self, *data: bytes) -> bytes:
        """Feed each piece and answer all questions. Return the octets sent."""
        for piece in filter(None, data):
            self.machine.receive(piece)
            self.handle_events()
        return self.machine.data_to_send()

    def feed_events(self, *data: bytes) -> tuple[list[ServerEvent], bytes]:
        """Feed each piece and answer all questions. Return the new events and the octets sent."""
        before = len(self.events)
        sent = self.feed(*data)
        return self.events[before:], sent

    def end(self) -> bytes:
        """End the connection as a client. Return the octets sent."""
        self.machine.receive(b"")
        self.handle_events()
        return self.machine.data_to_send()

    def handle_events(self) -> None:
        """Take all events and answer the questions among them."""
        while (event := self.machine.next_event()) is not None:
            self.events.append(event)
            self.answer(event)

    def answer(self, event: ServerEvent) -> None:
        """Answer *event* until it is no longer the open question: in LMTP more than once."""
        while is_question(event) and self.machine.question is event:
            self.machine.answer(self.application(event))

    def ask(self, data: bytes) -> ServerEvent:
        """Feed *data* and return the next event, without an answer."""
        self.machine.receive(data)
        event = self.machine.next_event()
        assert event is not None
        return event

    def lines(self, *data: bytes) -> list[str]:
        """Feed each piece and answer all questions. Return the lines of the replies."""
        return lines_of(self.feed(*data))

    def codes(self, *data: bytes) -> list[int]:
        """Feed each piece and answer all questions. Return the codes of the replies."""
        return codes_of(self.lines(*data))

    def keywords(self) -> list[str]:
        """Send EHLO. Return the lines of the offer in its reply."""
        return [line[4:] for line in self.lines(EHLO_LINE)[1:]]

    @property
    def rejected(self) -> list[Rejected]:
        """The commands and messages that the machine refused by itself."""
        return [event for event in self.events if isinstance(event, Rejected)]

    @property
    def content(self) -> bytes:
        """The content of all messages so far."""
        return content_of(self.events)


def greeted_server(**options: Any) -> ServerDriver:
    """Return a server that has sent its greeting; the events begin after that."""
    server = ServerDriver(**options)
    server.handle_events()
    name = "LMTP" if server.machine.settings.lmtp else "ESMTP"
    assert lines_of(server.machine.data_to_send()) == [f"220 {HOST} {name} ready"]
    server.events.clear()
    return server


def ready_server(*data: bytes, application: Application = accept, **options: Any) -> ServerDriver:
    """Return a server after EHLO (LHLO) and *data*, all accepted; the events begin after that."""
    server = greeted_server(**options)
    server.feed(b"LHLO client.example\r\n" if server.machine.settings.lmtp else EHLO_LINE, *data)
    server.events.clear()
    server.application = application
    return server


def server_with_recipient(**options: Any) -> ServerDriver:
    """Return a server with an open transaction of one recipient."""
    return ready_server(ENVELOPE_LINES, **options)


def server_in_exchange(**options: Any) -> ServerDriver:
    """Return a server that has sent a challenge of AUTH LOGIN."""
    server = ready_server(secure=True, mechanisms=("PLAIN", "LOGIN"), **options)
    assert isinstance(server.ask(b"AUTH LOGIN\r\n"), Auth)
    server.machine.challenge(b"Username:")
    assert server.machine.data_to_send() == b"334 VXNlcm5hbWU6\r\n"
    return server


def content_of(events: Iterable[ServerEvent]) -> bytes:
    """Return the content in *events*."""
    return b"".join(event.data for event in events if isinstance(event, BodyChunk))


def merge_content(events: Iterable[ServerEvent]) -> list[ServerEvent]:
    """Return *events* without Connected, and with adjacent slices of content as one."""
    merged: list[ServerEvent] = []
    for event in events:
        last = merged[-1] if merged else None
        if isinstance(event, BodyChunk) and isinstance(last, BodyChunk):
            merged[-1] = BodyChunk(last.data + event.data)
        elif not isinstance(event, Connected):
            merged.append(event)
    return merged


# -- the client --------------------------------------------------------------------------------


def ehlo_reply(*keywords: str) -> bytes:
    """Return the octets of a reply to EHLO that offers *keywords*."""
    return bytes(Reply(250, None, [f"{HOST} greets you", *keywords]))


class DrivenClient(ClientProtocol):
    """A client whose octets count as written before the helpers below feed it a reply.

    ``data_to_send`` returns them all the same, when a test asks for them.
    """

    written: bytes = b""

    def write(self) -> None:
        """Take the octets that have gathered, as a program does that writes them."""
        self.written += super().data_to_send()

    def data_to_send(self, *, all_but: int = 0) -> bytes:
        written, self.written = self.written, b""
        return written + super().data_to_send(all_but=all_but)


def greeted_client(**options: Any) -> ClientProtocol:
    """Return a client that has read the greeting."""
    client = DrivenClient(**options)
    assert client.data_to_send() == b""
    receive(client, b"220 mx.example.org ready\r\n")
    return client


def ready_client(*keywords: str, **options: Any) -> ClientProtocol:
    """Return a client after EHLO (LHLO), which was offered *keywords*."""
    client = greeted_client(**options)
    client.send(LHLO if client.lmtp else EHLO)
    receive(client, ehlo_reply(*keywords))
    client.data_to_send()
    return client


def client_with_recipient(
    *keywords: str, parameters: MailParameters | None = None, **options: Any
) -> ClientProtocol:
    """Return a client with an open transaction of one recipient."""
    client = ready_client(*keywords, **options)
    exchange(client, Mail(MAIL.path, parameters or MailParameters()), RCPT)
    return client


def client_in_body(*keywords: str, parameters: MailParameters | None = None) -> ClientProtocol:
    """Return a client that has read 354 and may send content."""
    client = client_with_recipient(*keywords, parameters=parameters)
    exchange(client, Data(), reply=b"354 go\r\n")
    assert client.phase is Phase.BODY
    return client


def receive_events(client: ClientProtocol, *data: bytes) -> list[ClientEvent]:
    """Feed each piece; b"" is the end of the connection. Return all events."""
    events = []
    if isinstance(client, DrivenClient):
        client.write()
    for piece in data:
        client.receive(piece)
        while (event := client.next_event()) is not None:
            events.append(event)
    return events


def receive(client: ClientProtocol, *data: bytes) -> list[Answer]:
    """Feed each piece. Return the events, which must all be answers."""
    answers = []
    for event in receive_events(client, *data):
        assert isinstance(event, Answer)
        answers.append(event)
    return answers


def receive_codes(client: ClientProtocol, *data: bytes) -> list[int]:
    """Feed each piece. Return the codes of the answers, where no other events come."""
    return [answer.reply.code for answer in receive(client, *data)]


def exchange(client: ClientProtocol, *commands: Command, reply: bytes = b"250 ok\r\n") -> None:
    """Send each command and feed *reply* to it; drop the octets sent."""
    for command in commands:
        client.send(command)
        receive(client, reply)
    client.data_to_send()


def assert_refused(
    client: ClientProtocol,
    send: Callable[[], object],
    kind: type[LocalProtocolError] = LocalProtocolError,
    match: str | None = None,
) -> None:
    """Assert that *send* raises *kind*, sends nothing and changes nothing."""
    before = (client.phase, client.unanswered, client.in_flight)
    with pytest.raises(kind, match=match):
        send()
    assert client.data_to_send() == b""
    assert (client.phase, client.unanswered, client.in_flight) == before


def assert_protocol_error(client: ClientProtocol, data: bytes, match: str | None = None) -> None:
    """Assert that *data* raises RemoteProtocolError, and that the client is closed after that."""
    client.data_to_send()
    client.receive(data)
    with pytest.raises(RemoteProtocolError, match=match):
        while client.next_event() is not None:
            pass
    assert client.phase is Phase.CLOSED
    assert isinstance(client.next_event(), Disconnected)
    assert client.next_event() is None
    for verb in ("NOOP", "QUIT", "MAIL"):
        assert not client.allows(verb)
    assert_refused(client, lambda: client.send(Quit()))
    assert receive_events(client, b"250 ok\r\n") == []


def sent_of(answers: Iterable[Answer]) -> list[Sent]:
    """Return the command that each answer belongs to."""
    return [answer.sent for answer in answers]

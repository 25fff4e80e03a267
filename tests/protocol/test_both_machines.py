"""Both machines back to back, with random commands, answers and splits."""

from __future__ import annotations

from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smtpproto.errors import LocalProtocolError
from smtpproto.events import (
    Answer,
    AuthResponse,
    BodyChunk,
    BodyEnd,
    Disconnected,
    Rejected,
    ServerEvent,
    Step,
    Unsolicited,
    is_question,
)
from smtpproto.grammar.address import ForwardPath, ReversePath
from smtpproto.grammar.command import (
    Command,
    Data,
    Ehlo,
    Expn,
    Helo,
    Help,
    Mail,
    Noop,
    Quit,
    Rcpt,
    Rset,
    Vrfy,
)
from smtpproto.grammar.domain import Domain
from smtpproto.grammar.envelope import Envelope
from smtpproto.grammar.extension_command import Auth, StartTLS
from smtpproto.grammar.parameters import Body, MailParameters
from smtpproto.grammar.reply import Reply
from smtpproto.grammar.secret import Secret
from smtpproto.protocol.client import ClientProtocol
from smtpproto.protocol.phases import Phase
from smtpproto.protocol.server import ServerProtocol

NAME = Domain("client.example")
SENDERS = [
    Mail(ReversePath.of("ann@example.org")),
    Mail(ReversePath(), MailParameters(size=5)),
    Mail(ReversePath.of("eve@example.org"), MailParameters(body=Body.EIGHT_BIT_MIME)),
    Mail(ReversePath.of("\u00e9@example.org"), MailParameters(smtputf8=True)),
]
RECIPIENTS = [
    Rcpt(ForwardPath.of(to)) for to in ("bob@example.org", "Postmaster", "\u00e9@b.example")
]
OTHER_COMMANDS: list[Command] = [
    Ehlo(NAME), Helo(NAME), Rset(), Noop("x"), Help(), Vrfy("a"), Expn("a"), StartTLS(),
    *[Auth("PLAIN"), Auth("PLAIN", Secret(b"hunter2"))] * 3, Quit(),
]  # fmt: skip
LINES = st.lists(st.sampled_from([".", "..", "a", "", "QUIT", ".a", "\u00e9", "\0"]), max_size=6)
REFUSALS = [Reply(450, None, "Later"), Reply(550, "5.7.1", "No"), Reply(599, None, "a\nb")]
CLOSING = Reply(421, "4.3.2", "Gone")
CHALLENGE = Reply(334)
ALL = 1 << 20
T = TypeVar("T")


class Pair:
    """Both machines, and the octets in transit. Without *data* the server accepts everything."""

    def __init__(self, data: st.DataObject | None = None) -> None:
        self.data = data
        self.client = ClientProtocol()
        self.server = ServerProtocol(
            hostname="mx.example.org", starttls=True, mechanisms=("PLAIN",), auth_in_clear=True
        )
        self.to_server = b""
        self.to_client = b""
        self.sent_count = 1  # the greeting, which answers no command
        self.answers: list[Answer] = []
        self.reply_count = 0  # server events that have one reply each
        self.rejected: list[Rejected] = []
        self.body = b""
        self.content = b""
        self.sent: list[bytes] = []
        self.accepted: list[tuple[Envelope, bytes]] = []
        self.unsolicited = 0
        self.ended = False

    def draw(self, strategy: st.SearchStrategy[T]) -> T:
        assert self.data is not None
        return self.data.draw(strategy)

    # -- the client's user ---------------------------------------------------------------------

    def send_something(self) -> None:
        """Send a random command, response or content, which may be out of order."""
        client = self.client
        try:
            if client.phase is Phase.BODY and not client.unanswered:
                self.send_content()
            elif client.phase is Phase.AUTH and not client.unanswered:
                client.respond(self.draw(st.sampled_from([None, Secret(b""), Secret(b"x")])))
            else:
                client.send(self.draw(st.sampled_from(self.choices())))
            self.sent_count += 1
        except LocalProtocolError:
            assert client.data_to_send() == b""
        self.to_server += client.data_to_send()

    def choices(self) -> list[Command]:
        """Return commands to choose from, most of them the next step of a transaction."""
        rest = [*OTHER_COMMANDS, *SENDERS, *RECIPIENTS, Data()]
        for verb, likely in (("DATA", [Data()] * 99), ("RCPT", RECIPIENTS * 33), ("MAIL", SENDERS)):
            if self.client.allows(verb):
                return [*likely, *likely, *rest]
        return [*[Ehlo(NAME)] * 60, *rest]

    def send_content(self) -> None:
        content = "\r\n".join(self.draw(LINES)).encode()
        try:
            for octet in content:
                self.client.send_body(bytes([octet]))
        except LocalProtocolError:  # 8-bit content needs BODY=8BITMIME: send the lines before it
            content = content[: content.index(b"\xc3")]
        self.client.end_body()
        self.sent.append(content + b"\r\n" if content and content[-2:] != b"\r\n" else content)

    def read_replies(self) -> None:
        while (event := self.client.next_event()) is not None:
            if isinstance(event, Answer):
                self.answers.append(event)
            elif isinstance(event, Unsolicited):
                self.unsolicited += 1
            else:
                self.ended = True
        if self.client.phase is Phase.TLS:
            assert self.server.phase is Phase.TLS
            self.client.tls_started()
            self.server.tls_started()

    # -- the server's application --------------------------------------------------------------

    def serve(self) -> None:
        while (event := self.server.next_event()) is not None:
            if isinstance(event, BodyChunk):
                self.content += event.data
                continue
            assert not isinstance(event, Disconnected)
            self.reply_count += 1
            if isinstance(event, Rejected):
                self.rejected.append(event)
            if is_question(event):
                self.reply(event)
        self.to_client += self.server.data_to_send()

    def reply(self, event: ServerEvent) -> None:
        envelope = self.server.envelope
        reply = self.choose_reply(event)
        if isinstance(event, Auth | AuthResponse) and reply == CHALLENGE:
            self.server.challenge(b"more")
            return
        self.server.answer(reply)
        if isinstance(event, BodyEnd):
            assert event.size == len(self.content)
            if reply is None:
                self.accepted.append((envelope, self.content))
            self.content = b""

    def choose_reply(self, event: ServerEvent) -> Reply | None:
        if self.data is None:
            return None
        likely: list[Reply | None] = [None] * 40
        challenges = [CHALLENGE] * 20 if isinstance(event, Auth | AuthResponse) else []
        return self.draw(st.sampled_from([*likely, *challenges, *REFUSALS * 3, CLOSING]))

    # -- the network ---------------------------------------------------------------------------

    def carry(self, count: int) -> None:
        """Carry at most *count* octets each way."""
        piece, self.to_server = self.to_server[:count], self.to_server[count:]
        if piece and self.server.phase is not Phase.CLOSED:
            self.server.receive(piece)
        self.serve()
        piece, self.to_client = self.to_client[:count], self.to_client[count:]
        if piece:
            self.client.receive(piece)
        self.read_replies()

    def settle(self, count: int = ALL) -> None:
        """Carry all octets, *count* at a time."""
        self.to_server += self.client.data_to_send()
        self.carry(count)
        while self.to_server or self.to_client:
            self.carry(count)


@settings(max_examples=settings().max_examples * 2)
@given(st.data())
def test_both_machines_agree_whatever_is_sent_answered_and_split(data: st.DataObject) -> None:
    pair = Pair(data)
    pair.settle()
    for carried in data.draw(st.lists(st.sampled_from([0, 3, 30, ALL]), min_size=8, max_size=40)):
        pair.send_something()
        if carried == ALL:
            pair.settle()
        elif carried:
            pair.carry(carried)
        if pair.ended:
            break
    pair.settle()
    client, server = pair.client, pair.server

    if pair.ended:
        assert client.phase is server.phase is Phase.CLOSED
        assert len(pair.answers) + len(client.unanswered) == pair.sent_count
    else:
        assert client.phase is server.phase, "both are in the same phase"
        assert client.unanswered == ()
        assert client.in_flight == 0
        assert len(pair.answers) == pair.sent_count == pair.reply_count, "each has one reply"
        assert client.authenticated == server.terms.authenticated
        assert client.secure == server.terms.secure
    for rejected in pair.rejected:
        cancelled = rejected.line == "***" and rejected.reply.code == 501
        assert cancelled or rejected.reply.code == 503, "the others follow a refusal"

    ends = [answer.reply for answer in pair.answers if answer.sent.what is Step.BODY_END]
    taken = [sent for sent, reply in zip(pair.sent, ends, strict=False) if reply.positive]
    assert [content for _, content in pair.accepted][: len(taken)] == taken
    assert len(pair.accepted) - len(taken) in ((0, 1) if pair.ended else (0,))
    for envelope, _ in pair.accepted:
        assert envelope.recipients


PARAMETERS = MailParameters(body=Body.EIGHT_BIT_MIME)
CONTENT = st.lists(
    st.lists(st.sampled_from([b".", b"..", b"a", b"\0", b"\xff", b"QUIT"]), max_size=4).map(
        b"".join
    )
).map(b"\r\n".join)


@pytest.mark.req(
    "SMUGGLING-05",
    "RFC5321-4.5.2-04/client",
    "RFC5321-4.5.2-04/server",
    "RFC5321-3.3-10",
    "RFC1870-5-01/server",
)
@given(CONTENT, st.integers(1, 40), st.integers(1, 40))
def test_content_arrives_octet_for_octet_however_it_is_split(
    content: bytes, slices: int, count: int
) -> None:
    pair = Pair()
    client = pair.client
    pair.settle(count)
    client.send(Ehlo(NAME))
    pair.settle(count)
    client.send(Mail(ReversePath(), PARAMETERS))
    client.send(Rcpt(ForwardPath.of("bob@example.org")))
    client.send(Data())
    pair.settle(count)
    for start in range(0, len(content), slices):
        client.send_body(content[start : start + slices])
    client.end_body()
    client.send(Quit())
    pair.settle(count)
    completed = content + b"\r\n" if content and not content.endswith(b"\r\n") else content
    assert pair.accepted == [(Envelope("", "bob@example.org", PARAMETERS), completed)]
    assert client.unanswered == ()
    assert client.phase is pair.server.phase is Phase.CLOSED

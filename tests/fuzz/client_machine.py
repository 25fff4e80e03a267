"""The target of the client's machine: any replies, to any commands in any order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from smtpproto.errors import LocalProtocolError, RemoteProtocolError
from smtpproto.events import Answer, ClientEvent, Disconnected, Unsolicited
from smtpproto.grammar.address import ForwardPath, ReversePath
from smtpproto.grammar.command import Command, Data, Helo, Help, Mail, Noop, Quit, Rcpt, Rset, Vrfy
from smtpproto.grammar.domain import Domain
from smtpproto.grammar.extension_command import Auth, StartTLS
from smtpproto.grammar.parameters import Body, MailParameters
from smtpproto.grammar.secret import Secret
from smtpproto.protocol.client import ClientProtocol
from smtpproto.protocol.phases import Phase
from tests.protocol.machines import EHLO, LHLO, MAIL, RCPT
from tests.support.pieces import single_octets

OPTIONS: list[dict[str, Any]] = [{}, {"lmtp": True}, {"secure": True}]
COMMANDS: list[Command] = [
    EHLO, MAIL, RCPT, Data(), LHLO, Helo(Domain("a.test")), Rset(), Noop(), Quit(), Help(),
    Mail(ReversePath(), MailParameters(size=5, body=Body.BINARY_MIME)), Vrfy("a"), StartTLS(),
    Mail(ReversePath.of("\u00e9@a.test"), MailParameters(smtputf8=True)), Auth("PLAIN"),
    Rcpt(ForwardPath.of("Postmaster")), Auth("PLAIN", Secret(b"\0a\0b")),
]  # fmt: skip
STEPS: list[Callable[[ClientProtocol], object]] = [
    *((lambda client, command=command: client.send(command)) for command in COMMANDS),
    lambda client: client.send_chunk(b"a\r\n", last=False),
    lambda client: client.send_chunk(b"", last=True),
    lambda client: client.send_body(b".a\r\n"),
    lambda client: client.end_body(),
    lambda client: client.respond(Secret(b"x")),
    lambda client: client.respond(None),
    lambda client: client.tls_started(),
]
STARTTLS = COMMANDS.index(StartTLS())  # octets after its reply are refused only in the same read


def fuzz(data: bytes) -> None:
    """The first octet chooses the options; each step is an octet that chooses what is sent, an
    octet n, and n octets from the server, which are read alike octet by octet."""
    if data:
        options = OPTIONS[data[0] % len(OPTIONS)]
        steps = list(_steps(data[1:]))
        history = _history(options, [(step, [reply] if reply else []) for step, reply in steps])
        split = _history(options, [(step, single_octets(reply)) for step, reply in steps])
        assert history == split or any(step % len(STEPS) == STARTTLS for step, _ in steps)


def _steps(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 1 < len(data):
        end = at + 2 + data[at + 1]
        yield data[at], data[at + 2 : end]
        at = end


def _history(options: dict[str, Any], steps: list[tuple[int, list[bytes]]]) -> list[str]:
    """Return the events as text."""
    client = ClientProtocol(**options)
    events: list[ClientEvent | str] = []
    for step, pieces in steps:
        _send(client, STEPS[step % len(STEPS)])
        for piece in pieces:
            if client.phase is Phase.TLS:
                break
            client.receive(piece)
            events += _events(client)
    client.receive(b"")
    events += _events(client)
    assert client.phase is Phase.CLOSED
    assert sum(isinstance(event, Disconnected) for event in events) == 1
    assert isinstance(events[-1], Disconnected)
    return [str(event) for event in events]


def _send(client: ClientProtocol, step: Callable[[ClientProtocol], object]) -> None:
    before = client.phase, client.unanswered, client.in_flight
    try:
        step(client)
    except LocalProtocolError:
        assert not client.has_output
        assert (client.phase, client.unanswered, client.in_flight) == before
    client.data_to_send()


def _events(client: ClientProtocol) -> Iterator[ClientEvent | str]:
    """Yield the events, and the text of an error, after which the session is over."""
    while True:
        try:
            event = client.next_event()
        except RemoteProtocolError as error:
            assert client.phase is Phase.CLOSED
            yield str(error)
            continue
        if event is None:
            return
        assert isinstance(event, Answer | Disconnected | Unsolicited)
        yield event

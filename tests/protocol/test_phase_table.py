"""Every phase and every command on both machines, compared with RFC 5321 4.1.4."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping

import pytest

from smtpproto.errors import LocalProtocolError
from smtpproto.events import Answer, Rejected, Sent, is_question
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
from smtpproto.grammar.command_line import COMMANDS
from smtpproto.grammar.domain import Domain
from smtpproto.grammar.extension_command import Auth, Bdat, Etrn, StartTLS, XClient, XForward
from smtpproto.grammar.reply import Reply
from smtpproto.grammar.xclient import XClientAttributes, XForwardAttributes
from smtpproto.protocol.client import ClientProtocol
from smtpproto.protocol.phases import COLUMNS, Phase
from smtpproto.protocol.server import ServerProtocol
from smtpproto.protocol.verbs import vocabulary

# For each command its line, the object that a client sends, and the code that accepts it.
LINES: Mapping[str, bytes] = {
    "EHLO": b"EHLO client.example",
    "HELO": b"HELO client.example",
    "MAIL": b"MAIL FROM:<ann@example.org>",
    "RCPT": b"RCPT TO:<bob@example.org>",
    "DATA": b"DATA",
    "RSET": b"RSET",
    "VRFY": b"VRFY bob",
    "EXPN": b"EXPN list",
    "HELP": b"HELP",
    "NOOP": b"NOOP",
    "QUIT": b"QUIT",
    "STARTTLS": b"STARTTLS",
    "AUTH": b"AUTH PLAIN",
    "ETRN": b"ETRN example.org",
    "XCLIENT": b"XCLIENT NAME=a.example",
    "XFORWARD": b"XFORWARD NAME=a.example",
    "BDAT": b"BDAT 0",
    "BDAT LAST": b"BDAT 0 LAST",
}
COMMANDS_BY_ROW: Mapping[str, Command] = {
    "EHLO": Ehlo(Domain("client.example")),
    "HELO": Helo(Domain("client.example")),
    "MAIL": Mail(ReversePath.of("ann@example.org")),
    "RCPT": Rcpt(ForwardPath.of("bob@example.org")),
    "DATA": Data(),
    "RSET": Rset(),
    "VRFY": Vrfy("bob"),
    "EXPN": Expn("list"),
    "HELP": Help(),
    "NOOP": Noop(),
    "QUIT": Quit(),
    "STARTTLS": StartTLS(),
    "AUTH": Auth("PLAIN"),
    "ETRN": Etrn("example.org"),
    "XCLIENT": XClient(XClientAttributes(name="a.example")),
    "XFORWARD": XForward(XForwardAttributes(name="a.example")),
    "BDAT": Bdat(0),
    "BDAT LAST": Bdat(0, last=True),
}
ACCEPTED_CODES = {
    "DATA": 354, "QUIT": 221, "STARTTLS": 220, "AUTH": 235, "HELP": 214, "VRFY": 252, "ETRN": 251,
    "XCLIENT": 220,
}  # fmt: skip
OFFERED = {"ETRN": "", "XCLIENT": "NAME", "XFORWARD": "NAME"}

# RFC 5321 4.1.4, 3.1 (refused), RFC 3207 4, RFC 4954 4, RFC 3030 2: the phase after success, or
# the refusal, in the order of PHASES. "=" means no change. A server is never in the phase FAILED.
PHASES = (
    Phase.START, Phase.READY, Phase.MAIL, Phase.RCPT, Phase.CHUNKS, Phase.FAILED, Phase.REFUSED,
)  # fmt: skip
EXPECTED: Mapping[str, str] = {
    "EHLO":      "ready  ready  ready  ready  ready  503    503",
    "HELO":      "ready  ready  ready  ready  ready  503    503",
    "MAIL":      "503    mail   503    503    503    503    503",
    "RCPT":      "503    503    rcpt   =      503    503    503",
    "DATA":      "503    503    503    body   503    503    503",
    "BDAT":      "503    503    503    chunks =      503    503",
    "BDAT LAST": "503    503    503    ready  ready  503    503",
    "RSET":      "=      =      ready  ready  ready  ready  503",
    "VRFY":      "=      =      =      =      =      503    503",
    "EXPN":      "=      =      =      =      =      503    503",
    "HELP":      "=      =      =      =      =      503    503",
    "NOOP":      "=      =      =      =      =      503    503",
    "QUIT":      "closed closed closed closed closed closed closed",
    "STARTTLS":  "503    tls    503    503    503    503    503",
    "AUTH":      "503    =      503    503    503    503    503",
    "ETRN":      "503    =      503    503    503    503    503",
    "XCLIENT":   "503    start  503    503    503    503    503",
    "XFORWARD":  "503    =      503    503    503    503    503",
}  # fmt: skip
QUESTIONS = EXPECTED.keys() - {"RSET", "NOOP", "QUIT"}  # the machine answers the others
ALL_CELLS = [
    pytest.param(phase, verb, cell, id=f"{phase.value}-{verb}")
    for verb, row in EXPECTED.items()
    for phase, cell in zip(PHASES, row.split(), strict=True)
]
SERVER_PHASES = [phase for phase in PHASES if phase is not Phase.FAILED]
SERVER_CELLS = [cell for cell in ALL_CELLS if cell.values[0] is not Phase.FAILED]
QUESTION_CELLS = [
    cell
    for cell in SERVER_CELLS
    if cell.values[1] in QUESTIONS and cell.values[2] != "503"
    if cell.values[1]
    not in ("BDAT", "BDAT LAST", "XCLIENT")  # tested elsewhere: their refusal changes the phase
]
BAD_LINES = {
    b"FOO": 500,
    b"XFOO bar": 500,
    b"": 500,
    b" NOOP": 500,
    b"NOOPfoo": 500,
    b"NOOP\tfoo": 500,
    b"NOOP\nNOOP": 500,
    b"F\xff\x00": 500,
    b"LHLO client.example": 500,
    b"NOOP " + b"x" * 506: 500,
    b"x" * 20000: 500,
} | dict.fromkeys([b"TURN", b"SEND FROM:<a@b>", b"SOML FROM:<a@b>", b"SAML FROM:<a@b>"], 502)


def phase_after(phase: Phase, cell: str) -> Phase:
    """Return the phase that *cell* leads to from *phase*."""
    return phase if cell in ("503", "=") else Phase(cell)


def server_in(phase: Phase) -> ServerProtocol:
    """Return a server that reached *phase* by a session, with its output read."""
    server = ServerProtocol(
        hostname="mx.example.org",
        starttls=True,
        mechanisms=("PLAIN",),
        auth_in_clear=True,
        extensions=OFFERED,
    )
    server.next_event()
    server.answer(Reply(554, None, "No service") if phase is Phase.REFUSED else None)
    script = {
        Phase.START: [],
        Phase.REFUSED: [],
        Phase.READY: ["EHLO"],
        Phase.MAIL: ["EHLO", "MAIL"],
        Phase.RCPT: ["EHLO", "MAIL", "RCPT"],
        Phase.CHUNKS: ["EHLO", "MAIL", "RCPT", "BDAT"],
    }[phase]
    for verb in script:
        server.receive(LINES[verb] + b"\r\n")
        while is_question(server.next_event()):
            server.answer()
    assert server.phase is phase
    server.data_to_send()
    return server


def one_reply(server: ServerProtocol) -> Reply:
    """Return the output, which must be exactly one reply."""
    return Reply.parse(server.data_to_send())


def ask(server: ServerProtocol, line: bytes) -> object:
    """Feed *line* and return the next event, without an answer."""
    server.receive(line + b"\r\n")
    return server.next_event()


# -- the server --------------------------------------------------------------------------------


def test_the_expected_table_has_every_verb_and_phase() -> None:
    assert (
        EXPECTED.keys()
        == LINES.keys()
        == COMMANDS_BY_ROW.keys()
        == {*vocabulary().verbs, "BDAT LAST"}
    )
    assert {*vocabulary().verbs, *vocabulary(lmtp=True).verbs} == COMMANDS.keys()
    assert PHASES == COLUMNS


def test_the_phase_table_has_every_verb_and_phase() -> None:
    assert vocabulary().transitions.keys() == set(itertools.product(COLUMNS, EXPECTED))


@pytest.mark.req("RFC2033-4-01/client", "RFC2033-4-01/server")
def test_in_lmtp_lhlo_has_the_row_of_ehlo() -> None:
    smtp, lmtp = vocabulary().transitions, vocabulary(lmtp=True).transitions
    hellos = {"EHLO", "HELO", "LHLO"}
    assert {cell: phase for cell, phase in smtp.items() if cell[1] not in hellos} == {
        cell: phase for cell, phase in lmtp.items() if cell[1] not in hellos
    }
    assert {verb for _, verb in lmtp} & hellos == {"LHLO"}
    assert all(lmtp[phase, "LHLO"] == smtp[phase, "EHLO"] for phase in COLUMNS)


@pytest.mark.req(
    "RFC5321-3.3-17/server",
    "RFC5321-4.1.4-12",
    "RFC5321-4.1.4-17",
    "RFC5321-4.1.1.9-01",
    "RFC5321-3.3-11",
    "RFC3207-6-07",
    "RFC4954-4-03",
    "RFC5321-4.1.1.10-01",
    "RFC5321-4.1.1.5-03",
    "RFC5321-4.1.1.6-01",
    "RFC5321-4.1.1.7-01",
    "RFC5321-4.1.1.8-03",
    "RFC5321-4.1.4-15",
    "RFC5321-4.1.1.10-07",
)
@pytest.mark.parametrize(("phase", "verb", "cell"), SERVER_CELLS)
def test_an_accepted_command_leads_to_the_phase_in_the_table(
    phase: Phase, verb: str, cell: str
) -> None:
    server = server_in(phase)
    before = copy.deepcopy(server.transaction)
    event = ask(server, LINES[verb])
    if cell == "503":
        assert isinstance(event, Rejected)
        assert event.reply.code == 503
        assert event.line == ("AUTH ***" if verb == "AUTH" else LINES[verb].decode())
    else:
        assert event == COMMANDS_BY_ROW[verb]
        assert (server.question is event) == (verb in QUESTIONS)
        if verb in QUESTIONS:
            assert not server.data_to_send(), "no reply is sent before the answer"
            server.answer(Reply(250, "2.0.0", "OK") if verb == "EXPN" else None)
        if verb.startswith("BDAT"):
            assert not server.data_to_send(), "no reply is sent before its octets were read"
            assert is_question(server.next_event())
            server.answer()
    code = 503 if cell == "503" else ACCEPTED_CODES.get(verb, 250)
    assert one_reply(server).code == code
    failed = phase is Phase.MAIL and verb.startswith("BDAT")  # the whole transaction fails
    assert server.phase is (Phase.READY if failed else phase_after(phase, cell))
    if verb in ("VRFY", "EXPN", "HELP", "NOOP") or (cell == "503" and not failed):
        assert server.transaction.envelope == before.envelope, "the buffers do not change"
        assert server.transaction.size == before.size
    assert server.next_event() is None
    assert not server.data_to_send()


@pytest.mark.req("RFC5321-4.1.4-07")
@pytest.mark.parametrize(("phase", "verb", "cell"), QUESTION_CELLS)
@pytest.mark.parametrize("code", [400, 421, 451, 500, 550, 599])
def test_a_refused_command_keeps_the_phase(phase: Phase, verb: str, cell: str, code: int) -> None:
    """A refusal changes nothing, whatever its code, except that 421 closes."""
    server = server_in(phase)
    ask(server, LINES[verb])
    envelope = server.envelope
    server.answer(Reply(code, None, "No"))
    assert one_reply(server).code == code
    assert server.phase is (Phase.CLOSED if code == 421 else phase)
    assert server.envelope == envelope
    assert server.next_event() is None


@pytest.mark.parametrize("phase", SERVER_PHASES, ids=lambda phase: phase.value)
@pytest.mark.parametrize(("line", "code"), BAD_LINES.items(), ids=lambda x: repr(x)[:20])
@pytest.mark.req(
    "RFC5321-4.2.4-01",
    "RFC5321-4.1.5-01",
    "RFC5321-4.1.1.10-02",
    "RFC5321-3.8-01",
    "RFC5321-3.8-02",
    "RFC5321-2.4-15/server",
    "RFC5321-F.6-03",
)
def test_an_unknown_command_keeps_the_phase(phase: Phase, line: bytes, code: int) -> None:
    """It has one reply and changes nothing, and the next command is read (RFC 5321 3.8, 4.2.4)."""
    server = server_in(phase)
    event = ask(server, line)
    assert isinstance(event, Rejected)
    assert event.reply.code == one_reply(server).code == code
    assert server.phase is phase
    ask(server, b"QUIT")
    assert one_reply(server).code == 221


@pytest.mark.req("RFC5321-4.1.1-04")
@pytest.mark.parametrize("phase", PHASES[:5], ids=lambda phase: phase.value)
@pytest.mark.parametrize("line", [b"RSET x", b"DATA foo", b"QUIT now", b"STARTTLS x"])
def test_an_argument_to_a_verb_without_arguments_is_refused(phase: Phase, line: bytes) -> None:
    server = server_in(phase)
    event = ask(server, line)
    cell = dict(zip(PHASES, EXPECTED[line.split()[0].decode()].split(), strict=True))[phase]
    assert isinstance(event, Rejected)
    assert one_reply(server).code == (503 if cell == "503" else 501)
    assert server.phase is phase


@pytest.mark.parametrize(
    ("first", "answer", "phase"),
    [(b"", None, Phase.GREETING), (b"AUTH PLAIN", 334, Phase.AUTH), (b"STARTTLS", 220, Phase.TLS)],
)
def test_a_server_reads_no_commands_in_the_other_phases(
    first: bytes, answer: int | None, phase: Phase
) -> None:
    """Octets that look like a command are kept, are a response, or raise."""
    if answer is None:
        server = ServerProtocol(hostname="mx.example.org")
        server.receive(b"QUIT\r\n")
        assert is_question(server.next_event())
        assert not server.data_to_send()
        assert server.phase is phase
        return
    server = server_in(Phase.READY)
    ask(server, first)
    server.answer(Reply(answer, None, ""))
    assert server.phase is phase
    if phase is Phase.TLS:
        with pytest.raises(LocalProtocolError):
            server.receive(b"QUIT\r\n")
        assert server.next_event() is None
    else:
        server.receive(b"QUIT\r\n")
        assert not isinstance(server.next_event(), Quit)
    assert server.phase is not Phase.CLOSED


@pytest.mark.req("RFC5321-3.3-10")
@pytest.mark.parametrize("line", [*LINES.values(), *BAD_LINES])
def test_after_354_every_line_is_content(line: bytes) -> None:
    server = server_in(Phase.RCPT)
    ask(server, b"DATA")
    server.answer()
    server.data_to_send()
    server.receive(line.replace(b"\n", b"") + b"\r\n")
    server.next_event()
    assert server.next_event() is None
    assert server.phase is Phase.BODY
    assert not server.data_to_send()


# -- the client --------------------------------------------------------------------------------


EHLO_REPLY = b"250-mx\r\n250-STARTTLS\r\n250-CHUNKING\r\n250-%s\r\n250 AUTH PLAIN\r\n" % (
    b"\r\n250-".join(keyword.encode() for keyword in OFFERED)
)


def send(client: ClientProtocol, row: str) -> Sent:
    """Send the command of *row*; for BDAT an empty chunk."""
    if row.startswith("BDAT"):
        (sent,) = client.send_chunk(b"", last=row.endswith("LAST"))
        return sent
    return client.send(COMMANDS_BY_ROW[row])


def client_in(phase: Phase) -> ClientProtocol:
    """Return a client that reached *phase* by a session, with its output read."""
    client = ClientProtocol()
    client.receive(b"554 No service\r\n" if phase is Phase.REFUSED else b"220 mx\r\n")
    client.next_event()
    script = {
        Phase.START: [],
        Phase.REFUSED: [],
        Phase.READY: ["EHLO"],
        Phase.MAIL: ["EHLO", "MAIL"],
        Phase.RCPT: ["EHLO", "MAIL", "RCPT"],
        Phase.CHUNKS: ["EHLO", "MAIL", "RCPT", "BDAT"],
        Phase.FAILED: ["EHLO", "MAIL", "RCPT", "BDAT"],
    }[phase]
    for verb in script:
        send(client, verb)
        client.data_to_send()
        refused = phase is Phase.FAILED and verb == "BDAT"
        client.receive(b"552 Too much\r\n" if refused else EHLO_REPLY)
        client.next_event()
    assert client.phase is phase
    client.data_to_send()
    return client


@pytest.mark.req(
    "RFC5321-4.1.4-01",
    "RFC5321-4.1.1.1-06",
    "RFC5321-4.1.4-14",
    "RFC4954-4-04",
    "RFC5321-4.1.1-03",
    "RFC5321-3.3-17/client",
    "RFC5321-2.4-15/client",
    "RFC5321-3.3-09",
)
@pytest.mark.parametrize(("phase", "verb", "cell"), ALL_CELLS)
@pytest.mark.parametrize("code", [0, 451, 550])
def test_a_client_sends_a_command_only_in_the_phases_of_the_table(
    phase: Phase, verb: str, cell: str, code: int
) -> None:
    """A command out of order is not sent; others lead to the same phase as on the server."""
    client = client_in(phase)
    assert client.allows(verb) == (cell != "503")
    if cell == "503":
        with pytest.raises(LocalProtocolError):
            send(client, verb)
        assert client.data_to_send() == b""
        assert client.unanswered == ()
        assert client.phase is phase
        return
    sent = send(client, verb)
    assert client.data_to_send() == LINES[verb] + b"\r\n"
    assert client.unanswered == (sent,)
    assert client.phase is phase, "nothing changes before the reply"
    client.receive(b"%d text\r\n" % (code or ACCEPTED_CODES.get(verb, 250)))
    event = client.next_event()
    assert isinstance(event, Answer)
    assert event.sent is sent
    refused = Phase.FAILED if verb.startswith("BDAT") else phase
    closes = verb == "QUIT"  # QUIT closes whatever the reply
    assert client.phase is (refused if code and not closes else phase_after(phase, cell))
    assert client.in_flight == 0


@pytest.mark.req("RFC5321-4.3.1-02", "RFC3207-4-07")
@pytest.mark.parametrize("phase", [Phase.GREETING, Phase.BODY, Phase.AUTH, Phase.TLS, Phase.CLOSED])
@pytest.mark.parametrize("verb", EXPECTED)
def test_a_client_sends_no_command_in_the_other_phases(phase: Phase, verb: str) -> None:
    client = ClientProtocol() if phase is Phase.GREETING else client_in(Phase.RCPT)
    if phase in (Phase.AUTH, Phase.TLS):
        client = client_in(Phase.READY)
    lead = {Phase.BODY: "DATA", Phase.AUTH: "AUTH", Phase.TLS: "STARTTLS", Phase.CLOSED: "QUIT"}
    if phase in lead:
        client.send(COMMANDS_BY_ROW[lead[phase]])
        client.data_to_send()
        client.receive(
            b"334 \r\n" if phase is Phase.AUTH else b"%d \r\n" % ACCEPTED_CODES[lead[phase]]
        )
        client.next_event()
        client.data_to_send()
    assert client.phase is phase
    assert not client.allows(verb)
    with pytest.raises(LocalProtocolError):
        send(client, verb)
    assert client.data_to_send() == b""


@pytest.mark.parametrize("phase", PHASES, ids=lambda phase: phase.value)
def test_a_client_sends_content_and_responses_only_when_asked(phase: Phase) -> None:
    client = client_in(phase)
    with pytest.raises(LocalProtocolError):
        client.send_body(b"text\r\n")
    with pytest.raises(LocalProtocolError):
        client.end_body()
    with pytest.raises(LocalProtocolError):
        client.respond(None)
    with pytest.raises(LocalProtocolError):
        client.tls_started()
    assert client.data_to_send() == b""
    assert client.unanswered == ()

"""Whole sessions, drawn by strategies: legal, faulty and hostile ones of both sides."""

from __future__ import annotations

from collections import deque
from itertools import product

from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from smtpproto import (
    ClientConfig,
    Envelope,
    Outcome,
    ServerProtocol,
    SMTPError,
    TimedOut,
    TLSMode,
)
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.client.connection import open_client
from smtpproto.commands import Mail
from smtpproto.events import BodyChunk, BodyEnd, ServerEvent
from smtpproto.testing import laws
from smtpproto.testing.strategies import (
    ClientSession,
    ServerSession,
    faulty_clients,
    faulty_servers,
    hostile_clients,
    hostile_servers,
    legal_clients,
    legal_servers,
    splits,
)

QUICK = settings(
    max_examples=2000, database=None, derandomize=True, phases=[Phase.generate], deadline=None
)
SERVER = ServerProtocol(hostname="mx.example.org").settings


def serve(pieces: list[bytes]) -> tuple[list[ServerEvent], bytes]:
    """Serve a client that sends *pieces*. Return the events, and the octets of the replies."""
    return laws.server_events(ServerProtocol(SERVER), pieces)


def codes(replies: bytes) -> list[int]:
    lines = replies.split(b"\r\n")[:-1]
    return [int(line[:3]) for line in lines if line[3:4] == b" "]


def check_client(session: ClientSession, data: DataObject) -> None:
    pieces = data.draw(st.just([*session.turns]) | splits(session.octets))
    events, replies = laws.check_same_for_any_split(serve, pieces)
    assert session.expects(codes(replies)), (session.codes, codes(replies))
    contents, content = [], b""
    for event in events:
        if isinstance(event, BodyChunk):
            content += event.data
        elif isinstance(event, BodyEnd):
            contents.append(content)
        elif isinstance(event, Mail):
            content = b""
    laws.check_stored_once([content for _, content in session.messages], contents)


@given(legal_clients(), st.data())
def test_a_legal_client_gets_each_message_accepted(
    session: ClientSession, data: DataObject
) -> None:
    check_client(session, data)


@given(faulty_clients(), st.data())
def test_faults_of_a_client_are_refused_and_change_nothing_else(
    session: ClientSession, data: DataObject
) -> None:
    check_client(session, data)


@given(hostile_clients(), st.data())
def test_a_hostile_client_is_served_the_same_however_its_octets_are_split(
    session: ClientSession, data: DataObject
) -> None:
    events, replies = laws.check_same_for_any_split(serve, data.draw(splits(session.octets)))
    assert len(codes(replies)) <= len(events) + 1, "each has one reply; a 421 may come after it"


def test_sessions_of_clients_reach_what_they_are_for() -> None:
    find(legal_clients(), lambda session: len(session.messages) > 2, settings=QUICK)
    find(legal_clients(), lambda s: b"BDAT" in s.octets and bool(s.messages), settings=QUICK)
    find(legal_clients(), lambda s: b"RSET" in s.octets and bool(s.messages), settings=QUICK)
    find(faulty_clients(), lambda s: (s.codes or ()).count("503") > 1, settings=QUICK)
    find(faulty_clients(), lambda s: "5" in (s.codes or ()), settings=QUICK)


# -- servers --------------------------------------------------------------------------------------


class AnsweringStream:
    """A stream to a server that answers as a session says."""

    peername = sockname = ("192.0.2.1", 25)

    def __init__(self, session: ServerSession) -> None:
        self.answers = {verb: deque(replies) for verb, replies in session.answers.items()}
        self.output = b"".join(self.answers[""])
        self.input = b""
        self.content = self.chunk = 0  # whether a content is next; how long a chunk is

    async def read(self, timeout: float | None) -> bytes:
        if timeout == 0 and not self.output:
            raise TimedOut("nothing has arrived")
        output, self.output = self.output, b""
        return output

    async def write(self, data: bytes, timeout: float | None) -> None:
        self.input += data
        while self._step():
            pass

    def _step(self) -> bool:
        end = b"\r\n.\r\n" if self.content else b"\r\n"
        if self.content and self.input.startswith(b".\r\n"):
            end = b".\r\n"
        line, found, rest = self.input.partition(end)
        verb = "." if self.content else line[:4].decode().upper()
        size = int(line.split()[1]) if verb == "BDAT" else 0
        if not found or len(rest) < size:
            return False
        self.input = rest[size:]
        verb = "." if line.endswith(b" LAST") else verb
        replies = self.answers.get(verb) or deque([b"502 no\r\n"])
        reply = replies[0]
        if len(replies) > 1:
            replies.popleft()
        self.content = verb == "DATA" and reply[:1] == b"3"
        self.output += reply
        return True

    async def end(self) -> None: ...

    async def close(self) -> None: ...

    def interrupt(self) -> None: ...


class OneServer(Runtime):
    """A runtime whose only server answers as *session* says."""

    def __init__(self, session: ServerSession) -> None:
        super().__init__()
        self.stream = AnsweringStream(session)

    async def dial(self, *_: object, **options: object) -> AnsweringStream:  # type: ignore[override]
        return self.stream


TO_TWO = Envelope("ann@example.org", ["bob@example.org", "carl@example.org"])


def send(session: ServerSession) -> Outcome:
    """Send a message to two recipients. Raises SMTPError."""

    async def talk() -> Outcome:
        config = ClientConfig(tls=TLSMode.NONE)
        async with await open_client(OneServer(session), "mx.example", 25, config) as client:
            return await client.send(b"Subject: x\r\n\r\nhello\r\n", TO_TWO)

    outcome: list[Outcome] = []

    async def main() -> None:
        outcome.append(await talk())

    run(main())
    return outcome[0]


@given(legal_servers() | faulty_servers())
def test_a_client_reports_which_recipients_a_server_has_accepted(session: ServerSession) -> None:
    outcome = laws.only_smtp_errors(send, session)
    assert session.accepted is not None
    if isinstance(outcome, SMTPError):
        assert not any(session.accepted), outcome
    else:
        assert session.accepted == tuple(path in outcome.accepted for path in TO_TWO.recipients)


@given(hostile_servers())
def test_a_hostile_server_causes_only_errors_of_the_library(session: ServerSession) -> None:
    laws.only_smtp_errors(send, session)


def test_sessions_of_servers_are_accepted_refused_and_half_accepted() -> None:
    for accepted in product((False, True), repeat=2):
        find(legal_servers(), lambda session: session.accepted == accepted, settings=QUICK)  # noqa: B023

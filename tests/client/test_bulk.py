"""Many messages over a pool: each recipient comes to one end, and nobody gets a message twice."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import assume, example, given

from smtpproto import (
    ClientConfig,
    ConnectFailed,
    Domain,
    Envelope,
    ForwardPath,
    GrammarError,
    Handler,
    Journal,
    LocalProtocolError,
    Login,
    LoginRefused,
    Mailbox,
    PlainPasswords,
    RcptParameters,
    Reply,
    SendEvent,
    SendResult,
    ServerConfig,
    Session,
    TLSMode,
)
from smtpproto.client.bulk import BulkOptions
from smtpproto.client.connection import Client, open_client
from smtpproto.client.deadline import Deadline
from smtpproto.client.pool import Pool
from smtpproto.grammar.reply import accepts
from smtpproto.testing.simulation import Simulation
from smtpproto.testing.strategies import mailboxes

FORTY = [f"r{number}@example.org" for number in range(40)]
FEW = FORTY[:6]
ANN = "ann@example.org"
IN_CLEAR = ClientConfig(tls=TLSMode.NONE)
FINAL = {it for it in SendResult if it.final}


class Inbox(Handler):
    """Refuses *later* twice each, and *never* always; counts what it accepts."""

    def __init__(self, later: Collection[str] = (), never: Collection[str] = ()) -> None:
        self.accepted = Counter[str]()
        self.asked = Counter[str]()
        self._later, self._never = later, never

    def rcpt(
        self, session: Session, recipient: ForwardPath, parameters: RcptParameters
    ) -> Reply | None:
        name = str(recipient)
        self.asked[name] += 1
        if name in self._never:
            return Reply(550, "5.1.1", "No such user")
        if name in self._later and self.asked[name] <= 2:
            return Reply(451, "4.7.1", "Later")
        return None

    def message(self, session: Session, envelope: Envelope, body: bytes) -> None:
        self.accepted.update(map(str, envelope.recipients))


class Crash(Exception):
    """The process ends."""


class CrashingJournal(Journal):
    """Ends the process before or after its write number *at*."""

    def __init__(self, path: Path, at: int, before: bool) -> None:
        super().__init__(path)
        self.left, self.before = at, before

    def record(self, time: float, result: str, recipients: Mapping[ForwardPath, str]) -> None:
        self.left -= 1
        if self.left == 0 and self.before:
            raise Crash
        super().record(time, result, recipients)
        if self.left == 0:
            raise Crash


def one(address: str) -> tuple[bytes, Envelope]:
    return b"Subject: x\r\n\r\nx\r\n", Envelope(ANN, address)


def run(
    handler: Handler,
    messages: Any,
    *,
    simulation: Simulation | None = None,
    config: ClientConfig = IN_CLEAR,
    server: ServerConfig | None = None,
    **options: Any,
) -> list[SendEvent]:
    """Send *messages* in a simulation; return the events."""
    simulation = simulation or Simulation(1)
    simulation.listen(25, handler, server or ServerConfig())

    async def dial(deadline: Deadline) -> Client:
        return await open_client(simulation, "mx.example", 25, config, deadline)

    pool, events = Pool(simulation, dial), list[SendEvent]()

    async def send() -> None:
        async with pool:
            events.extend([event async for event in pool.send_each(messages, **options)])

    simulation.run(send())
    return events


def results(events: list[SendEvent]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for event in events:
        found.setdefault(str(event.recipient), []).append(event.result.value)
    return found


def test_each_recipient_comes_to_one_end() -> None:
    inbox = Inbox(later={FEW[1]}, never={FEW[2]})
    events = run(inbox, map(one, FEW))
    ends = Counter(str(it.recipient) for it in events if it.result in FINAL)
    assert ends == Counter(FEW)
    assert results(events)[FEW[1]] == ["deferred", "deferred", "accepted"]
    assert results(events)[FEW[2]] == ["refused"]
    assert inbox.accepted == Counter(it for it in FEW if it != FEW[2])
    assert str(events[0]).startswith(f"accepted: {FEW[0]} (250 ")


@pytest.mark.parametrize("seed", range(12))
def test_a_connection_that_breaks_anywhere_delivers_to_nobody_twice(seed: int) -> None:
    inbox = Inbox(later={FEW[1]}, never={FEW[2]})
    events = run(inbox, map(one, FEW), simulation=Simulation(seed, cut_at=3 * seed))
    assert Counter(str(it.recipient) for it in events if it.result in FINAL) == Counter(FEW)
    assert max(inbox.accepted.values()) == 1
    assert results(events)[FEW[2]][-1] in ("refused", "unknown")


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_run_that_crashes_at_any_write_and_is_resumed_delivers_to_nobody_twice(
    tmp_path: Path, before: bool
) -> None:
    for at in range(1, 100):
        inbox, path = Inbox(later={FEW[1]}, never={FEW[2]}), tmp_path / f"{at}.journal"
        crashed = False
        with CrashingJournal(path, at, before) as journal:
            try:
                run(inbox, map(one, FEW), journal=journal)
            except Crash:
                crashed = True
        with Journal(path) as journal:
            events = run(inbox, map(one, FEW), journal=journal)
            unsure = [it for it in FEW if journal.last(ForwardPath.of(it)) == "sending"]
        assert Counter(str(it.recipient) for it in events if it.result in FINAL) == Counter(FEW)
        assert max(inbox.accepted.values()) == 1
        assert set(FEW) - set(inbox.accepted) - {FEW[2]} <= set(unsure)
        assert len(unsure) <= 1
        if not crashed:
            break
    assert at > 12


def test_what_is_unknown_is_sent_again_only_on_request(tmp_path: Path) -> None:
    for resend in (False, True):
        path = tmp_path / f"{resend}.journal"
        with Journal(path) as journal:
            journal.record(0.0, "sending", {ForwardPath.of(FEW[0]): ""})
            events = run(Inbox(), map(one, FEW[:2]), journal=journal, resend_unknown=resend)
        first = "accepted" if resend else "skipped"
        assert results(events) == {FEW[0]: [first], FEW[1]: ["accepted"]}


def test_a_second_run_and_a_second_message_skip_who_was_accepted(tmp_path: Path) -> None:
    inbox, events = Inbox(), list[SendEvent]()
    for _ in range(2):
        with Journal(tmp_path / "may.journal") as journal:
            events = run(inbox, [one(FEW[0]), (b"x", Envelope(ANN, FEW[:2]))], journal=journal)
    assert results(events) == {FEW[0]: ["skipped", "skipped"], FEW[1]: ["skipped"]}
    assert inbox.accepted == {FEW[0]: 1, FEW[1]: 1}


def test_the_rate_bounds_how_many_are_sent() -> None:
    simulation = Simulation(1)
    run(Inbox(), map(one, FORTY), simulation=simulation, rate="10/s")
    assert simulation.now() == pytest.approx(3.0, abs=0.01)
    for wrong in ("10", "5 at once"):
        with pytest.raises(ValueError, match=r"not a (rate|limit)"):
            BulkOptions(rate=wrong)


def test_retries_are_bounded() -> None:
    events = run(Inbox(later={FEW[0]}), [one(FEW[0])], retries=[60.0])
    assert results(events) == {FEW[0]: ["deferred", "refused"]}
    assert [event.attempts for event in events] == [1, 2]


def test_a_login_that_fails_ends_the_run_with_one_error(tmp_path: Path) -> None:
    config = ClientConfig(tls=TLSMode.NONE, login=Login("ann", "wrong"), login_in_clear=True)
    server = ServerConfig(authenticator=PlainPasswords({"ann": "right"}), auth_in_clear=True)
    with Journal(tmp_path / "may.journal") as journal:
        with pytest.raises(LoginRefused):
            run(Inbox(), map(one, FEW), config=config, server=server, journal=journal)
        assert journal.last(ForwardPath.of(FEW[0])) == "deferred"


def test_a_server_that_cannot_be_reached_ends_the_run(tmp_path: Path) -> None:
    simulation = Simulation(1)

    async def dial(deadline: Deadline) -> Client:
        return await open_client(simulation, "mx.example", 25, ClientConfig(), deadline)

    events = list[SendEvent]()

    async def send() -> None:
        async for event in Pool(simulation, dial).send_each(map(one, FORTY)):
            events.append(event)

    with pytest.raises(ConnectFailed):
        simulation.run(send())
    assert [event.result for event in events] == [SendResult.DEFERRED] * 4


def test_a_message_that_cannot_be_sent_fails_alone() -> None:
    long = b"x" * 2000, Envelope(ANN, FEW[0])
    events = run(Inbox(), [long, one(FEW[1])])
    assert results(events) == {FEW[0]: ["failed"], FEW[1]: ["accepted"]}
    assert isinstance(events[0].error, GrammarError)


def test_a_journal_is_text_and_loses_only_a_line_that_was_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "may.journal"
    with Journal(path) as journal:
        journal.record(0.0, "accepted", {ForwardPath.of(FEW[0]): "250 OK\r\n\tx"})
    line = b"1970-01-01T00:00:00+00:00\taccepted\tr0@example.org\t250 OK\\r\\n\\tx\n"
    assert path.read_bytes() == line
    path.write_bytes(line + b"1970-01-01T00:00:00+00:00\tacce")
    with Journal(path) as journal:
        assert journal.last(ForwardPath.of("r0@EXAMPLE.org")) == "accepted"
        with pytest.raises(LocalProtocolError, match="another run has the journal"):
            Journal(path)
    assert path.read_bytes() == line
    path.write_bytes(b"something else\n")
    with pytest.raises(GrammarError, match=r"not a journal: .*: line 1 is 'something else'; pass"):
        Journal(path)


@given(mailboxes())
@example(Mailbox("a" * 80, "example.org", long=True))
@example(Mailbox("a", Domain("a_b.example.org", loose=True)))
@example(Mailbox("a b\u2028", "EXAMPLE.org"))
@example(Mailbox("postmaster", None))
def test_a_journal_knows_each_address_that_it_has_recorded(mailbox: Mailbox) -> None:
    assume(accepts(ForwardPath, mailbox))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.journal"
        for _ in range(2):
            with Journal(path) as journal:
                journal.record(0.0, "accepted", {ForwardPath(mailbox): ""})
        with Journal(path) as journal:
            assert journal.last(ForwardPath(mailbox)) == "accepted"


def test_a_file_system_without_locks_is_not_taken_for_another_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(pytest.importorskip("fcntl"), "flock", refuse)
    with pytest.raises(OSError, match="No locks available"):
        Journal(tmp_path / "a.journal")


def test_a_run_that_ends_while_it_connects_leaves_nobody_in_doubt(tmp_path: Path) -> None:
    """A later run must send to them: no server can have got the message."""
    simulation = Simulation(1)

    async def dial(deadline: Deadline) -> Client:
        raise Crash

    async def send(journal: Journal) -> None:
        async with Pool(simulation, dial) as pool:
            async for event in pool.send_each(map(one, FEW), journal=journal):
                raise AssertionError(event)

    with Journal(tmp_path / "a.journal") as journal, pytest.raises(Crash):
        simulation.run(send(journal))
    assert Path(journal.path).read_bytes() == b""

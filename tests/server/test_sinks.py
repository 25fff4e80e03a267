"""Sinks that receive a message sent by DATA."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from attrs import define, field

from smtpproto import Envelope, Handler, Limits, Reply, ServerConfig, Session, Sink
from smtpproto.server.handler import WholeMessage
from tests.support.envelopes import TO_BOB
from tests.support.handlers import Inbox
from tests.support.server_dialogue import (
    END_OF_DATA,
    HELLO,
    LOCAL_ERROR,
    QUIT,
    START_INPUT,
    TRANSACTION,
    mail_from,
    play,
    rcpt_to,
)

ENVELOPE = f"{mail_from('ann@example.org')}{rcpt_to('bob@example.org')}"
CHUNK = "C: BDAT 7\nC: hello\nS: 250 2.0.0 Chunk received\n"


@define(eq=False)
class StreamingHandler(Handler):
    """A handler that is its own sink. It records the calls, and the call *fail_at* raises."""

    fail_at: str = ""
    calls: list[str] = field(factory=list)

    async def data(self, session: Session, envelope: Envelope) -> Sink | Reply:
        if self.fail_at == "refuse":
            return Reply(452, "4.3.1", "Full")
        return self._call("open")

    async def write(self, data: bytes) -> None:
        self._call("write")

    def commit(self) -> Reply | None:
        self._call("commit")
        return None

    async def abort(self) -> None:
        self._call("abort")

    def _call(self, name: str) -> StreamingHandler:
        self.calls.append(name)
        if self.fail_at == name:
            raise OSError("disk full")
        return self


TIME_OUT = "421 4.4.2 localhost Timeout; closing transmission channel"


@pytest.mark.req("RFC5321-4.1.1.10-05")
@pytest.mark.parametrize(
    ("fail_at", "rest", "calls"),
    [
        ("", f"{START_INPUT}\nC: x{END_OF_DATA}{QUIT}", "open write commit"),
        ("refuse", f"S: 452 4.3.1 Full{QUIT}", ""),
        ("open", f"S: {LOCAL_ERROR}{QUIT}", "open"),
        ("write", f"{START_INPUT}\nC: x\nC: .\nS: {LOCAL_ERROR}{QUIT}", "open write abort"),
        ("commit", f"{START_INPUT}\nC: x\nC: .\nS: {LOCAL_ERROR}{QUIT}", "open write commit"),
        ("", f"{START_INPUT}\nC: x\n", "open write abort"),
        ("abort", f"{START_INPUT}\nC: x\n", "open write abort"),
        ("", f"{START_INPUT}\nC: <reset>\n", "open abort"),
        ("", f"{START_INPUT}\nC: <silence>\nS: {TIME_OUT}", "open abort"),
    ],
    ids=[
        "accepted", "data refuses", "data raises", "write raises", "commit raises",
        "end of connection", "abort raises", "lost connection", "time-out",
    ],
)  # fmt: skip
def test_each_sink_ends_with_one_commit_or_one_abort(fail_at: str, rest: str, calls: str) -> None:
    handler = StreamingHandler(fail_at)
    play(f"{HELLO}{TRANSACTION}{rest}", handler)
    assert handler.calls == calls.split()


@pytest.mark.req("RFC5321-4.1.1.10-07")
@pytest.mark.parametrize(
    ("before", "calls"),
    [
        ("", ""),
        (mail_from("ann@example.org"), ""),
        (ENVELOPE, ""),
        (f"{ENVELOPE}{CHUNK}", "open write abort"),
        (f"{ENVELOPE}{CHUNK}{CHUNK}", "open write write abort"),
        (f"{TRANSACTION}{START_INPUT}\nC: x{END_OF_DATA}", "open write commit"),
    ],
    ids=["no transaction", "MAIL", "RCPT", "one chunk", "two chunks", "complete message"],
)
def test_quit_ends_the_session_at_any_time_and_aborts_an_open_message(
    before: str, calls: str
) -> None:
    handler = StreamingHandler()
    play(f"{HELLO}{before}{QUIT}", handler)
    assert handler.calls == calls.split()


@pytest.mark.req("RFC5321-4.1.1.10-05")
def test_a_connection_lost_after_a_message_does_not_undo_it() -> None:
    handler = StreamingHandler()
    message = f"{TRANSACTION}{START_INPUT}\nC: x{END_OF_DATA}"
    play(f"{HELLO}{message}{TRANSACTION}{START_INPUT}\nC: y\nC: <reset>\n", handler)
    assert handler.calls == ["open", "write", "commit", "open", "write", "abort"]


def test_a_message_above_the_size_limit_is_aborted_and_the_session_continues() -> None:
    handler = StreamingHandler()
    hello = HELLO.replace("33554432", "65536")
    lines = f"C: {'x' * 9998}\n" * 7
    play(
        f"{hello}{TRANSACTION}{START_INPUT}\n{lines}C: .\n"
        "S: 552 5.3.4 Message size exceeds fixed maximum message size\n"
        f"C: NOOP\nS: 250 2.0.0 OK{QUIT}",
        handler,
        ServerConfig(limits=Limits(message_size=65536)),
    )
    assert handler.calls[-1] == "abort" and "commit" not in handler.calls


def test_a_sink_without_commit_is_refused_with_451() -> None:
    class SinkWithoutCommit:
        def write(self, data: bytes) -> None: ...

    class Wrong(Handler):
        def data(self, *_: object) -> Any:
            return SinkWithoutCommit()

    play(f"{HELLO}{TRANSACTION}S: {LOCAL_ERROR}{QUIT}", Wrong())


def test_the_default_sink_keeps_small_slices_in_little_more_memory_than_their_octets() -> None:
    """A list of slices would need many times the memory of the content."""
    inbox, size = Inbox(), 100_000
    sink = WholeMessage(inbox, Session(peer=("", 0)), TO_BOB)
    tracemalloc.start()
    try:
        for number in range(0, size, 2):
            sink.write(b"%02d" % (number % 100))
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used < 2 * size
    sink.commit()
    assert inbox.bodies == [b"".join(b"%02d" % (number % 100) for number in range(0, size, 2))]


def test_the_default_sink_passes_a_message_on_without_a_copy() -> None:
    inbox, size = Inbox(), 4 * 1024 * 1024
    sink, slices = WholeMessage(inbox, Session(peer=("", 0)), TO_BOB), size // 65536
    tracemalloc.start()
    try:
        for _ in range(slices):
            sink.write(bytes(65536))
        sink.commit()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(inbox.bodies[0]) == size
    assert peak < 1.2 * size

"""The event loop of examples/own_loop.py carries clients and servers, and the page quotes it."""

from __future__ import annotations

import gc
import importlib
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from smtpproto import ConnectFailed, Envelope, Handler, Outcome, Reply, Session, TimedOut
from smtpproto.testing import Inbox
from tests.pages.page import DOCS, steps

EXAMPLES = DOCS.parent / "examples"
ENVELOPE = Envelope("ann@example.org", "bob@example.org")


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(EXAMPLES)
    yield importlib.import_module("own_loop")
    gc.collect()  # finds a socket that is still open


@pytest.fixture
def loop(example: Any) -> Iterator[Any]:
    with closing(example.Loop()) as made:
        yield made


def test_the_page_quotes_the_example() -> None:
    code = Path(EXAMPLES, "own_loop.py").read_text()
    text = Path(DOCS, "howto/own-event-loop.md").read_text()
    quoted = [block for language, block in steps(text) if language == "python"]
    assert len(quoted) == 5
    for block in quoted:
        assert block in code


def test_the_example_prints_the_outcome(example: Any, capsys: pytest.CaptureFixture[str]) -> None:
    example.main()
    assert capsys.readouterr().out == (
        "received 16 octets\naccepted: bob@example.org (250 2.0.0 Message accepted)\n"
    )


def test_many_clients_send_large_messages_at_the_same_time(example: Any, loop: Any) -> None:
    inbox = Inbox()
    outcomes: list[Outcome] = []
    content = b"x" * 76 + b"\r\n"

    async def send(number: int) -> None:
        message = b"Subject: %d\r\n\r\n" % number + content * 5_000
        outcomes.append(await example.send(message, "127.0.0.1", port, ENVELOPE))

    async def all_sent() -> None:
        while len(outcomes) < 3:
            await example.Runtime().sleep(0.001)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        loop.start(example.serve(loop, inbox, listener))
        for number in range(3):
            loop.start(send(number))
        loop.run(all_sent())
    assert all(outcome.accepted for outcome in outcomes)
    assert {int(it.parsed["Subject"]) for it in inbox.messages} == set(range(3))
    assert {len(it.content) for it in inbox.messages} == {14 + 5_000 * 78}


def test_a_hook_that_raises_refuses_the_message(example: Any, loop: Any) -> None:
    class Failing(Handler):
        async def message(self, session: Session, envelope: Envelope, body: bytes) -> Reply | None:
            await example.Runtime().checkpoint()
            raise LookupError("secret")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        loop.start(example.serve(loop, Failing(), listener))
        sent = example.send(b"hi\r\n", "127.0.0.1", listener.getsockname()[1], ENVELOPE)
        with pytest.raises(Exception, match="451"):
            loop.run(sent)


def test_a_server_that_is_silent_or_not_there_ends_the_client(example: Any, loop: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        async def read() -> None:
            stream = await example.Runtime().dial("127.0.0.1", port, 5)
            try:
                await stream.read(0.01)
            finally:
                await stream.close()

        with pytest.raises(TimedOut):
            loop.run(read())
    with pytest.raises(ConnectFailed):
        loop.run(example.send(b"hi\r\n", "127.0.0.1", port, ENVELOPE))

"""Faults that a hostile review found in sessions, each as it was reproduced."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from smtpproto import (
    Client,
    ClientConfig,
    ConnectionLost,
    Envelope,
    ForwardPath,
    Handler,
    Limits,
    LocalProtocolError,
    RcptParameters,
    Reply,
    SendRefused,
    ServerConfig,
    Session,
    TLSMode,
)
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.client.connection import open_client, start_client
from smtpproto.server.conversation import Conversation
from smtpproto.server.setup import check_server
from smtpproto.testing.script import ScriptedStream
from smtpproto.testing.simulation import Simulation

from ..support.scripted_client import ScriptedClient, octets

TO_TWO = Envelope("ann@example.org", ["bob@example.org", "carol@example.org"])


class Answers(Handler):
    """Answers RCPT and the message with something."""

    def __init__(self, verdict: object) -> None:
        self.verdict = verdict

    def message(self, session: Session, envelope: Envelope, body: bytes) -> None:
        return self.verdict  # type: ignore[return-value]


@pytest.mark.parametrize("falsy", [False, 0, ""])
def test_what_is_no_reply_is_no_yes(falsy: object, caplog: pytest.LogCaptureFixture) -> None:
    lines = octets("EHLO a.example", "MAIL FROM:<>", "RCPT TO:<b@c.example>", "DATA", ".", "QUIT")
    client = ScriptedClient([lines])
    run(Conversation(client, Answers(falsy), ServerConfig(), Runtime()).run())
    assert [line[:3] for line in client.lines[-2:]] == ["451", "221"]
    assert "must return a Reply or None" in caplog.text or falsy == ""


def test_no_sink_is_said_before_the_content(caplog: pytest.LogCaptureFixture) -> None:
    class Forgetful(Handler):
        def data(self, session: Session, envelope: Envelope) -> None:  # type: ignore[override]
            """A return was forgotten."""

    client = ScriptedClient(
        [octets("EHLO a.example", "MAIL FROM:<>", "RCPT TO:<b@c.example>", "DATA")]
    )
    run(Conversation(client, Forgetful(), ServerConfig(), Runtime()).run())
    assert client.lines[-1][:3] == "451"
    assert "must return a Sink or a Reply" in caplog.text


def test_offers_that_make_no_sense_are_known_before_a_function_makes_a_handler() -> None:
    def make() -> Handler:
        return Handler()

    with pytest.raises(ValueError, match="FOO"):
        check_server(make, ServerConfig(extensions={"FOO": ""}), 25)


def test_what_only_the_first_connection_shows_ends_that_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Queues(Handler):
        def etrn(self, session: Session, node: str) -> None: ...

    config = ServerConfig(submission=True)  # which has no ETRN
    client = ScriptedClient([octets("EHLO a.example")])
    run(Conversation(client, Queues(), config, Runtime()).run())
    assert client.closed and client.lines == []
    assert "ETRN is not offered by submission servers" in caplog.text


class Once:
    """Content that can be read twice, as it says, but the second time fails."""

    def __init__(self) -> None:
        self.readings = 0

    def __iter__(self) -> Iterator[bytes]:
        self.readings += 1
        if self.readings > 1:
            raise OSError("cannot be read again")
        yield b"hello\r\n"


class Keeping(Handler):
    def __init__(self) -> None:
        self.kept: list[Envelope] = []

    def message(self, session: Session, envelope: Envelope, body: bytes) -> None:
        self.kept.append(envelope)


def test_what_some_have_is_told_though_the_rest_failed() -> None:
    simulation, handler = Simulation(1), Keeping()
    simulation.listen(25, handler, ServerConfig(limits=Limits(recipients=1)))

    async def talk() -> None:
        config = ClientConfig(tls=TLSMode.NONE)
        async with await open_client(simulation, "mx.example", 25, config) as client:
            outcome = await client.send(Once(), TO_TWO)
            assert [str(path) for path in outcome.accepted] == ["bob@example.org"]
            assert [reply.code for reply in outcome.refused.values()] == [451]
            assert outcome.retry == (ForwardPath.of("carol@example.org"),)

    simulation.run(talk())
    assert [str(path) for mail in handler.kept for path in mail.recipients] == ["bob@example.org"]


class Cancelled(BaseException):
    """As a framework's."""


async def greeted(script: str) -> tuple[Client, ScriptedStream]:
    stream = ScriptedStream(f"S: 220 mx\nC: EHLO [127.0.0.1]\nS: 250 mx\n{script}")
    config = ClientConfig(tls=TLSMode.NONE)
    return await start_client(Runtime(), stream, "", config, TLSMode.NONE), stream


def test_a_write_that_was_cancelled_ends_the_link() -> None:
    """Nobody knows how much of it has left: what follows might be read as content."""

    async def main() -> None:
        client, stream = await greeted("")

        async def write(data: bytes, timeout: float | None) -> None:
            raise Cancelled

        stream.write = write  # type: ignore[method-assign]
        with pytest.raises(Cancelled):
            await client.noop()
        assert not client.usable
        with pytest.raises(LocalProtocolError, match="over"):
            await client.send(b"hello\r\n", TO_TWO)

    run(main())


def test_after_421_every_message_is_refused_with_it() -> None:
    async def main() -> None:
        client, _ = await greeted("C: MAIL FROM:<ann@example.org>\nS: 421 Going\n")
        for _ in range(3):
            with pytest.raises(SendRefused) as caught:
                await client.send(b"hello\r\n", TO_TWO)
            assert caught.value.reply.code == 421

    run(main())


def test_a_client_that_goes_between_lmtp_replies_is_no_fault_of_the_handler(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Mailboxes(Handler):
        def rcpt(
            self, session: Session, recipient: ForwardPath, parameters: RcptParameters
        ) -> None: ...

        def message(self, session: Session, envelope: Envelope, body: bytes) -> list[Reply | None]:
            return [None, None]

    class Gone(ScriptedClient):
        async def write(self, data: bytes, timeout: float | None) -> None:
            await super().write(data, timeout)
            if b"Message accepted" in data:
                raise ConnectionLost("broken pipe")

    said = ["LHLO a.example", "MAIL FROM:<>", "RCPT TO:<b@c.example>", "RCPT TO:<d@c.example>"]
    gone = Gone([octets(*said, "DATA", ".")])
    run(Conversation(gone, Mailboxes(), ServerConfig(lmtp=True), Runtime()).run())
    assert gone.lines[-1].startswith("250 2.0.0 Message accepted")
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_stop_does_not_wait_for_a_proxy_s_header() -> None:
    simulation = Simulation(1)
    _, far = simulation.pair()
    config = ServerConfig(proxied_by=["192.0.2.0/24"])
    conversation = Conversation(far, Handler(), config, simulation)

    async def stop() -> float:
        await simulation.wait(lambda: False, 1.0)
        conversation.stop()
        return simulation.now()

    simulation.run(conversation.run(), stop())
    assert simulation.now() < 2

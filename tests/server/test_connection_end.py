"""The end of a connection to a server: lost clients, time-outs and a stop of the server."""

from __future__ import annotations

import gc
import logging
import weakref
from collections.abc import Callable

import pytest
from attrs import define, field

from smtpproto import (
    ConnectionLost,
    Envelope,
    ForwardPath,
    Handler,
    Limits,
    MailParameters,
    RcptParameters,
    Reply,
    ReversePath,
    ServerConfig,
    Session,
    Timeouts,
    TLSMode,
)
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.limits import LINGER, LINGER_OCTETS, LINGER_QUIET
from smtpproto.protocol.server import ServerProtocol
from smtpproto.server.conversation import Conversation
from smtpproto.testing.simulation import SimulatedStream, Simulation
from tests.support.certificates import NAME
from tests.support.handlers import Inbox
from tests.support.scripted_client import ScriptedClient, octets, serve
from tests.support.tls_sessions import SERVER_CONTEXT, EventRecorder, each_mode, serving


def test_the_memory_of_a_connection_is_free_once_it_has_ended() -> None:
    commands = ["EHLO a.example", "MAIL FROM:<>", "RCPT TO:<b@c.example>", "DATA", ".", "QUIT"]
    gc.collect()
    gc.disable()  # so that what is in a circle stays
    try:
        handler = Inbox()
        conversation = Conversation(
            ScriptedClient([octets(*commands)]), handler, ServerConfig(), Runtime()
        )
        run(conversation.run())
        assert handler.bodies
        left = weakref.ref(handler)
        del handler, conversation
        assert left() is None
    finally:
        gc.enable()


def test_a_client_lost_between_lmtp_replies_is_not_logged_as_an_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Mailboxes(Handler):
        def rcpt(
            self, session: Session, recipient: ForwardPath, parameters: RcptParameters
        ) -> None: ...

        def message(self, session: Session, envelope: Envelope, body: bytes) -> list[Reply | None]:
            return [None, None]

    class LostClient(ScriptedClient):
        async def write(self, data: bytes, timeout: float | None) -> None:
            await super().write(data, timeout)
            if b"Message accepted" in data:
                raise ConnectionLost("broken pipe")

    commands = ["LHLO a.example", "MAIL FROM:<>", "RCPT TO:<b@c.example>", "RCPT TO:<d@c.example>"]
    client = LostClient([octets(*commands, "DATA", ".")])
    run(Conversation(client, Mailboxes(), ServerConfig(lmtp=True), Runtime()).run())
    assert client.lines[-1].startswith("250 2.0.0 Message accepted")
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_a_stop_while_another_thread_takes_up_data_does_not_interrupt_the_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = ScriptedClient(
        [octets("EHLO x", "MAIL FROM:<>", "RCPT TO:<b@c.example>", "DATA"), b".\r\n"]
    )
    conversation = Conversation(client, Inbox(), ServerConfig(), Runtime())
    receive = ServerProtocol.receive

    def stop_and_receive(machine: ServerProtocol, data: bytes) -> None:
        conversation.stop()
        receive(machine, data)

    monkeypatch.setattr(ServerProtocol, "receive", stop_and_receive)
    run(conversation.run())
    assert not client.interrupted
    assert [line[:3] for line in client.lines[-2:]] == ["250", "421"]


def test_stop_does_not_wait_for_the_proxy_header() -> None:
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


def test_a_silent_client_gets_421_after_five_minutes() -> None:
    simulation, handler = Simulation(3), EventRecorder()
    simulation.listen(25, handler, ServerConfig(limits=Limits()))

    async def client() -> tuple[bytes, float]:
        stream = await simulation.dial("mx.example", 25, None)
        replies = b""
        while octets := await stream.read(None):
            replies += octets
        return replies, simulation.now()

    ((replies, time),) = simulation.run(client())
    assert replies.startswith(b"220 ") and b"\r\n421 4.4.2 localhost " in replies
    assert time == 300
    assert handler.events.count("close") == 1


# -- lingering -----------------------------------------------------------------------------------


@define(eq=False)
class Talkative(ScriptedClient):
    """A client that goes on sending after its *pieces*, until *closed*; *after_end* counts the
    reads after the server has ended its direction."""

    after_end: int = -1
    handler: EventRecorder = field(factory=EventRecorder)

    async def end(self) -> None:
        assert self.handler.events[-1] == "close"
        self.after_end = 0

    async def read(self, timeout: float | None) -> bytes:
        if self.after_end < 0:
            return await super().read(timeout)
        assert timeout == pytest.approx(LINGER_QUIET)
        self.after_end += 1
        return bytes(LINGER_OCTETS // 4)


def talk(*pieces: bytes | Exception) -> Talkative:
    client = Talkative(list(pieces))
    run(Conversation(client, client.handler, ServerConfig(), Runtime()).run())
    assert client.closed and client.handler.events[-1] == "close"
    return client


def test_after_a_421_the_server_reads_a_bounded_number_of_octets_before_it_closes() -> None:
    client = talk(octets("GET / HTTP/1.1"))
    assert client.lines[-1].startswith("421 ")
    assert client.after_end == 4


@pytest.mark.parametrize("piece", [octets("QUIT"), b"", ConnectionLost("reset")])
def test_the_server_closes_at_once_after_quit_or_the_end_of_the_client(
    piece: bytes | Exception,
) -> None:
    assert talk(piece).after_end == -1


def test_a_client_that_goes_on_sending_after_a_421_is_read_for_two_seconds() -> None:
    simulation = Simulation(5)
    near, far = simulation.pair()
    conversation = Conversation(far, Handler(), ServerConfig(), simulation)

    async def serve() -> float:
        await conversation.run()
        return simulation.now()

    async def client() -> None:
        await near.write(octets("GET / HTTP/1.1"), None)
        while simulation.now() < 10:
            await near.write(b"x", None)
            await simulation.sleep(LINGER_QUIET / 2)

    assert simulation.run(serve(), client())[0] == pytest.approx(LINGER)


# -- during the handshake ------------------------------------------------------------------------


async def read_to_the_end(stream: SimulatedStream) -> None:
    """Read to the end of the connection. The server sends nothing, or an alert of TLS."""
    octets_read = b""
    while octets := await stream.read(None):
        octets_read += octets
    assert octets_read[:3] in (b"", b"\x15\x03\x03") and len(octets_read) in (0, 7)


def silent_handshake(
    mode: TLSMode, timeouts: Timeouts, end: Callable[[Simulation], None]
) -> list[str]:
    """Return the events of a server whose client sends nothing in the handshake, until *end* or
    a time-out."""
    simulation, handler = Simulation(1), EventRecorder()
    simulation.listen(25, handler, serving(mode, context=SERVER_CONTEXT, timeouts=timeouts))

    async def main() -> None:
        stream = await simulation.dial(NAME, 25, None)
        if mode is TLSMode.REQUIRED:
            await stream.write(b"EHLO c.example\r\nSTARTTLS\r\n", None)
            replies = b""
            while b"220 2.0.0" not in replies or not replies.endswith(b"\r\n"):
                replies += await stream.read(None)
        await simulation.sleep(1)  # simulated time: the server is waiting now
        end(simulation)
        await read_to_the_end(stream)

    simulation.run(main())
    return handler.events


@each_mode
def test_a_stalled_handshake_times_out(mode: TLSMode) -> None:
    assert silent_handshake(mode, Timeouts(tls=5), lambda _: None)[-1] == "close"


@each_mode
def test_stop_ends_a_handshake(mode: TLSMode) -> None:
    """This server has no time-out, so only stop can end the handshake."""
    never = Timeouts(tls=None, command=None)
    events = silent_handshake(mode, never, lambda simulation: simulation.conversations[0].stop())
    assert events[-1] == "close"


def test_stop_ends_a_handshake_that_has_just_begun() -> None:
    simulation = Simulation(1)
    simulation.listen(
        465,
        Handler(),
        ServerConfig(context=SERVER_CONTEXT, implicit_tls=True, timeouts=Timeouts(tls=None)),
    )

    async def main() -> None:
        stream = await simulation.dial(NAME, 465, None)
        simulation.conversations[0].stop()
        await read_to_the_end(stream)

    simulation.run(main())


# -- after a refusal -----------------------------------------------------------------------------


class RefusingHandler(Handler):
    """Replies to MAIL with the code that the sender names, and refuses all but Bob."""

    def mail(self, session: Session, sender: ReversePath, parameters: MailParameters) -> Reply:
        code = int(sender.mailbox.local_part) if sender.mailbox else 250
        return Reply(code, None, "As you wish")

    def rcpt(
        self, session: Session, recipient: ForwardPath, parameters: RcptParameters
    ) -> Reply | None:
        return None if recipient.local_part == "bob" else Reply(550, "5.1.1", "Unknown")

    def vrfy(self, session: Session, name: str) -> Reply:
        raise LookupError(name)

    def message(self, session: Session, envelope: Envelope, body: bytes) -> Reply:
        return Reply(554, "5.7.1", "Not this")


@pytest.mark.req("RFC5321-3.8-01", "RFC5321-3.8-02", "RFC5321-4.1.1.10-02")
@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("FOO", "500"), ("", "500"), ("X" * 3000, "500"), ("SAML", "502"), ("EXPN a", "502"),
        ("STARTTLS", "502"), ("AUTH PLAIN", "502"), ("EHLO", "501"), ("EHLO a\0b", "501"),
        ("MAIL FROM:x", "501"), ("MAIL FROM:<> FOO=1", "555"), ("RCPT TO:<a@b.example>", "503"),
        ("DATA", "503"), ("BDAT 0", "503"), ("QUIT now", "501"), ("RSET now", "501"),
        ("VRFY bob", "451"), ("MAIL FROM:<> SIZE=99999999", "552"), ("NOOP\n", "500"),
        *((f"MAIL FROM:<{code}@x.example>", str(code)) for code in (450, 451, 452, 499, 500)),
        *((f"MAIL FROM:<{code}@x.example>", str(code)) for code in (521, 530, 550, 554, 599)),
    ],
)  # fmt: skip
def test_the_connection_stays_open_after_each_refusal(line: str, code: str) -> None:
    client = serve(RefusingHandler(), octets("EHLO a.example", line), octets("NOOP", "QUIT"))
    refusal, noop, quit_reply = client.lines[-3:]
    assert (refusal[:3], noop[:3], quit_reply[:3]) == (code, "250", "221")


@pytest.mark.req("RFC5321-3.8-01", "RFC5321-4.1.1.10-02")
def test_the_connection_stays_open_after_refused_recipients_and_messages() -> None:
    message = ["MAIL FROM:<>", "RCPT TO:<eve@x.example>", "RCPT TO:<bob@x.example>", "DATA", "."]
    client = serve(RefusingHandler(), octets("EHLO a.example", *message * 3, "QUIT"))
    codes = [line[:3] for line in client.lines if line[3] == " "]
    assert codes == ["220", "250", *["250", "550", "250", "354", "554"] * 3, "221"]

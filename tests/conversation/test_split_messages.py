"""A message that is sent in several transactions, because the server limits recipients."""

from __future__ import annotations

from collections.abc import Iterator

from smtpproto import ClientConfig, ForwardPath, Limits, ServerConfig, TLSMode
from smtpproto.client.connection import open_client
from smtpproto.testing.simulation import Simulation
from tests.support.envelopes import TO_TWO
from tests.support.handlers import Inbox


class ReadableOnce:
    """Content that raises OSError when it is read a second time."""

    def __init__(self) -> None:
        self.readings = 0

    def __iter__(self) -> Iterator[bytes]:
        self.readings += 1
        if self.readings > 1:
            raise OSError("cannot be read again")
        yield b"hello\r\n"


def test_recipients_after_a_failed_source_are_refused_with_451_and_the_others_kept() -> None:
    simulation, handler = Simulation(1), Inbox()
    simulation.listen(25, handler, ServerConfig(limits=Limits(recipients=1)))

    async def talk() -> None:
        config = ClientConfig(tls=TLSMode.NONE)
        async with await open_client(simulation, "mx.example", 25, config) as client:
            outcome = await client.send(ReadableOnce(), TO_TWO)
            assert [str(path) for path in outcome.accepted] == ["a@b.example"]
            assert [reply.code for reply in outcome.refused.values()] == [451]
            assert outcome.retry == (ForwardPath.of("c@d.example"),)

    simulation.run(talk())
    assert [str(path) for _, mail, _ in handler.messages for path in mail.recipients] == [
        "a@b.example"
    ]

"""When replies leave (RFC 2920 3.2): in order, and what must not wait does not."""

from __future__ import annotations

import pytest

from smtpproto import (
    ForwardPath,
    Handler,
    RcptParameters,
    Reply,
    ServerConfig,
    Session,
)
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.client.config import ClientConfig
from smtpproto.client.connection import open_client
from smtpproto.server.conversation import Conversation
from smtpproto.testing.simulation import Simulation

from ..support.scripted_client import Feed, octets


def written(*lines: str) -> list[list[str]]:
    """The codes of each write, when all *lines* come in one piece."""
    feed = Feed([octets("EHLO a.example"), octets(*lines)])
    run(Conversation(feed, Handler(), ServerConfig(), Runtime()).run())
    writes = [data.decode().splitlines() for data in feed.written]
    return [[line[:3] for line in lines if line[3] == " "] for lines in writes][2:]


@pytest.mark.req("RFC2920-3.2-05")
@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("EHLO b.example", "250"), ("VRFY bob", "252"), ("EXPN list", "502"), ("NOOP", "250"),
        ("DATA", "503"), ("QUIT", "221"), ("TURN", "502"),
    ],
)  # fmt: skip
def test_replies_that_are_not_held(line: str, code: str) -> None:
    """They leave before what comes behind is read, with those that waited before them."""
    writes = written("RSET", "MAIL FROM:<>", line, "RSET")
    assert writes[0] == ["250", "250", code]
    assert writes[1:] == ([] if line == "QUIT" else [["250"]])


@pytest.mark.req("RFC2920-3.2-06")
@pytest.mark.parametrize("line", ["FOO", "", "MAILFROM:<>", "X" * 600])
def test_what_is_not_understood_is_answered_at_once(line: str) -> None:
    assert written("MAIL FROM:<>", line, "RCPT TO:<bob@example.org>") == [["250", "500"], ["250"]]


@pytest.mark.req("RFC2920-3.2-07")
def test_nothing_is_held_while_input_is_waited_for() -> None:
    assert written("MAIL FROM:<>", "RCPT TO:<bob@example.org>", "RSET") == [["250", "250", "250"]]
    feed = Feed([octets("EHLO a.example"), octets("MAIL FROM:<>"), octets("RSET")])
    run(Conversation(feed, Handler(), ServerConfig(), Runtime()).run())
    assert [data[:4] for data in feed.written[2:]] == [b"250 ", b"250 "]


class Slow(Handler):
    """The first recipient takes longest."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation

    async def rcpt(
        self, session: Session, recipient: ForwardPath, parameters: RcptParameters
    ) -> Reply:
        number = int(recipient.local_part)
        await self.simulation.wait(lambda: False, 10.0 / (number + 1))
        return Reply(550, "5.1.1", f"Not {number}")


@pytest.mark.req("RFC2920-3.2-01")
def test_replies_in_the_order_of_commands() -> None:
    """However long each hook takes."""
    simulation = Simulation(1)
    simulation.listen(25, Slow(simulation), ServerConfig())

    async def talk() -> list[str]:
        link = (await open_client(simulation, "mx.example", 25, ClientConfig()))._link
        await link.stream.write(
            octets("MAIL FROM:<>", *(f"RCPT TO:<{n}@example.org>" for n in range(5)), "QUIT"), None
        )
        said = b""
        while data := await link.stream.read(None):
            said += data
        return said.decode().splitlines()

    (lines,) = simulation.run(talk())
    assert [line[:3] for line in lines] == ["250", *["550"] * 5, "221"]
    assert [line[-5:] for line in lines[1:6]] == [f"Not {number}" for number in range(5)]

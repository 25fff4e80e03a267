"""When replies are sent: together, in order, and before the server waits (RFC 2920 3.2)."""

from __future__ import annotations

import pytest

from smtpproto import (
    ClientConfig,
    ForwardPath,
    Handler,
    RcptParameters,
    Reply,
    ServerConfig,
    Session,
)
from smtpproto.client.connection import open_client
from smtpproto.testing.simulation import Simulation
from tests.support.scripted_client import octets, serve


def codes_by_write(*lines: str) -> list[list[str]]:
    """Send *lines* in one piece after EHLO; return the reply codes of each write of the server."""
    client = serve(Handler(), octets("EHLO a.example"), octets(*lines))
    writes = [data.decode().splitlines() for data in client.written]
    return [[line[:3] for line in lines if line[3] == " "] for lines in writes][2:]


@pytest.mark.req("RFC2920-3.2-05")
@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("EHLO b.example", "250"), ("VRFY bob", "252"), ("EXPN list", "502"), ("NOOP", "250"),
        ("DATA", "503"), ("QUIT", "221"), ("TURN", "502"),
    ],
)  # fmt: skip
def test_the_reply_to_a_command_that_ends_a_group_is_sent_at_once(line: str, code: str) -> None:
    """It is sent together with the replies queued before it."""
    writes = codes_by_write("RSET", "MAIL FROM:<>", line, "RSET")
    assert writes[0] == ["250", "250", code]
    assert writes[1:] == ([] if line == "QUIT" else [["250"]])


@pytest.mark.req("RFC2920-3.2-05")
def test_354_is_sent_at_once_even_if_content_follows_it() -> None:
    envelope = ("MAIL FROM:<>", "RCPT TO:<bob@example.org>")
    assert codes_by_write(*envelope, "DATA", "text", ".")[0] == ["250", "250", "354"]


@pytest.mark.req("RFC2920-3.2-06")
@pytest.mark.parametrize("line", ["FOO", "", "MAILFROM:<>", "X" * 600])
def test_the_reply_to_an_invalid_command_is_sent_at_once(line: str) -> None:
    assert codes_by_write("MAIL FROM:<>", line, "RCPT TO:<bob@example.org>") == [
        ["250", "500"],
        ["250"],
    ]


@pytest.mark.req("RFC2920-3.2-07")
def test_all_replies_are_sent_before_the_server_waits_for_input() -> None:
    assert codes_by_write("MAIL FROM:<>", "RCPT TO:<bob@example.org>", "RSET") == [
        ["250", "250", "250"]
    ]
    client = serve(Handler(), octets("EHLO a.example"), octets("MAIL FROM:<>"), octets("RSET"))
    assert [data[:4] for data in client.written[2:]] == [b"250 ", b"250 "]
    envelope = octets("EHLO a.example", "MAIL FROM:<>", "RCPT TO:<bob@example.org>")
    client = serve(Handler(), envelope + b"BDAT 5\r\nhel", b"lo")
    last = [data.splitlines()[-1][:9] for data in client.written]
    assert last[-2:] == [b"250 2.1.5", b"250 2.0.0"], "also within a chunk"


class SlowHandler(Handler):
    """Takes longest for the first recipient."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation

    async def rcpt(
        self, session: Session, recipient: ForwardPath, parameters: RcptParameters
    ) -> Reply:
        number = int(recipient.local_part)
        await self.simulation.wait(lambda: False, 10.0 / (number + 1))
        return Reply(550, "5.1.1", f"Not {number}")


@pytest.mark.req("RFC2920-3.2-01")
def test_replies_are_sent_in_the_order_of_the_commands_however_slow_the_hooks() -> None:
    simulation = Simulation(1)
    simulation.listen(25, SlowHandler(simulation), ServerConfig())

    async def talk() -> list[str]:
        link = (await open_client(simulation, "mx.example", 25, ClientConfig()))._link
        await link.stream.write(
            octets("MAIL FROM:<>", *(f"RCPT TO:<{n}@example.org>" for n in range(5)), "QUIT"), None
        )
        received = b""
        while data := await link.stream.read(None):
            received += data
        return received.decode().splitlines()

    (lines,) = simulation.run(talk())
    assert [line[:3] for line in lines] == ["250", *["550"] * 5, "221"]
    assert [line[-5:] for line in lines[1:6]] == [f"Not {number}" for number in range(5)]

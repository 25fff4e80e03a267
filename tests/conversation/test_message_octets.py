"""Messages arrive octet for octet, from the client's ``send`` to the server's handler."""

from __future__ import annotations

import pytest

from smtpproto import ClientConfig, ServerConfig, TLSMode
from smtpproto.client.connection import open_client
from smtpproto.testing.simulation import Simulation
from tests.support.envelopes import TO_BOB
from tests.support.handlers import Inbox

# Each ASCII code but CR and LF: at the start, in the middle and at the end of a line, and alone.
CODES = [bytes([code]) for code in range(128) if code not in b"\r\n"]
LINES = [b"".join(CODES), *CODES, *(b"a" + code + b"b" for code in CODES)]
LINES += [code + b"a" for code in CODES] + [b"a" + code for code in CODES]


def sent_and_received(body: bytes, *extensions: str) -> bytes:
    """Send *body* over a connection without the default *extensions*; return what arrives."""
    simulation, inbox = Simulation(1), Inbox()
    simulation.listen(25, inbox, ServerConfig(extensions=dict.fromkeys(extensions)))

    async def talk() -> None:
        config = ClientConfig(tls=TLSMode.NONE)
        async with await open_client(simulation, "mx.example", 25, config) as client:
            await client.send(body, TO_BOB)

    simulation.run(talk())
    (received,) = inbox.bodies
    return received


@pytest.mark.req("RFC5321-4.5.2-04/client", "RFC5321-4.5.2-04/server", "RFC5321-2.3.8-04")
@pytest.mark.parametrize("withdrawn", [(), ("CHUNKING",), ("PIPELINING",)], ids=str)
@pytest.mark.parametrize("end", [b"\r\n", b"\n", b"\r"], ids=["crlf", "lf", "cr"])
def test_every_ascii_code_arrives_unchanged_and_lines_end_with_crlf(
    end: bytes, withdrawn: tuple[str, ...]
) -> None:
    """By DATA, and by BDAT where the server lacks PIPELINING."""
    body = b"Subject: x" + end + end + end.join(LINES) + end
    assert sent_and_received(body, *withdrawn) == b"\r\n".join([b"Subject: x", b"", *LINES, b""])

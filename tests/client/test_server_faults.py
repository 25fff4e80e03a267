"""Servers that break the protocol or the connection."""

from __future__ import annotations

from typing import Any

import pytest

from smtpproto import ClientConfig, Outcome, RemoteProtocolError, SendRefused, TLSMode
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.client.connection import start_client
from smtpproto.testing.script import ScriptedStream
from tests.support.envelopes import TO_BOB

HELLO = "S: 220 mx\nC: EHLO [127.0.0.1]\nS: 250 mx\n"
HELLO_WITH_PIPELINING = "S: 220 mx\nC: EHLO [127.0.0.1]\nS: 250-mx\nS: 250 PIPELINING\n"
MAIL, RCPT = "C: MAIL FROM:<ann@example.org>\n", "C: RCPT TO:<bob@example.org>\n"


def send(script: str, source: Any = b"hello\r\n", times: int = 1) -> Outcome:
    """Send *source* to the server of *script*, *times* times; return the last outcome."""

    async def main() -> Outcome:
        config = ClientConfig(tls=TLSMode.NONE)
        stream = ScriptedStream(script)
        client = await start_client(Runtime(), stream, "mx", config, TLSMode.NONE)
        for _ in range(times - 1):
            with pytest.raises(SendRefused):
                await client.send(source, TO_BOB)
        return await client.send(source, TO_BOB)

    return run(main())


@pytest.mark.parametrize("script", [
    f"{HELLO}{MAIL}S: 250 ok\n{RCPT}S: 250 ok\nC: DATA\nS: 554 spam\nC: RSET\n",
    f"{HELLO}{MAIL}S: 250 ok\n{RCPT}S: 554 no\nC: RSET\n",
    f"{HELLO_WITH_PIPELINING}{MAIL}{RCPT}C: DATA\nS: 554 blocked\n",
    f"{HELLO_WITH_PIPELINING}{MAIL}{RCPT}C: DATA\nS: 250 ok\nS: 554 no\n",
], ids=["at DATA", "at RCPT", "instead of MAIL", "at RCPT in a group"])  # fmt: skip
def test_a_refusal_is_reported_though_the_connection_is_lost_after_it(script: str) -> None:
    with pytest.raises(SendRefused) as caught:
        send(script)
    assert caught.value.reply.code == 554


def test_an_unexpected_reply_is_not_taken_for_the_reply_to_the_next_command() -> None:
    refused = f"{MAIL}S: 250 ok\n{RCPT}S: 550 no\nC: RSET\nS: 250 ok\nS: 250 stray\n"
    with pytest.raises(RemoteProtocolError, match="nothing was sent for"):
        send(f"{HELLO}{refused}", times=2)


def test_a_client_cancels_auth_if_the_server_repeats_its_challenge() -> None:
    exchange = "S: 334 \nC: AGFubgBzZWNyZXQ=\n"
    script = f"""S: 220 mx
        C: EHLO [127.0.0.1]
        S: 250-mx
        S: 250 AUTH PLAIN
        C: AUTH PLAIN AGFubgBzZWNyZXQ=
        {exchange}S: 334
        C: *
        S: 501 cancelled
        C: QUIT
        S: 221 bye"""
    stream = ScriptedStream(script)
    config = ClientConfig(login=("ann", "secret"), login_in_clear=True, tls=TLSMode.NONE)
    with pytest.raises(RemoteProtocolError):
        run(start_client(Runtime(), stream, "mx", config, TLSMode.NONE))
    stream.finish()

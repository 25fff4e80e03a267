"""A client against a server that is written down."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Unpack

import pytest

from smtpproto import (
    Client,
    ClientConfig,
    Envelope,
    Outcome,
    SendRefused,
    TLSMode,
)
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.client.config import ClientOptions
from smtpproto.client.connection import start_client
from smtpproto.testing.script import ScriptedStream
from tests.support.envelopes import TO_BOB


def hello(*keywords: str, verb: str = "EHLO") -> str:
    lines = ["mx", *keywords]
    said = "".join(f"S: 250-{line}\n" for line in lines[:-1])
    return f"S: 220 mx\nC: {verb} [127.0.0.1]\n{said}S: 250 {lines[-1]}\n"


GOODBYE = "\nC: QUIT\nS: 221 bye\n"
LOCKSTEP = hello("CHUNKING")
PIPELINED = hello("PIPELINING", "CHUNKING")
LINES = b"one..\r\ntwo..\r\nthree\r\nfour.\r\nfive.\r\nsix..\r\n"  # six chunks of seven octets


def play(
    script: str, talk: Callable[[Client], Awaitable[Any]], **options: Unpack[ClientOptions]
) -> ScriptedStream:
    """Open a client against *script*, do what *talk* gives, and quit."""
    stream, config = ScriptedStream(script), ClientConfig(**options)

    async def main() -> None:
        async with await start_client(Runtime(), stream, "mx", config, TLSMode.NONE) as client:
            await talk(client)

    run(main())
    stream.finish()
    return stream


def send(
    script: str,
    envelope: Envelope = TO_BOB,
    body: object = LINES,
    **options: Unpack[ClientOptions],
) -> Outcome:
    """Send one message in the middle of *script*."""
    outcomes = []

    async def talk(client: Client) -> None:
        outcomes.append(await client.send(body, envelope))  # type: ignore[arg-type]

    play(script, talk, **options)
    return outcomes[0]


def refused(script: str, **options: Unpack[ClientOptions]) -> Outcome:
    """Send a message that nobody accepts, and then one that is accepted."""
    caught = []

    async def talk(client: Client) -> None:
        with pytest.raises(SendRefused) as error:
            await client.send(LINES, TO_BOB)
        caught.append(error.value)
        await client.send(b"next\n", Envelope("", "z@z.example"))

    play(script, talk, **options)
    assert caught[0].reply in caught[0].outcome.refused.values()
    return caught[0].outcome


def codes(replies: object) -> dict[str, int]:
    assert isinstance(replies, dict)
    return {str(path): reply.code for path, reply in replies.items()}


MAIL = """
    C: MAIL FROM:<ann@example.org>
    S: 250 ok
    C: RCPT TO:<bob@example.org>
    S: 250 ok
"""
PIPELINED_MAIL = """
    C: MAIL FROM:<ann@example.org>
    C: RCPT TO:<bob@example.org>
    S: 250 ok
    S: 250 ok
"""
NEXT = """
    C: MAIL FROM:<>
    S: 250 ok
    C: RCPT TO:<z@z.example>
    S: 250 ok
    C: BDAT 6 LAST
    C: next
    S: 250 ok
"""
PIPELINED_NEXT = """
    C: MAIL FROM:<>
    C: RCPT TO:<z@z.example>
    C: DATA
    S: 250 ok
    S: 250 ok
    S: 354 ok
    C: next
    C: .
    S: 250 ok
"""
RSET = "C: RSET\nS: 250 ok\n"
KEPT = "S: 250 ok\n"


def transaction(path: str, *end: str) -> str:
    said = [
        "C: MAIL FROM:<ann@example.org>", "S: 250 ok", f"C: RCPT TO:<{path}>", "S: 250 ok",
        "C: DATA", "S: 354 go", "C: hi", "C: .", "S: 250 queued as 0001",
    ]  # fmt: skip
    return "\n".join([*said[: len(said) - len(end)], *end]) + "\n"

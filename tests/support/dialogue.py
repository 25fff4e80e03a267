"""Dialogues of a client with a scripted server, and the pieces that scripts are made of.

Each piece is a string of ``C:`` and ``S:`` lines, as ScriptedStream plays them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
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

# -- pieces of scripts ---------------------------------------------------------------------------


def hello(*keywords: str, verb: str = "EHLO") -> str:
    """Return the greeting, and EHLO with a reply that offers *keywords*."""
    lines = ["mx", *keywords]
    replies = "".join(f"S: 250-{line}\n" for line in lines[:-1])
    return f"S: 220 mx\nC: {verb} [127.0.0.1]\n{replies}S: 250 {lines[-1]}\n"


def mail(parameters: str = "", reply: str = "250 ok") -> str:
    """Return MAIL from Ann, and its reply."""
    return f"C: MAIL FROM:<ann@example.org>{parameters}\nS: {reply}\n"


def rcpt(recipient: str = "bob@example.org", reply: str = "250 ok") -> str:
    """Return RCPT, and its reply."""
    return f"C: RCPT TO:<{recipient}>\nS: {reply}\n"


def data(*lines: str, reply: str = "250 ok") -> str:
    """Return DATA, the *lines* of a message, and the reply to it."""
    content = "".join(f"C: {line}\n" for line in lines)
    return f"C: DATA\nS: 354 go\n{content}C: .\nS: {reply}\n"


def transaction(path: str, *end: str) -> str:
    """Return a transaction that sends "hi" to *path*; *end* replaces its last lines."""
    lines = [
        "C: MAIL FROM:<ann@example.org>", "S: 250 ok", f"C: RCPT TO:<{path}>", "S: 250 ok",
        "C: DATA", "S: 354 go", "C: hi", "C: .", "S: 250 queued as 0001",
    ]  # fmt: skip
    return "\n".join([*lines[: len(lines) - len(end)], *end]) + "\n"


SENT = transaction("bob@example.org")
GOODBYE = "\nC: QUIT\nS: 221 bye\n"
LOCKSTEP = hello("CHUNKING")
PIPELINED = hello("PIPELINING", "CHUNKING")
LINES = b"one..\r\ntwo..\r\nthree\r\nfour.\r\nfive.\r\nsix..\r\n"  # six chunks of seven octets
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
OK = "S: 250 ok\n"

# -- playing scripts -----------------------------------------------------------------------------


def play(
    script: str,
    talk: Callable[[Client], Awaitable[Any]] | None = None,
    *,
    sockname: tuple[str, int] = ScriptedStream.sockname,
    **options: Unpack[ClientOptions],
) -> ScriptedStream:
    """Open a client against *script*, await *talk* with it, and quit.

    The whole script must be played, even if an error is raised. TLS is off unless *options* say
    otherwise.
    """
    stream = ScriptedStream(script)
    stream.sockname = sockname
    options.setdefault("tls", TLSMode.NONE)
    config = ClientConfig(**options)

    async def main() -> None:
        mode = config.tls_mode(25)
        async with await start_client(Runtime(), stream, "mx", config, mode) as client:
            if talk is not None:
                await talk(client)

    try:
        run(main())
    finally:
        assert stream.closed
        stream.finish()
    return stream


def send(
    script: str,
    envelope: Envelope = TO_BOB,
    body: object = b"hello\r\n",
    **options: Unpack[ClientOptions],
) -> Outcome:
    """Send one message in a client's session, and return its outcome."""
    outcomes = []

    async def talk(client: Client) -> None:
        outcomes.append(await client.send(body, envelope))  # type: ignore[arg-type]

    play(script, talk, **options)
    return outcomes[0]


def send_refused_then_next(script: str, **options: Unpack[ClientOptions]) -> Outcome:
    """Send LINES, which must be refused, then a message that is accepted; return the outcome of
    the first."""
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
    """Return the code for each recipient of a mapping in an Outcome."""
    assert isinstance(replies, Mapping)
    return {str(path): reply.code for path, reply in replies.items()}

"""Lines in their usual form are read on a short road. It leads to the same answers as the long one,
whatever else there is about a line."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from smtpproto.events import ServerEvent
from smtpproto.limits import Limits
from smtpproto.protocol import terms
from tests.protocol.machines import EHLO_LINE, ENVELOPE_LINES, ServerDriver, challenge_auth
from tests.support.near_legal import command_line

SMALL = Limits(recipients=2, transactions=3, message_size=65536, junk_commands=4, errors=6)
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "small limits": {"limits": SMALL},
    "LMTP": {"lmtp": True},
    "submission": {"submission": True, "mechanisms": ("PLAIN",), "auth_in_clear": True},
    "TLS required": {"require_tls": True, "starttls": True},
    "no SIZE": {"extensions": {"SIZE": None, "SMTPUTF8": None, "8BITMIME": None}},
    "BINARYMIME": {"extensions": {"BINARYMIME": ""}},
}
USUAL = [
    *(EHLO_LINE, b"HELO client.example\r\n", b"LHLO client.example\r\n", b"RSET\r\n", b"noop\r\n"),
    *(b"MAIL FROM:<ann@a.example> SIZE=65537\r\n", b"MAIL FROM:<ann@a.example> BODY=8BITMIME\r\n"),
    *(b"MAIL FROM:<ann@local>\r\n", b"RCPT TO:<bob@local>\r\n", b"DATA\r\n.\r\n", b"BDAT 0\r\n"),
    *(b"BDAT 2 LAST\r\nxx", b"BDAT 70000\r\n", b"AUTH PLAIN AGEAYg==\r\n", b"STARTTLS\r\n"),
    *(b"data\r\n\r\n.\r\n", b"x" * 13_000 + b"\r\n", b"MAIL FROM:<> SIZE=1\r\n", ENVELOPE_LINES),
]


def pieces(dice: Random) -> list[bytes]:
    """Return what a client sends in a session, in pieces."""
    greeting = [EHLO_LINE, b"LHLO client.example\r\n"][: dice.randrange(3)]
    lines = [
        command_line(dice) + b"\r\n"
        if dice.randrange(3) == 0
        else USUAL[dice.randrange(len(USUAL))]
        for _ in range(dice.randrange(1, 25))
    ]
    data = b"".join([*greeting, *lines])
    cuts = sorted(dice.randrange(len(data) + 1) for _ in range(dice.randrange(8)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def run(options: dict[str, Any], data: list[bytes]) -> tuple[list[ServerEvent], list[bytes], Any]:
    """Return the events, the octets sent after each piece, and the phase at the end."""
    server = ServerDriver(challenge_auth, **options)
    server.handle_events()
    sent = []
    for piece in data:
        if server.machine.phase.value != "tls":  # from then on, octets belong to TLS
            sent.append(server.feed(piece))
    return server.events, sent, server.machine.phase


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_both_readers_lead_to_the_same_events_replies_and_phase(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    for seed in range(150):
        data = pieces(Random(seed))
        short = run(options, data)
        with monkeypatch.context() as patch:
            patch.setattr(terms, "FORMS", {})
            assert run(options, data) == short, f"seed {seed}"

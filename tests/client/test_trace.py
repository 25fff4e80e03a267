"""What the trace, the log and errors show of a dialogue: no secrets and no control characters."""

from __future__ import annotations

import logging

import pytest

from smtpproto import (
    SendRefused,
)
from tests.support.dialogue import GOODBYE, RSET, hello, mail, play, rcpt, send


def test_the_trace_masks_secrets() -> None:
    lines: list[str] = []
    play(
        f"""{hello("AUTH GSSAPI PLAIN")}
        C: AUTH PLAIN AGFubgBzZWNyZXQ=
        S: 334
        C: AGFubgBzZWNyZXQ=
        S: 235 ok
        {GOODBYE}""",
        login=("ann", "secret"),
        login_in_clear=True,
        mechanisms="PLAIN",
        trace=lambda who, line: lines.append(f"{who}: {line}"),
    )
    assert "C: AUTH PLAIN ***" in lines and "C: ***" in lines and "S: 235 ok" in lines
    assert not any("AGFubg" in line for line in lines)


@pytest.mark.req("SMUGGLING-11")
def test_control_characters_in_replies_are_escaped_wherever_they_are_shown(
    caplog: pytest.LogCaptureFixture,
) -> None:
    evil = "550 5.1.1 no\x1b[2J\rS: 250 ok\x00\x07\x7f\x9b"
    lines: list[str] = []
    with pytest.raises(SendRefused) as caught, caplog.at_level(logging.DEBUG, "smtpproto"):
        send(
            f"{hello()}{mail()}{rcpt(reply=evil)}{RSET}{GOODBYE}",
            trace=lambda who, line: lines.append(f"{who}: {line}"),
        )
    shown = [*lines, str(caught.value), str(caught.value.reply), caplog.text.replace("\n", "")]
    for text in [*shown, *caught.value.reply.lines]:
        assert text.isprintable()
    assert r"no\x1b[2J\rS: 250 ok\x00\x07\x7f\x9b" in str(caught.value.reply)

"""The programs on the first page of the documentation run, and do what it says."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from smtpproto import Envelope, Handler, Session, TLSMode
from smtpproto.adapters import asyncio as adapter
from smtpproto.adapters import blocking

PAGE = (Path(__file__).parent.parent / "docs/index.md").read_text()
SEND, RECEIVE, MACHINE = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


class Inbox(Handler):
    """Accepts every message."""

    def message(self, session: Session, envelope: Envelope, body: bytes) -> None: ...


def test_the_first_program_sends_a_message(capsys: pytest.CaptureFixture[str]) -> None:
    with blocking.serve(Inbox()) as server:
        here = f'"127.0.0.1", {server.port}, tls="none"'
        exec(SEND.replace('"mail.example.org", 587, login=("ann", "secret")', here), {})
    assert capsys.readouterr().out == "accepted: bob@example.org (250 2.0.0 Message accepted)\n"


def test_the_second_program_takes_mail_for_its_domain_only(
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked: dict[str, Any] = {}
    program, _, last = RECEIVE.rpartition("\n\n")
    assert last.startswith("asyncio.run(serve_forever(Inbox()")
    exec(program, asked)

    async def talk() -> None:
        async with (
            adapter.serve(asked["Inbox"]()) as server,
            adapter.connect("127.0.0.1", server.port, tls=TLSMode.NONE) as client,
        ):
            envelope = Envelope("ann@a.test", ["bob@example.org", "eve@elsewhere.test"])
            outcome = await client.send(b"hello\r\n", envelope)
            assert [str(it) for it in outcome.accepted] == ["bob@example.org"]
            assert [reply.code for reply in outcome.refused.values()] == [550]

    asyncio.run(talk())
    assert capsys.readouterr().out == "ann@a.test: 7 octets\n"


def test_the_third_program_greets_and_answers_ehlo(capsys: pytest.CaptureFixture[str]) -> None:
    exec(MACHINE, {})
    event, *written = capsys.readouterr().out.splitlines()
    assert event == "EHLO client.example"
    assert written[0].startswith("220 mx.example.org")
    assert written[1].startswith("250-mx.example.org")

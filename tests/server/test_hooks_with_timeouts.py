"""Hooks that cancel parts of their own work: the server does not take this for its own limit."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
import trio

from smtpproto import Handler, MailParameters, ReversePath, ServerConfig, Session
from smtpproto.adapters import asyncio as on_asyncio
from smtpproto.adapters import trio as on_trio
from smtpproto.server.conversation import Conversation
from tests.support.scripted_client import ScriptedClient, octets

TIMEOUTS = 300


class ImpatientWithAsyncio(Handler):
    """Its hook for MAIL waits many times for what never comes, and goes on each time."""

    async def mail(self, session: Session, sender: ReversePath, parameters: MailParameters) -> None:
        for _ in range(TIMEOUTS):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0):
                    await asyncio.Event().wait()


class ImpatientWithTrio(Handler):
    """The same for trio."""

    async def mail(self, session: Session, sender: ReversePath, parameters: MailParameters) -> None:
        for _ in range(TIMEOUTS):
            with trio.move_on_after(0):
                await trio.sleep_forever()


def client() -> ScriptedClient:
    return ScriptedClient([octets("EHLO a.example", "MAIL FROM:<>", "QUIT")])


def test_a_hook_under_asyncio_may_time_out_its_own_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smtpproto.adapters.asyncio_calls.UNWIND", 0)
    stream = client()
    runtime = on_asyncio.Runtime()
    asyncio.run(Conversation(stream, ImpatientWithAsyncio(), ServerConfig(), runtime).run())
    assert stream.lines[-2].startswith("250 2.1.0")


def test_a_hook_under_trio_may_time_out_its_own_work() -> None:
    stream = client()
    runtime = on_trio.Runtime()
    trio.run(Conversation(stream, ImpatientWithTrio(), ServerConfig(), runtime).run)
    assert stream.lines[-2].startswith("250 2.1.0")

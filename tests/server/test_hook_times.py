"""The time that a hook or the authenticator may take, on a simulated clock."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from attrs import evolve

from smtpproto import Handler, ServerConfig, Session, Timeouts
from smtpproto.server.handler import WholeMessage
from smtpproto.testing.simulation import Simulation
from tests.support.envelopes import TO_BOB
from tests.support.failing_handler import CASES, Case, handler_and_config
from tests.support.handlers import Inbox
from tests.support.scripted_client import octets

SESSION = Session(peer=("", 0))
HOOK, COMMIT = 110, 300  # the defaults
TIMED = [case for case in CASES if case.hook not in ("trace", "mailboxes")]  # these are not awaited


def limit_of(case: Case) -> int:
    return COMMIT if case.hook in ("commit", "message", "verdicts") else HOOK


def served(case: Case, seconds: float) -> list[str]:
    """Return the codes of the replies if the hook of *case* takes *seconds*, and then accepts."""
    simulation = Simulation(1)
    ends: list[str] = []

    async def slow() -> Any:
        await simulation.sleep(seconds)
        ends.append("ended")
        return {"check_password": True, "data": WholeMessage(Inbox(), SESSION, TO_BOB)}.get(
            case.hook
        )

    handler, config = handler_and_config(case, slow, is_async=True)
    unlimited = evolve(Timeouts(), command=None)
    simulation.listen(25, handler, evolve(config, timeouts=unlimited))

    async def client() -> bytes:
        stream = await simulation.dial("mx.example", 25, None)
        end_of_content = [".", "QUIT"] if case.hook == "data" else []
        await stream.write(octets(*case.lines, *end_of_content), None)
        replies = b""
        while data := await stream.read(None):
            replies += data
        return replies

    (replies,) = simulation.run(client())
    return [line[:3] for line in replies.decode().splitlines() if line[3:4] == " "]


@pytest.mark.req("RFC5321-6.1-05")
@pytest.mark.parametrize("case", TIMED, ids=lambda case: f"{case.hook}-{case.hello}")
def test_a_hook_is_cancelled_after_its_time_and_not_before(
    case: Case, caplog: pytest.LogCaptureFixture
) -> None:
    limit = limit_of(case)
    for seconds in (limit - 1, limit):
        accepted = served(case, seconds)
        assert "451" not in accepted and "454" not in accepted
        assert not [one for one in caplog.records if one.levelno >= logging.WARNING]
    assert served(case, limit + 1) == case.expected
    assert f"took longer than {limit} seconds, and was cancelled" in caplog.text


def test_timeouts_set_the_time_of_hooks() -> None:
    case = next(case for case in CASES if case.hook == "mail")
    simulation = Simulation(1)

    async def slow() -> None:
        await simulation.sleep(5)

    handler, config = handler_and_config(case, slow, is_async=True)
    for hook, code in ((4, b"451"), (None, b"250 2.1.0")):
        simulation.listen(25, handler, evolve(config, timeouts=Timeouts(hook=hook)))

        async def client() -> bytes:
            stream = await simulation.dial("mx.example", 25, None)
            await stream.write(octets(*case.lines), None)
            replies = b""
            while data := await stream.read(None):
                replies += data
            return replies

        (replies,) = simulation.run(client())
        assert b"\r\n" + code in replies


def test_a_plain_hook_that_took_too_long_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    simulation = Simulation(1)

    class Busy(Handler):
        def connect(self, session: object) -> None:
            simulation._now += 111  # a blocking call

    simulation.listen(25, Busy(), ServerConfig())

    async def client() -> None:
        stream = await simulation.dial("mx.example", 25, None)
        await stream.write(b"QUIT\r\n", None)
        while await stream.read(None):
            pass

    simulation.run(client())
    assert "connect took 111 seconds; a plain hook cannot be interrupted" in caplog.text

"""The state machine for handlers finds what is wrong with a handler, and nothing else."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings

from smtpproto import Envelope, ForwardPath, Handler, RcptParameters, Reply, Session
from smtpproto.testing import handler_machine
from smtpproto.testing.handler_machine import HandlerMachine


class Mailboxes(Handler):
    """Keeps mail for example.org."""

    def __init__(self) -> None:
        self.delivered: list[tuple[str, bytes]] = []

    def rcpt(self, session: Session, recipient: ForwardPath, parameters: RcptParameters) -> Any:
        here = str(recipient).endswith("@example.org")
        return None if here else Reply(550, "5.1.1", "No such user")

    async def message(self, session: Session, envelope: Envelope, body: bytes) -> Any:
        await asyncio.sleep(0)
        self.delivered += [(str(path), body) for path in envelope.recipients]


class KeepsRecipients(Mailboxes):
    """Does not forget the recipients of a transaction that was given up."""

    def __init__(self) -> None:
        super().__init__()
        self.to: list[str] = []

    def rcpt(self, session: Session, recipient: ForwardPath, parameters: RcptParameters) -> Any:
        refusal = super().rcpt(session, recipient, parameters)
        self.to += [] if refusal else [str(recipient)]
        return refusal

    async def message(self, session: Session, envelope: Envelope, body: bytes) -> Any:
        self.delivered += [(to, body) for to in self.to]
        self.to.clear()


class Loses(Mailboxes):
    """Accepts empty contents, and does not keep them."""

    async def message(self, session: Session, envelope: Envelope, body: bytes) -> Any:
        if body:
            await super().message(session, envelope, body)


class Raises(Mailboxes):
    async def message(self, session: Session, envelope: Envelope, body: bytes) -> Any:
        raise LookupError(f"no directory for {envelope.sender}")


class Hangs(Mailboxes):
    async def message(self, session: Session, envelope: Envelope, body: bytes) -> Any:
        await asyncio.sleep(1000)


class AnswersWrongly(Mailboxes):
    def rcpt(self, session: Session, recipient: ForwardPath, parameters: RcptParameters) -> Any:
        return Reply(354)


class Machine(HandlerMachine):
    made: ClassVar[Callable[[], Mailboxes]] = Mailboxes

    def handler(self) -> Mailboxes:
        self.mailboxes = type(self).made()
        return self.mailboxes

    def stored(self) -> list[tuple[str, bytes]]:
        return self.mailboxes.delivered


def run(handler: Callable[[], Mailboxes], examples: int = 20) -> None:
    class Tested(Machine):
        made = staticmethod(handler)

    Tested.TestCase.settings = settings(
        Tested.TestCase.settings,
        max_examples=examples,
        phases=[Phase.generate],
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    Tested.TestCase().runTest()


def test_a_right_handler_passes_and_leaves_nothing_behind() -> None:
    run(Mailboxes)
    gc.collect()  # would warn of loops that are not closed
    failures = handler_machine._Failures
    filters = [getattr(it, "__self__", it) for it in logging.getLogger("smtpproto.server").filters]
    assert not any(isinstance(it, failures) for it in filters)


@pytest.mark.parametrize(
    ("handler", "text"),
    [
        (KeepsRecipients, "accepted"),
        (Loses, "accepted once, but stored never"),
        (Raises, "message failed: LookupError"),
        (AnswersWrongly, "354"),
        (Hangs, "the handler has not answered"),
    ],
)
def test_a_planted_bug_is_found(
    handler: Callable[[], Mailboxes],
    text: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if handler is Hangs:
        monkeypatch.setattr(handler_machine, "_SECONDS", 0.05)
    with pytest.raises(AssertionError, match=text):
        run(handler, examples=100)
    assert caplog.text == ""  # not an error for each attempt to find a shorter session


def test_a_handler_that_hangs_is_waited_for_once_and_then_shortly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(handler_machine, "_LATER_SECONDS", 0.04)
    monkeypatch.setattr(handler_machine, "_SECONDS", 0.05)
    later = "within 0.04 seconds, and once not within 0.05 seconds"
    with pytest.raises(AssertionError, match=f"has not answered .* {later}"):
        run(Hangs, examples=100)


def test_a_machine_without_a_handler_says_what_to_define() -> None:
    with pytest.raises(NotImplementedError, match=r"define handler\(\) in your subclass"):
        HandlerMachine()

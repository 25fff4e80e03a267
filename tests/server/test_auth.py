"""AUTH on a server: the authenticator, the handler's word after it, and what failures cost."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
import trio
from attrs import define, evolve, field

from smtpproto import (
    Authenticator,
    Handler,
    Identity,
    Limits,
    Reply,
    Secret,
    ServerConfig,
    Session,
)
from smtpproto.adapters import asyncio as on_asyncio
from smtpproto.adapters import trio as on_trio
from smtpproto.adapters.blocking import Runtime, run
from smtpproto.sasl import BY_NAME, Channel, Denied, ServerExchange
from smtpproto.server.conversation import Conversation

from ..support.scripted_client import LOGIN, Accounts, Feed, octets

WRONG = "AUTH PLAIN AGFubgB3cm9uZw=="
AS_BOB = "AUTH PLAIN Ym9iAGFubgBzZWNyZXQ="  # bob NUL ann NUL secret
CONFIG = ServerConfig(authenticator=Accounts(), auth_in_clear=True)


class Clock(Runtime):
    """Counts how long it sleeps, and does not."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def said(
    *lines: str, config: ServerConfig = CONFIG, handler: Handler | None = None
) -> tuple[list[str], list[float]]:
    """What is answered to *lines* behind EHLO, and how long each failure waited."""
    feed, clock = Feed([octets("EHLO client.example", *lines)]), Clock()
    run(Conversation(feed, handler or Handler(), config, clock).run())
    last = next(number for number, line in enumerate(feed.said) if line.startswith("250 "))
    return feed.said[last + 1 :], clock.slept


# -- failures ------------------------------------------------------------------------------------


@pytest.mark.req("RFC4954-9-02", "RFC4954-9-04")
def test_failures_are_delayed_and_counted_and_end_in_421() -> None:
    replies, slept = said(WRONG, WRONG, "NOOP", WRONG, "NOOP")
    assert [line[:9] for line in replies] == [
        "535 5.7.8", "535 5.7.8", "250 2.0.0", "535 5.7.8", "421 4.7.0",
    ]  # fmt: skip
    assert slept == [1.0] * 3


def test_the_delay_is_the_servers_to_choose() -> None:
    config = evolve(CONFIG, limits=Limits(failed_login_delay=7.5, failed_logins=4))
    replies, slept = said(WRONG, WRONG, WRONG, LOGIN, config=config)
    assert replies[-1].startswith("235") and slept == [7.5] * 3
    with pytest.raises(ValueError, match="failed_login_delay"):
        Limits(failed_login_delay=-1)


def test_nothing_waits_for_those_who_know_their_password() -> None:
    assert said(LOGIN)[1] == []


def test_what_is_no_message_of_the_mechanism_costs_the_same() -> None:
    replies, slept = said("AUTH PLAIN AAAA", "AUTH PLAIN =")
    assert [line[:9] for line in replies] == ["535 5.7.8"] * 2 and len(slept) == 2


def test_why_it_failed_is_for_the_log_alone(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "smtpproto"):
        replies, _ = said(WRONG, AS_BOB)
    assert len(set(replies)) == 1
    assert "wrong user name or password: 'ann'" in caplog.text
    assert "not authorized to act as another" in caplog.text
    assert not any(secret in caplog.text for secret in ("secret", "AGFub", "Ym9i"))


@pytest.mark.req("RFC4954-6-02")
def test_a_verifier_that_fails_is_not_a_wrong_password(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Authenticator):
        def check_password(self, username: str, password: Secret) -> bool:
            raise LookupError("SELECT ... WHERE password = " + password.reveal().decode())

    replies, slept = said(LOGIN, config=evolve(CONFIG, authenticator=Broken()))
    assert replies == ["454 4.7.0 Temporary authentication failure"] and slept == [1.0]
    assert (
        "the authenticator failed: LookupError" in caplog.text and "check_password" in caplog.text
    )
    assert "secret" not in caplog.text


# -- authenticators ------------------------------------------------------------------------------


class Yes(Authenticator):
    """Answers whatever it was made with."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def check_password(self, username: str, password: Secret) -> Any:
        return self.answer


@pytest.mark.parametrize("answer", [None, False, 0, 1, "yes", Reply(235), object()], ids=repr)
def test_only_a_true_yes_is_one(answer: object) -> None:
    """A forgotten return, or a reply, lets nobody in."""
    replies, _ = said(LOGIN, config=evolve(CONFIG, authenticator=Yes(answer)))
    assert replies[0].startswith("535")


def test_a_verifier_may_be_async() -> None:
    class Slow(Authenticator):
        async def check_password(self, username: str, password: Secret) -> bool:
            return (username, password) == ("ann", Secret("secret"))

        async def may_act_as(self, username: str, authzid: str) -> bool:
            return (username, authzid) == ("ann", "bob")

    config = evolve(CONFIG, authenticator=Slow())
    assert said(WRONG, AS_BOB, config=config)[0][1].startswith("235")


def test_passwords_are_checked_beside_the_loop_unless_async() -> None:
    """Where there is a loop to be held up: the blocking world has none."""
    inside: list[str] = []

    class Plain(Authenticator):
        def check_password(self, username: str, password: Secret) -> bool:
            inside.append("thread" if threaded else "here")
            return True

    class Async(Authenticator):
        async def check_password(self, username: str, password: Secret) -> bool:
            inside.append("thread" if threaded else "here")
            return True

    threaded: list[bool] = []

    async def in_thread(check: Callable[[], Any]) -> Any:
        threaded.append(True)
        try:
            return check()
        finally:
            threaded.clear()

    channel = Channel(random=bytes, in_thread=in_thread)
    for authenticator in (Plain(), Async()):
        exchange: ServerExchange = BY_NAME["PLAIN"].server(authenticator, channel)
        assert run(exchange.step(Secret(b"\0ann\0x"))) == Identity("ann", mechanism="PLAIN")
    assert inside == ["thread", "here"]


def test_asyncio_and_trio_have_threads() -> None:
    here = threading.get_ident()
    assert asyncio.run(on_asyncio.Runtime().in_thread(threading.get_ident)) != here
    assert trio.run(on_trio.Runtime().in_thread, threading.get_ident) != here


def test_who_may_act_as_whom_is_the_verifiers_to_say() -> None:
    class Managers(Accounts):
        def may_act_as(self, username: str, authzid: str) -> bool:
            return (username, authzid) == ("ann", "bob")

    handler = Guest()
    replies, _ = said(
        AS_BOB, "MAIL FROM:<>", handler=handler, config=evolve(CONFIG, authenticator=Managers())
    )
    assert replies[0].startswith("235")
    assert handler.sessions[-1].user == "bob"
    assert handler.sessions[-1].identity == Identity("ann", "bob", "PLAIN")


# -- the handler's word --------------------------------------------------------------------------


@define(eq=False)
class Guest(Handler):
    answer: Reply | None = None
    sessions: list[Session] = field(factory=list)
    identities: list[Identity] = field(factory=list)

    def login(self, session: Session, identity: Identity) -> Reply | None:
        assert session.user is None
        self.identities.append(identity)
        return self.answer

    def mail(self, session: Session, *_: object) -> None:
        self.sessions.append(session)


def test_the_handler_is_told_who_logged_in() -> None:
    handler = Guest()
    said(LOGIN, "MAIL FROM:<>", handler=handler)
    assert handler.identities == [Identity("ann", mechanism="PLAIN")]
    assert handler.sessions[-1].user == "ann"


@pytest.mark.req("RFC4954-6-01")
@pytest.mark.parametrize(
    "reply",
    [
        Reply(432, "4.7.12", "A password transition is needed"),
        Reply(535, "5.7.8", "Account closed"),
        Reply(454, "4.7.0", "Not now"),
    ],
    ids=lambda reply: str(reply.code),
)
def test_the_handler_may_keep_out_who_was_verified(reply: Reply) -> None:
    handler = Guest(reply)
    replies, _ = said(LOGIN, "MAIL FROM:<>", handler=handler)
    assert replies[0] == str(reply)
    assert handler.sessions[-1].user is None and handler.sessions[-1].identity is None


def test_a_handler_that_fails_lets_nobody_in() -> None:
    class Broken(Guest):
        def login(self, session: Session, identity: Identity) -> Reply | None:
            raise RuntimeError("no quota table")

    replies, _ = said(LOGIN, handler=Broken())
    assert replies == ["454 4.7.0 Temporary authentication failure"]


# -- what is offered -----------------------------------------------------------------------------


@pytest.mark.req("RFC4422-6.1.2-01")
def test_a_server_offers_what_its_verifier_can_answer() -> None:
    assert "AUTH" not in _offer(evolve(CONFIG, authenticator=Authenticator()))
    assert "PLAIN" in _offer(CONFIG)["AUTH"]
    assert _offer(evolve(CONFIG, mechanisms=["plain"]))["AUTH"] == ["PLAIN"]


def test_mechanisms_that_nobody_knows_are_an_error() -> None:
    with pytest.raises(ValueError, match="FROBNICATE"):
        ServerConfig(mechanisms=["PLAIN", "FROBNICATE"])


def _offer(config: ServerConfig) -> dict[str, list[str]]:
    feed = Feed([octets("EHLO client.example")])
    run(Conversation(feed, Handler(), config, Runtime()).run())
    words = [line[4:].split(" ") for line in feed.said[2:]]
    return {keyword: parameters for keyword, *parameters in words}


def test_denied_is_no_identity() -> None:
    exchange = BY_NAME["PLAIN"].server(Accounts(), Channel(random=bytes))
    assert isinstance(run(exchange.step(Secret(b"\0ann\0wrong"))), Denied)

"""AUTH on a server: the offer, the authenticator and the login hook."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
import trio
from attrs import define, evolve, field

from smtpproto import Authenticator, Handler, Identity, Reply, Secret, ServerConfig, Session
from smtpproto.adapters import asyncio as on_asyncio
from smtpproto.adapters import trio as on_trio
from smtpproto.adapters.blocking import run
from smtpproto.sasl import BY_NAME, Channel, Denied, ServerExchange
from tests.support.accounts import Accounts, AllMechanisms
from tests.support.handlers import Guard
from tests.support.logins import LoginRecorder
from tests.support.scripted_client import LOGIN, keywords, replies
from tests.support.server_dialogue import HELLO, HELLO_WITH_AUTH, PLAIN_IN_CLEAR, QUIT, play
from tests.support.server_logins import AS_BOB, CONFIG, WRONG_PASSWORD, log_in, plain

# -- offers ----------------------------------------------------------------------------------------


def offered(config: ServerConfig) -> dict[str, list[str]]:
    """Return the keywords that the server offers, with their parameters."""
    words = [line.split(" ") for line in keywords(Handler(), config)]
    return {keyword: parameters for keyword, *parameters in words}


@pytest.mark.req("RFC4422-6.1.2-01/server")
def test_auth_offers_the_mechanisms_that_the_authenticator_can_verify() -> None:
    assert "AUTH" not in offered(evolve(CONFIG, authenticator=Authenticator()))
    assert "PLAIN" in offered(CONFIG)["AUTH"]
    assert offered(evolve(CONFIG, mechanisms=["plain"]))["AUTH"] == ["PLAIN"]


def test_an_unknown_mechanism_in_the_configuration_raises_value_error() -> None:
    with pytest.raises(ValueError, match="FROBNICATE"):
        ServerConfig(mechanisms=["PLAIN", "FROBNICATE"])


@pytest.mark.req(
    "RFC4954-4-28", "RFC4954-4-29", "RFC4954-6-07", "RFC4616-5-01/server", "RFC8314-4.1-01",
    "RFC4954-9-03/server", "SASL-LOGIN-02/server",
)  # fmt: skip
@pytest.mark.parametrize("login", ["PLAIN AGFubgBzZWNyZXQ=", "PLAIN AGFubgB3cm9uZw==", "LOGIN"])
def test_by_default_auth_in_clear_is_answered_with_538_for_any_password(login: str) -> None:
    play(
        f"{HELLO}C: AUTH {login}\nS: 538 5.7.11 Encryption required for authentication{QUIT}",
        Handler(),
        ServerConfig(authenticator=Accounts()),
    )


@pytest.mark.req("RFC4954-4-28", "RFC4954-9-03/server")
@pytest.mark.parametrize("name", [*BY_NAME])
def test_by_default_no_mechanism_is_offered_or_accepted_in_clear(name: str) -> None:
    config = ServerConfig(authenticator=AllMechanisms(), mechanisms=name)
    assert not any(keyword.startswith("AUTH") for keyword in keywords(Handler(), config))
    assert replies(Handler(), f"AUTH {name}", config=config)[0][:3] in ("538", "502")


# -- authenticators -----------------------------------------------------------------------------


@pytest.mark.req(
    "RFC4954-4-08",
    "RFC4954-4-21",
    "RFC4954-4-20",
    "RFC4954-8-01/server",
    "RFC4422-3.4.1-01",
    "RFC5321-7.9-01",
    "RFC4422-3.3-01",
)
def test_plain_may_be_used_with_and_without_an_initial_response() -> None:
    handler = Guard()
    play(
        f"""{HELLO_WITH_AUTH}
        C: auth plain AGFubgB3cm9uZw==
        S: 535 5.7.8 Authentication credentials invalid
        C: AUTH PLAIN
        S: 334
        C: AGFubgBzZWNyZXQ=
        S: 235 2.7.0 Authentication successful
        C: MAIL FROM:<>
        S: 250 2.1.0 Sender OK{QUIT}""".replace("334\n", "334 \n"),
        handler,
        PLAIN_IN_CLEAR,
    )
    assert [session.user for session in handler.seen] == [None, "ann"]


@pytest.mark.req("RFC4616-2-03")
def test_plain_accepts_names_and_passwords_of_255_octets() -> None:
    name, password = "n" * 255, "p" * 255
    login = f"C: AUTH PLAIN {plain(name, name, password)}\nS: 235 2.7.0 Authentication successful\n"
    config = evolve(PLAIN_IN_CLEAR, authenticator=Accounts(**{name: password}))
    play(f"{HELLO_WITH_AUTH}{login}{QUIT}", Handler(), config)


class FixedAnswer(Authenticator):
    """Answers each password with *answer*."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def check_password(self, username: str, password: Secret) -> Any:
        return self.answer


@pytest.mark.parametrize(
    "answer",
    [None, False, 0, 1, "yes", Reply(235), object()],
    ids=["None", "False", "0", "1", "text", "reply", "object"],
)
def test_only_true_from_the_authenticator_accepts_a_login(answer: object) -> None:
    """A forgotten return statement, or a reply as in a hook, must not let every client log in."""
    replies, _ = log_in(LOGIN, config=evolve(CONFIG, authenticator=FixedAnswer(answer)))
    assert replies[0].startswith("535")


def test_an_authenticator_may_be_async() -> None:
    class Slow(Authenticator):
        async def check_password(self, username: str, password: Secret) -> bool:
            return (username, password) == ("ann", Secret("secret"))

        async def may_act_as(self, username: str, authzid: str) -> bool:
            return (username, authzid) == ("ann", "bob")

    config = evolve(CONFIG, authenticator=Slow())
    assert log_in(WRONG_PASSWORD, AS_BOB, config=config)[0][1].startswith("235")


def test_a_plain_authenticator_runs_in_a_thread_and_an_async_one_does_not() -> None:
    inside: list[str] = []

    class Plain(Authenticator):
        def check_password(self, username: str, password: Secret) -> bool:
            inside.append("thread" if threaded else "loop")
            return True

    class Async(Authenticator):
        async def check_password(self, username: str, password: Secret) -> bool:
            inside.append("thread" if threaded else "loop")
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
    assert inside == ["thread", "loop"]


def test_in_thread_of_asyncio_and_trio_uses_another_thread() -> None:
    here = threading.get_ident()
    assert asyncio.run(on_asyncio.Runtime().in_thread(threading.get_ident)) != here
    assert trio.run(on_trio.Runtime().in_thread, threading.get_ident) != here


def test_the_authenticator_decides_who_may_act_as_another_user() -> None:
    class Managers(Accounts):
        def may_act_as(self, username: str, authzid: str) -> bool:
            return (username, authzid) == ("ann", "bob")

    handler = AnsweringRecorder()
    replies, _ = log_in(
        AS_BOB, "MAIL FROM:<>", handler=handler, config=evolve(CONFIG, authenticator=Managers())
    )
    assert replies[0].startswith("235")
    assert handler.sessions[-1].user == "bob"
    assert handler.sessions[-1].identity == Identity("ann", "bob", "PLAIN")


def test_a_wrong_password_ends_the_exchange_with_denied() -> None:
    exchange = BY_NAME["PLAIN"].server(Accounts(), Channel(random=bytes))
    assert isinstance(run(exchange.step(Secret(b"\0ann\0wrong"))), Denied)


# -- the login hook -----------------------------------------------------------------------------


@define(eq=False)
class AnsweringRecorder(LoginRecorder):
    """Answers each login with *answer*, and keeps the session of each MAIL."""

    answer: Reply | None = None
    sessions: list[Session] = field(factory=list)

    def login(self, session: Session, identity: Identity) -> Reply | None:
        assert session.user is None
        super().login(session, identity)
        return self.answer

    def mail(self, session: Session, *_: object) -> None:
        self.sessions.append(session)


def test_the_login_hook_receives_the_identity() -> None:
    handler = AnsweringRecorder()
    log_in(LOGIN, "MAIL FROM:<>", handler=handler)
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
def test_the_login_hook_may_refuse_a_verified_identity(reply: Reply) -> None:
    handler = AnsweringRecorder(answer=reply)
    replies, _ = log_in(LOGIN, "MAIL FROM:<>", handler=handler)
    assert replies[0] == str(reply)
    assert handler.sessions[-1].user is None and handler.sessions[-1].identity is None


@pytest.mark.req("RFC4954-6-02")
def test_a_login_hook_that_raises_is_answered_with_454() -> None:
    class Broken(AnsweringRecorder):
        def login(self, session: Session, identity: Identity) -> Reply | None:
            raise RuntimeError("no quota table")

    replies, _ = log_in(LOGIN, handler=Broken())
    assert replies == ["454 4.7.0 Temporary authentication failure"]


def test_a_login_hook_that_answers_334_is_answered_with_454() -> None:
    handler = AnsweringRecorder(answer=Reply(334, None, "x"))  # the exchange is over
    answers, _ = log_in(LOGIN, "MAIL FROM:<>", handler=handler)
    assert answers == ["454 4.7.0 Temporary authentication failure", "250 2.1.0 Sender OK"]
    assert handler.sessions[-1].user is None

"""A handler of which one hook fails, and the dialogue that calls this hook."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from attrs import evolve, field, frozen

from smtpproto import Authenticator, Handler, Reply, ServerConfig, Verb
from smtpproto.grammar.command import TextCommand
from tests.support.scripted_client import LOGIN
from tests.support.server_dialogue import PLAIN_IN_CLEAR

Fail = Callable[[], Any]
"""What the failing hook calls: it raises, or returns an awaitable to be awaited."""

TO_RCPT = ["MAIL FROM:<>", "RCPT TO:<a@example.org>", "RCPT TO:<b@example.org>"]
MESSAGE = [*TO_RCPT, "DATA", "hi", "."]
ETRN_AND_EXPN = ("etrn", "expn")  # offered if the handler defines these hooks


@frozen
class XTry(TextCommand):
    """``XTRY``, a verb of the application's own."""

    verb = "XTRY"


OWN_VERB = Verb(command=XTry, row="NOOP", default_reply=Reply(250, "2.0.0", "OK"))
SERVER = evolve(PLAIN_IN_CLEAR, verbs=[OWN_VERB])
LMTP = ServerConfig(lmtp=True)


@frozen
class Case:
    """A hook, the commands after EHLO that call it, and the codes of the replies to them."""

    hook: str
    commands: list[str]
    codes: str
    config: ServerConfig = SERVER
    hello: str = "EHLO"
    greeting: str = "220 250"
    """The codes of the greeting and of the reply to EHLO."""
    lines: list[str] = field(init=False)
    """All that the client sends."""

    def __attrs_post_init__(self) -> None:
        lines = [f"{self.hello} client.example", *self.commands, "NOOP", "QUIT"]
        object.__setattr__(self, "lines", lines)

    @property
    def expected(self) -> list[str]:
        end = "503 221" if self.hook == "connect" else "250 221"
        return f"{self.greeting} {self.codes} {end}".split()


CASES = [
    Case("connect", [], "", greeting="451 503"),
    Case("ehlo", [], "", greeting="220 451"),
    Case("mail", ["MAIL FROM:<>"], "451"),
    Case("rcpt", TO_RCPT, "250 451 451"),
    Case("data", [*TO_RCPT, "DATA"], "250 250 250 451"),
    Case("write", MESSAGE, "250 250 250 354 451"),
    Case("commit", MESSAGE, "250 250 250 354 451"),
    Case("message", MESSAGE, "250 250 250 354 451"),
    Case("commit", MESSAGE, "250 250 250 354 451 451", LMTP, "LHLO"),
    Case("message", MESSAGE, "250 250 250 354 451 451", LMTP, "LHLO"),
    Case("verdicts", MESSAGE, "250 250 250 354 250 451", LMTP, "LHLO"),
    Case("abort", [*TO_RCPT, "BDAT 0", "RSET"], "250 250 250 250 250"),
    Case("reset", ["MAIL FROM:<>", "RSET"], "250 250"),
    Case("vrfy", ["VRFY ann"], "451"),
    Case("expn", ["EXPN staff"], "451"),
    Case("mailboxes", ["VRFY ann"], "451"),
    Case("help", ["HELP"], "451"),
    Case("etrn", ["ETRN example.org"], "451"),
    Case("command", ["XTRY"], "451"),
    Case("login", [LOGIN], "454"),
    Case("check_password", [LOGIN], "454"),
    Case("trace", [], ""),
    Case("close", [], ""),
]


def _hook(fail: Fail, *, is_async: bool) -> Callable[..., Any]:
    """Return a hook that fails. A plain one calls *fail* itself, an async one awaits it."""

    def plain(*_: object) -> Any:
        return fail()

    async def asynchronous(*_: object) -> Any:
        found = fail()
        return await found if isinstance(found, Awaitable) else found

    return asynchronous if is_async else plain


class _Sink:
    """Accepts content; the method named *hook* fails."""

    def __init__(self, hook: str, failing: Callable[..., Any]) -> None:
        for name in ("write", "commit", "abort"):
            setattr(self, name, failing if name == hook else lambda *_: None)


def handler_and_config(case: Case, fail: Fail, *, is_async: bool) -> tuple[Handler, ServerConfig]:
    """Return a handler for *case* and its configuration."""
    failing = _hook(fail, is_async=is_async)
    handler, config = _handler_for(case, fail, failing, is_async), case.config
    if case.hook == "check_password":
        methods = {"check_password": lambda *_: failing()} if not is_async else {}
        kind = type("Failing", (Authenticator,), methods)
        if is_async:

            async def check_password(*_: object) -> Any:
                return await failing()

            kind.check_password = check_password  # type: ignore[attr-defined]
        config = evolve(config, authenticator=kind())
    if case.hook == "trace":
        config = evolve(config, trace=lambda *_: fail())
    return handler, config


def _handler_for(case: Case, fail: Fail, failing: Callable[..., Any], is_async: bool) -> Handler:
    def accept(*_: object) -> Any:
        return None

    async def verdicts(*_: object) -> AsyncIterator[None]:
        yield None
        yield await _hook(fail, is_async=True)()

    def plain_verdicts(*_: object) -> Any:
        return (fail() if number else None for number in range(2))

    hooks: dict[str, Any] = {"message": accept}
    match case.hook:
        case "write" | "commit" | "abort":
            hooks["data"] = lambda *_: _Sink(case.hook, failing)
        case "verdicts":
            hooks["message"] = verdicts if is_async else plain_verdicts
        case "mailboxes":
            hooks["vrfy"] = lambda *_: (fail() for _ in range(2))
        case "check_password" | "trace":
            pass
        case hook:
            hooks[hook] = failing
    kind = type("Failing", (Handler,), {})
    for name, hook in hooks.items():
        setattr(kind, name, _as_method(hook, name))
    handler: Handler = kind()
    return handler


def _as_method(hook: Callable[..., Any], name: str) -> Callable[..., Any]:
    hook.__name__ = name
    return hook

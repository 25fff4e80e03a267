"""What a hook raises, on each runtime: a reply of 451 and an entry in the log, and nothing else."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NoReturn

import pytest
import trio

from smtpproto import (
    ConnectionLost,
    GrammarError,
    Handler,
    LocalProtocolError,
    RemoteProtocolError,
    Reply,
    ServerConfig,
    TimedOut,
    TLSFailed,
)
from smtpproto.adapters import asyncio as on_asyncio
from smtpproto.adapters import blocking as on_sockets
from smtpproto.adapters import trio as on_trio
from smtpproto.ports import Runtime
from smtpproto.server.conversation import Conversation
from smtpproto.server.handler_source import handler_of
from tests.support.failing_handler import CASES, Case, handler_and_config
from tests.support.scripted_client import ScriptedClient, octets


class Unprintable(Exception):
    """An error that cannot describe itself."""

    def __repr__(self) -> str:
        raise ValueError("no text")


class EndsProgram(Exception):
    """An error whose description ends the program."""

    def __repr__(self) -> str:
        raise SystemExit(4)


class Untraceable(Exception):
    """An error that has no traceback."""

    @property
    def __traceback__(self) -> NoReturn:  # type: ignore[override]
        raise ValueError("no traceback")


ERRORS: list[BaseException] = [
    ConnectionLost("the next hop closed the connection"),
    TLSFailed("the next hop's certificate has expired"),
    asyncio.CancelledError(),
    BaseExceptionGroup("several", [asyncio.CancelledError()]),
    KeyError("x"),
    StopIteration(1),
    GeneratorExit(),
    SystemExit(3),
    GrammarError("bad", reply=Reply(250, "2.0.0", "Fine")),
    LocalProtocolError("not now"),
    RemoteProtocolError("no SMTP", reply=Reply(220, None, "x")),
    TimedOut("the next hop was silent"),
    ExceptionGroup("several", [OSError("disk full"), ConnectionLost("gone")]),
    TimeoutError("too slow"),
    ConnectionResetError("reset"),
    StopAsyncIteration(),
    MemoryError(),
    RecursionError(),
    AssertionError(),
    Unprintable(),
    EndsProgram(),
    Untraceable(),
]
HARDEST = 8  # the first errors, which differ between the runtimes


Dialogue = tuple[Handler, ServerConfig, ScriptedClient]


async def serve_all(runtime: Runtime, dialogues: Sequence[Dialogue]) -> None:
    for handler, config, client in dialogues:
        await Conversation(client, handler, config, runtime).run()


def on_blocking_sockets(*dialogues: Dialogue) -> None:
    on_sockets.run(serve_all(on_sockets.Runtime(), dialogues))


def with_asyncio(*dialogues: Dialogue) -> None:
    asyncio.run(serve_all(on_asyncio.Runtime(), dialogues))


def with_trio(*dialogues: Dialogue) -> None:
    trio.run(serve_all, on_trio.Runtime(), dialogues)


Serve = Callable[..., None]
each_runtime = pytest.mark.parametrize(
    "serve", [on_blocking_sockets, with_asyncio, with_trio], ids=lambda serve: serve.__name__
)
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.hook}-{case.hello}")


def codes_of(client: ScriptedClient) -> list[str]:
    return [line[:3] for line in client.lines if line[3:4] == " "]


def check_failures(
    serve: Serve, case: Case, fails: Sequence[Callable[[], Any]], is_async: bool
) -> None:
    """Serve the dialogue of *case* with each of *fails*, and check that it goes on."""
    clients = [ScriptedClient([octets(*case.lines)]) for _ in fails]
    handlers = [handler_and_config(case, fail, is_async=is_async) for fail in fails]
    serve(*((*pair, client) for pair, client in zip(handlers, clients, strict=True)))
    for client in clients:
        assert codes_of(client) == case.expected and client.closed


def errors_in(log: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in log.records if record.levelno >= logging.ERROR]


def raising(error: BaseException) -> Callable[[], NoReturn]:
    def fail() -> NoReturn:
        raise error.with_traceback(None)

    return fail


LOGGED_AS = {"check_password": "the authenticator", "verdicts": "commit", "mailboxes": "vrfy"}


@each_runtime
@each_case
@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])
def test_whatever_a_hook_raises_is_answered_and_the_session_goes_on(
    serve: Serve,
    case: Case,
    is_async: bool,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("traceback.format_tb", lambda _: [])  # which would take most of the time
    errors = ERRORS if serve is on_blocking_sockets else ERRORS[:HARDEST]
    check_failures(serve, case, [raising(error) for error in errors], is_async)
    name = LOGGED_AS.get(case.hook, case.hook)
    entries = [text for text in errors_in(caplog) if text.startswith(f"{name} failed")]
    assert len(entries) >= len(errors)


@each_runtime
def test_a_factory_that_raises_anything_is_answered_with_421(serve: Serve) -> None:
    for error in ERRORS:
        client = ScriptedClient([octets("EHLO client.example")])
        serve((handler_of(raising(error)), ServerConfig(), client))
        assert codes_of(client) == ["421"]


# -- hooks that suspend in a blocking server -------------------------------------------------------


class _Suspending:
    """Suspends, and raises nothing if it is closed."""

    def __await__(self) -> Any:
        yield


def wait_for_asyncio() -> Awaitable[None]:
    return asyncio.sleep(1)


def wait_for_trio() -> Awaitable[None]:
    return trio.sleep(1)


@pytest.mark.parametrize("wait", [_Suspending, wait_for_asyncio, wait_for_trio])
@pytest.mark.parametrize(
    "case",
    [case for case in CASES if case.hook not in ("trace", "mailboxes")],  # these are not awaited
    ids=lambda case: f"{case.hook}-{case.hello}",
)
def test_a_hook_that_suspends_in_a_blocking_server_is_answered_and_its_name_logged(
    wait: Callable[[], Awaitable[None]], case: Case, caplog: pytest.LogCaptureFixture
) -> None:
    check_failures(on_blocking_sockets, case, [wait], True)
    text, *_ = errors_in(caplog)
    assert "suspended, and a blocking server cannot resume it; use a plain hook" in text
    assert text.startswith(f"{LOGGED_AS.get(case.hook, case.hook)} failed")

"""The pages about Django, Starlette and Celery, whose programs are used after the page was read."""

from __future__ import annotations

import asyncio
import importlib
import json
from collections.abc import MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from django.conf import settings
from django.test import override_settings

from smtpproto import Envelope
from smtpproto.adapters import asyncio as on_asyncio
from smtpproto.testing import ReceivedMessage
from tests.pages.conftest import Visit
from tests.pages.page import Page

if not settings.configured:
    settings.configure()


def values_of(page: Page, name: str) -> dict[str, Any]:
    """Return the settings in a file that the page has."""
    [block] = [it for it in page.blocks("python") if it.startswith(f"# {name}\n")]
    names: dict[str, Any] = {}
    exec(block, names)
    return {name: it for name, it in names.items() if name.isupper()}


@pytest.mark.filterwarnings("ignore:The EMAIL_")
@pytest.mark.filterwarnings("ignore:.* is deprecated")
def test_the_settings_for_django_send(visit: Visit, mail: list[ReceivedMessage]) -> None:
    page = visit("howto/django.md")
    with override_settings(**values_of(page, "settings.py")):
        page.read()
    assert [it.parsed["Subject"] for it in mail] == ["Welcome", "News"]
    assert {it.user for it in mail} == {"ann"}
    assert values_of(page, "more_settings.py")["SMTPPROTO_EMAIL"]["tls"] == "none"


# -- Starlette -----------------------------------------------------------------------------------


@asynccontextmanager
async def lifespan(app: Any) -> Any:
    """Run the lifespan of an ASGI application; yield its state."""
    events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    sent: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
    state: dict[str, Any] = {}
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": state}
    running = asyncio.create_task(app(scope, events.get, sent.put))
    for event in ("startup", "shutdown"):
        await events.put({"type": f"lifespan.{event}"})
        answer = await sent.get()
        assert answer == {"type": f"lifespan.{event}.complete"}, answer
        if event == "startup":
            yield state
    await running


async def request(
    app: Any, state: dict[str, Any], method: str, path: str, body: object = None
) -> tuple[int, Any]:
    """Make a request; return the status and the JSON of the response."""
    sent: list[MutableMapping[str, Any]] = []
    content = json.dumps(body).encode()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": content}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "headers": [],
        "query_string": b"",
        "state": dict(state),
    }
    await app(scope, receive, send)
    return sent[0]["status"], json.loads(sent[1]["body"])


def test_the_web_application_sends_and_receives(visit: Visit, mail: list[ReceivedMessage]) -> None:
    page = visit("howto/fastapi.md")
    page.read()
    app = importlib.import_module("app").app

    async def use() -> None:
        async with lifespan(app) as state:
            for recipient, answer in {
                "bob@example.org": (200, {"sent": True}),
                "nobody@example.org": (400, {"error": "550 5.1.1 No such user"}),
                "full@example.org": (503, {"error": "452 4.2.2 Mailbox full"}),
            }.items():
                body = {"email": recipient}
                assert await request(app, state, "POST", "/sign-up", body) == answer
            envelope = Envelope("eve@example.net", "shop@example.org")
            await on_asyncio.send(b"Subject: hello\r\n", "127.0.0.1", 2525, envelope=envelope)
            assert await request(app, state, "GET", "/subjects") == (200, ["Subject: hello"])

    page.runner.run(use())
    assert [it.rcpt_tos for it in mail] == [["bob@example.org"]]


# -- Celery --------------------------------------------------------------------------------------


@pytest.fixture
def tasks(visit: Visit) -> Any:
    """The module of the page, whose tasks run at once."""
    visit("howto/celery.md").read()
    module = importlib.import_module("tasks")
    module.app.conf.task_always_eager = True
    yield module
    module.mail.close()


def test_the_task_sends_with_one_message_id(tasks: Any, mail: list[ReceivedMessage]) -> None:
    tasks.welcome("later@example.org")
    [message] = mail
    assert message.rcpt_tos == ["later@example.org"]
    assert message.parsed["Message-ID"].endswith("@example.org>")


@pytest.mark.parametrize(
    ("recipient", "result"),
    [
        ("bob@example.org", "sent"),
        ("later@example.org", "sent"),
        ("nobody@example.org", "refused: 550 5.1.1 No such user"),
    ],
)
def test_the_task_tries_again_only_what_may_succeed(
    recipient: str, result: str, tasks: Any
) -> None:
    assert tasks.send_mail.apply(args=[recipient, "Subject: hello\n"]).get() == result


def test_the_task_gives_up_in_the_end(tasks: Any) -> None:
    tasks.send_mail.max_retries = 1
    done = tasks.send_mail.apply(args=["full@example.org", "Subject: hello\n"])
    assert "Mailbox full" in str(done.result)

"""The pages about an MTA: what they show, and what clients cannot do to them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Callable
from html.parser import HTMLParser
from typing import Any

import pytest
import trio

from smtpproto import Envelope, Handler, RcptParameters, Reply, Session
from smtpproto.adapters import asyncio as on_asyncio
from smtpproto.adapters import blocking as on_sockets
from smtpproto.adapters import trio as on_trio
from smtpproto.adapters.status_page import serve_status
from smtpproto.grammar.address import ForwardPath
from smtpproto.limits import ScheduleLimits
from smtpproto.mta import MemoryQueue, Result, SmartHost
from smtpproto.transfer.overview_html import story_page
from tests.watching.reading import get

MESSAGE = b"From: ann@example.org\r\nTo: bob@example.net\r\n\r\nhello\r\n"
HOSTILE = "<script>alert(1)</script><img src=x onerror=a> \"'&"


class NextHop(Handler):
    """Refuses all recipients for now, in words meant for a browser."""

    def rcpt(self, session: Session, recipient: ForwardPath, parameters: RcptParameters) -> Reply:
        return Reply(450, None, HOSTILE)


class Tags(HTMLParser):
    """Collects the tags, and the text, of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: set[str] = set()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links |= {value or "" for name, value in attrs if name in ("href", "src")}
        assert not any(name.startswith("on") for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


@contextlib.asynccontextmanager
async def blocking_mta(*args: Any, **options: Any) -> AsyncIterator[Any]:
    with on_sockets.MTA(*args, **options) as mail:
        yield mail


async def in_thread_of_trio(function: Callable[[], Any]) -> Any:
    return await trio.to_thread.run_sync(function)


async def at_once(function: Callable[[], Any]) -> Any:
    return function()


ADAPTERS: dict[str, tuple[Any, Any, Any]] = {
    "asyncio": (on_asyncio.MTA, asyncio.to_thread, lambda main: asyncio.run(main())),
    "trio": (on_trio.MTA, in_thread_of_trio, trio.run),
    "blocking": (blocking_mta, at_once, lambda main: on_sockets.run(main())),
}


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_the_page_has_the_queue_the_failures_and_the_story_of_a_message(adapter: str) -> None:
    mta, in_thread, run = ADAPTERS[adapter]
    failed = threading.Semaphore(0)

    def told(event: Any) -> None:
        if hasattr(event, "settlement"):
            failed.release()

    async def main() -> None:
        with on_sockets.serve(NextHop()) as hop:
            routes = {"*": SmartHost("127.0.0.1", hop.port, tls="none")}
            queue = MemoryQueue()
            async with mta("mx.example.org", queue, routes, on_event=told) as mail:
                sent = mail.send(MESSAGE, Envelope("ann@example.org", ["later@example.net"]))
                name = sent if isinstance(sent, str) else await sent
                await in_thread(failed.acquire)
                with serve_status(mail, 0) as url:
                    await in_thread(lambda: check(url, name))
                with pytest.raises(ConnectionRefusedError):
                    get(url)

    def check(url: str, name: str) -> None:
        response, text = get(url)
        page = Tags(text)
        assert (response.status, "example.net" in page.text) == (200, True)
        assert f"/message/{name}" in page.links
        assert f"refused it for now: 450 4.0.0 {HOSTILE}" in page.text
        assert "later@example.net" in page.text
        assert "deferred" in page.text
        story = Tags(get(url, f"/message/{name}")[1])
        assert f"450 4.0.0 {HOSTILE}, in reply to RCPT" in story.text
        for it in (page, story):
            assert not it.tags & {"script", "img", "link", "iframe", "form"}
            assert all(link.startswith("/") for link in it.links)
        stats = json.loads(get(url, "/stats.json")[1])
        assert stats["domains"][0]["last"]["result"] == Result.REFUSED.value
        known = [stats["domains"][0][name] for name in ("window", "running", "paused_until")]
        assert known == [ScheduleLimits().window, 0, None]
        assert "0 of 5" in page.text
        assert get(url, "/message/zzz")[0].status == 404
        assert get(url, "/message/../etc/passwd")[0].status == 404

    run(main)


def test_the_page_answers_503_when_the_mta_has_stopped() -> None:
    with on_sockets.MTA("mx.example.org", MemoryQueue(), {}) as mail:
        serving = serve_status(mail, 0)
        url = serving.__enter__()
    with contextlib.closing(contextlib.ExitStack()) as stack:
        stack.push(serving.__exit__)
        response, text = get(url)
    assert (response.status, text[:26]) == (503, "503 the MTA does not run; ")


def test_a_story_cannot_break_out_of_its_page() -> None:
    page = story_page(HOSTILE, f"{HOSTILE}\n\x1b[31m\r\u202e")
    assert not Tags(page).tags & {"script", "img"}
    assert "\\x1b[31m\\r\\u202e" in page

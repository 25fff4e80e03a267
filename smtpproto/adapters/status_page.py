"""A page that shows what an MTA does, for people on the same machine."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator

from ..mta.queue_values import stats_values
from ..transfer.assembly import RunningMTA
from ..transfer.overview import overview_of
from ..transfer.overview_html import STYLE_POLICY, overview_page, story_page
from .loopback_pages import Page, Request, serve_pages
from .mta_base import MTABase

__all__ = ["serve_status"]

_STORY = re.compile(r"/message/([0-9A-Za-z]{1,64})")


@contextlib.contextmanager
def serve_status(mail: MTABase, port: int = 8025) -> Iterator[str]:
    """Serve pages about *mail*, which runs, on *port* of 127.0.0.1 (0: a free one) until the block
    ends; yield their URL. Use it in plain ``with``, whatever the adapter of *mail*.

    They show addresses, and every user of the machine can read them. Nothing can be changed there.
    Raises OSError.
    """

    def answer(request: Request) -> Page | None:
        return _page(mail, request.path)

    with serve_pages(answer, port) as bound:
        yield f"http://127.0.0.1:{bound}/"


def _page(mail: MTABase, path: str) -> Page | None:
    if path == "/":
        return _html(overview_page(mail._ask(overview_of)))
    if path == "/stats.json":
        its = mail._ask(overview_of)
        values = stats_values(its.stats, its.destinations)
        return Page(body=json.dumps(values), kind="application/json")
    found = _STORY.fullmatch(path)
    story = None if found is None else mail._ask(lambda its: _story(its, found[1]))
    return None if found is None or story is None else _html(story_page(found[1], story))


async def _story(mail: RunningMTA, name: str) -> str | None:
    return await mail.explain(name)


def _html(body: str) -> Page:
    fields = {"Content-Security-Policy": STYLE_POLICY}
    return Page(body=body, kind="text/html; charset=utf-8", fields=fields)

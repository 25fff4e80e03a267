"""docs/howto/catch-all.md: its program runs, and what it lists is all there is."""

from __future__ import annotations

import argparse
import json
import re
import shlex
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from smtpproto.adapters.loopback_pages import Request
from smtpproto.cli import serve
from smtpproto.cli.mail_view import MailView, show_decoded
from smtpproto.grammar.envelope import Envelope
from smtpproto.server import Session
from smtpproto.testing import ReceivedMessage
from smtpproto.testing.catch_all import failures
from smtpproto.testing.catch_all.mail_api import METHODS
from tests.test_public_face import check_imports
from tests.testing.catch_all.asking import PLAIN, Asked

PAGE = (Path(__file__).parents[3] / "docs/howto/catch-all.md").read_text()
[PROGRAM] = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
[CURL] = re.findall(r"^```sh\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
LISTED = re.findall(r"^\| `(/\S+)` \| (\w+) \|", PAGE, re.MULTILINE)


def test_the_program_prints_what_its_comments_say(capsys: Any) -> None:
    check_imports(PROGRAM)
    exec(PROGRAM, {})
    said = re.findall(r"^ +print\(.*\) +# (.*)$", PROGRAM, re.MULTILINE)
    assert capsys.readouterr().out.splitlines() == said


def test_the_table_of_paths_is_complete() -> None:
    asked = Asked()
    routes = chain.from_iterable(
        [(re.sub(r"\(.*?\)", "*", path.pattern), method) for method in methods]
        for path, methods in asked.api._routes
    )
    assert sorted((re.sub("ID|N$", "*", path), method) for path, method in LISTED) == sorted(routes)


@pytest.mark.parametrize("command", CURL.splitlines())
def test_each_request_of_the_page_is_answered(command: str) -> None:
    asked = Asked()
    asked.receive(PLAIN, "bob@example.org")
    words = shlex.split(command)
    [url] = [it for it in words if it.startswith("http:")]
    path, _, query = url.removeprefix("http://127.0.0.1:8025").partition("?")
    body = words[words.index("-d") + 1].encode() if "-d" in words else b""
    method = words[words.index("-X") + 1] if "-X" in words else "POST" if body else "GET"
    fields = dict(it.split("=") for it in query.split("&") if it)
    page = asked.api.answer(Request(method=method, path=path, query=fields, body=body))
    assert page is not None
    assert (method in METHODS, page.status) == (True, 201 if body else 200)
    assert "error" not in json.loads(str(page.body))


def test_the_table_of_failures_is_complete() -> None:
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|$", PAGE, re.MULTILINE)
    listed = {kind: set(re.findall(r"`(\w+)`", names)) for kind, names in rows}
    assert listed == {kind: names for kind, (_, names) in failures._KINDS.items()}


def test_the_example_of_the_terminal_is_what_is_printed(capsys: Any) -> None:
    content = (
        b"From: Ann <ann@example.org>\r\nTo: bob@example.org\r\n"
        b"Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\r\nDate: Tue, 01 Dec 2026 09:41:07 +0000\r\n"
        b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
        b"--b\r\n\r\nHello Bob,\r\nsee you on Thursday.\r\n--b\r\nContent-Type: application/pdf;"
        b" name=menu.pdf\r\n\r\n%PDF\r\n--b--\r\n"
    )
    envelope = Envelope("ann@example.org", "bob@example.org")
    MailView(show_decoded)(ReceivedMessage(envelope, content, Session(peer=("127.0.0.1", 1))))
    [shown] = re.findall(r"^    -------- (?:.*\n)+?    -------- end$", PAGE, re.MULTILINE)
    hidden = r"\d\d:\d\d:\d\d|\d+ octets, no TLS"
    printed = capsys.readouterr().out.rstrip("\n")
    assert re.sub(hidden, "", re.sub("^    ", "", shown, flags=re.M)) == re.sub(hidden, "", printed)


def test_the_options_on_the_page_exist() -> None:
    parser = argparse.ArgumentParser()
    serve.add_options(parser)
    options = set(re.findall(r"`(--[\w-]+)", PAGE))
    assert options <= set(parser._option_string_actions)
    assert {"--web", "--keep", "--keep-octets", "--raw", "--json"} <= options

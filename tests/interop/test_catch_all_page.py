"""The page of a catch-all server in a real browser, with mail that wants to harm its reader."""

from __future__ import annotations

import http.server
import json
import smtplib
import threading
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest
from attrs import define, field

from smtpproto.testing.catch_all import CatchAll
from tests.interop.chromium import Browser, Tab, chromium
from tests.interop.programs import wait_until

pytestmark = [pytest.mark.interop, pytest.mark.peer("chromium")]

TITLE = "document.title"
HOSTILE = """
<script>parent.document.title = 'owned'; fetch('URL/script')</script>
<img src="URL/allowed.png" onerror="fetch('URL/onerror')">
<img src="/api/messages" onerror="fetch('/api/messages', {method: 'DELETE'})">
<svg onload="fetch('URL/svg')"><script>fetch('URL/svg-script')</script></svg>
<meta http-equiv="refresh" content="0;url=URL/refresh">
<base href="URL/base/" target="_self">
<link rel="stylesheet" href="URL/allowed.css"><style>@import 'URL/allowed-import.css';</style>
<style>p { background: url('URL/allowed-background') }</style><p>text</p>
<iframe src="URL/iframe"></iframe><iframe src="/"></iframe><iframe srcdoc="<script>1</script>"></iframe>
<object data="URL/object"></object><embed src="URL/embed"><video src="URL/video" autoplay></video>
<form action="URL/form" id="form"><input autofocus onfocus="this.form.submit()"></form>
<a href="javascript:fetch('URL/link')">a link</a>
"""  # noqa: E501


@define(eq=False)
class Elsewhere:
    """A web server that notes what is asked of it."""

    url: str
    asked: list[str] = field(factory=list)


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    """Return a web server that no message may reach."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            its.asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        its = Elsewhere(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield its
        server.shutdown()
        thread.join()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    """Return a browser."""
    with chromium(tmp_path) as it:
        it.download_to(tmp_path)
        yield it


@pytest.fixture
def catch_all() -> Iterator[CatchAll]:
    """Return a catch-all server."""
    with CatchAll() as it:
        yield it


def send(to: CatchAll, subject: str, html: str = "", attachment: bytes = b"") -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "ann@a.test", "bob@b.test", subject
    message.set_content("The text of the message\n")
    if html:
        message.add_alternative(html, subtype="html")
    if attachment:
        message.add_attachment(attachment, "application", "x-test", filename="Übersicht.bin")
    with smtplib.SMTP("127.0.0.1", to.port, timeout=20) as client:
        client.send_message(message)


def subjects(tab: Tab) -> str:
    return "[...document.querySelectorAll('#list .subject')].map((it) => it.textContent).join()"


def wait_for_subjects(tab: Tab, *expected: str) -> None:
    tab.wait_for(f"{subjects(tab)} === {json.dumps(','.join(expected))}")


def test_a_person_sees_mail_arrive_reads_it_and_lets_the_server_fail(
    browser: Browser, catch_all: CatchAll, tmp_path: Path
) -> None:
    tab = browser.open(catch_all.url)
    tab.wait_for("document.querySelector('#empty-title')?.textContent === 'No mail yet'")
    send(catch_all, "first")
    wait_for_subjects(tab, "first")
    send(catch_all, "second <b>&", attachment=b"\0\1\2")
    wait_for_subjects(tab, "second <b>&", "first")
    tab.wait_for(f"{TITLE} === '(2) Mail - smtpproto'")

    tab.press("j", "Enter")  # opens the newest
    tab.wait_for("document.querySelector('#subject').textContent === 'second <b>&'")
    tab.wait_for(
        "document.querySelector('#panel pre')?.textContent === 'The text of the message\\n'"
    )
    tab.wait_for(f"{TITLE} === '(1) Mail - smtpproto'")
    tab.click("#tab-attachments")
    tab.click(".attachments a")
    stored = tmp_path / "Übersicht.bin"
    wait_until("the download", lambda: stored.exists() or None)
    assert stored.read_bytes() == b"\0\1\2"
    tab.click("#tab-source")
    tab.wait_for("document.querySelector('#panel pre')?.textContent.includes('boundary=')")
    tab.click("#tab-session")
    tab.wait_for("document.querySelector('#panel pre')?.textContent.includes('C: RCPT TO:')")

    tab.press("/", *"subject:first")
    wait_for_subjects(tab, "first")
    tab.press("Escape")
    tab.run("document.querySelector('#query').value = ''")
    tab.run("document.querySelector('#query').dispatchEvent(new Event('input'))")
    wait_for_subjects(tab, "second <b>&", "first")

    tab.click("#show-failures")
    tab.run("document.querySelector('#failure-kind').value = 'refuse-data'")
    tab.run("document.querySelector('#failure-kind').dispatchEvent(new Event('change'))")
    tab.run("document.querySelector('#failure-times').value = '1'")
    tab.click("#failure .primary")
    tab.wait_for("document.querySelector('#banner').textContent.includes('refuse DATA with 451')")
    tab.click("#close-failures")
    with pytest.raises(smtplib.SMTPDataError, match="451"):
        send(catch_all, "third")
    send(catch_all, "fourth")
    wait_for_subjects(tab, "fourth", "second <b>&", "first")

    tab.press("Delete")  # the open message; the next one opens
    wait_for_subjects(tab, "fourth", "first")
    tab.wait_for("document.querySelector('#subject').textContent === 'first'")


def test_hostile_html_runs_no_scripts_loads_nothing_and_reaches_no_interface(
    browser: Browser, catch_all: CatchAll, elsewhere: Elsewhere
) -> None:
    send(catch_all, "hostile", HOSTILE.replace("URL", elsewhere.url))
    tab = browser.open(catch_all.url)
    tab.click("#list button")
    tab.wait_for("document.querySelector('iframe')")
    loaded = "document.querySelector('iframe').addEventListener('load', () => { loaded = true })"
    tab.run(f"loaded = false; {loaded}")
    tab.run("document.querySelector('iframe').src += ''")  # load it again, to see the end of it
    tab.wait_for("loaded")
    assert elsewhere.asked == []

    tab.click("#remote")  # now pictures and styles may come
    allowed = ["/allowed-background", "/allowed-import.css", "/allowed.css", "/allowed.png"]
    wait_until("allowed content", lambda: set(allowed) <= set(elsewhere.asked) or None)
    alone = browser.open(f"{catch_all.url}api/messages/1/html?remote=1")
    wait_until("the same alone", lambda: elsewhere.asked.count("/allowed.png") == 2 or None)
    assert sorted(set(elsewhere.asked)) == allowed
    assert tab.run(TITLE) == "Mail - smtpproto"
    assert alone.run("location.pathname") == "/api/messages/1/html"
    assert alone.run(TITLE) != "owned"
    assert len(catch_all.messages) == 1


def test_pages_elsewhere_cannot_read_or_change_the_mail(
    browser: Browser, catch_all: CatchAll, elsewhere: Elsewhere
) -> None:
    send(catch_all, "private")
    tab = browser.open(f"{elsewhere.url}/page")
    failure = json.dumps({"kind": "greylist"})
    for options in [
        {"method": "GET", "mode": "cors"},
        {"method": "GET", "mode": "no-cors"},
        {"method": "DELETE", "mode": "cors"},
        {"method": "POST", "mode": "no-cors", "body": failure},
    ]:
        path = "failures" if "body" in options else "messages"
        ask = f"fetch('{catch_all.url}api/{path}', {json.dumps(options)})"
        assert tab.run(f"{ask}.then(() => 'answered', () => 'refused')") == "refused"
    send(catch_all, "still taken")
    assert len(catch_all.messages) == 2

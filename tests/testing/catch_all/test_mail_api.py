"""The interface of a catch-all server: what its page and tests in other languages ask."""

from __future__ import annotations

import json
import re
import threading
from typing import Any
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpproto.adapters.loopback_pages import Request
from smtpproto.testing.catch_all.kept_mail import KeptMail
from smtpproto.testing.catch_all.mail_api import METHODS
from tests.mail.test_opened import with_everything
from tests.support.hostile_mail import HOSTILE, MARKUP, html_mail
from tests.testing.catch_all.asking import PLAIN, Asked

EVERYTHING = re.sub(b"\r?\n", b"\r\n", bytes(with_everything()))


def ids(values: Any) -> list[int]:
    return [it["id"] for it in values["list"]]


# -- messages ------------------------------------------------------------------------------------


def test_messages_are_listed_the_newest_first_with_what_a_person_looks_for() -> None:
    asked = Asked()
    asked.receive()
    asked.receive(EVERYTHING)
    values = asked.values("/api/messages")
    assert ids(values) == [2, 1]
    assert (values["messages"], values["unread"], values["newest"]) == (2, 2, 2)
    newest, oldest = values["list"]
    assert (newest["subject"], newest["from"]) == ("Grüße und 漢字", "Jörg <joerg@a.test>")
    assert [it["name"] for it in newest["attachments"]] == ["", "Übersicht 1.pdf", "notes.txt"]
    assert (oldest["to"], oldest["size"], oldest["read"]) == ("bob@b.test", len(PLAIN), False)
    assert oldest["preview"] == "first line"


def test_a_list_can_be_read_in_pieces() -> None:
    asked = Asked()
    for _ in range(5):
        asked.receive()
    assert ids(asked.values("/api/messages", limit="2")) == [5, 4]
    assert ids(asked.values("/api/messages", limit="2", before="4")) == [3, 2]
    assert asked.values("/api/messages", limit="2")["found"] == 5


def test_a_message_has_all_that_was_sent_with_it() -> None:
    asked = Asked()
    asked.receive(EVERYTHING, "bob@b.test", "carol@c.test")
    values = asked.values("/api/messages/1")
    assert values["envelope"]["from"] == "ann@a.test"
    assert values["envelope"]["to"] == ["bob@b.test", "carol@c.test"]
    assert values["session"]["peer"] == "127.0.0.1 port 9"
    assert (values["session"]["tls"], values["session"]["user"]) == ("", "")
    assert ["Subject", "Grüße und 漢字"] in values["fields"]
    assert values["text"] == "Hallo Bob,\nbis später\n"
    assert "cid:logo@a.test" in values["html"]
    assert asked.values("/api/messages/latest")["id"] == 1
    assert asked.ask("/api/messages/1/source").body == EVERYTHING
    assert asked.ask("/api/messages/1/source", query={"octets": "9"}).body == EVERYTHING[:9]
    assert asked.ask("/api/messages/1/transcript").body == "S: 220\n"


def test_what_receivers_dislike_is_found() -> None:
    asked = Asked()
    asked.receive(b"Subject: x\r\n\r\n\x01" + b"y" * 999)
    found = asked.values("/api/messages/1")["findings"]
    for fault in ("line 3: a control character", "line 3: more than 998 octets", "no Date field"):
        assert any(it.startswith(fault) for it in found)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", [3, 2, 1]),
        ("HELLO", [1]),
        ("from:jörg", [2]),
        ("to:joerg", []),
        ("to:dave@d.test", [3]),  # only in the envelope
        ("subject:grüsse", [2]),  # by the rules for cases of letters
        ("body:first line", [1]),
        ('"line first"', []),
        ("line first", [1]),
        ("unread:", []),
        ('"', [3, 2, 1]),
    ],
)
def test_a_search_finds_the_messages_that_have_all_words(query: str, found: list[int]) -> None:
    asked = Asked()
    asked.receive()
    asked.receive(EVERYTHING)
    asked.receive(b"\r\n\r\nnothing", "dave@d.test")
    assert ids(asked.values("/api/messages", query=query)) == found
    assert asked.values("/api/messages", "DELETE", query=query) == {"deleted": len(found)}
    assert len(ids(asked.values("/api/messages"))) == 3 - len(found)


def test_messages_are_marked_as_read_one_by_one_and_all_together() -> None:
    asked = Asked()
    for _ in range(3):
        asked.receive()
    asked.values("/api/messages/2/read", "POST")
    assert asked.values("/api/messages")["unread"] == 2
    asked.values("/api/messages/2/read", "POST", {"read": False})
    assert asked.values("/api/messages")["unread"] == 3
    asked.values("/api/messages/read", "POST")
    assert asked.values("/api/messages")["unread"] == 0


def test_a_message_is_deleted_once() -> None:
    asked = Asked()
    asked.receive()
    assert asked.values("/api/messages/1", "DELETE") == {"deleted": 1}
    for path, method in [("", "GET"), ("", "DELETE"), ("/html", "GET"), ("/source", "GET")]:
        assert asked.ask(f"/api/messages/1{path}", method).status == 404
    assert asked.ask("/api/messages/latest").status == 404
    assert asked.receive().id == 2  # a number never comes again


# -- waiting -------------------------------------------------------------------------------------


def test_a_test_can_wait_for_messages_that_arrive_later() -> None:
    asked = Asked()
    thread = threading.Thread(target=lambda: [asked.receive(), asked.receive()])
    thread.start()
    assert len(ids(asked.values("/api/wait", count="2", seconds="30", query="hello"))) == 2
    thread.join()


def test_waiting_in_vain_says_how_many_came() -> None:
    asked = Asked()
    asked.receive()
    page = asked.ask("/api/wait", query={"count": "2", "seconds": "0"})
    assert page.status == 404
    assert json.loads(str(page.body))["error"] == "1 of 2 messages arrived within 0 seconds"


def test_nothing_is_awaited_for_a_client_that_has_gone() -> None:
    asked = Asked()
    request = Request(path="/api/wait", query={"seconds": "60"}, is_here=lambda: False)
    page = asked.api.answer(request)
    assert page is not None and page.status == 404


def events(asked: Asked) -> Any:
    stream = asked.ask("/api/events").body
    assert not isinstance(stream, str | bytes)
    return (json.loads(it.removeprefix(b"data: ")) for it in stream)


def test_events_tell_what_the_mail_is_now_and_after_each_change() -> None:
    asked = Asked()
    stream = events(asked)
    assert next(stream) == {"revision": 0, "messages": 0, "unread": 0, "newest": 0}
    asked.receive()
    assert next(stream) == {"revision": 1, "messages": 1, "unread": 1, "newest": 1}


def test_a_slow_reader_of_events_misses_what_was_and_the_end_is_told_to_all() -> None:
    asked = Asked()
    stream = events(asked)
    next(stream)
    for _ in range(100):
        asked.receive()
    assert next(stream)["newest"] == 100
    asked.mail.close()
    assert list(stream) == []


# -- bounds --------------------------------------------------------------------------------------


def test_the_oldest_message_is_dropped_when_there_are_too_many() -> None:
    asked = Asked(KeptMail(messages=3))
    for _ in range(5):
        asked.receive()
    assert ids(asked.values("/api/messages")) == [5, 4, 3]


def test_the_oldest_messages_are_dropped_when_they_are_too_large() -> None:
    asked = Asked(KeptMail(octets=100_000))
    for _ in range(5):
        asked.receive(b"Content-Type: image/png\r\n\r\n" + b"x" * 40_000)
    assert ids(asked.values("/api/messages")) == [5, 4]
    asked.values("/api/messages/4", "DELETE")
    asked.receive()
    assert ids(asked.values("/api/messages")) == [6, 5]


# -- what hostile messages can do ------------------------------------------------------------------


def policy_of(page: Any) -> dict[str, str]:
    parts = page.fields["Content-Security-Policy"].split("; ")
    return {name: its for name, _, its in (it.partition(" ") for it in parts)}


@pytest.mark.parametrize("markup", MARKUP)
def test_html_is_shown_as_it_is_with_an_origin_of_its_own(markup: str) -> None:
    asked = Asked()
    asked.receive(html_mail(markup))
    page = asked.ask("/api/messages/1/html")
    assert markup in str(page.body)
    assert str(page.body).startswith('<!doctype html><meta charset="utf-8"><base target="_blank">')
    policy = policy_of(page)
    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["img-src"] == policy["font-src"] == "data:"
    assert policy["style-src"] == "'unsafe-inline'"
    assert policy["sandbox"] == "allow-popups allow-popups-to-escape-sandbox"
    assert "script-src" not in policy
    assert page.fields["X-DNS-Prefetch-Control"] == "off"  # a name can tell who reads the message


def test_remote_pictures_are_allowed_on_request_but_no_scripts() -> None:
    asked = Asked()
    asked.receive(html_mail('<img src="https://x.test/">'))
    assert asked.values("/api/messages/1")["remote"] is True
    policy = policy_of(asked.ask("/api/messages/1/html", query={"remote": "1"}))
    assert policy["img-src"] == "data: http: https:"
    assert policy["style-src"] == "'unsafe-inline' http: https:"
    assert policy["default-src"] == "'none'"
    assert "allow-scripts" not in policy["sandbox"]


def test_pictures_that_the_message_brings_along_are_put_into_its_html() -> None:
    asked = Asked()
    asked.receive(EVERYTHING)
    assert '<img src="data:image/png;base64,iVBORw==">' in str(
        asked.ask("/api/messages/1/html").body
    )


def test_a_picture_that_is_named_many_times_does_not_fill_the_memory() -> None:
    asked = Asked()
    picture = b"Content-Type: image/png\r\nContent-ID: <a>\r\n\r\n" + b"x" * 100_000
    html = b"Content-Type: text/html\r\n\r\n" + b"<img src=cid:a>" * 1000
    parts = b"".join(b"--b\r\n" + it + b"\r\n" for it in (html, picture))
    asked.receive(b"Content-Type: multipart/related; boundary=b\r\n\r\n" + parts + b"--b--")
    body = asked.ask("/api/messages/1/html").body
    assert isinstance(body, str)
    assert 60_000_000 < len(body) < 70_000_000
    assert body.rstrip().endswith("cid:a>")


def test_attachments_are_stored_in_files_and_not_shown() -> None:
    asked = Asked()
    asked.receive(EVERYTHING)
    page = asked.ask("/api/messages/1/attachments/1")
    assert (page.body, page.kind) == (b"%PDF", "application/pdf")
    name = "attachment; filename*=UTF-8''%C3%9Cbersicht%201.pdf"
    assert page.fields["Content-Disposition"] == name
    assert page.fields["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert asked.ask("/api/messages/1/attachments/3").status == 404


def test_types_and_names_of_attachments_cannot_write_header_fields() -> None:
    asked = Asked()
    part = b"Content-Type: a/b\x07c\r\nContent-Disposition: attachment; filename*=''%0d%0aX:%20y"
    asked.receive(part + b"\r\n\r\nx")
    page = asked.ask("/api/messages/1/attachments/0")
    assert page.kind == "application/octet-stream"
    assert page.fields["Content-Disposition"] == "attachment; filename*=UTF-8''__X_%20y"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../.profile", "__.._.profile"),
        ("..\\..\\evil.exe", "__.._evil.exe"),
        ("/etc/passwd", "_etc_passwd"),
        ("C:evil.exe", "C_evil.exe"),
        (".bashrc", "_bashrc"),
        ("a.tar.gz", "a.tar.gz"),
    ],
)
def test_the_name_of_an_attachment_is_never_a_path(name: str, shown: str) -> None:
    asked = Asked()
    disposition = f"Content-Disposition: attachment; filename*=''{quote(name)}"
    asked.receive(f"{disposition}\r\n\r\nx".encode())
    page = asked.ask("/api/messages/1/attachments/0")
    found = page.fields["Content-Disposition"].removeprefix("attachment; filename*=UTF-8''")
    assert unquote(found) == shown


@pytest.mark.parametrize("content", HOSTILE)
def test_any_message_can_be_listed_and_opened(content: bytes) -> None:
    asked = Asked()
    asked.receive(content)
    [listed] = asked.values("/api/messages")["list"]
    count = len(listed["attachments"])
    assert asked.values("/api/messages/1")["size"] == len(content)
    for path in ["html", "source", "transcript", *(f"attachments/{it}" for it in range(count))]:
        page = asked.ask(f"/api/messages/1/{path}")
        assert page.status == 200
        assert isinstance(page.body, str | bytes)
        page.body.encode() if isinstance(page.body, str) else page.body


# -- the page and its files ------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/catch_all.js", "/catch_all.css"])
def test_the_page_runs_only_its_own_script(path: str) -> None:
    page = Asked().ask(path)
    assert page.status == 200
    assert policy_of(page)["default-src"] == "'none'"
    assert policy_of(page)["script-src"] == "'self'"
    assert isinstance(page.body, bytes)
    assert (
        b"//" not in page.body.replace(b"\n//", b"").replace(b"\n    //", b"")
        or path == "/catch_all.js"
    )


def test_the_page_has_no_inline_script_and_nothing_from_elsewhere() -> None:
    page = Asked().ask("/").body
    assert isinstance(page, bytes)
    text = page.decode()
    assert re.findall(r"<script(?! src=\"/catch_all.js\" defer></script>)", text) == []
    assert re.findall(r"\son\w+=|style=|https?:", text) == []
    labelled = set(re.findall(r'aria-(?:controls|labelledby)="([^"]+)"', text))
    assert labelled <= set(re.findall(r'id="([^"]+)"', text))


def test_the_script_never_sets_html() -> None:
    script = Asked().ask("/catch_all.js").body
    assert isinstance(script, bytes)
    assert not re.search(
        rb"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|srcdoc", script
    )


# -- whatever is asked -----------------------------------------------------------------------------

PATHS = st.sampled_from(
    [
        "", "/", "/api", "/api/messages", "/api/messages/1", "/api/messages/x",
        "/api/messages/1/html",
        "/api/messages/1/attachments/0", "/api/messages/1/attachments/9999", "/api/messages/read",
        "/api/messages/1/read", "/api/messages/latest", "/api/failures", "/api/failures/1",
        "/api/wait", "/../etc/passwd", "/page/catch_all.html", "/api/messages/" + "9" * 5000,
    ]
) | st.text()  # fmt: skip
NAMES = ["query", "limit", "before", "count", "octets", "remote", "x"]
QUERIES = st.dictionaries(st.sampled_from(NAMES), st.text() | st.integers().map(str))
BODIES = st.binary() | st.sampled_from([b"[" * 60_000, b"null", b'{"read": 1}', b'{"kind": []}'])


@given(st.sampled_from(METHODS), PATHS, QUERIES, BODIES)
def test_whatever_is_asked_has_an_answer(
    method: str, path: str, query: dict[str, str], body: bytes
) -> None:
    asked = Asked()
    asked.receive(EVERYTHING)
    query = query | {"seconds": "0"}
    page = asked.api.answer(Request(method=method, path=path, query=query, body=body))
    assert page is not None
    assert page.status in (200, 201, 400, 404, 405)
    if page.status in (400, 404, 405):
        assert set(json.loads(str(page.body))) == {"error"}


@pytest.mark.parametrize(
    ("path", "query", "error"),
    [
        ("/api/messages", {"limit": "many"}, "limit must be a number, at most 1000"),
        ("/api/messages", {"limit": "1001"}, "limit must be a number, at most 1000"),
        ("/api/messages", {"before": "-1"}, "before must be a number, at most 999999999"),
        ("/api/wait", {"seconds": "61"}, "seconds must be a number, at most 60"),
    ],
)
def test_a_wrong_number_is_named(path: str, query: dict[str, str], error: str) -> None:
    page = Asked().ask(path, query=query)
    assert (page.status, json.loads(str(page.body))) == (400, {"error": error})


def test_a_path_that_takes_other_methods_says_which() -> None:
    page = Asked().ask("/api/failures/1", "POST")
    assert (page.status, page.fields["Allow"]) == (405, "DELETE")
    assert Asked().ask("/", "POST").status == 405

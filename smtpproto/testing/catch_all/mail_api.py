"""The HTTP interface of a catch-all server: its page, and what tests in any language may ask."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from importlib.resources import files
from typing import Any
from urllib.parse import quote

from attrs import asdict, define, field, frozen

from ...adapters.loopback_pages import Page, Request
from .failures import Failures, to_trouble
from .html_frame import html_page
from .kept_mail import KeptMail, KeptMessage
from .mail_search import matcher
from .mail_values import message_values, summary_values

METHODS = ("GET", "POST", "DELETE")

_LISTED = 100  # messages
_MAX_LISTED = 1000
_MAX_WAIT = 60.0  # seconds
_STILL_HERE = 15.0  # seconds between signs of life in a stream of events
_NOT_IN_NAMES = re.compile(r"[\x00-\x1f\x7f/\\:]|^\.+")  # programs may take a name for a path
_DOWNLOAD = "sandbox; default-src 'none'"
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " img-src data:; frame-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
_FILES = {
    "/": ("catch_all.html", "text/html; charset=utf-8"),
    "/catch_all.css": ("catch_all.css", "text/css; charset=utf-8"),
    "/catch_all.js": ("catch_all.js", "text/javascript; charset=utf-8"),
}


class _Wrong(Exception):
    """A request that cannot be answered; the text says what to do."""


@frozen
class _Call:
    """A request to a route: *numbers* are those in its path."""

    request: Request
    numbers: tuple[int, ...]

    def number(self, name: str, default: int, most: int) -> int:
        """Return a number of the query."""
        text = self.request.query.get(name, str(default))
        if not re.fullmatch("[0-9]{1,9}", text) or int(text) > most:
            raise _Wrong(f"{name} must be a number, at most {most}")
        return int(text)

    def json(self) -> object:
        """Return the body as a value."""
        try:
            return json.loads(self.request.body or b"{}")
        except (ValueError, RecursionError):
            raise _Wrong("the body must be JSON") from None


Route = Callable[[_Call], Page | None]


@define(eq=False)
class MailAPI:
    """Answers requests about *mail*, and switches *failures* on and off."""

    mail: KeptMail
    failures: Failures
    listening: Callable[[], str]
    """Returns where mail is taken, in words."""
    _routes: list[tuple[re.Pattern[str], Mapping[str, Route]]] = field(init=False)

    def __attrs_post_init__(self) -> None:
        one = "/api/messages/([0-9]{1,15})"
        routes: dict[str, dict[str, Route]] = {
            "/api/messages": {"GET": self._list, "DELETE": self._delete_all},
            "/api/messages/latest": {"GET": self._latest},
            "/api/messages/read": {"POST": self._read_all},
            one: {"GET": self._show, "DELETE": self._delete},
            f"{one}/read": {"POST": self._read},
            f"{one}/html": {"GET": self._html},
            f"{one}/source": {"GET": self._source},
            f"{one}/transcript": {"GET": self._transcript},
            f"{one}/attachments/([0-9]{{1,3}})": {"GET": self._attachment},
            "/api/wait": {"GET": self._wait},
            "/api/events": {"GET": self._events},
            "/api/failures": {
                "GET": self._list_failures,
                "POST": self._add_failure,
                "DELETE": self._clear_failures,
            },
            "/api/failures/([0-9]{1,15})": {"DELETE": self._remove_failure},
        }
        self._routes = [(re.compile(path), methods) for path, methods in routes.items()]

    def answer(self, request: Request) -> Page | None:
        """Return the reply to *request*, or None if there is nothing at its path."""
        if request.path in _FILES:
            return _file(request.path) if request.method == "GET" else _refused(["GET"])
        for path, methods in self._routes:
            if found := path.fullmatch(request.path):
                route = methods.get(request.method)
                if route is None:
                    return _refused(methods)
                try:
                    page = route(_Call(request, tuple(map(int, found.groups()))))
                except _Wrong as error:
                    return _error(400, str(error))
                return _error(404, "it is not there, or no more") if page is None else page
        return _error(404, "no such path; docs/howto/catch-all.md lists them")

    # -- messages ----------------------------------------------------------------------------

    def _list(self, call: _Call) -> Page:
        limit = call.number("limit", _LISTED, _MAX_LISTED)
        before = call.number("before", 0, 999_999_999) or None
        found = self.mail.newest(matcher(call.request.query.get("query", "")), before=before)
        return _json(
            {
                **asdict(self.mail.state),
                "listening": self.listening(),
                "found": len(found),
                "list": [summary_values(it) for it in found[:limit]],
            }
        )

    def _wait(self, call: _Call) -> Page:
        count = call.number("count", 1, _MAX_LISTED)
        seconds = call.number("seconds", 5, int(_MAX_WAIT))
        match = matcher(call.request.query.get("query", ""))
        found = self.mail.wait_for(count, match, seconds, call.request.is_here)
        if len(found) < count:
            text = f"{len(found)} of {count} messages arrived within {seconds} seconds"
            return _error(404, text)
        return _json({"found": len(found), "list": [summary_values(it) for it in found]})

    def _latest(self, call: _Call) -> Page | None:
        found = self.mail.newest(matcher(call.request.query.get("query", "")))
        return _json(message_values(found[0])) if found else None

    def _show(self, call: _Call) -> Page | None:
        message = self._message(call)
        return None if message is None else _json(message_values(message))

    def _delete(self, call: _Call) -> Page | None:
        return _json({"deleted": 1}) if self.mail.delete([call.numbers[0]]) else None

    def _delete_all(self, call: _Call) -> Page:
        found = self.mail.newest(matcher(call.request.query.get("query", "")))
        return _json({"deleted": self.mail.delete([it.id for it in found])})

    def _read(self, call: _Call) -> Page | None:
        is_read = _read_value(call)
        return _json({}) if self.mail.mark_read(call.numbers[0], is_read=is_read) else None

    def _read_all(self, call: _Call) -> Page:
        is_read = _read_value(call)
        for message in self.mail.newest():
            self.mail.mark_read(message.id, is_read=is_read)
        return _json({})

    def _html(self, call: _Call) -> Page | None:
        message = self._message(call)
        remote = call.request.query.get("remote") == "1"
        return None if message is None else html_page(message.open(), remote=remote)

    def _source(self, call: _Call) -> Page | None:
        message = self._message(call)
        if message is None:
            return None
        most = call.number("octets", 0, 999_999_999) or None
        name = f"message-{message.id}.eml"
        return _download(message.received.content[:most], "message/rfc822", name)

    def _transcript(self, call: _Call) -> Page | None:
        message = self._message(call)
        return None if message is None else Page(body=message.transcript())

    def _attachment(self, call: _Call) -> Page | None:
        message = self._message(call)
        attachments = () if message is None else message.open().attachments
        if call.numbers[1] >= len(attachments):
            return None
        attachment = attachments[call.numbers[1]]
        kind = (
            attachment.type
            if _MEDIA_TYPE.fullmatch(attachment.type)
            else "application/octet-stream"
        )
        return _download(attachment.octets, kind, attachment.name or f"part-{call.numbers[1]}")

    def _message(self, call: _Call) -> KeptMessage | None:
        return self.mail.get(call.numbers[0])

    # -- news ----------------------------------------------------------------------------------

    def _events(self, call: _Call) -> Page:
        return Page(body=self._news(), kind="text/event-stream")

    def _news(self) -> Iterator[bytes]:
        """Yield what the mail is now, and again after each change; what a slow reader misses is
        not kept for it."""
        state = self.mail.state
        while not self.mail.is_closed:
            yield b"data: " + json.dumps(asdict(state)).encode() + b"\n\n"
            before = state.revision
            while (state := self.mail.wait_for_change(before, _STILL_HERE)).revision == before:
                if self.mail.is_closed:
                    return
                yield b": still here\n\n"

    # -- failures ------------------------------------------------------------------------------

    def _list_failures(self, call: _Call) -> Page:
        return _json({"list": self.failures.values()})

    def _add_failure(self, call: _Call) -> Page:
        try:
            return _json(self.failures.add(to_trouble(call.json())), status=201)
        except ValueError as error:
            raise _Wrong(str(error)) from None

    def _clear_failures(self, call: _Call) -> Page:
        return _json({"removed": self.failures.clear()})

    def _remove_failure(self, call: _Call) -> Page | None:
        return _json({"removed": 1}) if self.failures.remove(call.numbers[0]) else None


def _read_value(call: _Call) -> bool:
    values = call.json()
    is_read = values.get("read", True) if isinstance(values, dict) else None
    if not isinstance(is_read, bool):
        raise _Wrong('the body must be {"read": true} or {"read": false}')
    return is_read


def _file(path: str) -> Page:
    name, kind = _FILES[path]
    body = files("smtpproto.testing.catch_all").joinpath("page", name).read_bytes()
    return Page(body=body, kind=kind, fields={"Content-Security-Policy": _PAGE_POLICY})


def _json(values: object, status: int = 200) -> Page:
    return Page(body=json.dumps(values), kind="application/json", status=status)


def _error(status: int, text: str) -> Page:
    return _json({"error": text}, status)


def _refused(allowed: Any) -> Page:
    names = ", ".join(allowed)
    page = _error(405, f"this path takes only {names}")
    return Page(body=page.body, kind=page.kind, status=405, fields={"Allow": names})


def _download(octets: bytes, kind: str, name: str) -> Page:
    """Return a page that a browser stores in a file, and does not show (RFC 6266)."""
    shown = quote(_NOT_IN_NAMES.sub("_", name[:200]), safe="")
    fields = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{shown}",
        "Content-Security-Policy": _DOWNLOAD,
    }
    return Page(body=octets, kind=kind, fields=fields)

"""How ``serve`` shows a message: as a person reads it, as its octets, or as JSON."""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Callable, Iterator
from itertools import count

from attrs import define, field

from ..grammar.printable import printable
from ..mail.opened import OpenedMessage
from ..testing.catch_all.kept_mail import KeptMessage, kept_message
from ..testing.catch_all.mail_values import findings, message_values
from ..testing.inbox import ReceivedMessage
from .handlers import escape_line
from .terminal import Printer, Style, print_json_line, printer

_SHOWN = 1000  # lines of the text of a message
_FIELDS = ("From", "To", "Cc", "Reply-To", "Subject", "Date")

Show = Callable[[KeptMessage], None]


@define(eq=False)
class MailView:
    """Prints messages on standard output, one after the other. Threads may share it."""

    _show: Show
    _numbers: Iterator[int] = field(factory=lambda: count(1), init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False)

    def __call__(self, message: ReceivedMessage) -> None:
        """Print *message*."""
        with self._lock:
            self._show(kept_message(next(self._numbers), message, str))


def how_to_show(args: argparse.Namespace, otherwise: Show) -> Show:
    """Return how the options want messages to be shown."""
    return show_octets if args.raw else show_json if args.json else otherwise


def show_json(message: KeptMessage) -> None:
    """Print what is known of *message* as JSON on one line."""
    values = message_values(message)
    del values["read"]
    print_json_line(values)


def show_line(message: KeptMessage) -> None:
    """Print *message* as one line."""
    size = len(message.received.content)
    subject = printable(message.subject) or "(no subject)"
    out = printer(sys.stdout)
    out.line((_time(message), Style.NOTE), f" {_envelope(message)}: {subject}, {size} octets")


def show_octets(message: KeptMessage) -> None:
    """Print the octets of *message* line by line, escaped."""
    out = printer(sys.stdout)
    content = message.received.content
    out.line((f"-------- {_envelope(message)}: {len(content)} octets", Style.HEADING))
    for line in content.removesuffix(b"\r\n").split(b"\r\n"):
        out.line(escape_line(line))
    out.line(("-------- end", Style.HEADING))


def show_decoded(message: KeptMessage) -> None:
    """Print *message* as a person reads it: fields, text, a list of what is attached, and what
    receivers may dislike."""
    out, opened = printer(sys.stdout), message.open()
    about = f"{_envelope(message)}: {len(message.received.content)} octets, {_session(message)}"
    out.line((f"-------- {_time(message)} {about}", Style.HEADING))
    for name in _FIELDS:
        if text := opened.field(name):
            out.line((f"{name + ':':10}", Style.NOTE), printable(text))
    _show_text(out, opened)
    _show_list(out, "Attached:", Style.NOTE, _attached(message))
    _show_list(out, "Receivers may dislike:", Style.WARNING, findings(message.received))
    out.line(("-------- end", Style.HEADING))


def _show_text(out: Printer, opened: OpenedMessage) -> None:
    text = opened.readable.rstrip("\n")
    if not text:
        return
    out.line()
    if not opened.text:
        out.line(("There is only HTML. It says:", Style.NOTE))
    lines = text.split("\n")
    for line in lines[:_SHOWN]:
        out.line(escape_line(line))
    if len(lines) > _SHOWN:
        left = len(lines) - _SHOWN
        out.line((f"There are {left} more lines; --raw prints all.", Style.NOTE))


def _show_list(out: Printer, title: str, style: Style, lines: list[str]) -> None:
    if lines:
        out.line()
        out.line((title, style))
    for line in lines:
        out.line(f"  {printable(line)}")


def _attached(message: KeptMessage) -> list[str]:
    return [
        f"{it.name or it.content_id or '(no name)'}  {it.type}, {it.size} octets"
        for it in message.attachments
    ]


def _time(message: KeptMessage) -> str:
    return f"{message.at:%H:%M:%S}"


def _envelope(message: KeptMessage) -> str:
    received = message.received
    recipients = ", ".join(received.rcpt_tos)
    return printable(f"from {received.mail_from or '<>'}, to {recipients}")


def _session(message: KeptMessage) -> str:
    """Return how the message came: over TLS or not, and who logged in."""
    tls, user = message.received.tls, message.received.user
    secure = "no TLS" if tls is None else tls.version
    return secure if user is None else f"{secure}, login {printable(user)}"

"""Messages as values of JSON, for the page, for tests in other languages and for ``--json``."""

from __future__ import annotations

import re
from typing import Any

from ...errors import SMTPError
from ...grammar.printable import is_text
from ...mail import lint
from ..inbox import ReceivedMessage
from .kept_mail import KeptMessage

_REMOTE = re.compile(
    r"""\b(?:src|srcset|background|poster|data)\s{0,9}=\s{0,9}["']?\s{0,9}(?:https?:)?//"""
    r"""|\burl\(\s{0,9}["']?\s{0,9}(?:https?:)?//|@import|<link\b""",
    re.IGNORECASE,
)
_LINTED = 1024 * 1024  # octets; it takes seconds to look at the lines of very large messages


def summary_values(message: KeptMessage) -> dict[str, Any]:
    """Return what a list shows of *message*."""
    return {
        "id": message.id,
        "time": message.at.isoformat(timespec="milliseconds"),
        "size": len(message.received.content),
        "read": message.is_read,
        "from": message.sender or message.received.mail_from,
        "to": message.to or ", ".join(message.received.rcpt_tos),
        "subject": message.subject,
        "preview": message.preview,
        "attachments": [
            {"name": it.name, "type": it.type, "size": it.size, "content_id": it.content_id}
            for it in message.attachments
        ],
    }


def message_values(message: KeptMessage) -> dict[str, Any]:
    """Return all that a person may want to know of *message*, but not its octets."""
    opened, received = message.open(), message.received
    return summary_values(message) | {
        "envelope": _envelope_values(received),
        "session": _session_values(received),
        "fields": [list(it) for it in opened.fields],
        "text": opened.text,
        "html": opened.html,
        "remote": _REMOTE.search(opened.html) is not None,
        "findings": findings(received),
    }


def _envelope_values(received: ReceivedMessage) -> dict[str, Any]:
    envelope = received.envelope
    return {
        "from": received.mail_from,
        "to": received.rcpt_tos,
        "parameters": str(envelope.parameters),
        "recipient_parameters": {
            str(path): str(its) for path, its in envelope.rcpt_parameters.items() if str(its)
        },
    }


def _session_values(received: ReceivedMessage) -> dict[str, Any]:
    session = received.session
    return {
        "peer": f"{session.peer[0]} port {session.peer[1]}",
        "hello": "" if session.hello is None else str(session.hello),
        "protocol": "LMTP" if session.lmtp else "ESMTP" if session.extended else "SMTP",
        "tls": "" if session.tls is None else f"{session.tls.version} {session.tls.cipher}",
        "user": session.user or "",
    }


def findings(received: ReceivedMessage) -> list[str]:
    """Return what :func:`smtpproto.lint` says about a message, if it is not very large."""
    if len(received.content) > _LINTED:
        return []
    try:
        found = map(str, lint(received.content, received.envelope))
        return [it for it in found if is_text(it)]
    except SMTPError as error:
        return [str(error)]

"""Replies that the suites write as text."""

from __future__ import annotations

from smtpproto import Reply


def reply_of(text: str) -> Reply:
    """Return the reply in *text*, for example ``250 OK``."""
    return Reply.from_lines([line.encode() for line in text.splitlines()])

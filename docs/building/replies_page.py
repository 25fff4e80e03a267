"""The page docs/reference/replies.md: reply codes and enhanced status codes in plain words."""

from __future__ import annotations

from collections.abc import Iterator

from smtpproto.diagnosis.reply_codes import CODES, digits_of
from smtpproto.diagnosis.status_causes import cause_of, is_specific
from smtpproto.diagnosis.status_meanings import MEANINGS

from .markdown import table

HEAD = """# Reply codes

Written by `nox -s tables`; do not edit.

What the replies of mail servers mean. For a whole reply, with its text, run:

    smtpproto explain "550 5.7.26 Unauthenticated email from example.org is not accepted"

It also knows the words of large receivers. In a program, `error.diagnosis` says the same of an
error: [errors.md](errors.md).

## Codes of three digits

The first digit decides what to do, whether or not a program knows the code (RFC 5321 4.2.1):
"""
STATUS = """
## Enhanced status codes

Many servers put a second code after the first, such as 5.1.1 (RFC 3463). Its first number is the
first digit again. The table lists the other two. *Who* is who must act: you, the sender, with your
programs and records; your provider or network; or the other side.
"""


def page() -> str:
    """Return the page."""
    head = ("code", "what it means", "who", "what to try")
    lines = [
        HEAD,
        *table(("digit", "what it means"), _digits()),
        "",
        *table(("code", "what it means"), ((str(code), text) for code, text in CODES.items())),
        STATUS,
        *table(head, _statuses()),
    ]
    return "\n".join(lines) + "\n"


def _digits() -> Iterator[tuple[str, str]]:
    for first in (2, 3, 4, 5):
        yield f"{first}yz", digits_of(first * 100 + 90)


def _statuses() -> Iterator[tuple[str, ...]]:
    for (subject, detail), meaning in MEANINGS.items():
        if is_specific(subject, detail):
            cause = cause_of(subject, detail)
            remedy = cause.remedy.who.value, cause.remedy.mend
            yield f"x.{subject}.{detail}", f"{meaning} {cause.what}", *remedy
        else:
            yield f"x.{subject}.{detail}", meaning, "", ""

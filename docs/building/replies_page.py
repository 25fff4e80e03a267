"""The page docs/reference/replies.md: reply codes and enhanced status codes in plain words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from smtpproto.diagnosis.cause import Cause
from smtpproto.diagnosis.common_signs import COMMON_SIGNS
from smtpproto.diagnosis.faults import FAULTS
from smtpproto.diagnosis.receiver_signs import RECEIVER_SIGNS
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
_WHY = ("fault", "likely causes", "who", "what to try")
STATUS = """
## Enhanced status codes

Many servers put a second code after the first, such as 5.1.1 (RFC 3463). Its first number is the
first digit again. The table lists the other two. *Who* is who must act: you, the sender, with your
programs and records; your provider or network; or the other side.
"""
TEXTS = """
## What the text of a reply says

Kinds of texts that many servers use, in the order in which they are looked for. *Fault* is
`error.diagnosis.fault`, a short name for programs.
"""
RECEIVERS = """
## Large providers and receivers

What single receivers mean by their codes, in December 2026, as the linked pages quote it. A reply
must have one of the codes and, where other servers use them too, a telling text.
"""
FAILURES = """
## Failures without a reply

What errors of connecting, of TLS and of the conversation most often come from.
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
        TEXTS,
        *table(_WHY, _causes((it.fault, it.causes) for it in COMMON_SIGNS)),
        RECEIVERS,
        *table(("receiver", "codes", "fault", "what it means", "what to try"), _receivers()),
        FAILURES,
        *table(_WHY, _causes(FAULTS.items())),
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


def _causes(rows: Iterable[tuple[str, Sequence[Cause]]]) -> Iterator[tuple[str, ...]]:
    for fault, causes in rows:
        for number, cause in enumerate(causes, 1):
            place = f"{number}. " if len(causes) > 1 else ""
            name = f"`{fault}`" if number == 1 else ""
            yield name, f"{place}{cause.what}", cause.who.value, cause.mend


def _receivers() -> Iterator[tuple[str, ...]]:
    for sign in sorted(RECEIVER_SIGNS, key=lambda it: it.receiver):
        cause = sign.causes[0]
        address = cause.source.replace("(", "%28").replace(")", "%29")
        source = f" ([source]({address}))" if address else ""
        codes = ", ".join(sign.codes)
        yield sign.receiver, codes, f"`{sign.fault}`", f"{cause.what}{source}", cause.mend

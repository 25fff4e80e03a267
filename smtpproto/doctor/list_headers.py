"""Whether the reader of a message can unsubscribe with one click (RFC 2369, RFC 8058)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..diagnosis.receivers import Need, refusals
from ..errors import GrammarError
from ..mail import one_click_url
from ..policy import DKIMCheck
from ..policy.header_section import HeaderSection
from .finding import Finding, Subject, note, ok, warning

__all__ = ["field_text", "is_for_a_list", "judge_list", "judge_one_click"]

_SIGNED = {"list-unsubscribe", "list-unsubscribe-post"}
_LISTS = (b"list-id", b"list-unsubscribe", b"list-post", b"feedback-id")
_ABOUT = "List-Unsubscribe"


def field_text(field: bytes) -> str:
    """Return the value of a field on one line."""
    return " ".join(field.partition(b":")[2].decode("utf-8", "backslashreplace").split())


def is_for_a_list(header: HeaderSection) -> bool:
    """Return whether the message is one of many: of a list, or of a mailing."""
    precedence = [field_text(it).lower() for it in header.named(b"precedence")]
    return any(map(header.named, _LISTS)) or not {"bulk", "list"}.isdisjoint(precedence)


def judge_one_click(header: bytes, dkim: Sequence[DKIMCheck]) -> str:
    """Return why a reader cannot unsubscribe with one click, or "" if that works."""
    try:
        one_click_url(header)
    except GrammarError as error:
        return error.message
    if not any(it.passed and {*it.signed} >= _SIGNED for it in dkim):
        return "no valid DKIM signature covers both fields"
    return ""


def judge_list(octets: bytes, dkim: Sequence[DKIMCheck]) -> Iterator[Finding]:
    """Judge the header section of a message that goes to many."""
    if not is_for_a_list(HeaderSection(octets)):
        text = "the message does not say that it goes to many"
        yield note(Subject.LIST, _ABOUT, text, "If it does, add List-Unsubscribe (RFC 8058).")
    elif reason := judge_one_click(octets, dkim):
        mend = (
            "Add List-Unsubscribe and List-Unsubscribe-Post, as smtpproto.mail.offer_unsubscribe "
            "does, and sign both."
        )
        text = f"its reader cannot unsubscribe with one click: {reason}"
        yield warning(Subject.LIST, _ABOUT, text, refusals(Need.ONE_CLICK), mend)
    else:
        yield ok(Subject.LIST, _ABOUT, "its reader can unsubscribe with one click (RFC 8058)")

"""Which messages a program may answer by itself (RFC 3834)."""

from __future__ import annotations

from ..grammar.address import ReversePath
from ..grammar.ascii_case import lower
from ..mail.parts import read_header

__all__ = ["is_automatic", "may_answer"]

_LISTS = ("list-id", "list-post", "list-unsubscribe")


def is_automatic(header: bytes) -> bool:
    """Return whether a program, not a person, sent the message with this *header* section.

    That is what ``Auto-Submitted`` says with any value but ``no`` (RFC 3834 5).
    """
    value = read_header(header).get("auto-submitted", "no")
    keyword = value.partition(";")[0].partition("(")[0]
    return lower(keyword.strip(" \t")) != "no"


def may_answer(sender: ReversePath, header: bytes) -> bool:
    """Return whether a program, such as one for absences, may answer the message from *sender*.

    Not if the answer has nowhere to go, or goes to a program or a mailing list (RFC 3834 2). Answer
    each sender only once in some days, to *sender*, from the null sender.
    """
    fields = read_header(header)
    bulk = lower(fields.get("precedence", "")) in ("bulk", "junk", "list")
    to_list = bulk or any(name in fields for name in _LISTS)
    return sender.mailbox is not None and not is_automatic(header) and not to_list

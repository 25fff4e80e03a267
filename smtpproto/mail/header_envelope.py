"""The envelope that the header fields of a message make (RFC 5322 3.6.2, 3.6.3 and 3.6.6)."""

from __future__ import annotations

from collections.abc import Iterable

from ..grammar.address import Mailbox
from ..grammar.envelope import Envelope
from ..grammar.reply import GrammarError
from .address_list import parse_address_list
from .header import HeaderField

_ADDRESS_FIELDS = frozenset(
    prefix + name
    for name in ("from", "sender", "reply-to", "to", "cc")
    for prefix in ("", "resent-")
)


def envelope_of(fields: Iterable[HeaderField], *, bcc_allowed: bool) -> Envelope:
    """Return sender and recipients of *fields*, or of their Resent- fields if there are any.

    *bcc_allowed* says that Bcc fields are read, because they will not be sent. Raises GrammarError,
    which names the field, if an address field cannot be read in full.
    """
    fields = list(fields)
    dates = sum(field.name.lower() == "resent-date" for field in fields)
    if dates > 1:
        raise GrammarError("more than one Resent-Date field; pass an envelope")
    resent = "Resent-" if dates else ""
    senders = _mailboxes(fields, f"{resent}Sender") or _mailboxes(fields, f"{resent}From")
    if not senders:
        raise GrammarError("no Sender or From field; add one, or pass an envelope")
    blind_copies = _mailboxes(fields, f"{resent}Bcc")
    if blind_copies and not bcc_allowed:
        raise GrammarError("a Bcc field, which would be sent; remove it and pass an envelope")
    shown = _mailboxes(fields, f"{resent}To") + _mailboxes(fields, f"{resent}Cc")
    return Envelope(senders[0], dict.fromkeys(shown + blind_copies))


def needs_utf8(fields: Iterable[HeaderField]) -> bool:
    """Return whether an address in *fields* is not ASCII, so that it cannot be encoded.

    Fields that cannot be read are passed over: they do not make the envelope.
    """
    return any(
        not mailbox.isascii
        for field in fields
        if field.name.lower() in _ADDRESS_FIELDS and not field.body.isascii()
        for mailbox in _readable(field)
    )


def _readable(field: HeaderField) -> list[Mailbox]:
    try:
        return parse_address_list(field.text)
    except GrammarError:
        return []


def _mailboxes(fields: Iterable[HeaderField], name: str) -> list[Mailbox]:
    """Return the mailboxes of all fields called *name*."""
    return [
        mailbox
        for field in fields
        if field.name.lower() == name.lower()
        for mailbox in _parsed(field)
    ]


def _parsed(field: HeaderField) -> list[Mailbox]:
    text = field.text
    try:
        return parse_address_list(text)
    except GrammarError as error:
        near = text.encode()[error.offset :].decode(errors="replace").strip()[:40]
        raise GrammarError(
            f"cannot read the field {field.name}: {error.message}, near {near!r}; correct it, or"
            " pass an envelope",
            offset=error.offset,
        ) from None

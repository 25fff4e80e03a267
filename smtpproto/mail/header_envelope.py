"""The envelope that the header fields of a message make (RFC 5322 3.6.2, 3.6.3 and 3.6.6)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..grammar.address import Mailbox
from ..grammar.envelope import Envelope
from ..grammar.pattern import pattern
from ..grammar.reply import GrammarError
from .address_list import parse_address_list
from .header import HeaderField

_RESENT = "Resent-"
ENVELOPE_FIELDS = frozenset(
    prefix + name
    for prefix in ("", _RESENT.lower())
    for name in ("from", "sender", "to", "cc", "bcc")
)
ADDRESS_FIELDS = ENVELOPE_FIELDS | {"reply-to", "resent-reply-to", "disposition-notification-to"}
_IDENTIFIERS = {"message-id", "resent-message-id", "in-reply-to", "references", "content-id"}
_FIELDS_WITHOUT_ENCODED_WORDS = _IDENTIFIERS | {"return-path", "received", "dkim-signature"}
_WORD = pattern(r'[^\s<>,;:()"]+')


def envelope_of(fields: Iterable[HeaderField], *, bcc_allowed: bool) -> Envelope:
    """Return sender and recipients of *fields*, or of their Resent- fields if there are any.

    The sender is the mailbox of the Sender field, or else the first of the From field.
    *bcc_allowed* says that Bcc fields are read, because they will not be sent. Raises GrammarError,
    which names the field, if an address field cannot be read in full.
    """
    by_name: dict[str, list[HeaderField]] = {}
    for field in fields:
        by_name.setdefault(field.name.lower(), []).append(field)
    prefix = _RESENT if _is_resent(by_name) else ""
    senders = _mailboxes(_only(by_name, f"{prefix}Sender"))
    if len(senders) > 1:
        raise GrammarError(f"more than one mailbox in {prefix}Sender; pass an envelope")
    senders = senders or _mailboxes(_only(by_name, f"{prefix}From"))
    if not senders:
        raise GrammarError(f"no {prefix}Sender or {prefix}From field; add one, or pass an envelope")
    if not bcc_allowed and any(_mailboxes(by_name.get(name, [])) for name in ("bcc", "resent-bcc")):
        raise GrammarError("a Bcc field, which would be sent; remove it and pass an envelope")
    names = (f"{prefix}{name}".lower() for name in ("To", "Cc", "Bcc"))
    recipients = [mailbox for name in names for mailbox in _mailboxes(by_name.get(name, []))]
    return Envelope(senders[0], dict.fromkeys(recipients))


def _is_resent(by_name: Mapping[str, list[HeaderField]]) -> bool:
    """Return whether the message has one block of Resent- fields (RFC 5322 3.6.6).

    Raises GrammarError if it has several, or a part of one: then it is unclear who should get it.
    """
    names = [f"{_RESENT}{name}" for name in ("Date", "From", "Sender", "To", "Cc", "Bcc")]
    found = [name for name in names if _only(by_name, name)]
    if found and found[0] != "Resent-Date":
        raise GrammarError(f"a {found[0]} field without Resent-Date; add it, or pass an envelope")
    return bool(found)


def _only(by_name: Mapping[str, list[HeaderField]], name: str) -> list[HeaderField]:
    """Return the field called *name*, if any. Raises GrammarError if there are several, which have
    no certain meaning (RFC 5322 4.5)."""
    fields = by_name.get(name.lower(), [])
    if len(fields) > 1:
        raise GrammarError(f"more than one {name} field; pass an envelope")
    return fields


def needs_utf8(fields: Iterable[HeaderField]) -> bool:
    """Return whether a field must not be encoded in ASCII, because an address or identifier in it
    is not ASCII."""
    return any(_is_unencodable(field) for field in fields if not field.body.isascii())


def _is_unencodable(field: HeaderField) -> bool:
    name = field.name.lower()
    if name not in ADDRESS_FIELDS:
        return name in _FIELDS_WITHOUT_ENCODED_WORDS
    try:
        return not all(mailbox.isascii for mailbox in parse_address_list(field.text))
    except GrammarError:  # it does not make the envelope
        return any("@" in word and not word.isascii() for word in _WORD.findall(field.text))


def _mailboxes(fields: Iterable[HeaderField]) -> list[Mailbox]:
    mailboxes: list[Mailbox] = []
    for field in fields:
        text = field.text
        try:
            mailboxes += parse_address_list(text)
        except GrammarError as error:
            near = text.encode()[error.offset :].decode(errors="replace").strip()[:40]
            fault = f"cannot read the field {field.name}: {error.message}, near {near!r}"
            advice = "correct it, or pass an envelope"
            raise GrammarError(f"{fault}; {advice}", offset=error.offset) from None
    return mailboxes

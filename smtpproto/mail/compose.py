"""Makes a message of its parts: text, HTML, files and header fields. A pure function; reading files
and the clock is ``adapters/composing.py``."""

from __future__ import annotations

import html as html_entities
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from email.message import EmailMessage, Message
from hashlib import sha256
from typing import Any
from urllib.parse import unquote

from ..grammar.ascii_case import lower
from ..grammar.pattern import pattern
from ..grammar.printable import quoted
from ..grammar.reply import GrammarError
from ..option_types import require_type, wrong_type
from .address_list import parse_address_list
from .attachment import AttachedFile, attach, relate
from .header import is_field_name
from .header_envelope import ADDRESS_FIELDS
from .header_values import (
    AddressesLike,
    AddressLike,
    NamedMailbox,
    check_text,
    field_value,
    joined,
    mailboxes,
)
from .unsubscribe import offer_unsubscribe

__all__ = ["compose_message", "only_mailbox"]

_ARGUMENTS = {  # the argument that sets a field
    "from": "the first argument",
    "to": "the second argument",
    "cc": "cc=",
    "bcc": "bcc=",
    "reply-to": "reply_to=",
    "subject": "subject=",
    "date": "date=",
    "message-id": "message_id=",
    "list-unsubscribe-post": "unsubscribe=",
    "mime-version": "",
}
_CID = pattern(r"[A-Za-z0-9!#$'*+/=?^_`{|}~.@-]{1,200}")
_IN_HTML = pattern(r"""(?i)["'=(,]\s*cid:([^"'\s<>(),]+)""")  # in an attribute, or in CSS
_CONTROLS = pattern(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_MESSAGE_ID = pattern(r"<[!-;=?-~]+@[!-;=?-~]+>")
_BOUNDARY = 24  # digits of the digest


def compose_message(  # noqa: PLR0913 - a message has that many parts
    sender: AddressLike,
    to: AddressesLike = (),
    *,
    date: datetime,
    message_id: str,
    cc: AddressesLike = (),
    bcc: AddressesLike = (),
    reply_to: AddressesLike = (),
    subject: str = "",
    text: str | None = None,
    html: str | None = None,
    attachments: Iterable[AttachedFile | Message] = (),
    inline: Mapping[str, AttachedFile] = {},
    headers: Mapping[str, str] = {},
    unsubscribe: str | None = None,
) -> EmailMessage:
    """Return the message that consists of these parts. :func:`smtpproto.compose` documents them.

    The same arguments make the same octets. *date* needs a time zone. *message_id* has its brackets
    (RFC 5322 3.6.4). Raises GrammarError and TypeError.
    """
    message = EmailMessage()
    message["Date"] = _checked_date(date)
    message["From"] = str(only_mailbox(sender, "the sender"))
    for name, what, values in (
        ("Reply-To", "reply_to", reply_to),
        ("To", "to", to),
        ("Cc", "cc", cc),
        ("Bcc", "bcc", bcc),
    ):
        if found := mailboxes(values, what):
            message[name] = joined(found)
    if subject := field_value(subject, "subject"):
        message["Subject"] = subject
    message["Message-ID"] = _checked_id(message_id)
    _set_headers(message, headers)
    if unsubscribe is not None:
        if "List-Unsubscribe" in message:
            raise _given_twice("List-Unsubscribe", "unsubscribe=")
        offer_unsubscribe(message, unsubscribe)
    _set_body(message, text, html, inline)
    for it in attachments:
        if isinstance(it, Message):
            message.add_attachment(it)
        else:
            attach(it, message)
    _name_boundaries(message, f"{message_id}\n{text}\n{html}")
    return message


def only_mailbox(value: AddressLike, what: str) -> NamedMailbox:
    """Return the mailbox that *value* names. Raises GrammarError unless it is exactly one."""
    found = mailboxes(value, what)
    if len(found) != 1:
        raise GrammarError(f"{what} must be one address, not {len(found)}")
    return found[0]


def _checked_date(date: datetime) -> datetime:
    require_type("date", date, datetime, "a datetime with a time zone")
    if date.utcoffset() is None:
        advice = "pass datetime.now(UTC), or its astimezone()"
        raise GrammarError(f"date has no time zone: {date.isoformat()}; {advice}")
    return date


def _checked_id(message_id: str) -> str:
    if not _MESSAGE_ID.fullmatch(field_value(message_id, "message_id")):
        raise GrammarError(f"not a Message-ID: {quoted(message_id)}; write <something@example.org>")
    return message_id


# -- header fields ---------------------------------------------------------------------------------


def _set_headers(message: EmailMessage, headers: Mapping[str, str]) -> None:
    if not isinstance(headers, Mapping):
        raise wrong_type("headers", headers, 'a mapping, such as {"X-Campaign": "may"}')
    for name, value in headers.items():
        if not is_field_name(name):
            text = f"not a field name: {quoted(str(name))}"
            raise GrammarError(f"{text}; it must be ASCII, without blanks, line breaks and ':'")
        key = lower(name)
        if key in _ARGUMENTS or key.startswith("content-"):
            raise _given_twice(name, _ARGUMENTS.get(key, ""))
        if name in message:
            raise GrammarError(f"headers has {name} twice, in different cases; keep one")
        value = field_value(value, f"the header {name}")  # noqa: PLW2901
        if key in ADDRESS_FIELDS:
            _check_addresses(name, value)
        message[name] = value


def _given_twice(name: str, argument: str) -> GrammarError:
    advice = f"use {argument} only" if argument else "leave it out; it follows from the parts"
    return GrammarError(f"headers sets {name}, which compose sets; {advice}")


def _check_addresses(name: str, value: str) -> None:
    try:
        parse_address_list(value)
    except GrammarError as error:
        raise GrammarError(f"the header {name}: {error.message}: {quoted(value)}") from None


# -- the body --------------------------------------------------------------------------------------


def _set_body(
    message: EmailMessage, text: str | None, html: str | None, inline: Mapping[str, AttachedFile]
) -> None:
    """Set the text, the HTML, or both as alternatives, and what the HTML shows."""
    if html is None:
        if inline:
            raise GrammarError("inline files need HTML that shows them; pass html= or attachments=")
        _set_text(message, "" if text is None else text, "plain")
        return
    _check_cids(html, inline)
    part = message
    if text is not None:
        _set_text(message, text, "plain")
        message.make_alternative()
        part = EmailMessage()
        message.attach(part)
    _set_text(part, html, "html")
    for cid, it in inline.items():
        relate(it, part, cid)


def _set_text(part: EmailMessage, text: str, subtype: str) -> None:
    check_text(text, "text" if subtype == "plain" else subtype)
    # Control characters may not be sent as they are (RFC 5321 4.1.1.4).
    encoding = "quoted-printable" if _CONTROLS.search(text) else None
    part.set_content(text, subtype=subtype, cte=encoding)


def _check_cids(html: str, inline: Mapping[Any, object]) -> None:
    """Raise GrammarError unless *html* shows exactly the files of *inline*."""
    check_text(html, "html")
    used = {unquote(html_entities.unescape(it)) for it in _IN_HTML.findall(html)}
    for cid in inline:
        if not isinstance(cid, str) or not _CID.fullmatch(cid):
            raise GrammarError(f"not a name for inline: {quoted(str(cid))}; use letters and digits")
        if cid not in used:
            advice = f'write <img src="cid:{cid}">, or pass the file in attachments='
            raise GrammarError(f"the HTML does not show the inline file {cid!r}; {advice}")
    for cid in sorted(used - set(inline)):
        advice = 'pass inline={"' + quoted(cid)[1:-1] + '": "picture.png"}'
        raise GrammarError(f"the HTML shows cid:{quoted(cid)[1:-1]}, which is not given; {advice}")


def _name_boundaries(message: EmailMessage, seed: str) -> None:
    """Give each multipart a boundary that nobody can foresee who does not know *seed*, which has
    the Message-ID."""
    digest = sha256(seed.encode()).hexdigest()[:_BOUNDARY]
    for number, part in enumerate(_multiparts(message)):
        part.set_boundary(f"=_{number}_{digest}")


def _multiparts(message: Any) -> Iterator[Message]:
    """Yield the multiparts of *message*, but not those of attached messages. Remove MIME-Version,
    which belongs to the whole message, from parts."""
    if message.get_content_maintype() == "multipart":
        yield message
        for part in message.get_payload():
            del part["MIME-Version"]
            yield from _multiparts(part)

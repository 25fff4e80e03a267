"""Makes messages of text, HTML and files; this reads the files, the clock and randomness."""

from __future__ import annotations

import mimetypes
import os
import secrets
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.message import EmailMessage, Message
from io import TextIOBase
from typing import Any, BinaryIO, Union, cast

from attrs import field, frozen

from ..errors import GrammarError
from ..grammar.domain import Domain
from ..grammar.printable import printable
from ..mail.attachment import UNKNOWN_TYPE, AttachedFile
from ..mail.compose import compose_message, only_mailbox
from ..mail.header_values import AddressesLike, AddressLike, check_text
from ..option_types import checked, checks_itself, wrong_type

__all__ = ["Attachment", "AttachmentLike", "Contents", "compose"]

Contents = Union[str, "os.PathLike[str]", bytes, BinaryIO]
"""What a file contains: its path, its octets, or a file that is opened for reading octets."""
_ID = 16  # octets of randomness in a Message-ID
_PACKED = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}
_EXAMPLE = 'a path, Attachment(data, name="notes.txt"), or a file that is opened with "rb"'


def _to_contents(value: Any) -> Contents:
    if isinstance(value, TextIOBase):
        raise wrong_type("an attachment", value, 'a file that is opened with "rb"')
    usable = isinstance(value, str | os.PathLike | bytes | bytearray | memoryview)
    if not usable and not hasattr(value, "read"):
        raise wrong_type("an attachment", value, _EXAMPLE)
    return cast("Contents", value)


checks_itself(_to_contents)


@checked
@frozen
class Attachment:
    """A file to attach, or to show in the HTML: ``Attachment(data, name="notes.txt")``."""

    contents: Contents = field(converter=_to_contents)
    """A path, the octets, or a file that is opened for reading octets, which is read from where it
    is to its end."""
    name: str | None = field(default=None, kw_only=True)
    """The name that the reader sees. None: that of the path or of the open file. Octets need one.
    """
    type: str | None = field(default=None, kw_only=True)
    """The media type, with parameters if wanted: ``text/calendar; method=REQUEST``. None: as
    :mod:`mimetypes` guesses it from the name."""


AttachmentLike = Union[Attachment, str, "os.PathLike[str]", BinaryIO]
"""An :class:`Attachment`, a path, or a file that is opened for reading octets."""


def compose(  # noqa: PLR0913 - a message has that many parts
    sender: AddressLike,
    to: AddressesLike = (),
    *,
    cc: AddressesLike = (),
    bcc: AddressesLike = (),
    reply_to: AddressesLike = (),
    subject: str = "",
    text: str | None = None,
    html: str | None = None,
    attachments: Iterable[AttachmentLike | Message] = (),
    inline: Mapping[str, AttachmentLike] = {},
    headers: Mapping[str, str] = {},
    unsubscribe: str | None = None,
    date: datetime | None = None,
    message_id: str | None = None,
) -> EmailMessage:
    """Return a message, with From, Date, Message-ID and MIME-Version, as an ordinary
    ``EmailMessage``, which you may still change.

    Addresses are text, with a name if wanted: ``"Ann Lee <ann@example.org>"``; one, or a list of
    them. ``send`` takes the recipients from *to*, *cc* and *bcc*, and never sends the field Bcc.
    Text of any language may stand everywhere. It is encoded when the message is sent, in the way
    that the server can take; SMTPUTF8 is needed only for addresses whose local-part is not ASCII.

    If only *html* is given, *text* is made of it by inscriptis (extra ``html``). *attachments* are
    paths, :class:`Attachment`, open binary files, or messages, which are forwarded. *inline* has
    the files that the HTML shows: ``{"logo": "logo.png"}`` for ``<img src="cid:logo">``.

    *headers* are more fields. *unsubscribe* is an ``https://`` address at which the reader leaves a
    list with one click: see :func:`smtpproto.mail.offer_unsubscribe`. *date* is now by default, and
    *message_id*, which has its brackets, is random, at the domain of *sender*.

    Raises GrammarError for what cannot be in a message, for a file that cannot be read, and for
    *inline* that differs from what the HTML shows; TypeError for arguments of a wrong type; and
    ImportError if *text* would have to be made of *html* without the extra.
    """
    author = only_mailbox(sender, "the sender")
    if html is not None and text is None:
        text = _text_of(html)
    return compose_message(
        sender,
        to,
        cc=cc,
        bcc=bcc,
        reply_to=reply_to,
        subject=subject,
        text=text,
        html=html,
        attachments=[_attached(it) for it in _listed(attachments)],
        inline={cid: _read(_file(it)) for cid, it in _mapped(inline).items()},
        headers=headers,
        unsubscribe=unsubscribe,
        date=datetime.now(UTC).astimezone() if date is None else date,
        message_id=_new_id(author.mailbox.domain) if message_id is None else message_id,
    )


def _new_id(domain: object) -> str:
    """Return a Message-ID (RFC 5322 3.6.4) that tells nothing of this machine and its clock."""
    name = domain.canonical if isinstance(domain, Domain) else str(domain)
    return f"<{secrets.token_hex(_ID)}@{name}>"


def _text_of(html: str) -> str:
    check_text(html, "html")
    from .inscriptis import text_of_html  # noqa: PLC0415  an extra

    return text_of_html(html)


# -- files -----------------------------------------------------------------------------------------


def _listed(attachments: Any) -> Iterable[AttachmentLike | Message]:
    single = isinstance(attachments, str | bytes | os.PathLike | Attachment | Message)
    if single or hasattr(attachments, "read"):
        raise wrong_type("attachments", attachments, "a list, also of one: [...]")
    if not isinstance(attachments, Iterable):
        raise wrong_type("attachments", attachments, f"a list; an element is {_EXAMPLE}")
    return attachments


def _mapped(inline: Any) -> Mapping[str, AttachmentLike]:
    if not isinstance(inline, Mapping):
        raise wrong_type("inline", inline, 'a mapping, such as {"logo": "logo.png"}')
    return inline


def _attached(value: AttachmentLike | Message) -> AttachedFile | Message:
    return value if isinstance(value, Message) else _read(_file(value))


def _file(value: AttachmentLike) -> Attachment:
    if isinstance(value, Attachment):
        return value
    if isinstance(value, bytes):
        raise GrammarError('octets need a name: Attachment(data, name="notes.txt")')
    return Attachment(value)


def _read(attachment: Attachment) -> AttachedFile:
    """Return the file with its octets, name and type."""
    content = _content(attachment.contents)
    name = _name(attachment.contents) if attachment.name is None else attachment.name
    if not name:
        raise GrammarError('octets need a name: Attachment(data, name="notes.txt")')
    kind = _guess_type(name) if attachment.type is None else attachment.type
    return AttachedFile(name=name, content=content, type=kind)


def _content(contents: Contents) -> bytes:
    if isinstance(contents, bytes | bytearray | memoryview):
        return bytes(contents)
    if isinstance(contents, str | os.PathLike):
        return _read_path(contents)
    return _read_file(contents)


def _read_path(path: str | os.PathLike[str]) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        shown, start = (repr(printable(it)) for it in (os.fspath(path), os.getcwd()))
        advice = f"relative paths start at {start}"
        text = f"cannot read the attachment {shown}: {reason}; check the path"
        raise GrammarError(f"{text} ({advice})") from error


def _read_file(file: BinaryIO) -> bytes:
    """Return what *file* has from where it is. Raises GrammarError if that cannot be read, or if
    all was read before."""
    try:
        content: object = file.read()
        at_start = not content and file.seekable() and file.seek(0, os.SEEK_END) == 0
    except (OSError, ValueError) as error:
        raise GrammarError(f"cannot read an attachment: {error}; pass an open file") from error
    if not isinstance(content, bytes):
        raise wrong_type("what an attachment reads", content, 'a file that is opened with "rb"')
    if not content and not at_start:
        raise GrammarError(
            "a file to attach has nothing left to read; pass its octets, or call seek(0) first"
        )
    return content


def _name(contents: Contents) -> str:
    """Return the name of a file without directories; "" if it has none."""
    name: object = contents
    if not isinstance(contents, str | os.PathLike):
        name = getattr(contents, "name", "")
    return os.path.basename(os.fspath(name)) if isinstance(name, str | os.PathLike) else ""


def _guess_type(name: str) -> str:
    kind, packed = mimetypes.guess_type(name)
    if packed is not None:
        return _PACKED.get(packed, UNKNOWN_TYPE)
    if kind is None or kind.startswith(("message/", "multipart/")):  # which are not octets
        return UNKNOWN_TYPE
    return kind

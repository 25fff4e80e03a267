"""The fields by which a reader leaves a list, with one click (RFC 2369 3.2, RFC 8058), and the
request that follows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..grammar.address import Mailbox
from ..grammar.pattern import pattern
from ..grammar.reply import GrammarError
from .header import HeaderField, header_fields

if TYPE_CHECKING:
    from email.message import Message
    from email.policy import Policy

__all__ = ["is_one_click", "offer_unsubscribe", "one_click_url"]

_FIELD, _POST = "List-Unsubscribe", "List-Unsubscribe-Post"
_ONE_CLICK = "List-Unsubscribe=One-Click"
_HTTPS = pattern(r"https://[!#-;=?-\[\]_a-z~]{1,965}")  # RFC 3986; fits into a line of 998
_PLAIN = pattern(r"[A-Za-z0-9.@_~+-]+")  # needs no encoding in a URI
_URI = pattern(r"<[ \t]*([^<> \t]*)[ \t]*>")
_COMMENT = pattern(r"\([^()]*\)")
_MOST_FORM = 65536  # octets of a request
_BOUNDARY = pattern(r'(?i:multipart/form-data *;.*\bboundary)="?([^";]{1,70})"?.*')
_FORM_FIELD = pattern(rb'\r\n(?i:content-disposition: *form-data; *name)="?List-Unsubscribe"?\r\n')


class _Uris(str):
    """Addresses that the email package writes as they are. Of long ones in a plain str it would
    make encoded words, which no reader's program understands."""

    name = _FIELD
    defects = ()

    def fold(self, *, policy: Policy) -> str:
        """Return the field, with each address on its line."""
        return f"{self.name}: {self.replace(', ', f',{policy.linesep} ')}{policy.linesep}"


def offer_unsubscribe(message: Message, url: str, *, mailto: Mailbox | str | None = None) -> None:
    """Set List-Unsubscribe and List-Unsubscribe-Post in *message*, so that its reader can leave the
    list with one click. Large receivers demand it of mailings. Sign the message after this: both
    fields must be signed (RFC 8058 4), and :class:`smtpproto.policy.DKIMSigner` signs them.

    *url* begins with ``https://`` and tells by itself which reader of which list it is for, in a
    form that nobody can guess. To unsubscribe, the reader's program sends POST to it, with the body
    ``List-Unsubscribe=One-Click``; the server must unsubscribe without login, cookie, redirect or
    question, and must not unsubscribe for GET, which programs send that look for viruses. *mailto*
    is an address for programs that do not know this: what is sent to it unsubscribes, too.

    Raises GrammarError if *url* or *mailto* cannot stand in the field.
    """
    if not _HTTPS.fullmatch(url):
        text = f"not an https:// address in ASCII: {url[:100]!r}"
        raise GrammarError(f"{text}; encode it (RFC 3986)")
    uris = [f"<{url}>"]
    if mailto is not None:
        address = str(Mailbox.parse(mailto) if isinstance(mailto, str) else mailto)
        if not _PLAIN.fullmatch(address):
            raise GrammarError(f"use a plain address in ASCII for mailto, not {address!r}")
        uris.append(f"<mailto:{address}>")
    for name, value in ((_FIELD, _Uris(", ".join(uris))), (_POST, _ONE_CLICK)):
        del message[name]
        message[name] = value


def one_click_url(header: bytes) -> str:
    """Return the address to which a reader's program sends POST to leave the list, from *header*, a
    header section or a message. Whether both fields are signed is not looked at.

    Raises GrammarError, which says why, if the reader cannot leave it with one click.
    """
    fields = header_fields(header)
    field, post = (_only(fields, name) for name in (_FIELD, _POST))
    if post.replace(" ", "").lower() != _ONE_CLICK.lower():
        raise GrammarError(f"{_POST} does not say {_ONE_CLICK}")
    found = [it for it in _URI.findall(_COMMENT.sub("", field)) if _HTTPS.fullmatch(it)]
    if len(found) != 1:
        raise GrammarError(f"{_FIELD} has {len(found)} https: addresses, not one")
    return str(found[0])


def is_one_click(body: bytes, content_type: str) -> bool:
    """Return whether a POST to the address of a list, with this body and Content-Type, asks to
    leave the list (RFC 8058 3.2). Programs of readers send it as a form, of either kind.

    Unsubscribe the reader whom the address names, without login or cookie, and answer with 200:
    redirects are not followed.
    """
    if len(body) > _MOST_FORM:
        return False
    if found := _BOUNDARY.fullmatch(content_type):
        parts = (b"\r\n" + body).split(b"\r\n--" + found[1].encode())
        return any(_is_form_field(it) for it in parts)
    return _ONE_CLICK.encode() in body.strip().split(b"&")


def _is_form_field(part: bytes) -> bool:
    header, _, content = part.partition(b"\r\n\r\n")
    return content == b"One-Click" and bool(_FORM_FIELD.search(header + b"\r\n"))


def _only(fields: list[HeaderField], name: str) -> str:
    """Return the value of the only field with *name*. Raises GrammarError."""
    values = [it.text.strip() for it in fields if it.name.lower() == name.lower()]
    if len(values) != 1:
        raise GrammarError(f"there are {len(values)} fields {name}, not one")
    return values[0]

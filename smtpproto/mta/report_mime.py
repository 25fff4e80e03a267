"""A delivery report as octets: multipart/report (RFC 6522), and the message that it returns."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

from attrs import frozen

from ..grammar.pattern import pattern

__all__ = [
    "MimePart", "header_of", "multipart_report", "returned", "status_part", "text_part",
]  # fmt: skip

_LINE = 998  # octets of a line without its CRLF (RFC 5322 2.1.1)
_HEADER_END = pattern(rb"(?:\A|\r\n)\r\n")
_NEXT_FIELD = pattern(rb"\r\n(?=[^ \t])")
_BARE = pattern(rb"\r(?!\n)|(?<!\r)\n|\0")


@frozen
class MimePart:
    """A part of a report."""

    type: str
    body: bytes
    """Encoded, and with CRLF line ends."""
    encoding: str = "7bit"
    description: str = ""
    filename: str = ""

    def __bytes__(self) -> bytes:
        fields = [f"Content-Type: {self.type}", f"Content-Transfer-Encoding: {self.encoding}"]
        if self.description:
            fields.append(f"Content-Description: {self.description}")
        if self.filename:
            fields.append(f'Content-Disposition: attachment; filename="{self.filename}"')
        return "\r\n".join([*fields, "\r\n"]).encode() + self.body


def multipart_report(fields: Sequence[str], parts: Sequence[MimePart], mark: str) -> bytes:
    """Return a message with the header *fields*, each folded and without CRLF at its end.

    *mark* is an atom that is used for no other message.
    """
    written = [bytes(part) for part in parts]
    boundary = _boundary(mark, b"".join(written))
    kind = f'multipart/report; report-type=delivery-status;\r\n\tboundary="{boundary}"'
    header = [*fields, "MIME-Version: 1.0", f"Content-Type: {kind}"]
    opening = f"--{boundary}\r\n".encode()
    body = b"".join(opening + part + b"\r\n" for part in written)
    return "\r\n".join([*header, "\r\n"]).encode() + body + f"--{boundary}--\r\n".encode()


def _boundary(mark: str, octets: bytes) -> str:
    """Return a boundary that no line of *octets* begins with."""
    number = 0
    while (boundary := f"{mark}/{number}").encode() in octets:
        number += 1
    return boundary


def text_part(text: str, *, utf8: bool) -> MimePart:
    """Return *text*, which has LF line ends, for people to read."""
    octets = text.replace("\n", "\r\n").encode()
    kind = f"text/plain; charset={'us-ascii' if text.isascii() else 'utf-8'}"
    if _is_clean(octets) and (utf8 or text.isascii()):
        return MimePart(kind, octets, "7bit" if text.isascii() else "8bit", "What happened")
    return MimePart(kind, _quoted_printable(octets), "quoted-printable", "What happened")


def status_part(octets: bytes) -> MimePart:
    """Return the fields for programs (RFC 3464 2.1); if they are not ASCII, by RFC 6533 4.2."""
    kind, encoding = ("", "7bit") if octets.isascii() else ("global-", "8bit")
    return MimePart(f"message/{kind}delivery-status", octets, encoding, "Delivery status")


def header_of(content: bytes, most: int) -> bytes:
    """Return the header section that *content* begins with, with a CRLF at its end; if it is longer
    than *most* octets, as many whole fields as they hold."""
    found = _HEADER_END.search(content)
    end = len(content) if found is None else found.end() - len(b"\r\n")
    if found is not None and end <= most:
        return content[:end]
    cuts = [at.end() for at in _NEXT_FIELD.finditer(content, 0, min(end, most) + 1)]
    return content[: cuts[-1] if cuts else 0]


def returned(content: bytes, *, whole: bool, utf8: bool) -> MimePart:
    """Return the part with a returned message, or its header if not *whole*.

    Without *utf8* it is written in ASCII: the way back may be without 8BITMIME and SMTPUTF8
    (RFC 6533 4.5).
    """
    header = content if not whole else header_of(content, len(content))
    is_global = not header.isascii() and _is_utf8(header)
    name = "Your message" if whole else "The header of your message"
    kind = _type(whole=whole, is_global=is_global)
    clean = _is_clean(content)
    if clean and (content.isascii() or utf8):
        return MimePart(kind, content, "7bit" if content.isascii() else "8bit", name)
    if whole:  # only message/global may be encoded (RFC 2046 5.2.1, RFC 6532 3.7)
        return MimePart("message/global", _base64(content), "base64", name, "message.eml")
    if clean:
        return MimePart(kind, _quoted_printable(content), "quoted-printable", name)
    return MimePart(kind, _base64(content), "base64", name)


def _type(*, whole: bool, is_global: bool) -> str:
    if whole:
        return "message/global" if is_global else "message/rfc822"
    return "message/global-headers" if is_global else "text/rfc822-headers"


def _is_utf8(octets: bytes) -> bool:
    try:
        octets.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_clean(octets: bytes) -> bool:
    """Return whether *octets* are lines that may be sent as they are."""
    return _BARE.search(octets) is None and max(map(len, octets.split(b"\r\n"))) <= _LINE


def _base64(octets: bytes) -> bytes:
    return base64.encodebytes(octets).replace(b"\n", b"\r\n")


def _quoted_printable(octets: bytes) -> bytes:
    encoded = binascii.b2a_qp(octets.replace(b"\r\n", b"\n"), istext=True)
    return encoded.replace(b"\n", b"\r\n")

"""A message as a person reads it: decoded fields, its text, its HTML and its attachments.

Whatever the octets are, this reads something in them: a message that a program could not write as
it should is just what its author has to see.
"""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import unquote_to_bytes

from attrs import field, frozen

from ..grammar.pattern import pattern
from .charsets import text_in
from .encoded_words import decode_words
from .parts import ReadPart, header_section, parameters, parts_of, read_fields

__all__ = ["OpenedAttachment", "OpenedMessage", "open_message", "text_of_html"]

_HTML = pattern(r"<!--|-->|<(/?)([A-Za-z][A-Za-z0-9]*+)[^<>]*+>|<[!?][^<>]*+>|[^<-]+|.", re.DOTALL)
_UNSEEN = {"head", "script", "style", "title", "template"}
_BREAKS = {"br", "div", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "p", "table", "tr", "ul"}
_EXTENDED = pattern(r"([\w.:-]*)'[^']*'(.*)", re.DOTALL)


@frozen
class OpenedAttachment:
    """A part of a message that is neither its text nor its HTML."""

    name: str
    """The file name; "" if it has none."""
    type: str
    """The media type in lower case, for example ``image/png``."""
    content_id: str
    """What HTML names it by, in ``cid:`` URLs; "" if it has none."""
    octets: bytes = field(repr=False)
    """The content, decoded."""


@frozen
class OpenedMessage:
    """A message, read."""

    fields: tuple[tuple[str, str], ...]
    """Names and texts of the header fields in their order, with encoded words decoded."""
    text: str
    """The plain text of the body, with LF line ends; "" if there is none."""
    html: str
    """The HTML of the body; "" if there is none."""
    attachments: tuple[OpenedAttachment, ...]

    def field(self, name: str) -> str:
        """Return the text of the first field with this *name*, or ""."""
        return next((text for its, text in self.fields if its.lower() == name.lower()), "")

    @property
    def readable(self) -> str:
        """The text; if there is none, what the HTML says."""
        return self.text or text_of_html(self.html)


def open_message(content: bytes) -> OpenedMessage:
    """Return what a person can read in *content*. At most 100 parts are read."""
    texts: list[str] = []
    pages: list[str] = []
    attachments: list[OpenedAttachment] = []
    for part in parts_of(content):
        if part.type.startswith("multipart/"):
            continue
        attachment = _attachment(part)
        if attachment.name or _is_attached(part) or part.type not in ("text/plain", "text/html"):
            attachments.append(attachment)
        elif part.body:
            (texts if part.type == "text/plain" else pages).append(part.text)
    fields = [(name, decode_words(text)) for name, text in read_fields(header_section(content))]
    return OpenedMessage(tuple(fields), "\n".join(texts), "\n".join(pages), tuple(attachments))


def _is_attached(part: ReadPart) -> bool:
    disposition = part.header.get("content-disposition", "")
    return disposition.partition(";")[0].strip().lower() == "attachment"


def _attachment(part: ReadPart) -> OpenedAttachment:
    disposed = dict(parameters(part.header.get("content-disposition", "")))
    typed = dict(parameters(part.header.get("content-type", "")))
    name = _parameter("filename", disposed) or _parameter("name", typed)
    content_id = part.header.get("content-id", "").strip().removeprefix("<").removesuffix(">")
    return OpenedAttachment(name, part.type, content_id, part.body)


def _parameter(name: str, values: dict[str, str]) -> str:
    """Return a parameter that may be encoded, or in pieces (RFC 2231 3 and 4)."""
    if name in values:
        return decode_words(values[name])
    if f"{name}*" in values:
        return _extended(values[f"{name}*"])
    pieces = []
    for number in range(len(values)):
        if f"{name}*{number}*" in values:
            pieces.append(values[f"{name}*{number}*"])
        elif f"{name}*{number}" in values:
            pieces.append(values[f"{name}*{number}"].replace("%", "%25"))
        else:
            break
    return _extended("".join(pieces)) if pieces else ""


def _extended(text: str) -> str:
    charset, encoded = found.groups() if (found := _EXTENDED.fullmatch(text)) else ("", text)
    return text_in(charset or "utf-8", unquote_to_bytes(encoded))


def text_of_html(html: str) -> str:
    """Return the words of *html*, without its tags: enough to find and to recognise a message."""
    words: list[str] = []
    unseen = ""  # the element whose content is not shown
    for found in _HTML.finditer(html):
        tag = (found[2] or "").lower()
        if found[0] == "<!--" and not unseen:
            unseen = "<!--"
        elif unseen:
            if (tag == unseen and found[1]) or (found[0], unseen) == ("-->", "<!--"):
                unseen = ""
        elif tag in _UNSEEN and not found[1]:
            unseen = tag
        elif tag:
            words.append("\n" if tag in _BREAKS else "")
        elif found[0][:2] not in ("<!", "<?") and found[0] != "-->":
            words.append(re.sub(r"\s+", " ", found[0]))
    lines = unescape("".join(words)).split("\n")
    text = "\n".join(line.strip() for line in lines)
    return re.sub(r"\n{3,}", "\n\n", text).strip()

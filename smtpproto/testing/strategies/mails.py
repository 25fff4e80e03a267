"""Strategies for header fields and MIME messages (RFC 5322, RFC 6854, RFC 2045, RFC 2046)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from itertools import cycle

from attrs import field, frozen
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from ...grammar.address import Mailbox
from ...grammar.domain import Domain
from ...limits import PATH, TEXT_LINE
from .addresses import domains, local_parts
from .messages import messages
from .texts import ASCII, ATEXT, kept

# -- address fields -------------------------------------------------------------------------------

_TEXT = st.characters(min_codepoint=0x20, max_codepoint=0x17F, exclude_characters="\x7f")


def _quoted(text: str) -> str:
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


def _commented(text: str) -> str:
    return "(" + re.sub(r"([()\\])", r"\\\1", text) + ")"


@kept
def _names(smtputf8: bool) -> SearchStrategy[list[str]]:
    texts = st.text(_TEXT if smtputf8 else ASCII)
    return st.lists(
        st.one_of(texts.map(_quoted), st.text(ATEXT, min_size=1, max_size=8), st.just("J.")),
        min_size=1,
        max_size=3,
    )


@kept
def _gaps(smtputf8: bool) -> SearchStrategy[list[str]]:
    """Blanks, folds and comments, which may stand between any two tokens."""
    texts = st.text(_TEXT if smtputf8 else ASCII)
    nested = texts.map(lambda text: f"(a {_commented(text)} b)")
    blanks = st.sampled_from(["", "", " ", "\t", "\r\n ", "\n\t"])
    return st.lists(st.one_of(blanks, texts.map(_commented), nested), min_size=1, max_size=5)


@kept
def _field_mailboxes(smtputf8: bool) -> SearchStrategy[Mailbox]:
    """Mailboxes that fit into a path. Those at address literals are left out."""

    def build(local_part: str, domain: Domain) -> Mailbox:
        mailbox = Mailbox(local_part, domain)
        fits = len(bytes(mailbox)) + len("<>") <= PATH
        return mailbox if fits else Mailbox(local_part, Domain("long.test"))

    return st.builds(build, local_parts(smtputf8=smtputf8), domains(u_labels=smtputf8))


def _write(mailbox: Mailbox, style: int, names: Iterator[str], gaps: Iterator[str]) -> str:
    """Return *mailbox* in one of its syntaxes (RFC 5322 3.4, 4.4)."""
    local_part, _, domain = str(mailbox).rpartition("@")
    if local_part.startswith('"') or style & 1:
        local_part = _quoted(mailbox.local_part)
    gap = next(gaps)
    spec = f"{local_part}{gap}@{next(gaps)}{domain.replace('.', f'{gap}.')}"
    if style & 2:
        return next(gaps) + spec + next(gaps)
    phrase = " ".join(next(names) for _ in range(style >> 2 & 3))
    route = ("", "", "@relay.test:", "@a.test,@b.test:")[style >> 4 & 3]
    return f"{phrase} <{next(gaps)}{route}{spec}{next(gaps)}>{next(gaps)}"


@kept
@st.composite
def address_fields(
    draw: DrawFn, *, smtputf8: bool = True, any_names: bool = True
) -> tuple[str, list[Mailbox]]:
    """The body of an address field in every syntax of RFC 5322 and RFC 6854, obsolete ones too, and
    the mailboxes in it. Lines may be long, and folded by LF alone. Without *smtputf8* addresses
    are ASCII, and without *any_names* also display names and comments."""
    members = draw(st.lists(_field_mailboxes(smtputf8), max_size=5))
    names = cycle(draw(_names(smtputf8 or any_names)))
    gaps = cycle(draw(_gaps(smtputf8 or any_names)))
    styles = draw(st.binary(min_size=6, max_size=6))
    elements, left = [], members
    for style, size in zip(styles, (1, 2, 3, 1, 0, 5), strict=True):
        taken, left = left[:size], left[size:]
        texts = [_write(it, style + at, names, gaps) for at, it in enumerate(taken)]
        if style >> 6 == 3:
            texts = [f"{next(names)}{next(gaps)}:{','.join(texts)};{next(gaps)}"]
        elements += texts + [next(gaps)] * (style >> 6 == 2)  # obsolete: an empty element
    return ",".join(elements), members


# -- MIME messages --------------------------------------------------------------------------------


@frozen
class DrawnMail:
    """A message, and what is in it."""

    content: bytes
    """The whole message: lines of at most 998 octets that end with CRLF."""
    sender: Mailbox
    """The mailbox in From."""
    recipients: tuple[Mailbox, ...]
    """The mailboxes in To, in order."""
    subject: str
    parts: tuple[tuple[str, bytes], ...] = field(repr=False)
    """The media type and the decoded octets of each part that has no parts."""


_SUBJECTS = st.text(ASCII, max_size=60).map(lambda text: " ".join(text.split()))
_TYPES = ("text/plain", "text/html", "application/octet-stream", "image/png")
_ENCODINGS = ("8bit", "base64", "quoted-printable")
_CRLF = "\r\n"


def _part(kind: str, encoding: str, octets: bytes) -> bytes:
    header = f"Content-Type: {kind}{_CRLF}Content-Transfer-Encoding: {encoding}{_CRLF * 2}"
    match encoding:
        case "base64":
            octets = base64.encodebytes(octets).replace(b"\n", b"\r\n")
        case "quoted-printable":
            octets = binascii.b2a_qp(octets, istext=False).replace(b"\n", b"\r\n")
    return header.encode() + octets


def _multipart(kind: str, parts: list[bytes]) -> bytes:
    boundary = "=_x"
    while any(f"--{boundary}".encode() in part for part in parts):
        boundary += "x"
    marks = f'Content-Type: multipart/{kind};{_CRLF}\tboundary="{boundary}"{_CRLF * 2}'.encode()
    for part in parts:
        marks += b"--%b\r\n%b\r\n" % (boundary.encode(), part)
    return marks + b"--%b--\r\n" % boundary.encode()


@kept
@st.composite
def mails(draw: DrawFn, *, smtputf8: bool = False) -> DrawnMail:
    """Messages with header fields in every syntax, and a body of MIME parts: one, several, or
    several in one of several, in all encodings, with dots at the beginning of lines."""
    sender = draw(_field_mailboxes(smtputf8))
    text, recipients = draw(address_fields(smtputf8=smtputf8, any_names=smtputf8))
    text = re.sub("\r?\n", _CRLF, text)
    if max(map(len, text.encode().split(b"\r\n"))) > TEXT_LINE // 2:
        text = f",{_CRLF} ".join(map(str, recipients))
    subject = draw(_SUBJECTS)
    contents = draw(st.lists(messages(), min_size=1, max_size=3))
    number = draw(st.integers(0, 2**16 - 1))

    kinds = [_TYPES[(number >> 2 * at) % 4] for at in range(len(contents))]
    encodings = [_ENCODINGS[(number >> at) % 3] for at in range(len(contents))]
    parts = [_part(*one) for one in zip(kinds, encodings, contents, strict=True)]
    if len(parts) == 3 and number & 1 << 12:
        parts = [_multipart("alternative", parts[:2]), parts[2]]
    body = parts[0] if len(parts) == 1 and number & 1 << 13 else _multipart("mixed", parts)
    fields = [f"From: {sender}", f"Subject: {subject}", "Date: 1 Dec 2026 01:02:03 +0000"]
    fields += [f"To: {text}"] if recipients else []
    fields.insert(number % len(fields), "MIME-Version: 1.0 (a comment)")
    content = _CRLF.join([*fields, ""]).encode() + body
    return DrawnMail(
        content, sender, tuple(recipients), subject, tuple(zip(kinds, contents, strict=True))
    )

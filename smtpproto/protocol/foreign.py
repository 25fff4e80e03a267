"""Recognizes lines of other protocols, such as HTTP, after which a server must not go on reading.

A web browser can be made to send an HTTP request whose body is SMTP to a mail server. The server
would refuse the header lines one by one, and then deliver the message in the body.
"""

from __future__ import annotations

import re

from ..grammar.pattern import pattern
from .phases import Phase
from .terms import Terms

_METHODS = frozenset(  # RFC 9110 9, RFC 5789, RFC 9113 3.4
    b"GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH PRI".split()
)
_VERSION = pattern(rb"[ \t](?:HTTP|RTSP|SIP|ICAP)/\d(?:\.\d)?[ \t]*\Z", re.IGNORECASE)
# A header field (RFC 5322 3.6.8, RFC 9110 5.1), but not a misspelt command: "MAIL-FROM:", "DATA:".
_FIELD = pattern(rb"(?!MAIL.?FROM|RCPT.?TO)([A-Z][A-Z0-9!#$%&'*+.^_`|~-]*)[ \t]*:", re.IGNORECASE)
_NO_LETTER = pattern(rb"[^A-Za-z]")
_BINARY = pattern(rb"[^\t\n\r -~]")


def is_foreign(terms: Terms, phase: Phase, line: bytes) -> bool:
    """Return whether the command *line* belongs to another protocol.

    These are requests of HTTP and its like, the PROXY header of a peer that is not trusted, header
    fields (``Host: ...``), and before EHLO also SSH and all that does not begin with a letter.
    A line whose verb the server knows is never one of them. Other protocols may end their lines
    with LF or CR.
    """
    return any(_is_foreign(terms, phase, part.strip(b" \t")) for part in re.split(rb"[\r\n]", line))


def _is_foreign(terms: Terms, phase: Phase, line: bytes) -> bool:
    verb = re.split(rb"[ \t]", line, maxsplit=1)[0].upper()
    if _knows(terms, verb):
        return False
    if verb in _METHODS or verb == b"PROXY" or _VERSION.search(line):
        return True
    if (name := _FIELD.match(line)) and not _knows(terms, name[1].upper()):
        return True
    return phase is Phase.START and bool(verb[:4] == b"SSH-" or _NO_LETTER.match(line))


def begins_foreign(phase: Phase, octets: bytes) -> bool:
    """Return whether *octets*, an incomplete line, begin a binary protocol, which may never send
    the end of a line. Only before EHLO."""
    return phase is Phase.START and bool(_BINARY.match(octets))


def _knows(terms: Terms, verb: bytes) -> bool:
    return verb.decode("latin-1") in terms.vocabulary.commands

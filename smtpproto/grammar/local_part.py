"""Local-parts of mailboxes: ``Dot-string / Quoted-string`` (RFC 5321 4.1.2, RFC 6531 3.3)."""

from __future__ import annotations

import re

from .parse_context import ParseContext
from .pattern import pattern
from .reply import GrammarError, Reply

BAD_MAILBOX = Reply(501, "5.1.3", "Syntax error in mailbox address")

_UTF8 = r"\x80-\ud7ff\ue000-\U0010ffff"
_ATEXT = r"A-Za-z0-9!#$%&'*+/=?^_`{|}~"
ATOM = rf"[{_ATEXT}-]+"
"""A pattern of an Atom in ASCII."""
_ATOM = rf"[{_ATEXT}{_UTF8}-]+"
_LOOSE_DOTS = pattern(rf"[{_ATEXT}.{_UTF8}-]+")
_DOT_STRING = pattern(rf"{_ATOM}(?:\.{_ATOM})*")
_QUOTED_STRING = pattern(rf'"((?:[ !#-\[\]-~{_UTF8}]|\\[ -~])*)"')
_UNQUOTED = pattern(rf"[ -~{_UTF8}]*")  # without quotes and backslashes


def check_local_part(local_part: str, limit: int) -> None:
    """Raise GrammarError unless *local_part* can be written, in at most *limit* octets."""
    reason = ""
    if not _UNQUOTED.fullmatch(local_part):
        reason = "it has control characters"
    elif len(quote(local_part).encode()) > limit:
        reason = f"it has more than {limit} octets"
    if reason:
        message = f"not a local-part: {local_part[:100]!r}: {reason}"
        raise GrammarError(message, reply=BAD_MAILBOX)


def quote(local_part: str) -> str:
    """Write *local_part* as a Dot-string if possible, else as a Quoted-string."""
    if _DOT_STRING.fullmatch(local_part):
        return local_part
    escaped = local_part.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def read_local_part(text: str, at: int, context: ParseContext) -> tuple[str, int]:
    """Return the local-part at *at*, without quotes and backslashes, and its end."""
    if quoted := _QUOTED_STRING.match(text, at):
        return re.sub(r"\\(.)", r"\1", quoted[1]), quoted.end()
    loose = _LOOSE_DOTS.match(text, at)
    if loose is None:
        raise error_at("not a local-part", text, at)
    dotted = _DOT_STRING.match(text, at)
    if dotted is None:
        context.tolerate("loose_dots", error_at("not a local-part", text, at))
    elif dotted.end() != loose.end():
        error = error_at("'@' must follow the local-part", text, dotted.end())
        context.tolerate("loose_dots", error)
    return loose[0], loose.end()


def error_at(message: str, text: str, at: int, offset: int = 0) -> GrammarError:
    """Return an error at *offset* octets after the character *at* of *text*."""
    start = len(text[:at].encode("utf-8", "replace"))
    return GrammarError(message, offset=start + offset, reply=BAD_MAILBOX)

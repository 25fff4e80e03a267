"""Delivery reports in the forms before RFC 3464: text for people, of which each program has its
own. What they say is guessed from what the forms have in common."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping, Sequence

from attrs import frozen

from ..grammar.ascii_case import lower
from ..grammar.pattern import pattern
from ..grammar.reply import EnhancedCode, GrammarError
from ..mail.parts import ReadPart
from .status import Action, DeliveryStatus, RecipientStatus, TypedValue

__all__ = ["older_status", "returned_copy"]

MAX_RECIPIENTS = 1000
_MAX_TEXT = 64 * 1024  # characters of the text that are looked at
_MAX_LINES = 2000
_MAX_LINE = 1000  # characters of a line that are looked at
_MAX_DIAGNOSTIC = 500  # characters

_ADDRESS = r"[^\s<>()\[\]:;,\"'@=]{1,64}@(?:[\w-]{1,63}\.){1,20}[A-Za-z][\w-]{1,62}"

# Where the text ends, and the returned message begins.
_COPY = pattern(
    r"[ \t>|*-]*(?:"
    r"below this line is a copy|this is a copy of (?:the|your)|below is a copy|a copy of"
    r"|original message\b(?!.* (?:was|received))|the header of the original|message header"
    r"|unsent message|returned message|message text follows|original (?:email|mail) headers"
    r"|your (?:original )?message (?:follows|reads|headers)|the (?:original )?message follows"
    r"|message (?:body )?follows|start of (?:the )?(?:returned|original)|headers? follows?"
    r"|received[ \t]*:[ \t]*(?:from|by|\()|return-path[ \t]*:"
    r")",
    re.IGNORECASE,
)
# A line that says that something went wrong, in the words of the field.
_FAILURE = pattern(
    r"undeliver|not (?:\w+ ){0,2}deliver|abort"
    r"|n[o']t (?:be )?(?:been )?(?:able to )?(?:deliver|sen[dt])"
    r"|(?:un|not )able to deliver"
    r"|deliver\w* (?:has |to .{0,60})?(?:failed|errors?|problems?|failure)"
    r"|fail(?:ed|ure|s)\b|permanent|fatal|did not reach|rejected|bounce|return(?:ed|ing)\b"
    r"|not (?:known|found|listed|exist)|unknown|no such|invalid|problem|error|could ?n[o']t"
    r"|addresses had|unavailable|exceed|over quota|mailbox (?:is )?full|delay|still (?:be )?tr",
    re.IGNORECASE,
)
_DELAY = pattern(
    r"\bdelay|\bwarning\b|still (?:being |be )?(?:tr[yi]|in (?:the )?queue)"
    r"|will (?:be )?(?:keep |continue)"
    r"|not yet been deliver|(?:will|to) (?:be )?retr(?:y|ied)|temporar|will try",
    re.IGNORECASE,
)
_CONTINUES = pattern(r"attempts will continue|(?:is|are) still trying", re.IGNORECASE)
_FINAL = pattern(
    r"permanent|fatal|given up|giving up|could not be delivered (?:to|for)|will not (?:be )?retr"
    r"|no further|was not delivered|undeliverable|failed|unknown|no such",
    re.IGNORECASE,
)
_SUBJECT = pattern(
    r"undeliver|deliver|fail|return|bounce|mail(?:er)?[ -]?(?:daemon|error|system)|non remis"
    r"|warning|delay|notif|error|problem|nondeliver|postmaster|unzustell",
    re.IGNORECASE,
)
_DAEMON = pattern(
    r"mailer[-_ ]?daemon|postmaster|mail(?:er)? ?(?:delivery|administrator|system)|daemon"
    r"|system administrator|mdaemon|bounce|auto(?:matic)?[-_ ]?(?:reply|mail)|internet mail",
    re.IGNORECASE,
)
_PLAIN = pattern(r"could not be delivered|delivery failed|undeliverable", re.IGNORECASE)
# A recipient at the start of a line, or after a word that announces one.
_AT_START = pattern(
    rf"\A[ \t*>-]*(?:\d+[.)][ \t]+)?[\"'<]*(?:smtp:|rfc822;)?[ \t]*({_ADDRESS})", re.IGNORECASE
)
_ANYWHERE = pattern(rf"({_ADDRESS})")
_ANNOUNCED = pattern(
    r"(?:\b(?:to|for|recipients?|user|address(?:es)?|mailbox|account|by|size)\b[^<@\n]{0,40}[:<]"
    r"|undeliverable to|unknown user:?|invalid (?:final delivery userid|recipient|user):?"
    r"|(?:delivery|deliver|message|mail|sent|send) (?:\w+ ){0,4}to:?)"
    rf"[ \t\"'<]*(?:smtp:|rfc822;|mailto:)?({_ADDRESS})",
    re.IGNORECASE,
)
_FIELD = pattern(r"[!-9;-~]+:[ \t]*\S")
_BREAK = pattern(r"<(?:br|/?p|/?div|/?tr|/?li)\b[^<>]{0,200}>", re.IGNORECASE)
_TAG = pattern(r"<(?:/?[A-Za-z][^<>@]{0,2000}|![^<>]{0,2000})>")
_STATUS = pattern(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])")
_CODE = pattern(r"(?<![\d.:/-])([45])\d\d(?=[ \t-]|\Z)")


@frozen
class _Found:
    """A recipient, with the lines that tell what went wrong."""

    address: str
    lines: tuple[str, ...]


def older_status(header: Mapping[str, str], parts: Sequence[ReadPart]) -> DeliveryStatus | None:
    """Return what a message with this *header* and these *parts* says, if it is a report."""
    lines = list(_lines(_text(parts)))
    if not _may_be_report(header, lines):
        return None
    failed = _listed(header)
    found = _recipients(lines, header) or [_Found(address, tuple(lines)) for address in failed]
    if failed:  # Exim's own field is right
        known = {lower(one.address): one for one in found}
        found = [known.get(lower(one), _Found(one, tuple(lines))) for one in failed]
    if not found:
        return None
    delayed = _is_delay(header.get("subject", ""), lines)
    recipients = tuple(_status(one, delayed=delayed) for one in found[:MAX_RECIPIENTS])
    fault = "it is not in the form of RFC 3464"
    return DeliveryStatus(recipients=recipients, faults=(fault,))


def returned_copy(parts: Sequence[ReadPart]) -> bytes:
    """Return the message, or as much of it, that an older report returns in its text."""
    lines = iter(_text(parts).split("\n"))
    for line in lines:
        if _COPY.match(line):
            first = line if _FIELD.match(line) else next(filter(_FIELD.match, lines), "")
            return "\r\n".join([first, *lines]).encode() if first else b""
    return b""


def _text(parts: Sequence[ReadPart]) -> str:
    """Return the text of *parts*; that of HTML only if there is no other."""
    plain = "\n".join(part.text for part in parts if part.type == "text/plain")
    if plain.strip():
        return plain[:_MAX_TEXT]
    page = "\n".join(part.text for part in parts if part.type == "text/html")[:_MAX_TEXT]
    return html.unescape(_TAG.sub(" ", _BREAK.sub("\n", page))).replace("\xa0", " ")


def _may_be_report(header: Mapping[str, str], lines: Sequence[str]) -> bool:
    """Return whether a program for mail may have sent the message, and not about abuse."""
    if "feedback-report" in lower(header.get("content-type", "")):
        return False
    if header.get("x-failed-recipients"):
        return True
    source = " ".join(header.get(name, "") for name in ("from", "sender", "return-path"))
    told = _DAEMON.search(source) or _SUBJECT.search(header.get("subject", ""))
    return told is not None or any(_PLAIN.search(line) for line in lines[:20])


def _lines(text: str) -> Iterator[str]:
    """Yield the lines before the returned message."""
    for line in text.split("\n")[:_MAX_LINES]:
        if _COPY.match(line):
            return
        yield line[:_MAX_LINE]


def _listed(header: Mapping[str, str]) -> list[str]:
    return re.findall(_ADDRESS, header.get("x-failed-recipients", ""))


def _recipients(lines: Sequence[str], header: Mapping[str, str]) -> list[_Found]:
    """Return the addresses that the lines name, from the first line on that tells of a failure."""
    own = {lower(it) for name in _OWN for it in re.findall(_ADDRESS, header.get(name, ""))}
    start = next((at for at, line in enumerate(lines) if _FAILURE.search(line)), 0)
    places: dict[str, int] = {}
    for form, first, most in _forms(start):
        for at in range(first, len(lines)):
            found = form.search(lines[at])
            if found and lower(found[1]) not in own and not _DAEMON.match(found[1]):
                places.setdefault(found[1].rstrip("."), at)
            if len(places) >= most:
                break
        if places:
            break
    ends = sorted({*places.values(), len(lines)})
    return [
        _Found(address, tuple(lines[at : min(ends[ends.index(at) + 1], at + 20)]))
        for address, at in places.items()
    ]


def _forms(start: int) -> list[tuple[re.Pattern[str], int, int]]:
    """Return how an address is looked for: each form with the first line and how many to take."""
    return [
        (_AT_START, start, MAX_RECIPIENTS),
        (_ANNOUNCED, start, MAX_RECIPIENTS),
        (_ANYWHERE, start, 1),
        (_ANYWHERE, 0, 1),
    ]


_OWN = ("from", "to", "sender", "reply-to", "return-path", "delivered-to")


def _is_delay(subject: str, lines: Sequence[str]) -> bool:
    text = "\n".join([subject, *lines])
    if _CONTINUES.search(text):
        return True
    if _DELAY.search(subject):
        return _FINAL.search(subject) is None
    return _DELAY.search(text) is not None and _FINAL.search(text) is None


def _status(found: _Found, *, delayed: bool) -> RecipientStatus:
    text = " ".join(" ".join(found.lines).split())[:_MAX_DIAGNOSTIC]
    return RecipientStatus(
        final_recipient=TypedValue("rfc822", found.address),
        action=Action.DELAYED if delayed else Action.FAILED,
        status=_code(text, delayed=delayed),
        diagnostic_code=TypedValue("x-text", text) if text else None,
    )


def _code(text: str, *, delayed: bool) -> EnhancedCode:
    """Return the status that *text* states, if its class fits; else the general one."""
    for found in _STATUS.finditer(text):
        try:
            code = EnhancedCode(*map(int, found[1].split(".")))
        except GrammarError:
            continue
        if code.class_ == 4 or (code.class_ == 5 and not delayed):
            return code
    reply = _CODE.search(text)
    if reply is not None and not delayed:
        return EnhancedCode(int(reply[1]), 0, 0)
    return EnhancedCode(4 if delayed else 5, 0, 0)

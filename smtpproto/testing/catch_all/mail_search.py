"""Which messages a search finds: ``from:ann "two words" to:bob``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from .kept_mail import KeptMessage, Match

_TERM = re.compile(r'(?:(from|to|subject|body):)?("[^"]*"|\S+)', re.IGNORECASE)
_MOST = 20  # terms
_PLACES: Mapping[str, Callable[[KeptMessage], str]] = {
    "from": lambda it: f"{it.sender} {it.received.mail_from}",
    "to": lambda it: " ".join([it.to, *it.received.rcpt_tos]),
    "subject": lambda it: it.subject,
    "body": lambda it: it.text,
}


def matcher(text: str) -> Match:
    """Return what finds messages that have all words of *text*, in any case of letters.

    A word may say where it must be: ``from:``, ``to:`` (also Cc and the envelope), ``subject:`` or
    ``body:``. Quotes keep words together.
    """
    terms = [
        (found[1], found[2].strip('"').casefold()) for found in list(_TERM.finditer(text))[:_MOST]
    ]

    def match(message: KeptMessage) -> bool:
        return all(_has(message, place, word) for place, word in terms)

    return match


def _has(message: KeptMessage, place: str | None, word: str) -> bool:
    places = _PLACES.values() if place is None else [_PLACES[place.lower()]]
    return any(word in text_at(message).casefold() for text_at in places)

"""The header field ``TLS-Required: No`` (RFC 8689 3): the message may be relayed without TLS."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..grammar.pattern import pattern

if TYPE_CHECKING:
    from email.message import Message

_FIELD = pattern(rb"^TLS-Required[ \t]*:((?:.*\r?\n[ \t])*.*)$", re.IGNORECASE | re.MULTILINE)


def waives_tls(header: bytes) -> bool:
    """Return whether a header section has this field once, with the value No in any case.

    Other values have no meaning, and neither has a field that appears twice.
    """
    values = [value.strip().lower() for value in _FIELD.findall(header)]
    return values == [b"no"]


def waive_tls(message: Message) -> None:
    """Set the field in *message*: delivery matters more than encryption on the way.

    Afterwards the message has exactly one such field.
    """
    del message["TLS-Required"]
    message["TLS-Required"] = "No"

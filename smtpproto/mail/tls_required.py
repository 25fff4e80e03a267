"""The header field ``TLS-Required: No`` (RFC 8689 3): a message that may go on without TLS."""

from __future__ import annotations

import re
from email.message import Message

_FIELD = re.compile(rb"^TLS-Required[ \t]*:((?:.*\r?\n[ \t])*.*)$", re.IGNORECASE | re.MULTILINE)


def waives_tls(header: bytes) -> bool:
    """Whether a header section, of octets, has this field with the value No, in any case. Other
    values mean nothing, and neither does a field given twice."""
    values = [value.strip().lower() for value in _FIELD.findall(header)]
    return values == [b"no"]


def waive_tls(message: Message) -> None:
    """Say in *message* that to arrive is worth more than to be encrypted on its way. It has then
    one such field, whatever it had before."""
    del message["TLS-Required"]
    message["TLS-Required"] = "No"

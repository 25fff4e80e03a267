"""Hypothesis strategies for the values of the grammar, and for messages.

There is one function for each kind of value: ``@given(mailboxes())``. Each covers all values that
the grammar allows, and often draws values at the ends of the length limits. *smtputf8* adds what
RFC 6531 allows; without it all values are ASCII. This package needs Hypothesis.
"""

from .addresses import (
    address_literals,
    domains,
    forward_paths,
    hosts,
    local_parts,
    mailboxes,
    reverse_paths,
)
from .messages import messages, splits
from .values import (
    commands,
    deliver_by,
    enhanced_codes,
    envids,
    extensions,
    future_releases,
    mail_parameters,
    notify,
    offers,
    original_recipients,
    rcpt_parameters,
    replies,
    session_limits,
    solicitations,
    timestamps,
    valid_since,
    xtexts,
)

__all__ = [
    "address_literals", "commands", "deliver_by", "domains", "enhanced_codes", "envids",
    "extensions", "forward_paths", "future_releases", "hosts", "local_parts", "mail_parameters",
    "mailboxes", "messages", "notify", "offers", "original_recipients", "rcpt_parameters",
    "replies", "reverse_paths", "session_limits", "solicitations", "splits", "timestamps",
    "valid_since", "xtexts",
]  # fmt: skip

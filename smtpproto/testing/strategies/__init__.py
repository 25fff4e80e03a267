"""Hypothesis strategies for the values of the grammar, for messages, and for whole sessions.

There is one function for each kind of value: ``@given(mailboxes())``. Each covers all values that
the grammar allows, and often draws values at the ends of the length limits. *smtputf8* adds what
RFC 6531 allows; without it all values are ASCII. Sessions are legal, faulty or hostile, of clients
and of servers. This package needs Hypothesis. See docs/howto/property-tests.md.
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
from .mails import DrawnMail, address_fields, mails
from .messages import messages, splits
from .sessions import (
    ClientSession,
    ServerSession,
    faulty_clients,
    faulty_servers,
    hostile_clients,
    hostile_servers,
    legal_clients,
    legal_servers,
)
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
    "ClientSession", "DrawnMail", "ServerSession", "address_fields", "address_literals", "commands",
    "deliver_by", "domains", "enhanced_codes", "envids", "extensions", "faulty_clients",
    "faulty_servers", "forward_paths", "future_releases", "hostile_clients", "hostile_servers",
    "hosts", "legal_clients", "legal_servers", "local_parts", "mail_parameters", "mailboxes",
    "mails", "messages", "notify", "offers", "original_recipients", "rcpt_parameters", "replies",
    "reverse_paths", "session_limits", "solicitations", "splits", "timestamps", "valid_since",
    "xtexts",
]  # fmt: skip

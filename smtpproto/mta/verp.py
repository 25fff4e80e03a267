"""Variable envelope return paths: a sender that names the recipient, so that any report says by its
own recipient whom it is about."""

from __future__ import annotations

from ..errors import GrammarError
from ..grammar.address import ForwardPath, Mailbox, ReversePath
from ..grammar.ascii_case import lower

__all__ = ["read_verp", "write_verp"]


def write_verp(sender: Mailbox, recipient: ForwardPath, *, mark: str = "+") -> ReversePath:
    """Return *sender* with *recipient* in its local-part: ``list+bob=b.example@example.org``.

    *mark* stands between the two. Raises GrammarError if the result is longer than a local-part may
    be, 64 octets; then use an id of your own instead.
    """
    if recipient.mailbox is None or recipient.domain is None:
        named = f"{recipient.local_part}="
    else:
        named = f"{recipient.local_part}={recipient.domain}"
    return ReversePath(Mailbox(f"{sender.local_part}{mark}{named}", sender.domain))


def read_verp(path: ForwardPath, sender: Mailbox, *, mark: str = "+") -> ForwardPath | None:
    """Return the recipient for whom :func:`write_verp` made *path* from *sender*; None if it did
    not make it."""
    start = f"{sender.local_part}{mark}"
    if path.domain != sender.domain or lower(path.local_part[: len(start)]) != lower(start):
        return None
    local_part, equals, domain = path.local_part[len(start) :].rpartition("=")
    if not equals:
        return None
    try:
        return ForwardPath(Mailbox(local_part, domain)) if domain else ForwardPath.of(local_part)
    except GrammarError:
        return None

"""Why mail was refused, and what its sender can do, in words for people who know nothing of SMTP.

The texts for programmers are in ``grammar/status_meanings.py``.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from ..grammar.reply import EnhancedCode

__all__ = ["Cause", "cause_of"]


@frozen
class Cause:
    """A reason, as a sentence, and advice for the sender."""

    what: str
    advice: str


_ADDRESS = (
    "Check the address for a typing error. If it is right, ask the recipient in another way for"
    " an address that works."
)
_OWN_ADDRESS = "Check the sender address that your mail program is set to use."
_LATER = "Send the message again later, or tell the recipient in another way."
_SMALLER = "Send a smaller message: put large files where the recipient can fetch them."
_PLAINER = (
    "Send the message as plain text, with the letters a to z only, or show this report to the"
    " administrator of your mail server."
)
_MAILBOX = "Tell the recipient in another way: only they can change this."
_ADMINISTRATOR = "Show this report to the administrator of your mail server."
_RECIPIENT_SIDE = (
    "Tell the recipient in another way, so that the administrator of their mail server learns of"
    " it."
)
_POLICY = (
    "Read the reply of the other server: it may say more. If you think that this is a mistake,"
    " show this report to the administrator of your mail server."
)
_NO_PROOF = "The recipient's server could not verify that the message comes from your domain"
_TLS = "The message was to be sent encrypted only, and the next server does not allow that"

_CAUSES: Mapping[tuple[int, int], Cause] = {
    (0, 0): Cause("The recipient's server refused the message.", _POLICY),
    (1, 0): Cause("There is a problem with the address.", _ADDRESS),
    (1, 1): Cause("There is no mailbox with this address.", _ADDRESS),
    (1, 2): Cause("The domain of the address does not exist, or takes no mail.", _ADDRESS),
    (1, 3): Cause("The address is not written correctly.", _ADDRESS),
    (1, 4): Cause("The address could mean more than one mailbox.", _ADDRESS),
    (1, 6): Cause("The mailbox has moved, and its new address is not known.", _ADDRESS),
    (1, 7): Cause("The recipient's server cannot read your own address.", _OWN_ADDRESS),
    (1, 8): Cause(
        "The recipient's server does not accept your own address: its domain does not exist, or"
        " takes no mail.",
        _OWN_ADDRESS,
    ),
    (1, 10): Cause("The domain of the address states that it takes no mail at all.", _ADDRESS),
    (2, 0): Cause("The mailbox cannot take the message.", _MAILBOX),
    (2, 1): Cause("The mailbox is disabled.", _MAILBOX),
    (2, 2): Cause("The mailbox is full.", _MAILBOX),
    (2, 3): Cause("The message is larger than the mailbox accepts.", _SMALLER),
    (2, 4): Cause("The mailing list cannot pass on the message.", _RECIPIENT_SIDE),
    (3, 0): Cause("The recipient's server has a problem.", _LATER),
    (3, 1): Cause("The recipient's server has no room left.", _LATER),
    (3, 2): Cause("The recipient's server does not take mail.", _LATER),
    (3, 3): Cause("The recipient's server lacks a feature that the message needs.", _ADMINISTRATOR),
    (3, 4): Cause("The message is larger than the recipient's server accepts.", _SMALLER),
    (3, 5): Cause("A mail server is not configured correctly.", _ADMINISTRATOR),
    (4, 0): Cause("The recipient's server could not be reached.", _LATER),
    (4, 1): Cause("The recipient's server could not be reached.", _LATER),
    (4, 2): Cause("The connection to the recipient's server broke.", _LATER),
    (4, 3): Cause("The mail server of the recipient's domain could not be looked up.", _LATER),
    (4, 4): Cause("The recipient's domain has no mail server.", _ADDRESS),
    (4, 5): Cause("The recipient's server is overloaded.", _LATER),
    (4, 6): Cause("The message went in a circle between mail servers.", _ADMINISTRATOR),
    (4, 7): Cause("The message could not be delivered in time.", _LATER),
    (5, 0): Cause("The two mail servers did not understand each other.", _ADMINISTRATOR),
    (5, 3): Cause("The message has more recipients than the server accepts.", _ADMINISTRATOR),
    (6, 0): Cause("The content of the message was refused.", _POLICY),
    (6, 1): Cause("The recipient's server does not accept content of this kind.", _PLAINER),
    (6, 3): Cause("The recipient's server does not accept content of this kind.", _PLAINER),
    (6, 7): Cause(
        "The recipient's server accepts only addresses with the letters a to z.",
        "Use such addresses, for the recipient and for yourself.",
    ),
    (6, 9): Cause("The recipient's server accepts only the letters a to z in a header.", _PLAINER),
    (7, 0): Cause("The recipient's server refused the message by its rules.", _POLICY),
    (7, 1): Cause("The recipient's server refused the message by its rules.", _POLICY),
    (7, 2): Cause("You may not send to this mailing list.", _RECIPIENT_SIDE),
    (7, 4): Cause(f"{_TLS}.", _ADMINISTRATOR),
    (7, 5): Cause(f"{_TLS}.", _ADMINISTRATOR),
    (7, 8): Cause("Your mail server could not log in at the next one.", _ADMINISTRATOR),
    (7, 9): Cause("Your mail server could not log in at the next one.", _ADMINISTRATOR),
    (7, 10): Cause(f"{_TLS}.", _ADMINISTRATOR),
    (7, 11): Cause("Your mail server could not log in at the next one.", _ADMINISTRATOR),
    (7, 13): Cause("The account is disabled.", _MAILBOX),
    (7, 17): Cause("The mailbox belongs to somebody else now.", _ADDRESS),
    (7, 18): Cause("The domain of the address belongs to somebody else now.", _ADDRESS),
    (7, 20): Cause(f"{_NO_PROOF} (DKIM).", _ADMINISTRATOR),
    (7, 21): Cause(f"{_NO_PROOF} (DKIM).", _ADMINISTRATOR),
    (7, 22): Cause(f"{_NO_PROOF} (DKIM).", _ADMINISTRATOR),
    (7, 23): Cause(f"{_NO_PROOF} (SPF).", _ADMINISTRATOR),
    (7, 24): Cause(f"{_NO_PROOF} (SPF).", _ADMINISTRATOR),
    (7, 25): Cause("The address of your mail server has no valid name.", _ADMINISTRATOR),
    (7, 26): Cause(f"{_NO_PROOF} (SPF, DKIM or DMARC).", _ADMINISTRATOR),
    (7, 27): Cause("The domain of your own address states that it takes no mail.", _OWN_ADDRESS),
    (7, 28): Cause("Too many messages came from you or from your mail server.", _LATER),
    (7, 30): Cause(f"{_TLS}.", _ADMINISTRATOR),
}


def cause_of(status: EnhancedCode) -> Cause:
    """Return what *status* means; for an unknown detail or subject, something more general."""
    known = (status.subject, status.detail), (status.subject, 0), (0, 0)
    return next(_CAUSES[pair] for pair in known if pair in _CAUSES)

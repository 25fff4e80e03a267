"""Why mail was refused, by its enhanced status code, and what helps.

What is wrong and what the sender can do is told to people who know nothing of SMTP; who must act
and what to try, to those who run the programs that send.

What the registry says of each code is in ``status_meanings.py``.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from .cause import Who

__all__ = ["Remedy", "StatusCause", "cause_of", "is_specific"]


@frozen
class Remedy:
    """What helps: for the person who wrote the message, and for those who run the programs."""

    advice: str
    """What the person who wrote the message can do."""
    who: Who
    """Who must act."""
    mend: str
    """What to try, for those who run the programs that send."""


@frozen
class StatusCause:
    """A reason, as a sentence, and what helps."""

    what: str
    remedy: Remedy

    @property
    def advice(self) -> str:
        """What the person who wrote the message can do."""
        return self.remedy.advice


_ADDRESS = Remedy(
    "Check the address for a typing error. If it is right, ask the recipient in another way for"
    " an address that works.",
    Who.YOU,
    "Correct the address, or take it off your lists: each further attempt harms your reputation.",
)
_OWN_ADDRESS = Remedy(
    "Check the sender address that your mail program is set to use.",
    Who.YOU,
    "Use a sender address whose domain exists and takes mail: it needs an MX or address record.",
)
_LATER = Remedy(
    "Send the message again later, or tell the recipient in another way.",
    Who.OTHER_SIDE,
    "Try again later: after minutes at first, then after hours. After 4yz a queue does that by"
    " itself.",
)
_SLOWER = Remedy(
    _LATER.advice,
    Who.YOU,
    "Send more slowly, over fewer connections, and only to people who asked for it.",
)
_SMALLER = Remedy(
    "Send a smaller message: put large files where the recipient can fetch them.",
    Who.YOU,
    "Send a smaller message. Attachments grow by a third in transit (base64). EHLO shows the limit"
    " as SIZE.",
)
_PLAINER = Remedy(
    "Send the message as plain text, with the letters a to z only, or show this report to the"
    " administrator of your mail server.",
    Who.YOU,
    "Send content of another kind, or through a server that supports this kind.",
)
_MAILBOX = Remedy(
    "Tell the recipient in another way: only they can change this.",
    Who.OTHER_SIDE,
    "Tell the recipient in another way. If it goes on, take the address off your lists.",
)
_ADMINISTRATOR = Remedy(
    "Show this report to the administrator of your mail server.",
    Who.YOU,
    "Read the text of the reply, and check the configuration of the server that sends.",
)
_SENDER_PROOF = Remedy(
    _ADMINISTRATOR.advice,
    Who.YOU,
    "Run smtpproto doctor DOMAIN for the records of your domain, and smtpproto check for a"
    " message.",
)
_LOGIN = Remedy(
    _ADMINISTRATOR.advice,
    Who.YOU,
    "Check user name, password and the kind of login; smtpproto probe HOST shows what is offered.",
)
_ENCRYPT = Remedy(
    _ADMINISTRATOR.advice,
    Who.YOU,
    'Use TLS: tls="required" (STARTTLS) or "implicit". smtpproto probe HOST shows what works.',
)
_RECIPIENT_SIDE = Remedy(
    "Tell the recipient in another way, so that the administrator of their mail server learns of"
    " it.",
    Who.OTHER_SIDE,
    "Tell whoever runs the recipient's server, with the whole reply and the time.",
)
_POLICY = Remedy(
    "Read the reply of the other server: it may say more. If you think that this is a mistake,"
    " show this report to the administrator of your mail server.",
    Who.YOU,
    "Read the text of the reply, and the page that it names. Check SPF, DKIM, DMARC and PTR with"
    " smtpproto doctor DOMAIN; ask the postmaster of the recipient's domain.",
)
_NO_PROOF = "The recipient's server could not verify that the message comes from your domain"
_TLS = "The message was to be sent encrypted only, and the next server does not allow that"

_CAUSES: Mapping[tuple[int, int], StatusCause] = {
    (0, 0): StatusCause("The recipient's server refused the message.", _POLICY),
    (1, 0): StatusCause("There is a problem with the address.", _ADDRESS),
    (1, 1): StatusCause("There is no mailbox with this address.", _ADDRESS),
    (1, 2): StatusCause("The domain of the address does not exist, or takes no mail.", _ADDRESS),
    (1, 3): StatusCause("The address is not written correctly.", _ADDRESS),
    (1, 4): StatusCause("The address could mean more than one mailbox.", _ADDRESS),
    (1, 6): StatusCause("The mailbox has moved, and its new address is not known.", _ADDRESS),
    (1, 7): StatusCause("The recipient's server cannot read your own address.", _OWN_ADDRESS),
    (1, 8): StatusCause(
        "The recipient's server does not accept your own address: its domain does not exist, or"
        " takes no mail.",
        _OWN_ADDRESS,
    ),
    (1, 10): StatusCause(
        "The domain of the address states that it takes no mail at all.", _ADDRESS
    ),
    (2, 0): StatusCause("The mailbox cannot take the message.", _MAILBOX),
    (2, 1): StatusCause("The mailbox is disabled.", _MAILBOX),
    (2, 2): StatusCause("The mailbox is full.", _MAILBOX),
    (2, 3): StatusCause("The message is larger than the mailbox accepts.", _SMALLER),
    (2, 4): StatusCause("The mailing list cannot pass on the message.", _RECIPIENT_SIDE),
    (3, 0): StatusCause("The recipient's server has a problem.", _LATER),
    (3, 1): StatusCause("The recipient's server has no room left.", _LATER),
    (3, 2): StatusCause("The recipient's server does not take mail.", _LATER),
    (3, 3): StatusCause(
        "The recipient's server lacks a feature that the message needs.", _ADMINISTRATOR
    ),
    (3, 4): StatusCause("The message is larger than the recipient's server accepts.", _SMALLER),
    (3, 5): StatusCause("A mail server is not configured correctly.", _ADMINISTRATOR),
    (4, 0): StatusCause("The recipient's server could not be reached.", _LATER),
    (4, 1): StatusCause("The recipient's server could not be reached.", _LATER),
    (4, 2): StatusCause("The connection to the recipient's server broke.", _LATER),
    (4, 3): StatusCause(
        "The mail server of the recipient's domain could not be looked up.", _LATER
    ),
    (4, 4): StatusCause("The recipient's domain has no mail server.", _ADDRESS),
    (4, 5): StatusCause("The recipient's server is overloaded.", _LATER),
    (4, 6): StatusCause("The message went in a circle between mail servers.", _ADMINISTRATOR),
    (4, 7): StatusCause("The message could not be delivered in time.", _LATER),
    (5, 0): StatusCause("The two mail servers did not understand each other.", _ADMINISTRATOR),
    (5, 3): StatusCause("The message has more recipients than the server accepts.", _ADMINISTRATOR),
    (6, 0): StatusCause("The content of the message was refused.", _POLICY),
    (6, 1): StatusCause("The recipient's server does not accept content of this kind.", _PLAINER),
    (6, 3): StatusCause("The recipient's server does not accept content of this kind.", _PLAINER),
    (6, 7): StatusCause(
        "The recipient's server accepts only addresses with the letters a to z.",
        Remedy(
            "Use such addresses, for the recipient and for yourself.",
            Who.YOU,
            "Use addresses with the letters a to z, or send over servers that offer SMTPUTF8.",
        ),
    ),
    (6, 9): StatusCause(
        "The recipient's server accepts only the letters a to z in a header.", _PLAINER
    ),
    (7, 0): StatusCause("The recipient's server refused the message by its rules.", _POLICY),
    (7, 1): StatusCause("The recipient's server refused the message by its rules.", _POLICY),
    (7, 2): StatusCause("You may not send to this mailing list.", _RECIPIENT_SIDE),
    (7, 4): StatusCause(f"{_TLS}.", _ENCRYPT),
    (7, 5): StatusCause(f"{_TLS}.", _ENCRYPT),
    (7, 8): StatusCause("Your mail server could not log in at the next one.", _LOGIN),
    (7, 9): StatusCause("Your mail server could not log in at the next one.", _LOGIN),
    (7, 10): StatusCause(f"{_TLS}.", _ENCRYPT),
    (7, 11): StatusCause("Your mail server could not log in at the next one.", _LOGIN),
    (7, 13): StatusCause("The account is disabled.", _MAILBOX),
    (7, 17): StatusCause("The mailbox belongs to somebody else now.", _ADDRESS),
    (7, 18): StatusCause("The domain of the address belongs to somebody else now.", _ADDRESS),
    (7, 20): StatusCause(f"{_NO_PROOF} (DKIM).", _SENDER_PROOF),
    (7, 21): StatusCause(f"{_NO_PROOF} (DKIM).", _SENDER_PROOF),
    (7, 22): StatusCause(f"{_NO_PROOF} (DKIM).", _SENDER_PROOF),
    (7, 23): StatusCause(f"{_NO_PROOF} (SPF).", _SENDER_PROOF),
    (7, 24): StatusCause(f"{_NO_PROOF} (SPF).", _SENDER_PROOF),
    (7, 25): StatusCause("The address of your mail server has no valid name.", _SENDER_PROOF),
    (7, 26): StatusCause(f"{_NO_PROOF} (SPF, DKIM or DMARC).", _SENDER_PROOF),
    (7, 27): StatusCause(
        "The domain of your own address states that it takes no mail.", _OWN_ADDRESS
    ),
    (7, 28): StatusCause("Too many messages came from you or from your mail server.", _SLOWER),
    (7, 30): StatusCause(f"{_TLS}.", _ENCRYPT),
}


def cause_of(subject: int, detail: int) -> StatusCause:
    """Return what a status code means; for an unknown detail or subject, something more general."""
    known = (subject, detail), (subject, 0), (0, 0)
    return next(_CAUSES[pair] for pair in known if pair in _CAUSES)


def is_specific(subject: int, detail: int) -> bool:
    """Return whether a status code says more than that something was refused."""
    return (subject, detail) in _CAUSES and detail != 0 and (subject, detail) != (7, 1)

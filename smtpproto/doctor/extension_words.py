"""What the extensions that a server offers mean, in plain words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..grammar.ehlo_parameters import SessionLimits
from ..grammar.extension import Extensions
from ..grammar.printable import printable

__all__ = ["WORDS", "in_words", "octets_in_words"]

WORDS: Mapping[str, str] = {
    "PIPELINING": "several commands may be sent together, which saves time",
    "SIZE": "it tells how large a message may be",
    "8BITMIME": "content may have 8-bit characters",
    "CHUNKING": "content may be sent in chunks of known size (BDAT)",
    "BINARYMIME": "content may be binary",
    "SMTPUTF8": "addresses and header fields may have letters of any language",
    "ENHANCEDSTATUSCODES": "replies have codes such as 5.7.1, which say more",
    "STARTTLS": "the connection can be encrypted",
    "AUTH": "clients can log in",
    "DSN": "senders can ask for reports of delivery",
    "REQUIRETLS": "a message can demand TLS on all of its way",
    "DELIVERBY": "a message can ask to be delivered in a given time",
    "FUTURERELEASE": "a message can be held back until a given time",
    "MT-PRIORITY": "messages can have a priority",
    "RRVS": "a message can demand that the mailbox has had the same owner since a date",
    "NO-SOLICITING": "the server names the kinds of advertising that it refuses",
    "LIMITS": "it tells how many messages and recipients it takes",
    "ETRN": "a host can ask for the messages that are queued for it",
    "EXPN": "the members of a mailing list can be asked for",
    "HELP": "HELP is answered",
    "VRFY": "whether an address exists can be asked",
    "XCLIENT": "a proxy can name the client that it stands for (Postfix)",
    "XFORWARD": "a filter can name the client of a message (Postfix)",
}
"""What each extension means, by its keyword."""


def in_words(offered: Extensions) -> Iterator[str]:
    """Yield a line for each extension that is offered."""
    for line in offered.lines():
        keyword = line.partition(" ")[0]
        meaning = WORDS.get(keyword, "not an extension that this library knows")
        if keyword == "SIZE":
            meaning = _size(offered)
        elif keyword == "LIMITS":
            meaning = _limits(offered.limits) or meaning
        if keyword in offered.malformed:
            meaning = "its parameters cannot be read, so clients ignore it"
        yield f"{printable(line)}: {meaning}"


def _size(offered: Extensions) -> str:
    if offered.size is None:
        return "no limit on the size of a message is announced"
    return f"a message may have {octets_in_words(offered.size)}"


def _limits(limits: SessionLimits) -> str:
    """Return the limits in words, or "" if none is known."""
    known = (
        (limits.mail_max, "messages on a connection"),
        (limits.rcpt_max, "recipients of a message"),
        (limits.rcpt_domain_max, "domains of recipients on a connection"),
    )
    parts = [f"{number} {what}" for number, what in known if number is not None]
    return f"at most {', '.join(parts)}" if parts else ""


def octets_in_words(octets: int) -> str:
    """Return a size as people write it."""
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if octets >= size:
            return f"{octets / size:.1f} {unit}"
    return f"{octets} octets"

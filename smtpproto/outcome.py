"""The outcome of sending a message, for each recipient, and the errors that carry it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Self, TypeVar, cast, overload

from attrs import field, frozen

from .grammar.address import ForwardPath, Mailbox, canonical_of
from .grammar.envelope import Envelope
from .grammar.pattern import pattern
from .grammar.printable import printable
from .grammar.reply import Reply, SMTPError
from .option_types import checked

# Postfix "queued as 4F2A", Exim "id=1oX-..", Dovecot "<bob@b.test> xY0 Saved"; OpenSMTPD and
# Sendmail "2eab Message accepted for delivery".
_QUEUE_ID = pattern(
    r"(?:\bas|id=|queue-?id[ :=]+) *<?([\w.+-]{4,})|> ([\w.+/-]{4,}) Saved"
    r"|^(\w{4,}) Message accepted for delivery",
    re.IGNORECASE,
)
_NAMED = 3  # recipients and replies of each kind that the text of an outcome names
_SHOWN = 200  # characters of a reply in the text of an outcome

D = TypeVar("D")


class RecipientReplies(Mapping[ForwardPath, Reply]):
    """A reply for each of several recipients, which cannot be changed.

    Its keys are paths. It can be asked with a path, a mailbox or an address as a string, in any
    form that is equal to the path: domains in any case and with A-labels or U-labels, local-parts
    with or without needless quotes. Text that is not an address is never found.
    """

    __slots__ = ("_replies",)

    def __init__(self, replies: Mapping[ForwardPath, Reply] = {}) -> None:
        if type(replies) is RecipientReplies:
            replies = replies._replies  # not asked one by one
        self._replies: dict[ForwardPath, Reply] = dict(replies)

    def __or__(self, other: RecipientReplies) -> RecipientReplies:
        return RecipientReplies(self._replies | other._replies)

    def __getitem__(self, recipient: ForwardPath | Mailbox | str) -> Reply:
        if recipient not in self:
            raise KeyError(recipient)
        return self._replies[cast(ForwardPath, _key(recipient))]

    @overload
    def get(self, recipient: ForwardPath | Mailbox | str, /) -> Reply | None: ...
    @overload
    def get(self, recipient: ForwardPath | Mailbox | str, /, default: Reply) -> Reply: ...
    @overload
    def get(self, recipient: ForwardPath | Mailbox | str, /, default: D) -> Reply | D: ...
    def get(
        self, recipient: ForwardPath | Mailbox | str, /, default: D | None = None
    ) -> Reply | D | None:
        """Return the reply for *recipient*, or *default* if there is none."""
        try:
            return self[recipient]
        except KeyError:
            return default

    def __contains__(self, recipient: object) -> bool:
        return _key(recipient) in self._replies

    def __iter__(self) -> Iterator[ForwardPath]:
        return iter(self._replies)

    def __len__(self) -> int:
        return len(self._replies)

    def __repr__(self) -> str:
        return repr(self._replies)


def _key(recipient: object) -> object:
    """Return the key for *recipient*: equal addresses have one canonical text, and its hash."""
    return canonical_of(recipient) if isinstance(recipient, str) else recipient


@checked
@frozen(kw_only=True)
class Outcome:
    """The outcome of sending one message.

    Each recipient is in exactly one of *accepted*, *refused* and *unknown*. ``str()`` is a short
    summary on one line, however many recipients there are.
    """

    envelope: Envelope
    accepted: RecipientReplies = field(factory=RecipientReplies, converter=RecipientReplies)
    """The recipients for whom the server has accepted the message, each with the reply that
    accepted it. With LMTP each recipient has a reply of its own; otherwise all share one."""
    refused: RecipientReplies = field(factory=RecipientReplies, converter=RecipientReplies)
    """The refused recipients, each with the reply that refused it: the one to its RCPT, or the one
    to MAIL, to DATA or to the message, which refuses all of them."""
    unknown: RecipientReplies = field(factory=RecipientReplies, converter=RecipientReplies)
    """The recipients whose delivery cannot be determined, each with the reply to its RCPT. The
    connection was lost after the end of the message and before the reply: the server may have
    accepted the message, and to send it again may deliver it twice (RFC 5321 4.5.3.2.6)."""
    rcpt: RecipientReplies = field(factory=RecipientReplies, converter=RecipientReplies)
    """The replies to RCPT that arrived."""
    reply: Reply | None = None
    """The last reply to the message itself, or to MAIL or DATA if that refused; None if none
    arrived."""
    error: SMTPError | None = field(default=None, eq=False)
    """The error that ended the connection before all was known: why there are *unknown* recipients,
    or why a later transaction of the message was not sent. None if there was none."""
    counts_552_as_452: bool = field(default=True, eq=False, repr=False)
    """Whether :attr:`retry` has recipients refused with 552 while others were accepted: see
    :attr:`.Leniencies.recipient_552`."""

    @property
    def queue_ids(self) -> tuple[str, ...]:
        """The server's queue ids of the message, where the text of a reply shows one."""
        found = (_QUEUE_ID.search(reply.text) for reply in dict.fromkeys(self.accepted.values()))
        return tuple(dict.fromkeys(match[match.lastindex or 0] for match in found if match))

    @property
    def retry(self) -> tuple[ForwardPath, ...]:
        """The recipients to try again later.

        These are the ones refused with 4yz; the ones whose RCPT got 552 while the server accepted
        others, because old servers send 552 for 452 (RFC 5321 4.5.3.1.10); and the *unknown* ones,
        who may get the message twice.
        """
        too_many = self._refused_as_too_many()
        refused = (
            path for path, reply in self.refused.items() if reply.transient or path in too_many
        )
        return (*refused, *self.unknown)

    def _refused_as_too_many(self) -> set[ForwardPath]:
        """Return the recipients whose 552 to RCPT counts as 452."""
        any_accepted = any(reply.positive for reply in self.rcpt.values())
        if not (any_accepted and self.counts_552_as_452):
            return set()
        return {
            path
            for path, reply in self.rcpt.items()
            if reply.code == 552 and self.refused.get(path) == reply
        }

    def raise_unless_all_accepted(self) -> Self:
        """Return this outcome if the server has accepted the message for every recipient.

        Raises SendRefused if it refused any; else OutcomeUnknown if it is not known of any. Both
        have this outcome, since others may have got the message.
        """
        error: SMTPError
        if self.refused:
            error = SendRefused(next(iter(self.refused.values())), self)
        elif self.unknown:
            error = OutcomeUnknown(self)
        else:
            return self
        error.complete("transaction")
        raise error from self.error

    def __or__(self, other: Outcome) -> Outcome:
        """Return the joint outcome of one message that was sent in several transactions."""
        return Outcome(
            envelope=self.envelope,
            accepted=self.accepted | other.accepted,
            refused=self.refused | other.refused,
            unknown=self.unknown | other.unknown,
            rcpt=self.rcpt | other.rcpt,
            reply=other.reply or self.reply,
            error=self.error or other.error,
            counts_552_as_452=self.counts_552_as_452 and other.counts_552_as_452,
        )

    def __str__(self) -> str:
        why = "" if self.error is None else f" ({_shortened(_reason(self.error))})"
        unknown = [f"unknown: {_some_of(self.unknown)}{why}"] if self.unknown else []
        parts = [*_by_reply("accepted", self.accepted), *_by_reply("refused", self.refused)]
        return "; ".join([*parts, *unknown]) or "no recipients"


def _by_reply(kind: str, replies: Mapping[ForwardPath, Reply]) -> Iterator[str]:
    """Yield a text for each of the first few different replies, with its recipients, and one for
    the recipients of all others."""
    groups: dict[Reply, list[ForwardPath]] = {}
    for path, reply in replies.items():
        groups.setdefault(reply, []).append(path)
    for reply in [*groups][:_NAMED]:
        yield f"{kind}: {_some_of(groups.pop(reply))} ({_shortened(str(reply))})"
    if groups:
        yield f"{kind} otherwise: {_some_of([path for paths in groups.values() for path in paths])}"


def _some_of(recipients: Iterable[ForwardPath]) -> str:
    """Name the first few of *recipients*, and count the others."""
    names = [printable(str(path)) for path in recipients]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _reason(error: SMTPError) -> str:
    """Return what failed, and the reply that was read then."""
    return error.message if error.reply is None else f"{error.message}: {error.reply}"


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


# -- errors ----------------------------------------------------------------------------------------

CHECKS = (
    ("530", "whether the server requires TLS or a login first: set tls or login"),
    ("534", "what the reply says: the server may require another kind of login"),
    ("4", "what the reply says, and try again later"),
    ("5.1.", "the addresses of the sender and the recipients"),
    ("5.2.", "the recipient's mailbox, and the size of the message"),
    ("5.3.4", "the size of the message"),
    ("5.5.", "the commands and replies of the session: set trace to see them"),
    ("5.6.", "the content of the message"),
    ("5.7.", "what the reply says about login, TLS, addresses or content: the server's policy"),
    ("552", "the size of the message, and the recipient's mailbox"),
    ("553", "the addresses of the sender and the recipients"),
    ("5", "what the reply says, and the server's log"),
)
"""What to check after a refusal. The first row applies whose text begins the reply code or
the enhanced status code."""


class Refusal(SMTPError):
    """The peer refused with 4yz or 5yz. ``reply`` is never None here."""

    reply: Reply  # pyright: ignore[reportIncompatibleVariableOverride] - never None here

    def __init__(
        self, message: str, reply: Reply, *, phase: str = "", command: str = "", check: str = ""
    ) -> None:
        super().__init__(message, phase=phase, command=command, reply=reply, check=check)

    def _advice(self) -> str:
        codes = str(self.reply.code), str(self.reply.enhanced)
        return self.default_check or next(
            (check for start, check in CHECKS if any(code.startswith(start) for code in codes)), ""
        )


class SendRefused(Refusal):
    """The server refused the message for every recipient; or, if raised by
    :meth:`.Outcome.raise_unless_all_accepted`, for some. ``outcome`` has the reply for each."""

    outcome: Outcome

    def __init__(self, reply: Reply, outcome: Outcome, *, command: str = "") -> None:
        refused, others = outcome.refused, len(outcome.accepted) + len(outcome.unknown)
        whom = f"{len(refused)} of {len(refused) + others} recipients: {_some_of(refused)}"
        super().__init__(
            f"the server refused the message for {whom if others else 'all recipients'}",
            reply,
            command=command,
        )
        self.outcome = outcome


class OutcomeUnknown(SMTPError):
    """It cannot be determined whether the server accepted the message; ``outcome`` says for whom.

    Only :meth:`.Outcome.raise_unless_all_accepted` raises this, from the error that ended the
    connection. To send the message again may deliver it twice.
    """

    fault = "outcome-unknown"
    default_check = "whether the message arrived, before you send it again: they may get it twice"
    outcome: Outcome

    def __init__(self, outcome: Outcome) -> None:
        whom = _some_of(outcome.unknown)
        why = "" if outcome.error is None else f": {_reason(outcome.error)}"
        super().__init__(f"it is unknown whether the server accepted the message for {whom}{why}")
        self.outcome = outcome

"""Delivery reports made: when one is due, and the message that carries it (RFC 3461, RFC 3464)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from attrs import evolve, field, frozen
from attrs.validators import ge

from ..grammar.address import ForwardPath, Mailbox, ReversePath
from ..grammar.domain import Host, to_ascii_host
from ..grammar.dsn import Notify, Ret
from ..grammar.parameters import Body, MailParameters, RcptParameters
from ..grammar.printable import printable
from ..grammar.reply import Reply
from ..mail.encoded_words import decode_words, encode_text, fold
from ..mail.parts import read_header
from ..option_types import checked
from .queue import Attempt, Delivery, Message
from .report_mime import header_of, multipart_report, returned, status_part, text_part
from .report_status import make_status
from .report_text import Case, report_text
from .retry import RetrySchedule
from .settlement import Done, Fate, Later, Settlement
from .status import Action, DeliveryStatus, RecipientStatus, date_field
from .store import Queued

__all__ = ["ReportOptions", "Reporter"]

MAX_HEADER = 16 * 1024  # octets of a header that a report returns
_MAX_SUBJECT = 200  # characters of the subject of the message that a report repeats
_MAX_NAME = 60  # characters of the name of the sender of reports
_MAX_MESSAGE_ID = 250  # characters

_SUCCESSES = {
    Fate.DELIVERED: Action.DELIVERED,
    Fate.RELAYED: Action.RELAYED,
    Fate.EXPANDED: Action.EXPANDED,
}
_SUBJECTS = {  # by what matters most
    Action.FAILED: "Not delivered",
    Action.DELAYED: "Delayed",
    Action.RELAYED: "Passed on",
    Action.EXPANDED: "Forwarded",
    Action.DELIVERED: "Delivered",
}


def _check_name(_: object, attribute: object, name: str) -> None:
    if not re.fullmatch(r"[\w'+-]+( [\w'+-]+)*", name, re.ASCII) or len(name) > _MAX_NAME:
        raise ValueError(f"name must be at most {_MAX_NAME} octets of ASCII words, not {name!r}")


@checked
@frozen(kw_only=True)
class ReportOptions:
    """How the reports of a server look, and who gets them."""

    name: str = field(default="Mail Delivery System", validator=_check_name)
    """The name of the sender that a mail program shows: words of ASCII letters and digits."""
    returned: Ret = Ret.FULL
    """What a report of a failure returns if the sender did not say (RET)."""
    max_returned: int = field(default=64 * 1024, validator=ge(0))
    """The largest message, in octets, that is returned whole. Of others only the header is."""
    success_for_all: bool = False
    """Whether reports of success are also made for senders who did not log in. Then a forged
    sender can be sent reports for which they never asked."""


@checked
@frozen(kw_only=True)
class Reporter(ReportOptions):
    """Makes the reports of one server: ``Reporter(hostname="mx.example.org")``.

    It makes one report for all recipients of a message that are settled at the same time and to
    whose sender a report is due. None is due for a message from ``<>``, nor for a recipient with
    NOTIFY=NEVER.
    """

    hostname: Host = field(converter=to_ascii_host)
    """The name of this server."""
    postmaster: Mailbox | None = None
    """Who answers questions about a report. None is ``postmaster`` at *hostname*."""
    schedule: RetrySchedule = field(factory=RetrySchedule)
    """Says how long the report itself is tried."""

    # what is due

    def action(self, message: Message, settlement: Settlement) -> Action | None:
        """Return what the sender of *message* must be told of *settlement*; None for nothing."""
        if message.sender.mailbox is None:
            return None
        notify = settlement.delivery.parameters.notify
        if notify is not None and Notify.NEVER in notify:
            return None
        match settlement.decision:
            case Later(warned=True):
                return Action.DELAYED if _asked(notify, Notify.DELAY) else None
            case Done(fate=Fate.FAILED | Fate.EXPIRED):
                return Action.FAILED if _asked(notify, Notify.FAILURE) else None
            case Done(fate=Fate.DELIVERED | Fate.RELAYED | Fate.EXPANDED as fate):
                return _SUCCESSES[fate] if self._reports_success(message, settlement) else None
        return None

    def _reports_success(self, message: Message, settlement: Settlement) -> bool:
        if not (message.authenticated or self.success_for_all):
            return False
        wanted = Notify.SUCCESS in (settlement.delivery.parameters.notify or ())
        if settlement.decision != Done(Fate.RELAYED):
            return wanted
        attempt, by = settlement.attempt, message.parameters.by
        has_dsn, has_by = (attempt.dsn, attempt.deliver_by) if attempt else (False, False)
        if by is not None and (by.trace or not has_by):  # RFC 2852 4.1.4.2
            return True
        return wanted and not has_dsn  # RFC 3461 5.2.2

    def octets_needed(self, message: Message, settlements: Sequence[Settlement]) -> int:
        """Return how many octets of the content :meth:`report` needs; 0 if no report is due."""
        actions = {self.action(message, settlement) for settlement in settlements} - {None}
        if not actions:
            return 0
        return message.size if self._returns_whole(message, actions) else MAX_HEADER

    def _returns_whole(self, message: Message, actions: set[Action | None]) -> bool:
        parameters = message.parameters
        return (
            Action.FAILED in actions
            and (parameters.ret or self.returned) is Ret.FULL
            and not parameters.requiretls  # RFC 8689 5
            and message.size <= self.max_returned
        )

    # what is said

    def report(
        self,
        message: Message,
        settlements: Sequence[Settlement],
        content: bytes,
        *,
        now: float,
        report_id: str,
    ) -> Queued | None:
        """Return the report on *settlements* of *message*, for the queue; None if none is due.

        *content* is the content of *message*, or at least as much from its start as
        :meth:`octets_needed` says. *report_id* is the id of the report (:func:`.make_id`).
        """
        due = [_as_sent(it) for it in settlements if self.action(message, it) is not None]
        if not due:
            return None
        sender = ForwardPath(message.sender.mailbox)
        octets = self.octets(message, due, content, now=now, report_id=report_id)
        parameters = MailParameters(
            smtputf8=not sender.isascii,
            body=None if octets.isascii() else Body.EIGHT_BIT_MIME,
            requiretls=message.parameters.requiretls,  # RFC 8689 5
            mt_priority=message.parameters.mt_priority,  # RFC 6710 4.6
        )
        never = RcptParameters(notify={Notify.NEVER})  # RFC 3461 6.1
        return Queued(
            message=Message(
                id=report_id,
                sender=ReversePath(None),
                parameters=parameters,
                size=len(octets),
                arrived=now,
                expires=self.schedule.expires(ReversePath(None), parameters, now),
            ),
            deliveries=(
                Delivery(message=report_id, number=0, recipient=sender, parameters=never, due=now),
            ),
            content=octets,
            about=message.id,
        )

    def octets(
        self,
        message: Message,
        due: Sequence[Settlement],
        content: bytes,
        *,
        now: float,
        report_id: str,
    ) -> bytes:
        """Return the content of the report on all settlements of *due*."""
        utf8 = not message.sender.isascii
        status = self.status(message, due, content)
        actions = {recipient.action for recipient in status.recipients}
        whole = self._returns_whole(message, {*actions}) and len(content) >= message.size
        complete = content + b"\r\n" if len(content) >= message.size else content
        header = header_of(complete, MAX_HEADER)
        cases = [_case(it, one) for it, one in zip(due, status.recipients, strict=True)]
        fields = read_header(header)
        text = report_text(
            message, cases, host=str(self.hostname), subject=_decoded(_shown(fields, "subject")),
            postmaster=str(self._postmaster),
        )  # fmt: skip
        parts = [
            text_part(text, utf8=utf8),
            status_part(status.write(utf8=utf8)),
            returned(content if whole else header, whole=whole, utf8=utf8),
        ]
        subject = next(text for action, text in _SUBJECTS.items() if action in actions)
        return multipart_report(
            self._header(message, fields, subject, now, report_id), parts, report_id
        )

    def _header(
        self, message: Message, fields: Mapping[str, str], subject: str, now: float, report_id: str
    ) -> list[str]:
        """Return the header fields of the report. *fields* are those of the message."""
        about = _shown(fields, "subject")
        if 0 < len(about) <= _MAX_SUBJECT:
            subject += f": {encode_text(about)}"
        written = [
            f"From: {self.name} <{self._postmaster}>",
            f"To: <{message.sender}>",
            f"Subject: {subject}",
            f"Date: {date_field(now)}",
            f"Message-ID: <{report_id}@{self.hostname}>",
            "Auto-Submitted: auto-replied",  # RFC 3834 5.2
        ]
        about = _shown(fields, "message-id")
        if 0 < len(about) <= _MAX_MESSAGE_ID and about.isascii():
            written += [f"In-Reply-To: {about}", f"References: {about}"]  # RFC 3834 3.1.5
        return [fold(line) for line in written]

    @property
    def _postmaster(self) -> Mailbox:
        return self.postmaster or Mailbox("postmaster", self.hostname)

    def status(
        self, message: Message, due: Sequence[Settlement], content: bytes = b""
    ) -> DeliveryStatus:
        """Return what the report on *due* says to programs. *content* is for its Received field."""
        actions = [self._action(message, settlement) for settlement in due]
        pairs = list(zip(due, actions, strict=True))
        return make_status(message, pairs, hostname=self.hostname, content=content)

    def _action(self, message: Message, settlement: Settlement) -> Action:
        if (action := self.action(message, settlement)) is None:
            who = settlement.delivery.recipient
            raise ValueError(f"no report is due for {who}; pass only those with one")
        return action


def _as_sent(settlement: Settlement) -> Settlement:
    """Return *settlement* about the address to which the client has sent the message (RFC 3464
    2.3.2). The one to which an alias has led, and its host, concern nobody else (4.2), so what a
    host says of it is said of the other."""
    delivery, last = settlement.delivery, settlement.last
    if not delivery.via:
        return settlement
    given = delivery.via[0]
    if last is not None:
        hidden = _hiding(delivery, given, last)
        reply = last.reply
        if reply is not None:
            reply = Reply(reply.code, reply.enhanced, hidden(reply.text))
        last = evolve(last, reply=reply, error=hidden(last.error), host="", address="")
    return evolve(settlement, delivery=evolve(delivery, recipient=given, via=()), attempt=last)


def _hiding(delivery: Delivery, given: ForwardPath, last: Attempt) -> Callable[[str], str]:
    """Return a function that puts *given* in the place of the recipient of *delivery*, and, if that
    is in another domain, of its parts and its host."""
    target = delivery.recipient
    names = [str(target)]
    if target.domain != given.domain:
        names += [last.host, last.address, delivery.domain, target.local_part]
    either = "|".join(re.escape(name) for name in names if name)
    found = re.compile(rf"(?<!\w)(?:{either})(?!\w)", re.IGNORECASE)
    return lambda text: found.sub(lambda _: str(given), text)


def _asked(notify: frozenset[Notify] | None, condition: Notify) -> bool:
    """Return whether *condition* is reported: by default, failures and delays are."""
    return notify is None or condition in notify


def _case(settlement: Settlement, status: RecipientStatus) -> Case:
    decision = settlement.decision
    return Case(
        status=status,
        address=str(settlement.delivery.recipient),
        fate=decision.fate if isinstance(decision, Done) else None,
        attempt=settlement.last,
    )


def _shown(fields: Mapping[str, str], name: str) -> str:
    """Return the body of a field as a report repeats it, on one line."""
    return printable(" ".join(fields.get(name, "").split()))


def _decoded(text: str) -> str:
    """Return *text* with its encoded words decoded (RFC 2047), cut to a readable length."""
    return decode_words(text[: 5 * _MAX_SUBJECT])[:_MAX_SUBJECT]

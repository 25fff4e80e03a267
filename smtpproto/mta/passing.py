"""Which parameters of a message a relay passes on to the next server, and which it cannot do
without."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from attrs import evolve, frozen

from ..errors import GrammarError, NotOffered
from ..grammar.address import ForwardPath, ReversePath
from ..grammar.command import NO_RCPT_PARAMETERS
from ..grammar.dsn import OriginalRecipient
from ..grammar.envelope import Envelope
from ..grammar.extension import Extensions
from ..grammar.parameters import Body, MailParameters, RcptParameters
from ..grammar.scheduling import MAX_SECONDS, ByMode, DeliverBy, NoSupport
from .queue import Delivery, Message

__all__ = ["Passing", "pass_on"]


@frozen(kw_only=True)
class Passing:
    """What to send to a server, and for whom that is impossible."""

    envelope: Envelope | None
    """For those recipients to whom the server can take the message now; None if there are none.
    With LIMITS it may have fewer than there are: send the message again to the others."""
    impossible: Mapping[ForwardPath, NotOffered]
    """Why the server cannot take the message for the other recipients."""
    elsewhere: bool = True
    """Whether another server of the domain may do better. For BY, none is asked (RFC 2852 7)."""


def pass_on(  # noqa: PLR0913 - what is known of a connection
    message: Message,
    deliveries: Iterable[Delivery],
    offered: Extensions,
    now: float,
    *,
    verified: bool,
    logged_in: bool = False,
) -> Passing:
    """Return what to send to a server that offers *offered*.

    *verified* says whether TLS has verified the server, *logged_in* whether this side logged in:
    then AUTH=<> says that nothing is known of the sender, because this server trusts no client to
    assert another (RFC 4954 5). BODY=8BITMIME and what only the content
    shows are left to the client's plan. Parameters that the server does not offer, and the message
    can do without, are dropped. A report keeps REQUIRETLS only if the server can honour it (RFC
    8689 5). Raises NotOffered if the server cannot take the message for any recipient.
    """
    every = tuple(deliveries)
    if (late := _too_late(message, offered, now)) is not None:
        paths = [each.recipient for each in every]
        return Passing(envelope=None, impossible=dict.fromkeys(paths, late), elsewhere=False)
    if offered.size is not None and message.size > offered.size:
        text = f"the message has {message.size} octets; the server accepts at most {offered.size}"
        raise NotOffered(text, status="5.3.4")
    impossible = {
        each.recipient: error
        for each in every
        if (error := _reason_impossible(each, offered)) is not None
    }
    others = [each for each in every if each.recipient not in impossible]
    possible = _of_few_domains(others, offered.limits.rcpt_domain_max)
    mail = _of_mail(message, offered, now, verified=verified)
    if logged_in and "AUTH" in offered:
        mail = evolve(mail, auth=ReversePath(None))
    envelope = _envelope(message, possible, mail, offered) if possible else None
    return Passing(envelope=envelope, impossible=impossible)


def _envelope(
    message: Message, deliveries: Sequence[Delivery], mail: MailParameters, offered: Extensions
) -> Envelope:
    parameters = {each.recipient: _of_rcpt(each, offered) for each in deliveries}
    given = {path: its for path, its in parameters.items() if its.given}
    return Envelope(message.sender, list(parameters), mail, given)


def _original(delivery: Delivery) -> OriginalRecipient | None:
    """Return the address to which the client has sent the message, if aliases have replaced it: so
    a report from another host can name it (RFC 3461 5.2.1)."""
    for path in delivery.via[:1]:
        with suppress(GrammarError):  # it is optional, and may be too long
            original = OriginalRecipient.of(path)
            return original if original.isascii else None
    return None


def _of_few_domains(deliveries: Sequence[Delivery], most: int | None) -> Sequence[Delivery]:
    """Return those of *deliveries* that have the first *most* domains (RFC 9422)."""
    if most is None:
        return deliveries
    domains = [*dict.fromkeys(each.domain for each in deliveries)][: max(most, 1)]
    return [each for each in deliveries if each.domain in domains]


def _of_mail(
    message: Message, offered: Extensions, now: float, *, verified: bool
) -> MailParameters:
    received = message.parameters
    dsn = "DSN" in offered
    requiretls = received.requiretls
    if message.sender.mailbox is None and not ("REQUIRETLS" in offered and verified):
        requiretls = False
    return MailParameters(
        size=message.size if "SIZE" in offered else None,
        body=received.body if received.body is Body.BINARY_MIME else None,
        smtputf8=received.smtputf8 and "SMTPUTF8" in offered,
        ret=received.ret if dsn else None,
        envid=received.envid if dsn else None,
        requiretls=requiretls,
        by=_remaining(message, now) if "DELIVERBY" in offered else None,
        mt_priority=received.mt_priority if "MT-PRIORITY" in offered else None,
        solicit=received.solicit if "NO-SOLICITING" in offered else None,
    )


def _remaining(message: Message, now: float) -> DeliverBy | None:
    """Return BY with the time that is left (RFC 2852 4.1.4)."""
    by = message.parameters.by
    if by is None:
        return None
    seconds = by.seconds - round(max(now - message.arrived, 0))
    if by.mode is ByMode.RETURN:
        return evolve(by, seconds=max(seconds, 1))
    return evolve(by, seconds=max(seconds, -MAX_SECONDS))


def _too_late(message: Message, offered: Extensions, now: float) -> NotOffered | None:
    """Return why a message with ``BY=...;R`` must not go to this server (RFC 2852 4.1.4.1)."""
    by = message.parameters.by
    if by is None or by.mode is ByMode.NOTIFY:
        return None
    if "DELIVERBY" not in offered:
        text = "the server does not offer DELIVERBY, which the message needs"
        return NotOffered(text, status="5.3.3", phase="plan")
    seconds = by.seconds - round(max(now - message.arrived, 0))
    if seconds >= max(offered.deliver_by_min or 0, 1):
        return None
    text = f"the server cannot promise to deliver within {seconds} seconds"
    return NotOffered(text, status="5.4.7", phase="plan")


def _reason_impossible(delivery: Delivery, offered: Extensions) -> NotOffered | None:
    """Return why the server cannot take any message for this recipient."""
    rrvs, orcpt = delivery.parameters.rrvs, delivery.parameters.orcpt
    if rrvs is not None and "RRVS" not in offered and rrvs.action is not NoSupport.CONTINUE:
        text = "the server does not offer RRVS, which the recipient needs"
        return NotOffered(text, status="5.7.19", phase="plan")  # RFC 7293 5.1.1
    utf8 = not delivery.recipient.isascii or ("DSN" in offered and orcpt and not orcpt.isascii)
    if utf8 and "SMTPUTF8" not in offered:
        text = "an address that is not ASCII needs SMTPUTF8"
        return NotOffered(text, status="5.6.7", phase="plan")
    return None


def _of_rcpt(delivery: Delivery, offered: Extensions) -> RcptParameters:
    received = delivery.parameters
    if not (received.given or delivery.via):
        return NO_RCPT_PARAMETERS
    dsn = "DSN" in offered
    return RcptParameters(
        notify=received.notify if dsn else None,
        orcpt=received.orcpt or _original(delivery) if dsn else None,
        rrvs=received.rrvs if "RRVS" in offered else None,
    )

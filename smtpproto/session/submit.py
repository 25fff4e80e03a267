"""One mail transaction as a client (RFC 5321 3.3): MAIL, RCPT, DATA, content."""

from __future__ import annotations

import contextlib

from ..errors import (
    NotOffered,
    RemoteProtocolError,
    SendRefused,
    TransportError,
)
from ..grammar.address import ForwardPath
from ..grammar.command import Data, Mail, Rcpt, Rset
from ..grammar.extension import Extensions
from ..grammar.parameters import Body, MailParameters
from ..grammar.reply import Reply
from ..mail.content import Content
from ..mail.envelope import Envelope
from ..protocol.events import Sent
from ..protocol.phases import Phase
from .link import Link
from .outcome import Outcome

Replies = dict[ForwardPath, Reply]

# What is said after a refusal only keeps both sides in step: if it fails, the refusal stands.
_what_is_known_holds = contextlib.suppress(TransportError, RemoteProtocolError)


async def submit(link: Link, envelope: Envelope, content: Content) -> Outcome:
    """Send one message. Raises SendRefused if it was accepted for nobody, NotOffered if it cannot
    be sent to this server, TransportError if the link died before the final dot."""
    mail = Mail(envelope.sender, parameters_for(envelope, content, link.machine.extensions))
    outcome, decided_by = await _transaction(link, mail, envelope, content)
    if link.machine.phase in (Phase.MAIL, Phase.RCPT):
        with _what_is_known_holds:
            await link.ask(Rset())
    if not outcome.accepted and not outcome.unknown:
        reply = outcome.reply or next(iter(outcome.refused.values()))
        raise SendRefused(reply, outcome, command=decided_by)
    return outcome


def parameters_for(envelope: Envelope, content: Content, offered: Extensions) -> MailParameters:
    """What MAIL has to say for this message. Raises NotOffered if the server cannot take it."""
    utf8 = not envelope.isascii or content.utf8_header
    if utf8 and "SMTPUTF8" not in offered:
        raise NotOffered("an address or header field that is not ASCII needs SMTPUTF8")
    if content.eight_bit and "8BITMIME" not in offered:
        raise NotOffered("content with octets above 127 needs 8BITMIME")
    if content.size is not None and offered.size is not None and content.size > offered.size:
        raise NotOffered(f"{content.size} octets; the server takes at most {offered.size}")
    eight_bit = content.eight_bit is not False and "8BITMIME" in offered
    return MailParameters(
        size=content.size if "SIZE" in offered else None,
        body=Body.EIGHT_BIT_MIME if eight_bit else None,
        smtputf8=utf8,
    )


async def _transaction(
    link: Link, mail: Mail, envelope: Envelope, content: Content
) -> tuple[Outcome, str]:
    """The outcome, and what decided it if it is a refusal.

    With PIPELINING the commands leave together and their replies are read after; without, each
    command waits for the reply before it. The same lines do both.
    """
    sender = await link.say(mail)
    rcpts: dict[ForwardPath, Sent] = {}
    for path in dict.fromkeys(envelope.recipients):
        if (sent := await link.say_if_allowed(Rcpt(path))) is None:
            break
        rcpts[path] = sent
    data = await link.say_if_allowed(Data())

    reply = await link.reply_to(sender)
    if reply.permanent:
        with _what_is_known_holds:
            for sent in rcpts.values():
                await link.reply_to(sent)
            await _data_in_vain(link, data)
        return _refused(envelope, dict.fromkeys(envelope.recipients, reply), reply), "MAIL"
    replies = {path: await link.reply_to(sent) for path, sent in rcpts.items()}
    if link.closing is not None:
        definite = {path: reply for path, reply in replies.items() if reply.permanent}
        everyone = dict.fromkeys(envelope.recipients, link.closing) | definite
        return _refused(envelope, everyone, link.closing), "MAIL" if reply.code == 421 else "RCPT"
    if not reply.positive:
        await _data_in_vain(link, data)
        return _refused(envelope, dict.fromkeys(envelope.recipients, reply), reply), "MAIL"
    accepted = {path: reply for path, reply in replies.items() if reply.positive}
    refused = {path: reply for path, reply in replies.items() if not reply.positive}
    if not accepted or data is None:
        with _what_is_known_holds:
            await _data_in_vain(link, data)
        return _refused(envelope, refused), "RCPT"
    reply = await link.reply_to(data)
    if not reply.positive:
        return _refused(envelope, refused | dict.fromkeys(accepted, reply), reply), "DATA"
    return await _content(link, content, envelope, accepted, refused), "end of data"


async def _data_in_vain(link: Link, data: Sent | None) -> None:
    """Read the reply to a DATA that left before it was known to be in vain; if it is 354, the
    server waits for a dot (RFC 2920 3.1)."""
    if data is not None and (await link.reply_to(data)).positive:
        await link.end_body()


async def _content(
    link: Link, content: Content, envelope: Envelope, accepted: Replies, refused: Replies
) -> Outcome:
    size = 0
    async with contextlib.aclosing(content.slices()) as parts:
        async for part in parts:
            size += len(part)
            link.machine.send_body(part)
            await link.flush()
    link.show("C", f"[{size} octets of content]")
    try:
        reply = await link.end_body()
    except (TransportError, RemoteProtocolError):
        return Outcome(envelope=envelope, refused=refused, unknown=accepted)
    if not reply.positive:
        return _refused(envelope, refused | dict.fromkeys(accepted, reply), reply)
    return Outcome(envelope=envelope, accepted=accepted, refused=refused, reply=reply)


def _refused(envelope: Envelope, refused: Replies, reply: Reply | None = None) -> Outcome:
    return Outcome(envelope=envelope, refused=refused, reply=reply)

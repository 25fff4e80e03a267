"""What will be sent for a message to a server that offers what it does: known before it is sent."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence

from attrs import evolve, field, frozen

from ..errors import GrammarError, NotOffered, error_context
from ..grammar.address import ForwardPath
from ..grammar.ascii_case import lower
from ..grammar.command import Command, Data, Mail, Rcpt
from ..grammar.dsn import OriginalRecipient
from ..grammar.envelope import Envelope
from ..grammar.extension import Extensions
from ..grammar.extension_command import Bdat
from ..grammar.offer_rules import not_offered_reason
from ..grammar.parameters import Body, MailParameters, RcptParameters
from .preparation import Content, Source, prepare

CHUNK = 256 * 1024
"""Octets of a BDAT: a server's refusal is read after each, so not too large (RFC 3030 2)."""


_ANOTHER = "fewer at once, or a new connection for the rest"


@frozen
class PlannedTransaction:
    """MAIL and RCPTs, as they will be sent."""

    mail: Mail
    rcpts: tuple[Rcpt, ...]


@frozen(kw_only=True)
class Plan:
    """How a message will be sent. ``str()`` shows it as the lines a client will say."""

    envelope: Envelope
    content: Content = field(repr=False)
    transactions: tuple[PlannedTransaction, ...]
    """More than one where the server limits the recipients of each (RFC 9422)."""
    chunked: bool
    """Whether the content goes by BDAT (RFC 3030), not DATA."""

    def commands(self) -> Iterator[Command]:
        """All commands, if the server accepts everything; where the size is not known, without the
        BDATs."""
        for transaction in self.transactions:
            yield transaction.mail
            yield from transaction.rcpts
            yield from _chunks(self.content.size) if self.chunked else [Data()]

    def __str__(self) -> str:
        size = "?" if self.content.size is None else self.content.size
        return "\n".join([*map(str, self.commands()), f"[{size} octets of content]"])


@error_context("plan")
def plan(
    message: Source,
    envelope: Envelope | None,
    offered: Extensions,
    *,
    sent: Iterable[PlannedTransaction] = (),
    long_lines: bool = False,
) -> Plan:
    """Say how *message* will be sent to a server that offers *offered*, over a connection on which
    *sent* went before. Nothing is sent; a file is read to know its size. *long_lines* allows lines
    of more than 998 characters.

    BDAT is used where BINARYMIME asks for it, and where it helps: for content of unknown size or
    of more than one chunk, which can be refused before its end, and where DATA would cost a round
    trip for want of PIPELINING. SMTPUTF8 is asked for only if something is not ASCII.

    Raises NotOffered, which says why it cannot be sent, and GrammarError if there is no envelope.
    """
    eight_bit = "8BITMIME" in offered
    content, envelope = prepare(message, envelope, eight_bit=eight_bit, long_lines=long_lines)
    mail = Mail(envelope.sender, _mail_parameters(envelope, content, offered))
    rcpts = [
        Rcpt(path, _rcpt_parameters(path, envelope, offered))
        for path in dict.fromkeys(envelope.recipients)
    ]
    if mail.parameters.smtputf8:
        content = evolve(content, utf8_header=True)
    transactions = _split(mail, rcpts, list(sent), offered)
    if len(transactions) > 1 and content.once:
        text = f"{len(transactions)} transactions; the content can be read only once"
        raise NotOffered(text, check="content that can be read again, as octets or a file can")
    return Plan(
        envelope=envelope,
        content=content,
        transactions=transactions,
        chunked=_chunked(content, offered),
    )


def _mail_parameters(envelope: Envelope, content: Content, offered: Extensions) -> MailParameters:
    utf8 = not envelope.isascii or content.utf8_header
    if utf8 and "SMTPUTF8" not in offered:
        raise NotOffered("an address or header field that is not ASCII needs SMTPUTF8")
    if content.binary and not {"BINARYMIME", "CHUNKING"} <= set(offered):
        raise NotOffered("binary content needs BINARYMIME and CHUNKING")
    if content.eight_bit and not content.binary and "8BITMIME" not in offered:
        raise NotOffered("content with octets above 127 needs 8BITMIME")
    if content.size is not None and offered.size is not None and content.size > offered.size:
        text = f"{content.size} octets; the server takes at most {offered.size}"
        raise NotOffered(text, check="the size of the message")
    asked = envelope.parameters
    parameters = evolve(
        asked,
        size=asked.size if content.size is None or "SIZE" not in offered else content.size,
        body=_body(content, offered),
        smtputf8=asked.smtputf8 or utf8,
    )
    _check(parameters, offered)
    if envelope.sender.mailbox is None and (parameters.hold_for or parameters.hold_until):
        text = "notifications are not held (RFC 4865 5.1)"
        raise NotOffered(text, check="the envelope: hold_for or hold_until, and no sender")
    return parameters


def _body(content: Content, offered: Extensions) -> Body | None:
    if content.binary:
        return Body.BINARY_MIME
    eight_bit = content.eight_bit is not False and "8BITMIME" in offered
    return Body.EIGHT_BIT_MIME if eight_bit else None


def _rcpt_parameters(path: ForwardPath, envelope: Envelope, offered: Extensions) -> RcptParameters:
    """Those asked for; with NOTIFY, ORCPT too says whom it is about (RFC 3461 4.2)."""
    parameters = envelope.parameters_of(path)
    if parameters.notify and parameters.orcpt is None and path.mailbox is not None:
        with contextlib.suppress(GrammarError):  # no room for it: it is no duty
            parameters = evolve(parameters, orcpt=OriginalRecipient.of(path))
    _check(parameters, offered)
    return parameters


def _check(parameters: MailParameters | RcptParameters, offered: Extensions) -> None:
    if (reason := not_offered_reason(parameters, offered)) is not None:
        raise NotOffered(reason)


def _split(
    mail: Mail, rcpts: Sequence[Rcpt], sent: Sequence[PlannedTransaction], offered: Extensions
) -> tuple[PlannedTransaction, ...]:
    """As many transactions as the server's limits ask for (RFC 9422)."""
    limits = offered.limits
    each = limits.rcpt_max or len(rcpts)
    parts = [tuple(rcpts[at : at + each]) for at in range(0, len(rcpts), each)]
    planned = tuple(PlannedTransaction(mail, part) for part in parts)
    count = len(sent) + len(planned)
    if limits.mail_max is not None and count > limits.mail_max:
        text = f"{count} transactions; the server takes {limits.mail_max} a connection"
        raise NotOffered(text, check=_ANOTHER)
    if (most := limits.rcpt_domain_max) is not None:
        domains = len(_domains([*sent, *planned]))
        if domains > most:
            text = f"recipients in {domains} domains; a connection may have {most}"
            raise NotOffered(text, check=_ANOTHER)
    return planned


def _domains(transactions: Iterable[PlannedTransaction]) -> set[str]:
    paths = [rcpt.path for transaction in transactions for rcpt in transaction.rcpts]
    return {lower(str(path.domain)) for path in paths if path.domain is not None}


def _chunked(content: Content, offered: Extensions) -> bool:
    if "CHUNKING" not in offered:
        return False
    large = content.size is None or content.size > CHUNK
    return content.binary or large or "PIPELINING" not in offered


def _chunks(size: int | None) -> list[Bdat]:
    if size is None:
        return []
    whole = (size - 1) // CHUNK if size else 0
    return [*[Bdat(CHUNK)] * whole, Bdat(size - whole * CHUNK, last=True)]

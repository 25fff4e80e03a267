"""The plan of a message: the commands that a client will send to a server with a given offer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from attrs import evolve, field, frozen

from ..errors import NotOffered, SMTPError
from ..grammar.ascii_case import lower
from ..grammar.command import Command, Data, Mail, Rcpt
from ..grammar.ehlo_parameters import SessionLimits
from ..grammar.envelope import Envelope
from ..grammar.extension import Extensions
from ..grammar.extension_command import Bdat
from ..grammar.offer_rules import not_offered_reason
from ..grammar.parameters import Body, MailParameters, RcptParameters
from ..option_types import maker, require_type
from .preparation import Content, Source, prepare

BDAT_SIZE = 256 * 1024
"""Octets of one BDAT. It is not larger because a refusal is read only after it (RFC 3030 2)."""

_CHECK_LIMITS = "fewer recipients at once, or a new connection for the rest"


class PlannedTransaction(NamedTuple):
    """The MAIL and RCPT commands of one transaction."""

    mail: Mail
    rcpts: tuple[Rcpt, ...]


@frozen(kw_only=True)
class Plan:
    """How a message will be sent. ``str()`` shows the lines that the client will send."""

    envelope: Envelope
    content: Content = field(repr=False)
    transactions: tuple[PlannedTransaction, ...]
    """More than one if the server limits the recipients of a transaction (RFC 9422)."""
    chunked: bool
    """Whether the content is sent with BDAT (RFC 3030) instead of DATA."""

    def commands(self) -> Iterator[Command]:
        """Yield all commands for a server that accepts everything. If the size of the content is
        unknown, BDAT commands are left out."""
        for transaction in self.transactions:
            yield transaction.mail
            yield from transaction.rcpts
            yield from _chunks(self.content.size) if self.chunked else [Data()]

    def __str__(self) -> str:
        size = "?" if self.content.size is None else self.content.size
        return "\n".join([*map(str, self.commands()), f"[{size} octets of content]"])


def plan(
    message: Source,
    envelope: Envelope | None,
    offered: Extensions,
    *,
    sent: Sequence[PlannedTransaction] = (),
    long_lines: bool = False,
) -> Plan:
    """Return how *message* will be sent to a server that offers *offered*, over a connection that
    has already carried *sent*. This sends nothing; it reads a file to find its size. *long_lines*
    allows lines of more than 998 octets.

    The plan uses BDAT for BINARYMIME, for content of unknown size or of more than one chunk, which
    the server can then refuse before its end, and without PIPELINING, where DATA would cost a round
    trip. It uses SMTPUTF8 only if an address or the header is not ASCII.

    Raises NotOffered with the reason if *message* cannot be sent, and GrammarError if there is no
    envelope.
    """
    if type(offered) is not Extensions:
        require_type("offered", offered, Extensions, 'Extensions({"SIZE": ""})')
    try:
        content, envelope = prepare(
            message,
            envelope,
            eight_bit="8BITMIME" in offered.keywords,
            utf8_offered="SMTPUTF8" in offered.keywords,
            long_lines=long_lines,
        )
        mail = _mail(envelope, content, offered)
        if envelope.rcpt_parameters:
            for rcpt in envelope.rcpts:
                _require_offered(rcpt.parameters, offered)
        if mail.parameters.smtputf8 and not content.utf8_header:
            content = evolve(content, utf8_header=True)
        transactions = _split(mail, envelope.rcpts, sent, offered.limits)
        if len(transactions) > 1 and content.once:
            text = f"{len(transactions)} transactions, but the content can be read only once"
            raise NotOffered(
                text, check="the content: pass octets or a file, which can be read again"
            )
        return Plan(
            envelope=envelope,
            content=content,
            transactions=transactions,
            chunked=_chunked(content, offered),
        )
    except SMTPError as error:
        error.complete("plan")
        raise


def _mail(envelope: Envelope, content: Content, offered: Extensions) -> Mail:
    """Return the MAIL of *envelope*, with the SIZE, BODY and SMTPUTF8 that *content* asks for.

    Raises NotOffered.
    """
    utf8 = not envelope.isascii or content.utf8_header
    if utf8 and "SMTPUTF8" not in offered.keywords:
        status = "5.6.9" if envelope.isascii else "5.6.7"
        text = "an address or header field that is not ASCII needs SMTPUTF8"
        raise NotOffered(text, status=status)
    if content.binary and not {"BINARYMIME", "CHUNKING"} <= set(offered):
        raise NotOffered("binary content needs BINARYMIME and CHUNKING", status="5.6.3")
    if content.eight_bit and not content.binary and "8BITMIME" not in offered.keywords:
        raise NotOffered("content with octets above 127 needs 8BITMIME", status="5.6.3")
    if content.size is not None and offered.size is not None and content.size > offered.size:
        text = f"the message has {content.size} octets; the server accepts at most {offered.size}"
        raise NotOffered(text, status="5.3.4", check="the size of the message")
    requested = envelope.parameters
    size = (
        requested.size if content.size is None or "SIZE" not in offered.keywords else content.size
    )
    body, utf8 = _body(content, offered), requested.smtputf8 or utf8
    if not requested.given:
        if size is None and body is None and not utf8:
            return envelope.mail
        return _make_mail(envelope.sender, _make_parameters(size, body, utf8))
    parameters = evolve(requested, size=size, body=body, smtputf8=utf8)
    _require_offered(parameters, offered)
    if envelope.sender.mailbox is None and (parameters.hold_for or parameters.hold_until):
        text = "a message without a sender must not be held (RFC 4865 5.1)"
        raise NotOffered(text, check="the envelope: set a sender, or drop hold_for and hold_until")
    return Mail(envelope.sender, parameters)


_make_mail = maker(Mail, "path", "parameters")
_make_parameters = maker(MailParameters, "size", "body", "smtputf8")


def _body(content: Content, offered: Extensions) -> Body | None:
    """Return the value of BODY; 8BITMIME also for content that is not known to be ASCII."""
    if content.binary:
        return Body.BINARY_MIME
    eight_bit = content.eight_bit is not False and "8BITMIME" in offered.keywords
    return Body.EIGHT_BIT_MIME if eight_bit else None


def _require_offered(parameters: MailParameters | RcptParameters, offered: Extensions) -> None:
    """Raise NotOffered if a parameter needs an extension that is not in *offered*."""
    if (reason := not_offered_reason(parameters, offered)) is not None:
        wants_tls = isinstance(parameters, MailParameters) and parameters.requiretls
        missing = wants_tls and "REQUIRETLS" not in offered
        raise NotOffered(reason, status="5.7.30" if missing else "5.3.3")  # RFC 8689 4.2.1


def _split(
    mail: Mail, rcpts: tuple[Rcpt, ...], sent: Sequence[PlannedTransaction], limits: SessionLimits
) -> tuple[PlannedTransaction, ...]:
    """Split *rcpts* into as many transactions as the *limits* of the server require (RFC 9422).

    Raises NotOffered if the connection, with *sent*, would exceed a limit.
    """
    parts = [rcpts]
    if (rcpt_max := limits.rcpt_max) is not None:
        parts = [rcpts[at : at + rcpt_max] for at in range(0, len(rcpts), rcpt_max)]
    planned = tuple([PlannedTransaction(mail, part) for part in parts])
    if limits.mail_max is not None and (count := len(sent) + len(planned)) > limits.mail_max:
        text = f"{count} transactions; the server accepts {limits.mail_max} on a connection"
        raise NotOffered(text, check=_CHECK_LIMITS)
    if (domain_max := limits.rcpt_domain_max) is not None:
        domains = len(_domains([*sent, *planned]))
        if domains > domain_max:
            text = f"recipients in {domains} domains; the server accepts {domain_max}"
            raise NotOffered(f"{text} on a connection", check=_CHECK_LIMITS)
    return planned


def _domains(transactions: Iterable[PlannedTransaction]) -> set[str]:
    """Return the recipients' domains, in lower case."""
    paths = [rcpt.path for transaction in transactions for rcpt in transaction.rcpts]
    return {lower(str(path.domain)) for path in paths if path.domain is not None}


def _chunked(content: Content, offered: Extensions) -> bool:
    """Return whether to use BDAT; see :func:`plan`."""
    if "CHUNKING" not in offered.keywords:
        return False
    large = content.size is None or content.size > BDAT_SIZE
    return content.binary or large or "PIPELINING" not in offered


def _chunks(size: int | None) -> list[Bdat]:
    """Return the BDAT commands for content of *size* octets, or none if the size is unknown."""
    if size is None:
        return []
    full_chunks = (size - 1) // BDAT_SIZE if size else 0
    return [*[Bdat(BDAT_SIZE)] * full_chunks, Bdat(size - full_chunks * BDAT_SIZE, last=True)]

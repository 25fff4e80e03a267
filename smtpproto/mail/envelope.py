"""The envelope (RFC 5321 2.3.1): who sends, who receives; apart from the content."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import field, frozen

from ..grammar.address import ForwardPath, Mailbox, ReversePath
from ..grammar.parameters import MailParameters

Recipient = ForwardPath | Mailbox | str


def _sender(value: ReversePath | Mailbox | str | None) -> ReversePath:
    return ReversePath.of(value)


def _recipients(values: Recipient | Iterable[Recipient]) -> tuple[ForwardPath, ...]:
    if isinstance(values, ForwardPath | Mailbox | str | bytes) or values is None:
        values = [values]
    return tuple(ForwardPath.of(value) for value in values)


@frozen
class Envelope:
    """Sender and recipients; plain addresses will do: ``Envelope("ann@a.test", ["bob@b.test"])``.

    *sender* ``""`` is the null reverse-path. *parameters* are those of MAIL: given by the client
    on a server's side, left alone on a client's. Raises GrammarError for a bad address.
    """

    sender: ReversePath = field(converter=_sender)
    recipients: tuple[ForwardPath, ...] = field(converter=_recipients)
    parameters: MailParameters = field(factory=MailParameters)

    @property
    def isascii(self) -> bool:
        """Whether it can be sent without SMTPUTF8."""
        return self.sender.isascii and all(path.isascii for path in self.recipients)

"""The envelope (RFC 5321 2.3.1): who sends, who receives; apart from the content."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import field, frozen

from .address import ForwardPath, Mailbox, ReversePath
from .parameters import MailParameters, RcptParameters
from .reply import GrammarError

Recipient = ForwardPath | Mailbox | str
ForEach = (  # a mapping's type of keys is invariant
    Mapping[Recipient, RcptParameters]
    | Mapping[ForwardPath, RcptParameters]
    | Mapping[Mailbox, RcptParameters]
    | Mapping[str, RcptParameters]
)

_NO_PARAMETERS = RcptParameters()


def _sender(value: ReversePath | Mailbox | str | None) -> ReversePath:
    return ReversePath.of(value)


def _recipients(values: Recipient | Iterable[Recipient]) -> tuple[ForwardPath, ...]:
    if isinstance(values, ForwardPath | Mailbox | str | bytes) or values is None:
        values = [values]
    return tuple(ForwardPath.of(value) for value in values)


def _for_each(
    values: RcptParameters | ForEach,
) -> Mapping[ForwardPath, RcptParameters] | RcptParameters:
    if isinstance(values, RcptParameters):
        return values
    return {ForwardPath.of(path): parameters for path, parameters in values.items()}


@frozen
class Envelope:
    """Sender and recipients; plain addresses will do: ``Envelope("ann@a.test", ["bob@b.test"])``.

    *sender* ``""`` is the null reverse-path. *parameters* are those of MAIL and *rcpt_parameters*
    those of RCPT, one for all or one for each: given by the client on a server's side; on a
    client's, what is asked for (``RcptParameters(notify={Notify.FAILURE})``), while size, BODY and
    SMTPUTF8 are added as the content needs. Raises GrammarError for a bad address.
    """

    sender: ReversePath = field(converter=_sender)
    recipients: tuple[ForwardPath, ...] = field(converter=_recipients)
    parameters: MailParameters = field(factory=MailParameters)
    rcpt_parameters: Mapping[ForwardPath, RcptParameters] = field(factory=dict, converter=_for_each)

    def __attrs_post_init__(self) -> None:
        given = self.rcpt_parameters
        if isinstance(given, RcptParameters):
            object.__setattr__(self, "rcpt_parameters", dict.fromkeys(self.recipients, given))
        elif strangers := given.keys() - set(self.recipients):
            raise GrammarError(f"parameters for {min(map(str, strangers))!r}, who is no recipient")

    @property
    def isascii(self) -> bool:
        """Whether it can be sent without SMTPUTF8."""
        addresses = self.sender.isascii and all(path.isascii for path in self.recipients)
        return addresses and all(str(each).isascii() for each in self.rcpt_parameters.values())

    def parameters_of(self, recipient: ForwardPath) -> RcptParameters:
        """The parameters of RCPT for *recipient*; none set if there are none."""
        return self.rcpt_parameters.get(recipient, _NO_PARAMETERS)

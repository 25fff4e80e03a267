"""The envelope (RFC 5321 2.3.1): the sender and the recipients, apart from the content."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cached_property
from operator import attrgetter
from typing import cast

from attrs import evolve, field, frozen

from ..option_types import checked, checks_itself, maker
from .address import ForwardPath, Mailbox, ReversePath
from .command import NO_MAIL_PARAMETERS, NO_RCPT_PARAMETERS, Mail, Rcpt
from .dsn import OriginalRecipient
from .parameters import MailParameters, RcptParameters
from .reply import GrammarError

Recipient = ForwardPath | Mailbox | str
ParametersByRecipient = (  # Mapping is invariant in its keys, so each type needs its own
    Mapping[Recipient, RcptParameters]
    | Mapping[ForwardPath, RcptParameters]
    | Mapping[Mailbox, RcptParameters]
    | Mapping[str, RcptParameters]
)

_is_ascii = attrgetter("isascii")


def _to_sender(value: ReversePath | Mailbox | str | None) -> ReversePath:
    return ReversePath.of(value)


def _to_recipients(values: Recipient | Iterable[Recipient]) -> tuple[ForwardPath, ...]:
    if isinstance(values, ForwardPath | Mailbox | str | bytes) or not isinstance(values, Iterable):
        values = [values]
    return tuple(ForwardPath.of(value) for value in values)


checks_itself(_to_sender)  # with advice about addresses
checks_itself(_to_recipients)


def _to_rcpt_parameters(
    values: RcptParameters | ParametersByRecipient,
) -> Mapping[ForwardPath, RcptParameters]:
    if isinstance(values, RcptParameters):  # the constructor sets them for each recipient
        return cast("Mapping[ForwardPath, RcptParameters]", values)
    return {ForwardPath.of(path): parameters for path, parameters in values.items()}


@checked
@frozen
class Envelope:
    """The sender and the recipients of a message: ``Envelope("ann@a.test", ["bob@b.test"])``.

    Addresses may be text; a *sender* of ``""`` is the null reverse-path. *parameters* are those of
    MAIL, *rcpt_parameters* those of RCPT: one value for all recipients, or one for each.

    On a server the parameters are those that the client sent. On a client they are requests, for
    example ``RcptParameters(notify={Notify.FAILURE})``; the client adds SIZE, BODY and SMTPUTF8 as
    the content needs them. Raises GrammarError for a malformed address, and without recipients.
    """

    sender: ReversePath = field(converter=_to_sender)
    recipients: tuple[ForwardPath, ...] = field(converter=_to_recipients)
    parameters: MailParameters = NO_MAIL_PARAMETERS
    rcpt_parameters: Mapping[ForwardPath, RcptParameters] = field(
        factory=dict, converter=_to_rcpt_parameters
    )

    def __attrs_post_init__(self) -> None:
        if not self.recipients:
            raise GrammarError("no recipients; add one to the envelope or the header")
        given = self.rcpt_parameters
        if isinstance(given, RcptParameters):
            object.__setattr__(self, "rcpt_parameters", dict.fromkeys(self.recipients, given))
        elif given and (unknown := given.keys() - set(self.recipients)):
            address = min(map(str, unknown))
            raise GrammarError(f"rcpt_parameters has {address!r}, which is not a recipient")

    def __str__(self) -> str:
        """Return the addresses: ``ann@a.test to bob@b.test, al@b.test``."""
        return f"{str(self.sender) or '<>'} to {', '.join(map(str, self.recipients))}"

    @cached_property
    def isascii(self) -> bool:
        """Whether the envelope can be sent without SMTPUTF8."""
        addresses = self.sender.isascii and all(map(_is_ascii, self.recipients))
        return addresses and all(str(each).isascii() for each in self.rcpt_parameters.values())

    @cached_property
    def mail(self) -> Mail:
        """The MAIL that a client sends if the content of the message asks for no parameters."""
        return Mail(self.sender, self.parameters)

    @cached_property
    def rcpts(self) -> tuple[Rcpt, ...]:
        """The RCPT that a client sends for each recipient; one for equal recipients."""
        recipients = dict.fromkeys(self.recipients)
        if not self.rcpt_parameters:
            return tuple([_make_rcpt(path) for path in recipients])
        return tuple([Rcpt(path, self._sent_parameters(path)) for path in recipients])

    def _sent_parameters(self, path: ForwardPath) -> RcptParameters:
        """Return the parameters of RCPT; with NOTIFY, ORCPT names the recipient (RFC 3461 4.2)."""
        parameters = self.parameters_of(path)
        if parameters.notify and parameters.orcpt is None and path.mailbox is not None:
            with suppress(GrammarError):  # it is optional, and may be too long
                parameters = evolve(parameters, orcpt=OriginalRecipient.of(path))
        return parameters

    def parameters_of(self, recipient: ForwardPath) -> RcptParameters:
        """Return the RCPT parameters of *recipient*; none of them is set if it has no entry."""
        return self.rcpt_parameters.get(recipient, NO_RCPT_PARAMETERS)


_make_rcpt = maker(Rcpt, "path")

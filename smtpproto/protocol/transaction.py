"""A mail transaction on a server (RFC 5321 3.3): sender, recipients and size so far."""

from __future__ import annotations

from attrs import define, field

from ..grammar.address import ReversePath
from ..grammar.command import NO_MAIL_PARAMETERS, NO_RCPT_PARAMETERS, Mail, Rcpt
from ..grammar.envelope import Envelope
from ..option_types import maker


@define(eq=False)
class Transaction:
    """The commands accepted since MAIL; *mail* is None while no transaction is open."""

    mail: Mail | None = None
    rcpts: list[Rcpt] = field(factory=list)
    size: int = 0
    """Octets of content read."""
    last_chunk_replies: int = 1
    """How many replies BDAT LAST has after a refused chunk; in LMTP one for each recipient."""

    @property
    def utf8(self) -> bool:
        """Whether MAIL had SMTPUTF8."""
        return self.mail is not None and self.mail.parameters.smtputf8

    @property
    def envelope(self) -> Envelope:
        """The accepted sender and recipients, with their parameters. Unlike one that a program
        makes, it may have no recipients yet."""
        if self.mail is None:
            return _make_envelope(ReversePath(), (), NO_MAIL_PARAMETERS, {})
        paths = tuple([rcpt.path for rcpt in self.rcpts])
        parameters = {}
        for rcpt in self.rcpts:
            if rcpt.parameters is not NO_RCPT_PARAMETERS and rcpt.parameters.parameters():
                parameters[rcpt.path] = rcpt.parameters
        return _make_envelope(self.mail.path, paths, self.mail.parameters, parameters)


_make_envelope = maker(Envelope, "sender", "recipients", "parameters", "rcpt_parameters")


NO_TRANSACTION = Transaction()
"""Stands for none. All connections share it; it is never changed."""

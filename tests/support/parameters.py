"""Functions that parse MAIL and RCPT parameters, and the keywords of an EHLO reply."""

from __future__ import annotations

import pytest

from smtpproto.errors import GrammarError
from smtpproto.grammar.command import Mail, Rcpt
from smtpproto.grammar.command_line import parse_command
from smtpproto.grammar.extension import Extensions
from smtpproto.grammar.parameters import MailParameters, RcptParameters
from smtpproto.grammar.reply import Reply


def parse_mail(text: str) -> MailParameters:
    """Return the parameters of a MAIL command that ends with *text*."""
    command = parse_command(f"MAIL FROM:<a@b> {text}".encode())
    assert isinstance(command, Mail)
    return command.parameters


def parse_rcpt(text: str) -> RcptParameters:
    """Return the parameters of an RCPT command that ends with *text*."""
    command = parse_command(f"RCPT TO:<a@b> {text}".encode())
    assert isinstance(command, Rcpt)
    return command.parameters


def assert_refused(line: str, enhanced: str = "5.5.4", *, in_last: bool = True) -> None:
    """Check that *line* is refused with 501 and *enhanced*, at an octet of its parameters: of the
    last one, if *in_last*."""
    with pytest.raises(GrammarError) as caught:
        parse_command(line.encode())
    assert caught.value.reply is not None
    assert (caught.value.reply.code, str(caught.value.reply.enhanced)) == (501, enhanced)
    octets = line.encode()
    before = octets.rindex(b" ") if in_last else octets.index(b" ", len("MAIL "))
    assert before < caught.value.offset <= len(octets)


def offered(*lines: str) -> Extensions:
    """Return the extensions of an EHLO reply with these keyword *lines*."""
    return Extensions.from_reply(Reply(250, None, ["mx.example", *lines]))

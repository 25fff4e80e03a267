"""Two verbs of an application's own: XCOUNT, whose argument is a number, and XSAY."""

from __future__ import annotations

from typing import Self

from attrs import frozen

from smtpproto.errors import GrammarError
from smtpproto.grammar.command import Command, TextCommand
from smtpproto.grammar.parse_context import ParseContext
from smtpproto.grammar.reply import Reply
from smtpproto.protocol.phases import Phase
from smtpproto.protocol.verbs import Verb


@frozen
class XCount(Command):
    """``XCOUNT number``."""

    verb = "XCOUNT"
    number: int

    @classmethod
    def read(cls, argument: str, context: ParseContext) -> Self:
        if not argument.isdecimal():
            raise GrammarError("not a number", reply=Reply(501, "5.5.4", "Count, please"))
        return cls(int(argument))

    def argument(self) -> str:
        return str(self.number)


@frozen
class XSay(TextCommand):
    """``XSAY text``."""

    verb = "XSAY"


XCOUNT_VERB = Verb.own(XCount, default_reply=Reply(250, "2.0.0", "Counted"))
XSAY_VERB = Verb.own(
    XSay, accepted_codes={211, 250}, phases=[Phase.START, Phase.CHUNKS], keyword="XTALK"
)
OWN_VERBS = (XCOUNT_VERB, XSAY_VERB)

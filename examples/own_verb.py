"""A verb of your own in client and server: the reply to ``XADD 1 2`` is the sum."""

from __future__ import annotations

from typing import Self

from attrs import frozen

from smtpproto import Command, GrammarError, Handler, Reply, Session, TLSMode, Verb
from smtpproto.adapters.blocking import connect, serve
from smtpproto.commands import ParseContext


@frozen
class Add(Command):
    """``XADD number number``."""

    verb = "XADD"
    first: int
    second: int

    @classmethod
    def read(cls, argument: str, context: ParseContext) -> Self:
        words = argument.split(" ")
        if len(words) != 2 or not all(word.isascii() and word.isdigit() for word in words):
            raise GrammarError("XADD takes two numbers", reply=Reply(501, "5.5.4", "Bad numbers"))
        return cls(int(words[0]), int(words[1]))

    def argument(self) -> str:
        return f"{self.first} {self.second}"


class Calculator(Handler):
    """Replies to ``XADD``."""

    def command(self, session: Session, command: Command) -> Reply | None:
        assert isinstance(command, Add)
        return Reply(250, "2.0.0", str(command.first + command.second))


def main() -> None:
    verbs = [Verb.own(Add)]
    with (
        serve(Calculator(), verbs=verbs) as server,
        connect("localhost", server.port, verbs=verbs, tls=TLSMode.NONE) as client,
    ):
        print(client.command(Add(1, 2)))


if __name__ == "__main__":
    main()

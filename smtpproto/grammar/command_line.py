"""The reader of command lines: a verb, and the class that reads what stands behind it."""

from __future__ import annotations

from collections.abc import Mapping

from .command import (
    CHARACTERS,
    CONTROL,
    Command,
    Data,
    Ehlo,
    Expn,
    Helo,
    Help,
    Mail,
    Noop,
    Quit,
    Rcpt,
    Rset,
    Vrfy,
)
from .extension_command import Auth, Bdat, Etrn, Lhlo, StartTLS, XClient, XForward
from .parse_context import ParseContext
from .reply import GrammarError, Reply

_UNKNOWN = Reply(500, "5.5.1", "Command unrecognized")
_NOT_IMPLEMENTED = Reply(502, "5.5.1", "Command not implemented")

RETIRED = frozenset({"TURN", "SEND", "SOML", "SAML"})  # RFC 5321 F.1, F.6

Commands = Mapping[str, type[Command]]

COMMANDS: Commands = {
    command.verb: command
    for command in (
        Ehlo, Helo, Lhlo, Mail, Rcpt, Data, Bdat, Rset, Vrfy, Expn, Help, Noop, Quit,
        StartTLS, Auth, Etrn, XClient, XForward,
    )
}  # fmt: skip
"""All that this library knows; a session has those of its vocabulary."""


def read_verb(line: bytes, commands: Commands = COMMANDS) -> str:
    """The verb that *line* (without CRLF) begins with, upper case. Raises GrammarError with reply
    500 if it is none of *commands*, 502 if nobody implements it any more."""
    verb = line.partition(b" ")[0].rstrip(b"\t").upper().decode("ascii", "replace")
    if verb in commands:
        return verb
    if verb in RETIRED:
        raise GrammarError(f"{verb} is not implemented", reply=_NOT_IMPLEMENTED)
    raise GrammarError("not a command", reply=_UNKNOWN)


def parse_command(
    line: bytes, context: ParseContext | None = None, commands: Commands = COMMANDS
) -> Command:
    """Read one command line, without CRLF.

    *context* (None: strict) says what is allowed besides the grammar, and learns what was needed.
    Raises GrammarError; its offset counts from the start of the line.
    """
    context = ParseContext() if context is None else context
    return read_command(read_verb(line, commands), line, context, commands)


def read_command(verb: str, line: bytes, context: ParseContext, commands: Commands) -> Command:
    """As :func:`parse_command`, of a line whose verb was read."""
    kept = line.rstrip(b" \t")
    if len(kept) != len(line):
        error = GrammarError("blank at the end of the line", offset=len(kept), reply=CHARACTERS)
        context.tolerate("trailing_blanks", error)
    start = len(verb) + 1
    while kept.startswith(b" ", start):
        error = GrammarError("one space too many", offset=start, reply=CHARACTERS)
        if verb == "BDAT":  # who stands before us may read it otherwise, and its octets with it
            raise error
        context.tolerate("extra_blanks", error)
        start += 1
    try:
        return commands[verb].read(_text(kept, start), context)
    except GrammarError as error:
        error.offset = min(start + error.offset, len(kept))  # a verb alone has none behind it
        raise


def _text(line: bytes, start: int) -> str:
    """What stands behind the verb. Offsets of errors count from there."""
    try:
        argument = line[start:].decode()
    except UnicodeDecodeError as error:
        raise GrammarError("not UTF-8", offset=error.start, reply=CHARACTERS) from None
    if control := CONTROL.search(argument):
        offset = len(argument[: control.start()].encode())
        raise GrammarError("control character", offset=offset, reply=CHARACTERS)
    return argument

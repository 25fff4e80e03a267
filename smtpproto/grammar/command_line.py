"""Reads command lines: the verb, then the argument by the class of the command."""

from __future__ import annotations

from collections.abc import Mapping

from . import command, extension_command
from .command import BAD_CHARACTERS, Command
from .parse_context import ParseContext
from .reply import GrammarError, Reply

_UNKNOWN = Reply(500, "5.5.1", "Command unrecognized")
NOT_IMPLEMENTED = Reply(502, "5.5.1", "Command not implemented")

RETIRED = frozenset({"TURN", "SEND", "SOML", "SAML"})  # RFC 5321 F.1, F.6

Commands = Mapping[str, type[Command]]

COMMANDS: Commands = {kind.verb: kind for kind in command.COMMANDS + extension_command.COMMANDS}
"""All commands that this library knows. A session uses those of its vocabulary."""


def read_verb(line: bytes, commands: Commands = COMMANDS) -> str:
    """Return the verb at the start of *line* (without CRLF), in upper case.

    Raises GrammarError, with reply 502 for a command that RFC 5321 retired and 500 for any other
    that is not in *commands*.
    """
    verb = line.partition(b" ")[0].rstrip(b"\t").upper().decode("ascii", "replace")
    if verb in commands:
        return verb
    if verb in RETIRED:
        raise GrammarError(f"{verb} is not implemented", offset=0, reply=NOT_IMPLEMENTED)
    raise GrammarError("not a command", offset=0, reply=_UNKNOWN)


def parse_command(
    line: bytes, context: ParseContext | None = None, commands: Commands = COMMANDS
) -> Command:
    """Parse one command line, without CRLF.

    *context* says which leniencies are allowed, and collects those that were needed; None is
    strict. Raises GrammarError, whose offset counts from the start of the line.
    """
    context = ParseContext() if context is None else context
    return read_command(read_verb(line, commands), line, context, commands)


def read_command(verb: str, line: bytes, context: ParseContext, commands: Commands) -> Command:
    """Parse *line* as :func:`parse_command` does; *verb* is what :func:`read_verb` returned."""
    kept = line.rstrip(b" \t")
    if len(kept) != len(line):
        message = "space or tab at the end of the line"
        error = GrammarError(message, offset=len(kept), reply=BAD_CHARACTERS)
        context.tolerate("trailing_blanks", error)
    start = len(verb) + 1
    while kept.startswith(b" ", start):
        error = GrammarError("more than one space", offset=start, reply=BAD_CHARACTERS)
        if verb == "BDAT":  # a relay may read another size, and so allow smuggling
            raise error
        context.tolerate("extra_blanks", error)
        start += 1
    try:
        return commands[verb].read_octets(kept[start:], context)
    except GrammarError as error:
        error.offset = min(start + error.offset, len(kept))  # a verb alone has no argument
        error.located = True
        raise

"""Parses a command line as a server does: with the negotiated extensions and its leniencies."""

from __future__ import annotations

from ..grammar.command import Command
from ..grammar.command_line import COMMANDS, read_command
from ..grammar.parse_context import ParseContext
from ..grammar.reply import GrammarError
from . import server_replies
from .server_state import ServerState


def read_negotiated(server: ServerState, verb: str, line: bytes) -> tuple[Command, tuple[str, ...]]:
    """Return the command of *line*, whose verb is *verb*, and the leniencies to report.

    Raises GrammarError. The parser of an application's own verb may raise any exception; the reply
    is then a 451 without details.
    """
    context = ParseContext(
        parameters=server.terms.negotiated.parameters.get(verb),
        utf8="SMTPUTF8" in server.terms.negotiated,
        leniencies=server.settings.leniencies,
    )
    try:
        command = read_command(verb, line, context, server.terms.vocabulary.commands)
    except GrammarError:
        raise
    except Exception as error:
        if verb in COMMANDS:
            raise
        fault = GrammarError(f"the parser of {verb} failed", reply=server_replies.PARSER_FAILED)
        raise fault from error
    return command, tuple(context.used)

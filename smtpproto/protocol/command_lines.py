"""Command lines as a server reads them: their limits and leniencies, and what may be shown."""

from __future__ import annotations

from typing import Literal

from attrs import frozen

from ..errors import GrammarError
from ..events import AuthResponse
from ..grammar.command import Command
from ..grammar.command_line import COMMANDS, read_command, read_verb
from ..grammar.extension import LONGEST_LINE
from ..grammar.extension_command import Bdat, ChunkError
from ..grammar.parse_context import ParseContext
from ..grammar.printable import printable
from ..grammar.reply import Reply
from ..grammar.secret import Secret
from ..grammar.xtext import decode_base64
from ..limits import COMMAND_LINE
from ..wire.lines import OVERLONG, LineReader, Overlong
from . import server_replies
from .foreign import begins_foreign, is_foreign
from .reply_format import error_reply
from .server_rules import check
from .server_state import ServerState
from .terms import Terms, check_order


def is_too_long(terms: Terms, line: bytes) -> bool:
    """Return whether a command line exceeds the limit of its verb (RFC 5321 4.5.3.1.4)."""
    if len(line) + 2 <= COMMAND_LINE:
        return False
    verb = line.partition(b" ")[0].rstrip().upper().decode("latin-1")
    limit = terms.settings.limits.auth_line if verb == "AUTH" else terms.offered.line_limit(verb)
    return len(line) + 2 > limit


@frozen(eq=False)
class FoundLine:
    """A line that a client sent: its command, or why it is refused."""

    line: bytes | None
    """What may be shown after redaction; None if nothing may."""
    command: Command | None = None
    """None in a refusal, unless octets of a chunk follow."""
    refusal: Reply | None = None
    tolerated: tuple[str, ...] = ()
    """The leniencies that the command needed and that are to be reported."""
    is_open_end: bool = False
    """Whether it is unknown where the next command begins: after a BDAT of unknown size."""


def read_line(lines: LineReader, state: ServerState) -> FoundLine | None:
    """Return the next line, or None if it is not complete."""
    terms = state.terms
    line = lines.read(max(terms.settings.limits.auth_line, LONGEST_LINE))  # by verb below
    if line is None:
        binary = begins_foreign(state.phase, state.buffer.peek(1))
        return FoundLine(None, refusal=server_replies.NOT_SMTP) if binary else None
    if line is OVERLONG:
        return _no_command(state, lines.beginning, None, server_replies.LINE_TOO_LONG)
    if is_too_long(terms, line):
        return _no_command(state, line, None, server_replies.LINE_TOO_LONG)
    try:
        verb = read_verb(line, terms.vocabulary.commands)
        refusal = check_order(terms, state.phase, verb)
        if refusal is not None and verb != "BDAT":
            return FoundLine(line, None, refusal)
        command, tolerated = read_negotiated(terms, verb, line)
    except GrammarError as error:
        if isinstance(error, ChunkError) and error.size is not None:
            return FoundLine(line, Bdat(error.size), error_reply(error))
        return _no_command(state, line, line, error_reply(error))
    return FoundLine(line, command, refusal or check(state, command), tolerated)


def _no_command(state: ServerState, line: bytes, shown: bytes | None, reply: Reply) -> FoundLine:
    """Return a line that is no command. It ends the session if it belongs to another protocol."""
    if is_foreign(state.terms, state.phase, line):
        reply = server_replies.NOT_SMTP
    return FoundLine(shown, None, reply, is_open_end=line[:4].upper() == b"BDAT")


def read_negotiated(terms: Terms, verb: str, line: bytes) -> tuple[Command, tuple[str, ...]]:
    """Return the command of *line*, whose verb is *verb*, and the leniencies to report.

    Raises GrammarError. The parser of an application's own verb may raise any exception; the reply
    is then a 451 without details.
    """
    context = ParseContext(
        parameters=terms.negotiated.parameters.get(verb),
        utf8="SMTPUTF8" in terms.negotiated,
        leniencies=terms.settings.leniencies,
    )
    try:
        command = read_command(verb, line, context, terms.vocabulary.commands)
    except GrammarError:
        raise
    except Exception as error:
        if verb in COMMANDS:
            raise
        fault = GrammarError(f"the parser of {verb} failed", reply=server_replies.PARSER_FAILED)
        raise fault from error
    return command, tuple(context.used)


def read_auth_response(line: bytes | Literal[Overlong.LINE]) -> AuthResponse | Reply:
    """Return the response of a SASL exchange that *line* holds in base64, or the reply that ends
    the exchange (RFC 4954 4)."""
    if isinstance(line, Overlong):
        return server_replies.AUTH_LINE_TOO_LONG
    if line == b"*":
        return server_replies.AUTH_CANCELLED
    try:
        return AuthResponse(Secret(decode_base64(line)))
    except GrammarError as error:
        return error.reply or server_replies.SYNTAX_ERROR


def redact(state: ServerState, line: bytes) -> str:
    """Return *line*, escaped, or asterisks in place of what may be secret: the argument of AUTH,
    and after a refused AUTH a line without a known verb."""
    verb = line.split(maxsplit=1)[0].upper() if line.strip() else b""
    if verb[:4] == b"AUTH":
        state.after_refused_login = True
        return "AUTH ***"
    known = verb.decode("latin-1") in state.terms.vocabulary.commands
    return "***" if state.after_refused_login and not known else printable(line)

"""Command lines as a server reads them: their limits and leniencies, and what may be shown.

After a line of another protocol, such as HTTP, a server must not go on reading. A web browser can
be made to send an HTTP request whose body is SMTP to a mail server. The server would refuse the
header lines one by one, and then deliver the message in the body.
"""

from __future__ import annotations

import re
from typing import Literal

from ..errors import GrammarError
from ..events import AuthResponse
from ..grammar.command import Command
from ..grammar.command_line import COMMANDS, read_command
from ..grammar.parse_context import ParseContext
from ..grammar.pattern import pattern
from ..grammar.printable import printable
from ..grammar.reply import Reply
from ..grammar.secret import Secret
from ..grammar.xtext import decode_base64
from ..limits import COMMAND_LINE
from ..wire.lines import Overlong
from . import server_replies
from .phases import Phase
from .server_state import ServerState
from .terms import Terms

_METHODS = frozenset(  # RFC 9110 9, RFC 5789, RFC 9113 3.4
    b"GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH PRI".split()
)
_VERSION = pattern(rb"[ \t](?:HTTP|RTSP|SIP|ICAP)/\d(?:\.\d)?[ \t]*\Z", re.IGNORECASE)
# A header field (RFC 5322 3.6.8, RFC 9110 5.1), but not a misspelt command: "MAIL-FROM:", "DATA:".
_FIELD = pattern(
    rb"(?!MAIL.?FROM|RCPT.?TO)([A-Z][A-Z0-9!#$%&'*+.^_`|~-]*)[ \t]*:(?!<)", re.IGNORECASE
)
_NO_LETTER = pattern(rb"[^A-Za-z]")
_BINARY = pattern(rb"[^\t\n\r -~]")


def is_too_long(terms: Terms, line: bytes) -> bool:
    """Return whether a command line exceeds the limit of its verb (RFC 5321 4.5.3.1.4)."""
    if len(line) + 2 <= COMMAND_LINE:
        return False
    verb = line.partition(b" ")[0].rstrip().upper().decode("latin-1")
    limit = terms.settings.limits.auth_line if verb == "AUTH" else terms.offered.line_limit(verb)
    return len(line) + 2 > limit


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
    hidden = state.after_refused_login and not _knows(state.terms, verb)
    return "***" if hidden else printable(line)


# -- lines of other protocols --------------------------------------------------------------------


def is_foreign(terms: Terms, phase: Phase, line: bytes) -> bool:
    """Return whether the command *line* belongs to another protocol.

    These are requests of HTTP and its like, the PROXY header of a peer that is not trusted, header
    fields (``Host: ...``), and before EHLO also SSH and all that does not begin with a letter.
    A line whose verb the server knows is never one of them. Neither is one with a bracket right
    after a colon, such as ``RTo:<ann@example.org>``: that is a mistyped command. Other protocols
    may end their lines with LF or CR.
    """
    return any(_is_foreign(terms, phase, part.strip(b" \t")) for part in re.split(rb"[\r\n]", line))


def _is_foreign(terms: Terms, phase: Phase, line: bytes) -> bool:
    verb = re.split(rb"[ \t]", line, maxsplit=1)[0].upper()
    if _knows(terms, verb):
        return False
    if verb in _METHODS or verb == b"PROXY" or _VERSION.search(line):
        return True
    if (name := _FIELD.match(line)) and not _knows(terms, name[1].upper()):
        return True
    return phase is Phase.START and bool(verb[:4] == b"SSH-" or _NO_LETTER.match(line))


def is_binary(octets: bytes) -> bool:
    """Return whether *octets* begin with one that no command has."""
    return _BINARY.match(octets) is not None


def _knows(terms: Terms, verb: bytes) -> bool:
    return verb.decode("latin-1") in terms.vocabulary.commands

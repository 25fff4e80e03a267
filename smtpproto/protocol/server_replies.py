"""Replies that the server machine sends by itself; texts follow examples in the RFCs."""

from __future__ import annotations

from collections.abc import Mapping

from ..events import AuthResponse, BodyEnd, ChunkEnd, Connected, Question
from ..grammar.reply import Reply

GREETING = "greeting"
"""What :class:`.Connected` asks for, in place of a verb."""

LINE_TOO_LONG = Reply(500, "5.5.2", "Line too long")
SYNTAX_ERROR = Reply(501, "5.5.2", "Syntax error")
AUTH_LINE_TOO_LONG = Reply(500, "5.5.6", "Authentication exchange line is too long")
AUTH_CANCELLED = Reply(501, "5.7.0", "Authentication cancelled")
AUTH_NEEDS_TLS = Reply(538, "5.7.11", "Encryption required for authentication")
ALREADY_AUTHENTICATED = Reply(503, "5.5.1", "Already authenticated")
UNKNOWN_MECHANISM = Reply(504, "5.5.4", "Unrecognized authentication mechanism")
TLS_ACTIVE = Reply(503, "5.5.1", "TLS is already active")
NEED_TLS = Reply(530, "5.7.0", "Must issue a STARTTLS command first")
NEED_AUTH = Reply(530, "5.7.0", "Authentication required")
TOO_MANY_RECIPIENTS = Reply(452, "4.5.3", "Too many recipients")
TOO_BIG = Reply(552, "5.3.4", "Message size exceeds fixed maximum message size")
TOO_MANY_TRANSACTIONS = Reply(421, "4.7.0", "Too many messages on one connection; closing")
BINARYMIME_NEEDS_BDAT = Reply(503, "5.5.1", "BODY=BINARYMIME needs BDAT")
BARE_CR_OR_LF = Reply(554, "5.6.0", "CR or LF alone in message content")
PARSER_FAILED = Reply(451, "4.3.0", "Local error in processing")
UNQUALIFIED_SENDER = Reply(554, "5.1.8", "Sender's domain is not fully qualified")
UNQUALIFIED_RECIPIENT = Reply(554, "5.1.2", "Recipient's domain is not fully qualified")
SENDER_NEEDS_UTF8 = Reply(550, "5.6.7", "Sender address needs SMTPUTF8")
RECIPIENT_NEEDS_UTF8 = Reply(553, "5.6.7", "Recipient address needs SMTPUTF8")

INJECTION = Reply(421, "4.7.0", "Octets after STARTTLS; closing transmission channel")
UNKNOWN_CHUNK_SIZE = Reply(421, "4.7.0", "Size of the chunk unknown; closing transmission channel")
TOO_MANY_ERRORS = Reply(421, "4.7.0", "Too many errors; closing transmission channel")
TOO_MANY_COMMANDS = Reply(421, "4.7.0", "Too many commands without a message; closing")
TOO_MUCH_CONTENT = Reply(421, "4.7.0", "Too much refused content; closing transmission channel")
NOT_SMTP = Reply(421, "4.7.0", "This is not SMTP; closing transmission channel")
TOO_MANY_LOGINS = Reply(421, "4.7.0", "Too many failed logins; closing transmission channel")
TIMED_OUT = Reply(421, "4.4.2", "Timeout; closing transmission channel")
SHUTTING_DOWN = Reply(421, "4.3.2", "Service shutting down; closing transmission channel")

LMTP_READY = Reply(220, None, "LMTP ready")

# For questions that are not commands: the reply when the application answers None, and the codes
# that accept it. Any other code below 400 does not answer it.
STEPS: Mapping[type[Question], tuple[Reply, frozenset[int]]] = {
    Connected: (Reply(220, None, "ESMTP ready"), frozenset({220})),
    ChunkEnd: (Reply(250, "2.0.0", "Chunk received"), frozenset({250})),
    BodyEnd: (Reply(250, "2.0.0", "Message accepted"), frozenset({250})),
    AuthResponse: (Reply(235, "2.7.0", "Authentication successful"), frozenset({235, 334})),
}

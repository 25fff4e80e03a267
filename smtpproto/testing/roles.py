"""What each line of a session is: a command, content, a SASL response or a reply."""

from __future__ import annotations

from enum import Enum
from typing import Literal

from ..grammar.command_line import COMMANDS, parse_command
from ..grammar.extension_command import Bdat
from ..grammar.reply import GrammarError

CRLF = b"\r\n"


class Role(Enum):
    """What a line is."""

    COMMAND = "command"
    AUTH = "AUTH"
    RESPONSE = "response"
    CONTENT = "content, with dots stuffed"
    CHUNK = "content of a chunk"
    END = "end of content"
    REPLY = "reply"
    CHALLENGE = "challenge"


class Dialogue:
    """Follows a session line by line. It must see all lines, in their order.

    Some servers take LF alone for a line end, so a line that ends with it has ended, except in
    content, which only CRLF.CRLF ends (RFC 5321 2.3.8, 4.1.1.4).
    """

    def __init__(self) -> None:
        self.chunk: int = 0
        """Octets of a chunk that are still to come (RFC 3030)."""
        self.awaits_tls: bool = False
        """Whether the last command was STARTTLS, and has no reply yet."""
        self.in_tls: bool = False
        """Whether the server has agreed to STARTTLS."""
        self.in_content: bool = False
        """Whether the client sends content after DATA."""
        self._auth = self._had_auth = False
        self._open: Role | None = None  # of a line that has not ended

    def role(self, side: Literal["C", "S"], octets: bytes) -> Role:
        """Return what the next line is, which *side* sent."""
        return self._reply(octets) if side == "S" else self._line(octets)

    def _reply(self, octets: bytes) -> Role:
        code = octets[:3]
        if code == b"334":
            self._auth = True
            return Role.CHALLENGE
        self.in_content = self.in_content or code == b"354"
        if octets[3:4] != b"-":  # the last line of a reply
            self._auth = False
            self.in_tls = self.awaits_tls and code == b"220"
            self.awaits_tls = False
        return Role.REPLY

    def _line(self, octets: bytes) -> Role:
        if self.chunk:
            self.chunk = max(0, self.chunk - len(octets))
            return Role.CHUNK
        role = self._open or self._whole(octets)
        ended = octets.endswith(CRLF if role is Role.CONTENT else b"\n")
        self._open = None if ended else role
        if self._open is Role.AUTH:
            self._open = Role.RESPONSE
        return role

    def _whole(self, octets: bytes) -> Role:
        if self.in_content:
            self.in_content = octets != b".\r\n"
            return Role.CONTENT if self.in_content else Role.END
        if self._auth:
            return Role.RESPONSE
        return self._command(octets)

    def _command(self, octets: bytes) -> Role:
        verb = octets[:64].split(None, 1)[0].upper().decode("latin-1") if octets.strip() else ""
        self.awaits_tls = verb == "STARTTLS"
        if verb == "BDAT":
            self.chunk = _chunk_size(octets)
        if verb == "AUTH":
            self._auth = self._had_auth = True
            return Role.AUTH
        # A client that does not wait for the reply to AUTH sends its name and password next.
        unknown = self._had_auth and verb not in COMMANDS
        return Role.RESPONSE if unknown else Role.COMMAND


def _chunk_size(octets: bytes) -> int:
    try:
        command = parse_command(octets.rstrip(CRLF))
    except GrammarError:
        return 0
    return command.size if isinstance(command, Bdat) else 0

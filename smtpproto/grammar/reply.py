"""Replies (RFC 5321 4.2), and the two errors that they are defined with.

Every error may carry a reply, and a reply that cannot be is an error: so :class:`SMTPError` and
:class:`GrammarError` stand here, and ``errors`` has the rest of the tree.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Self

from attrs import field, frozen

from ..limits import REPLY_LINE
from .printable import printable
from .status_meanings import MEANINGS

_CHALLENGE = 334  # one line, however long (RFC 4954 4)
_LINE = re.compile(rb"([2-5][0-9]{2})(?:([ -])(.*))?", re.DOTALL)
_ENHANCED = re.compile(r"([245])\.(0|[1-9][0-9]{0,2})\.(0|[1-9][0-9]{0,2})")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\ud800-\udfff]")


class SMTPError(Exception):
    """Base of all errors of this library.

    *phase* names the step of the conversation, *command* the command (secrets masked), *reply* the
    peer's answer if there was one, *check* what to look at next. A client's phases are "connect",
    "TLS", "greeting", "hello", "login", "plan" (before anything of a message is said),
    "transaction" (MAIL to the end of the message) and "session" (any other command).
    """

    default_check: ClassVar[str] = ""
    """What to check if nobody knows better."""

    def __init__(
        self,
        message: str,
        *,
        phase: str = "",
        command: str = "",
        reply: Reply | None = None,
        check: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.phase = phase
        self.command = command
        self.reply = reply
        self.check = check

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self.args, self.__dict__)

    def __str__(self) -> str:
        parts = [self.message]
        if self.phase:
            parts.append(f"phase: {self.phase}")
        if self.command:
            parts.append(f"command: {self.command}")
        if self.reply is not None:
            parts.append(f"reply: {self.reply}")
        if self.check:
            parts.append(f"check: {self.check}")
        return "; ".join(parts)

    def complete(self, phase: str) -> None:
        """Say *phase*, and what to check, if nothing was said of these."""
        self.phase = self.phase or phase
        self.check = self.check or self._advice()

    def _advice(self) -> str:
        return self.default_check


def _restored(
    kind: type[SMTPError], arguments: tuple[object, ...], state: dict[str, object]
) -> SMTPError:
    """An error as it was, from a pickle: signatures differ, state does not."""
    error = kind.__new__(kind, *arguments)
    error.__dict__.update(state)
    return error


class GrammarError(SMTPError, ValueError):
    """Octets or arguments that the grammar does not allow.

    *offset* is the octet at which reading stopped. *reply* is what a server answers to a command
    with this fault; it is None where no command can hold it (as in a reply).
    """

    def __init__(self, message: str, *, offset: int = 0, reply: Reply | None = None) -> None:
        super().__init__(message, reply=reply)
        self.offset = offset

    def __str__(self) -> str:
        """Without the reply: a server makes one of this."""
        where = f"; phase: {self.phase}" if self.phase else ""
        check = f"; check: {self.check}" if self.check else ""
        return f"{self.message} (at octet {self.offset}){where}{check}"


@frozen(order=True)
class EnhancedCode:
    """``class.subject.detail`` (RFC 3463 2), e.g. ``EnhancedCode(5, 7, 1)``."""

    class_: int
    subject: int
    detail: int

    def __attrs_post_init__(self) -> None:
        if not _ENHANCED.fullmatch(str(self)):
            raise GrammarError(f"not an enhanced status code: {str(self)[:20]!r}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``5.7.1``. Raises GrammarError for anything else, leading zeros included."""
        match = _ENHANCED.fullmatch(text)
        if match is None:
            raise GrammarError(f"not an enhanced status code: {text[:20]!r}")
        return cls(*map(int, match.groups()))

    @classmethod
    def at_start(cls, text: str) -> Self | None:
        """Read the code that a reply's text starts with (RFC 2034 4), or None."""
        head, _, _ = text.partition(" ")
        match = _ENHANCED.fullmatch(head)
        return cls(*map(int, match.groups())) if match else None

    @property
    def meaning(self) -> str:
        """What subject and detail say, for people. Of a detail that is not known here, what its
        subject says in general; of such a subject, that nothing more is known (RFC 3463 2)."""
        known = (self.subject, self.detail), (self.subject, 0), (0, 0)
        return next(MEANINGS[pair] for pair in known if pair in MEANINGS)

    def __str__(self) -> str:
        return f"{self.class_}.{self.subject}.{self.detail}"


def _enhanced(value: EnhancedCode | str | None) -> EnhancedCode | None:
    return EnhancedCode.parse(value) if isinstance(value, str) else value


def _lines(text: str | Iterable[str]) -> tuple[str, ...]:
    return tuple(text.splitlines() or [""]) if isinstance(text, str) else tuple(text) or ("",)


def _fold(line: str, room: int) -> Iterable[str]:
    """Cut *line* at spaces, or anywhere if it has none, into pieces of at most *room* octets."""
    while len(octets := line.encode()) > room:
        head = octets[:room].decode("utf-8", "ignore")
        cut = head.rfind(" ")
        head = head[: cut + 1] if cut > 0 else head
        yield head
        line = line[len(head) :]
    yield line


def _strictly(leniency: str, error: GrammarError) -> None:
    """Allow only what RFC 5321 4.2 asks to accept."""
    if leniency != "bare_code":
        raise error


@frozen
class Reply:
    """A reply: code, enhanced code or None, text of one or more lines.

    ``Reply(550, "5.7.1", "Relaying denied")``. The text is a string, split at its line ends, or the
    lines themselves; lines too long for the wire (512 octets, RFC 5321 4.5.3.1.5) are folded, but
    not a SASL challenge.
    Raises GrammarError if the code is not 200 to 599, if the enhanced code's class differs from
    the code's first digit (RFC 2034 4), or if the text holds control characters.
    """

    code: int = field()
    enhanced: EnhancedCode | None = field(default=None, converter=_enhanced)
    lines: tuple[str, ...] = field(default="", converter=_lines)

    def __attrs_post_init__(self) -> None:
        if self.code not in range(200, 600):
            raise GrammarError(f"not a reply code: {self.code}")
        if self.enhanced is not None and self.enhanced.class_ != self.code // 100:
            raise GrammarError(f"enhanced code {self.enhanced} does not suit code {self.code}")
        if not all(isinstance(line, str) for line in self.lines):
            raise GrammarError("the text of a reply is str")
        if any(_CONTROL.search(line) for line in self.lines):
            raise GrammarError("control character in the text of a reply")
        if self.enhanced is None and self._leading_code(self.code, self.lines[0]) is not None:
            raise GrammarError("give the enhanced code as an argument, not in the text")
        if self.code != _CHALLENGE:
            self._fold()

    def _fold(self) -> None:
        room = REPLY_LINE - len("250 \r\n") - len(self._prefix)
        if any(len(line) * 4 > room and len(line.encode()) > room for line in self.lines):
            folded = tuple(piece for line in self.lines for piece in _fold(line, room))
            object.__setattr__(self, "lines", folded)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read one whole reply, line ends included (RFC 5321 4.2)."""
        if not data.endswith(b"\r\n"):
            raise GrammarError("a reply ends with CRLF", offset=len(data))
        return cls.from_lines(data[:-2].split(b"\r\n"))

    @classmethod
    def from_lines(
        cls,
        lines: Sequence[bytes],
        tolerate: Callable[[str, GrammarError], None] = _strictly,
    ) -> Self:
        """Build the reply that *lines* (without CRLF) make.

        *tolerate* is called with the name of each leniency that is needed and the error to raise
        if it is not allowed (:meth:`.ParseContext.tolerate`); the default allows a code without
        text only. The text may be UTF-8 or anything; what cannot be printed is escaped.
        """
        codes, texts = [], []
        for number, line in enumerate(lines, 1):
            code, more, text = parse_reply_line(line)
            if more != (number < len(lines)):
                raise GrammarError("'-' belongs to all lines of a reply but the last", offset=3)
            if len(line) == 3:
                tolerate("bare_code", GrammarError("a code and nothing else", offset=3))
            if len(line) + 2 > REPLY_LINE and code != _CHALLENGE:
                tolerate("long_reply", GrammarError("a line of more than 512 octets"))
            codes.append(code)
            texts.append(text)
        if len(set(codes)) != 1:
            error = GrammarError("a reply needs one code, the same on all its lines")
            if not codes:
                raise error
            tolerate("mixed_codes", error)
        return cls._from_texts(codes[-1], texts)

    @classmethod
    def _from_texts(cls, code: int, texts: list[str]) -> Self:
        enhanced = cls._leading_code(code, texts[0])
        if enhanced is None:
            return cls(code, None, texts)
        prefix = str(enhanced)
        return cls(code, enhanced, [_without(prefix, text) for text in texts])

    @staticmethod
    def _leading_code(code: int, text: str) -> EnhancedCode | None:
        enhanced = EnhancedCode.at_start(text) if text[:2] in ("2.", "4.", "5.") else None
        return enhanced if enhanced is not None and enhanced.class_ == code // 100 else None

    @property
    def _prefix(self) -> str:
        return "" if self.enhanced is None else f"{self.enhanced} "

    @property
    def text(self) -> str:
        """The lines, joined by newlines."""
        return "\n".join(self.lines)

    @property
    def positive(self) -> bool:
        """2yz or 3yz: the command did, or may go on to do, what it is for."""
        return self.code < 400

    @property
    def intermediate(self) -> bool:
        """3yz: the server waits for more."""
        return 300 <= self.code < 400

    @property
    def transient(self) -> bool:
        """4yz: the same may work later (RFC 5321 4.2.1)."""
        return 400 <= self.code < 500

    @property
    def permanent(self) -> bool:
        """5yz: the same will fail again."""
        return self.code >= 500

    def ascii(self) -> Self:
        """The same reply with other characters escaped (RFC 6531 3.7.4.2: no UTF-8 unasked)."""
        if all(line.isascii() for line in self.lines):
            return self
        lines = [line.encode("ascii", "backslashreplace").decode() for line in self.lines]
        return type(self)(self.code, self.enhanced, lines)

    def __bytes__(self) -> bytes:
        """The wire form, the enhanced code on every line (RFC 2034 4)."""
        *first, last = self.lines
        head = "".join(f"{self.code}-{self._prefix}{line}\r\n" for line in first)
        return f"{head}{self.code} {self._prefix}{last}\r\n".encode()

    def __str__(self) -> str:
        return printable(f"{self.code} {self._prefix}{' / '.join(self.lines)}".rstrip())


def parse_reply_line(line: bytes) -> tuple[int, bool, str]:
    """Split a line of a reply, without CRLF, into code, "more lines follow", printable text.

    Raises GrammarError if it does not start with three digits (first one 2 to 5) and then end or
    go on with SP or "-".
    """
    match = _LINE.fullmatch(line)
    if match is None:
        raise GrammarError(f"not a line of a reply: {printable(line[:40])!r}")
    code, mark, text = match.groups()
    return int(code), mark == b"-", _text(text or b"")


def _text(octets: bytes) -> str:
    text = octets.decode("utf-8", "backslashreplace")
    return _CONTROL.sub(lambda found: printable(found[0]), text)


def _without(prefix: str, text: str) -> str:
    if text == prefix:
        return ""
    return text[len(prefix) + 1 :] if text.startswith(prefix + " ") else text

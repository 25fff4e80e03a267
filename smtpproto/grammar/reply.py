"""Replies (RFC 5321 4.2), enhanced status codes (RFC 3463), and the two errors that they need.

Every error may carry a reply, and a malformed reply is an error. So :class:`SMTPError` and
:class:`GrammarError` are defined here; ``smtpproto.errors`` exports them and defines all others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, wraps
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, cast

from attrs import field, frozen

from ..limits import REPLY_LINE
from ..option_types import checked, maker, require_type
from .pattern import pattern
from .printable import printable

if TYPE_CHECKING:  # most errors are never diagnosed
    from ..diagnosis.diagnosis import Diagnosis
    from ..diagnosis.signs import ReplyFacts

_SHORT = 100  # characters of a line that fits, in any encoding and with any enhanced code
_CHALLENGE = 334  # always one line, however long (RFC 4954 4)
_LINE = pattern(rb"([2-5][0-9]{2})(?:([ -])(.*))?", re.DOTALL)
_ENHANCED = pattern(r"([245])\.(0|[1-9][0-9]{0,2})\.(0|[1-9][0-9]{0,2})")
_LEADING = pattern(rf"{_ENHANCED.pattern}(?: |\Z)")
_CONTROL = pattern(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\ud800-\udfff]")


class SMTPError(Exception):
    """Base class of all errors of this library. Its text joins the attributes on one line."""

    default_check: ClassVar[str] = ""
    """The class's value of :attr:`check`, for errors raised without one."""
    fault: str = ""
    """A short name for what is wrong, for programs, for example ``"connection-refused"``. "": the
    reply, if there is one, tells it. :attr:`diagnosis` has both."""
    message: str
    """What failed."""
    phase: str
    """The step of the conversation, or "". A client's phases are "connect", "TLS", "greeting",
    "hello", "login", "plan" (before anything of a message is sent), "transaction" (MAIL to the end
    of the message) and "session" (any other command)."""
    command: str
    """The command that failed, with secrets masked, or ""."""
    reply: Reply | None
    """The peer's reply, if there was one."""
    check: str
    """What the user should check next, or ""."""

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
        return _unpickle, (type(self), self.args, self.__dict__)

    def __str__(self) -> str:
        return self.message + self._parts("phase", "command", "reply", "check")

    def _parts(self, *names: str) -> str:
        """Return the attributes called *names*, as far as they are set."""
        values = ((name, getattr(self, name)) for name in names)
        return "".join(f"; {name}: {value}" for name, value in values if value)

    @property
    def diagnosis(self) -> Diagnosis:
        """What failed, the likely causes in order, who must act for each, and what to try.

        ``print(error.diagnosis)`` shows it on several lines.
        """
        from ..diagnosis.explaining import Failure, diagnose  # noqa: PLC0415

        return diagnose(
            Failure(
                what=printable(self.message),
                fault=self.fault,
                phase=self.phase,
                command=printable(self.command),
                check=printable(self.check),
                facts=None if self.reply is None else _facts(self.reply, self.command),
            )
        )

    def complete(self, phase: str) -> None:
        """Set :attr:`phase` and :attr:`check` where they are empty."""
        self.phase = self.phase or phase
        self.check = self.check or self._advice()

    def _advice(self) -> str:
        """Return the value of :attr:`check` for an error raised without one."""
        return self.default_check


def _facts(reply: Reply, command: str) -> ReplyFacts:
    """Return *reply* as the tables of diagnoses know it."""
    from ..diagnosis.signs import ReplyFacts  # noqa: PLC0415

    enhanced = "" if reply.enhanced is None else str(reply.enhanced)
    text = printable(" ".join(reply.lines).strip())
    return ReplyFacts(reply.code, enhanced, text, printable(command))


def _unpickle(
    kind: type[SMTPError], arguments: tuple[object, ...], state: dict[str, object]
) -> SMTPError:
    """Restore an error without calling ``__init__``, whose signature differs between classes."""
    error = kind.__new__(kind, *arguments)
    error.__dict__.update(state)
    return error


class GrammarError(SMTPError, ValueError):
    """Octets or arguments outside the grammar.

    *reply* is what a server answers to a command with this fault. It is None where no command can
    contain the fault, for example in a reply.
    """

    fault = "grammar"
    offset: int
    """The octet at which the parser stopped, counted from 0."""
    located: bool
    """Whether a parser of octets found the fault, so that the text of the error has the offset. In
    values of the application it would point nowhere."""

    def __init__(
        self, message: str, *, offset: int | None = None, reply: Reply | None = None
    ) -> None:
        super().__init__(message, reply=reply)
        self.offset = offset or 0
        self.located = offset is not None

    def __str__(self) -> str:
        """Omit the reply, since a server puts this text into it."""
        at = f" (at octet {self.offset})" if self.located else ""
        return f"{self.message}{at}{self._parts('phase', 'check')}"


def accepts(parse: Callable[..., object], *arguments: object) -> bool:
    """Return whether *parse* accepts *arguments*: whether it raises no ValueError."""
    try:
        parse(*arguments)
    except ValueError:
        return False
    return True


@checked
@frozen(order=True)
class EnhancedCode:
    """``class.subject.detail`` (RFC 3463 2), for example ``EnhancedCode(5, 7, 1)``."""

    class_: int
    subject: int
    detail: int

    def __attrs_post_init__(self) -> None:
        if not _ENHANCED.fullmatch(str(self)):
            raise GrammarError(f"not an enhanced status code: {str(self)[:20]!r}")

    @classmethod
    def parse(cls, text: str) -> EnhancedCode:
        """Read ``5.7.1``. Raises GrammarError for anything else, leading zeros included."""
        match = _ENHANCED.fullmatch(text)
        if match is None:
            raise GrammarError(f"not an enhanced status code: {text[:20]!r}")
        return _make_code(*map(int, match.groups()))

    @classmethod
    def at_start(cls, text: str) -> EnhancedCode | None:
        """Return the code at the start of a reply's text (RFC 2034 4), or None."""
        match = _LEADING.match(text)
        return _make_code(*map(int, match.groups())) if match else None

    @property
    def meaning(self) -> str:
        """What subject and detail mean, as a sentence.

        For an unknown detail this is the general meaning of its subject; for an unknown subject,
        that of "undefined" (RFC 3463 2).
        """
        from ..diagnosis.status_meanings import MEANINGS  # noqa: PLC0415

        known = (self.subject, self.detail), (self.subject, 0), (0, 0)
        return next(MEANINGS[pair] for pair in known if pair in MEANINGS)

    def __str__(self) -> str:
        return f"{self.class_}.{self.subject}.{self.detail}"


_make_code = maker(EnhancedCode, "class_", "subject", "detail")


def _to_enhanced(value: EnhancedCode | str | None) -> EnhancedCode | None:
    if not isinstance(value, str):
        return value
    try:
        return EnhancedCode.parse(value)
    except GrammarError as error:
        text = f"{error.message}; without one, write Reply(250, None, {value[:20]!r})"
        raise GrammarError(text) from None


def _to_lines(text: str | Iterable[str]) -> tuple[str, ...]:
    return tuple(text.splitlines() or [""]) if isinstance(text, str) else tuple(text) or ("",)


def _fold(line: str, room: int) -> Iterable[str]:
    """Cut *line* into pieces of at most *room* octets: after a space, or anywhere if a piece has
    none."""
    while len(octets := line.encode()) > room:
        head = octets[:room].decode("utf-8", "ignore")
        cut = head.rfind(" ")
        head = head[: cut + 1] if cut > 0 else head
        yield head
        line = line[len(head) :]
    yield line


@checked
@frozen
class Reply:
    """A reply: a code, an enhanced code or None, and text of one or more lines.

    ``Reply(550, "5.7.1", "Relaying denied")``. Pass the text as one string, which is split at its
    line ends, or as a list of lines. Lines too long for the wire (512 octets, RFC 5321 4.5.3.1.5)
    are folded, except those of a SASL challenge.

    Raises GrammarError if the code is not 200 to 599, if the class of the enhanced code differs
    from the code's first digit (RFC 2034 4), or if the text contains control characters.
    """

    code: int = field()
    enhanced: EnhancedCode | None = field(default=None, converter=_to_enhanced)
    lines: tuple[str, ...] = field(default=("",), converter=_to_lines)

    def __attrs_post_init__(self) -> None:
        if self.code not in range(200, 600):
            raise GrammarError(f"not a reply code: {self.code}; a code is 200 to 599")
        if self.enhanced is not None and self.enhanced.class_ != self.code // 100:
            raise GrammarError(f"enhanced code {self.enhanced} does not fit code {self.code}")
        for line in self.lines:
            if not isinstance(line, str):
                raise GrammarError("the lines of a reply must be str")
            if _CONTROL.search(line):
                raise GrammarError("control character in the text of a reply")
        if self.enhanced is None and _leading_code(self.code, self.lines[0]) is not None:
            raise GrammarError("pass the enhanced code as an argument, not in the text")
        if self.code != _CHALLENGE and max(map(len, self.lines)) > _SHORT:
            room = REPLY_LINE - len("250 \r\n") - len(self._prefix)
            folded = tuple(piece for line in self.lines for piece in _fold(line, room))
            object.__setattr__(self, "lines", folded)

    @classmethod
    def parse(cls, data: bytes) -> Reply:
        """Read one whole reply with its line ends (RFC 5321 4.2). Raises GrammarError."""
        require_type("data", data, bytes | bytearray, "octets")
        if not data.endswith(b"\r\n"):
            raise GrammarError("a reply must end with CRLF", offset=len(data))
        return cls.from_lines(bytes(data[:-2]).split(b"\r\n"))

    @classmethod
    def from_lines(cls, lines: Sequence[bytes], tolerate: Tolerate | None = None) -> Reply:
        """Return the reply in *lines*, which have no CRLF. Raises GrammarError.

        *tolerate* is called with the name of each leniency that is needed and the error to raise if
        it is not allowed (:meth:`.ParseContext.tolerate`); the default allows a code without text
        only. The text may be any octets: what is not printable UTF-8 is escaped.
        """
        return read_reply(lines, tolerate or _tolerate_bare_code)

    @property
    def _prefix(self) -> str:
        return f"{self.enhanced} " if self.enhanced is not None else ""

    @property
    def text(self) -> str:
        """The lines, joined by newlines."""
        return "\n".join(self.lines)

    @property
    def positive(self) -> bool:
        """Whether the code is 2yz or 3yz: the command has succeeded so far."""
        return self.code < 400

    @property
    def intermediate(self) -> bool:
        """Whether the code is 3yz: the server waits for more."""
        return 300 <= self.code < 400

    @property
    def transient(self) -> bool:
        """Whether the code is 4yz: the same command may succeed later (RFC 5321 4.2.1)."""
        return 400 <= self.code < 500

    @property
    def permanent(self) -> bool:
        """Whether the code is 5yz: the same command will fail again."""
        return self.code >= 500

    def ascii(self) -> Self:
        """Return the reply with all but ASCII escaped: UTF-8 is sent only to a client that asked
        for it (RFC 6531 3.7.4.2)."""
        if all(line.isascii() for line in self.lines):
            return self
        lines = [line.encode("ascii", "backslashreplace").decode() for line in self.lines]
        return type(self)(self.code, self.enhanced, lines)

    def __bytes__(self) -> bytes:
        """Return the wire form, with the enhanced code on every line (RFC 2034 4)."""
        *first, last = self.lines
        head = "".join(f"{self.code}-{self._prefix}{line}\r\n" for line in first)
        return f"{head}{self.code} {self._prefix}{last}\r\n".encode()

    def __str__(self) -> str:
        return printable(f"{self.code} {self._prefix}{' / '.join(self.lines)}".rstrip())


def _leading_code(code: int, text: str) -> EnhancedCode | None:
    enhanced = EnhancedCode.at_start(text)
    return enhanced if enhanced is not None and enhanced.class_ == code // 100 else None


# -- replies that are read -----------------------------------------------------------------------

R = TypeVar("R", bound=Callable[..., Any])
Tolerate = Callable[[str, GrammarError], None]
"""Is called with the name of a leniency that is needed, and the error to raise without it."""

_MOST_KEPT = 2048  # octets of a reply


class _LeniencyNeeded(Exception):
    """The result depends on the leniencies, so it cannot be kept."""


def _need(_leniency: str, error: GrammarError) -> None:
    raise _LeniencyNeeded from error


def keeping(count: int) -> Callable[[R], R]:
    """Decorate a reader of lines to keep *count* results of short ones, because servers repeat
    theirs. What needs a leniency is read anew each time."""

    def decorate(read: R) -> R:
        kept = lru_cache(count)(lambda lines: read(lines, _need))

        @wraps(read)
        def read_or_keep(lines: Sequence[str] | Sequence[bytes], tolerate: Tolerate) -> Any:
            # A challenge is not kept: it may be secret.
            if lines and lines[-1][:3] != b"334" and sum(map(len, lines)) <= _MOST_KEPT:
                try:
                    return kept(tuple(lines))
                except _LeniencyNeeded:
                    pass
            return read(lines, tolerate)

        return cast("R", read_or_keep)

    return decorate


_make_reply = maker(Reply, "code", "enhanced", "lines")


def _tolerate_bare_code(leniency: str, error: GrammarError) -> None:
    """Raise *error* unless RFC 5321 4.2 asks to tolerate it, as it does for a code without text."""
    if leniency != "bare_code":
        raise error


@keeping(256)
def read_reply(lines: Sequence[bytes], tolerate: Tolerate) -> Reply:
    """Read a reply as :meth:`Reply.from_lines` does. Its lines are never folded: a part of a
    keyword would become a keyword."""
    codes, texts = [], []
    for number, line in enumerate(lines, 1):
        code, more, text = parse_reply_line(line)
        if more != (number < len(lines)):
            message = "all lines of a reply but the last must have '-' after the code"
            raise GrammarError(message, offset=3)
        if len(line) == 3:
            tolerate("bare_code", GrammarError("a code without text", offset=3))
        if len(line) + 2 > REPLY_LINE and code != _CHALLENGE:
            tolerate("long_reply", GrammarError(f"a line of more than {REPLY_LINE} octets"))
        codes.append(code)
        texts.append(text)
    if len(set(codes)) != 1:
        error = GrammarError("all lines of a reply must have the same code")
        if not codes:
            raise error
        tolerate("mixed_codes", error)
    enhanced = _leading_code(codes[-1], texts[0])
    if enhanced is not None:
        written = str(enhanced)
        texts = [text.removeprefix(written + " ") if text != written else "" for text in texts]
    return _make_reply(codes[-1], enhanced, tuple(texts))


def parse_reply_line(line: bytes) -> tuple[int, bool, str]:
    """Split a line of a reply, without CRLF, into its code, whether more lines follow, and its text
    with control characters escaped.

    Raises GrammarError if the line does not start with three digits, the first of them 2 to 5, that
    end it or are followed by SP or "-".
    """
    match = _LINE.fullmatch(line)
    if match is None:
        raise GrammarError(f"not a line of a reply: '{printable(line[:40])}'")
    code, mark, text = match.groups()
    decoded = text.decode("utf-8", "backslashreplace") if text else ""
    if not decoded.isprintable():
        decoded = _CONTROL.sub(lambda found: printable(found[0]), decoded)
    return int(code), mark == b"-", decoded

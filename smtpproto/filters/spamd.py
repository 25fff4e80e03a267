"""A filter that speaks the protocol of SpamAssassin's spamd, version 1.5; rspamd speaks it too."""

from __future__ import annotations

import re
from collections import Counter
from contextlib import aclosing

from attrs import field, frozen

from ..errors import GrammarError, RemoteProtocolError
from ..grammar.pattern import pattern
from ..grammar.printable import printable
from ..grammar.reply import Reply
from ..mail.header import split_fields
from ..option_types import checked
from ..ports import Runtime, Stream
from .header_edit import AddField, ChangeField, FieldEdit
from .message_filter import Filter, FilterMessage, FilterVerdict, remaining, split_address

__all__ = ["Spamd", "SpamdReply", "spamd_request"]

_PORT = 783
_MAX_REPLY = 2 * 1024 * 1024  # octets: a header section, and more
_MAX_TESTS = 2000  # characters of the names of rules in a field
_STATUS = pattern(rb"SPAMD/[0-9.]{1,10} +([0-9]{1,5})(?: +([^\r\n]*))?")
_SPAM = pattern(rb"(?im)^Spam: *(True|Yes|False|No) *; *(-?[0-9.]+) */ *(-?[0-9.]+) *\r?$")
_LENGTH = pattern(rb"(?im)^Content-length: *([0-9]{1,10}) *\r?$")
_REFUSAL = Reply(550, "5.7.1", "This message looks like spam")


def spamd_request(command: str, size: int, user: str = "") -> bytes:
    """Return what stands before a message of *size* octets. *command* is CHECK, SYMBOLS, HEADERS or
    PROCESS."""
    who = f"User: {user}\r\n" if user else ""
    return f"{command} SPAMC/1.5\r\nContent-length: {size}\r\n{who}\r\n".encode()


@frozen(kw_only=True)
class SpamdReply:
    """What spamd answers."""

    is_spam: bool
    score: float
    threshold: float
    """The score from which on a message is spam."""
    body: bytes = b""
    """By the command: nothing, the names of rules, a header section, or a message."""

    @classmethod
    def parse(cls, octets: bytes) -> SpamdReply:
        """Read a whole reply. Raises RemoteProtocolError for an error of spamd, too."""
        head, _, body = octets.partition(b"\r\n\r\n")
        status = _STATUS.match(head)
        if status is None:
            raise _broken("not a reply", head)
        if int(status[1]) != 0:
            raise _broken(f"error {int(status[1])}", status[2] or b"")
        spam = _SPAM.search(head)
        length = _LENGTH.search(head)
        if spam is None or (length is not None and len(body) < int(length[1])):
            raise _broken("a reply that is not complete", head)
        try:
            score, threshold = float(spam[2]), float(spam[3])
        except ValueError:
            raise _broken("not a score", spam[0]) from None
        is_spam = spam[1].lower() in (b"true", b"yes")
        return cls(is_spam=is_spam, score=score, threshold=threshold, body=body)

    @property
    def rules(self) -> list[str]:
        """The names in the answer to SYMBOLS."""
        return re.findall(r"[A-Za-z0-9_.()-]+", self.body.decode("ascii", "replace"))


@checked
@frozen
class Spamd(Filter):
    """SpamAssassin's spamd, or rspamd, at *address*: ``Spamd("127.0.0.1:783", refuse_at=15)``.

    Each message gets a field X-Spam-Status with its score, and X-Spam-Flag if it is spam; fields
    of these names that it had are removed. Raises ValueError for what is not an address.
    """

    address: str = field()
    refuse_at: float | None = field(default=None, kw_only=True)
    """The score from which on a message is refused, with 550 5.7.1. None: none is."""
    hold_at: float | None = field(default=None, kw_only=True)
    """The score from which on a message is held in the queue. None: none is."""
    user: str = field(default="", kw_only=True)
    """Whose settings spamd uses; "": those of the user that it runs as."""
    max_size: int = field(default=512 * 1024, kw_only=True)
    """Octets of the longest message that is checked; longer ones are hardly ever spam."""
    rewrite: bool = field(default=False, kw_only=True)
    """Whether to take the X-Spam fields and the Subject that spamd writes, as it is configured."""

    def __attrs_post_init__(self) -> None:
        split_address(self.address, _PORT)
        if not re.fullmatch("[A-Za-z0-9_.@+-]*", self.user):
            raise ValueError(f"not a user of spamd: {self.user!r}")

    @property
    def name(self) -> str:
        """What logs call the filter."""
        return f"spamd {self.address}"

    async def check(self, message: FilterMessage, runtime: Runtime) -> FilterVerdict:
        """Ask spamd. Raises TransportError and RemoteProtocolError."""
        if message.size > self.max_size:
            return FilterVerdict(summary=f"not checked: {message.size} octets")
        command = "HEADERS" if self.rewrite else "SYMBOLS"
        end = runtime.now() + self.timeout
        stream = await runtime.dial(*split_address(self.address, _PORT), self.timeout)
        try:
            request = spamd_request(command, message.size, self.user)
            await stream.write(request, remaining(runtime, end))
            async with aclosing(message.content()) as content:
                async for data in content:
                    await stream.write(data, remaining(runtime, end))
            reply = SpamdReply.parse(await _read_all(stream, runtime, end))
        finally:
            await stream.close()
        try:
            return self._verdict(message, reply)
        except GrammarError as error:
            raise _broken(error.message, b"") from None

    def _verdict(self, message: FilterMessage, reply: SpamdReply) -> FilterVerdict:
        """Return what *reply* means for *message*. Raises GrammarError."""
        score, spam = reply.score, "spam" if reply.is_spam else "not spam"
        summary = f"{spam}, {score:g}/{reply.threshold:g}"
        if self.refuse_at is not None and score >= self.refuse_at:
            return FilterVerdict(refusal=_REFUSAL, summary=summary)
        holds = self.hold_at is not None and score >= self.hold_at
        edits = _rewritten(message, reply) if self.rewrite else _tags(message, reply)
        return FilterVerdict(hold=summary if holds else None, edits=edits, summary=summary)


async def _read_all(stream: Stream, runtime: Runtime, end: float) -> bytes:
    """Return all that spamd sends. Raises TransportError, and RemoteProtocolError for too much."""
    octets = bytearray()
    while data := await stream.read(remaining(runtime, end)):
        octets += data
        if len(octets) > _MAX_REPLY:
            raise _broken(f"a reply of more than {_MAX_REPLY} octets", b"")
    return bytes(octets)


def _removed(message: FilterMessage, prefix: str) -> list[FieldEdit]:
    """Return edits that remove the fields whose names begin with *prefix*, in lower case."""
    names = (name.lower() for name, _ in split_fields(message.header))
    counts = Counter(name for name in names if name.startswith(prefix))
    return [ChangeField(it, None, n + 1) for it, count in counts.items() for n in range(count)]


def _tags(message: FilterMessage, reply: SpamdReply) -> list[FieldEdit]:
    tests = "".join(f"\r\n\t{rule}," for rule in reply.rules)[:_MAX_TESTS].rpartition(",")[0]
    word = "Yes" if reply.is_spam else "No"
    status = f"{word}, score={reply.score:g} required={reply.threshold:g} tests={tests or 'none'}"
    edits = _removed(message, "x-spam-status") + _removed(message, "x-spam-flag")
    edits.append(AddField("X-Spam-Status", status))
    if reply.is_spam:
        edits.append(AddField("X-Spam-Flag", "YES"))
    return edits


def _rewritten(message: FilterMessage, reply: SpamdReply) -> list[FieldEdit]:
    """Return the edits that make the X-Spam fields and the Subject those of *reply*."""
    header = re.sub(rb"\r?\n", b"\r\n", reply.body).partition(b"\r\n\r\n")[0]
    fields = [(name, line.partition(b":")[2]) for name, line in split_fields(header)]
    edits = _removed(message, "x-spam-")
    spam = [it for it in fields if it[0].lower().startswith("x-spam-")]
    edits += [AddField(name, value, at) for at, (name, value) in enumerate(spam)]
    old, new = (_subject(it) for it in (split_fields(message.header), split_fields(header)))
    if new.split() not in (
        [],
        old.split(),
    ):  # spamd also changes blanks, which signatures may cover
        edits.append(ChangeField("Subject", new))
    return edits


def _subject(fields: list[tuple[str, bytes]]) -> bytes:
    return next((it.partition(b":")[2] for name, it in fields if name.lower() == "subject"), b"")


def _broken(text: str, shown: bytes) -> RemoteProtocolError:
    quoted = f" '{printable(shown[:100])}'" if shown else ""
    return RemoteProtocolError(
        f"spamd answers wrongly: {text}{quoted}",
        phase="filter",
        check="that spamd, or a worker of rspamd, listens there, and its log",
    )
